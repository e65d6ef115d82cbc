"""Conversions between frames and seconds, numbers as text, and checks of names."""

import os
from pathlib import Path

# Windows that are at most this far apart touch: their times are rounded to a millisecond.
TOUCH_S = 0.002


def frames_to_s(frames: float, fps: float) -> float:
    """Duration of `frames` at `fps`; 0.0 if the rate is unknown (fps <= 0)."""
    return frames / fps if fps > 0 else 0.0


def format_duration(duration_s: float) -> str:
    """`75` -> `1:15`, `3675` -> `1:01:15`."""
    minutes, seconds = divmod(int(round(duration_s)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def hours_words(hours: float) -> str:
    """`40 s`, `43 min`, `5.5 hours`, `3.2 days`."""
    if hours < 2 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.3g} hours" if hours < 48 else f"{round(hours / 24, 1):g} days"


def rate_words(per_hour: float) -> str:
    """`3.5 an hour`, `1 in 20 hours`, `1 in 12 days`, `none`."""
    if per_hour <= 0:
        return "none"
    if per_hour <= 0.5:
        return f"1 in {hours_words(1 / per_hour)}"
    return f"{per_hour:.3g} an hour" if per_hour < 999.5 else f"{per_hour:,.0f} an hour"


def counted(count: int, noun: str) -> str:
    """`1 video`, `2 videos`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_bytes(count: int) -> str:
    """`999` -> `999 B`, `1600000000` -> `1.6 GB`; units of 1000, three digits."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"


def is_utf8(text: str) -> bool:
    """True if a path can be written into a UTF-8 file.

    Python represents bytes of a path that are not UTF-8 by characters that cannot be encoded.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def absolute_path(text: str) -> str:
    """A path from the root; a `~` at its start, as a JSON file or Python has it, is the home."""
    # Path.expanduser raises for a user that does not exist; this one leaves the text as it is.
    return str(Path(os.path.expanduser(text)).absolute())  # noqa: PTH111


def shown_path(path: str | Path, *, is_kept: bool = False) -> str:
    """A path as people read it: from the current folder, where that is shorter than from the root.

    Args:
        path: If it does not begin with a slash, it is shown as it is.
        is_kept: For a file that is read later: a path outside the current folder stays as it is.
    """
    text = str(path)
    if not text.startswith("/"):
        return text
    relative = os.path.relpath(text)
    if is_kept and relative.startswith(".."):
        return text
    return min((text, relative), key=len)


def is_name(text: str) -> bool:
    """True if `text` can be the name of a folder whose files have that name and an ending."""
    plain = text not in ("", ".", "..") and not set(text) & set("/\\\0")
    return plain and is_utf8(text) and len(text.encode()) <= 200

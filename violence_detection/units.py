"""Conversions between frames and seconds, and how people read numbers."""

TOUCH_S = 0.002  # windows this close touch: times are rounded, to a millisecond at most


def frames_to_s(frames: float, fps: float) -> float:
    """Seconds that `frames` last at `fps`; 0.0 where the rate is not known (fps <= 0)."""
    return frames / fps if fps > 0 else 0.0


def format_duration(duration_s: float) -> str:
    """`75` -> `1:15`, `3675` -> `1:01:15`."""
    minutes, seconds = divmod(int(round(duration_s)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


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
    """Whether a path, as Python has it, can be written into a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_name(text: str) -> bool:
    """Whether a text can be the name of a folder that files with longer names lie in."""
    plain = text not in ("", ".", "..") and not set(text) & set("/\\\0")
    return plain and is_utf8(text) and len(text.encode()) <= 200

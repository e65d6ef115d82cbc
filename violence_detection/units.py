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

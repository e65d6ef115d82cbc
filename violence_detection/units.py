"""Conversions between frames, seconds and bytes, and how people read them."""


def frames_to_s(frames: float, fps: float) -> float:
    """Seconds that `frames` last at `fps`; 0.0 where the rate is not known (fps <= 0)."""
    return frames / fps if fps > 0 else 0.0


def format_duration(duration_s: float) -> str:
    """`75` -> `1:15`, `3675` -> `1:01:15`."""
    minutes, seconds = divmod(int(round(duration_s)), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    )


def format_bytes(size_bytes: float) -> str:
    """`1500` -> `1.5 kB` (powers of 1000, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"

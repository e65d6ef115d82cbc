"""Observation of a camera: at first its events are stored and nobody is told."""

from violence_detection.live.configuration.config import Camera
from violence_detection.live.storage.event_reader import EventReader

_HOUR_MS = 3_600_000


def observed_until_ms(reader: EventReader, camera: Camera, now_ms: int) -> int | None:
    """UTC at which the observation of a camera ends, in milliseconds; None if it is not observed.

    It begins when the store first sees the camera, so that restarts do not prolong it.

    Args:
        reader: The event store.
        camera: The camera; for one that the store does not know yet it begins now.
        now_ms: UTC in milliseconds.
    """
    if not camera.settings.observe_hours:
        return None
    rows = reader.rows("select first_seen_ms from cameras where name = ?", [camera.name])
    first_ms = rows[0][0] if rows else now_ms
    return first_ms + round(_HOUR_MS * camera.settings.observe_hours)

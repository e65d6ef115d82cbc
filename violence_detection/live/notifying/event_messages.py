"""Messages about an event and those that it continues, as one incident."""

from collections.abc import Sequence

from violence_detection.live.configuration.config import Camera
from violence_detection.live.recording.clips import picture_paths
from violence_detection.live.storage.event_records import StoredEvent
from violence_detection.live.storage.messages import Message


def event_message(
    chain: Sequence[StoredEvent],
    kind: str,
    *,
    at_ms: int,
    timezone: str,
    page: str,
    camera: Camera | None,
    end_ms: int | None = None,
    finds: str = "violence",
    novelty: float | None = None,
) -> Message:
    """A message about the last event of a chain, in which each continues the one before.

    It has the id and the start of the first, which is the one that receivers were told of.

    Args:
        chain: The events as they are now.
        kind: `start`, `rise`, `end` or `escalation`.
        at_ms: When it is made, UTC.
        timezone: Zone of the times in its text.
        page: Address of the review page; empty for none.
        camera: Of the event; None if it is not watched any more.
        end_ms: UTC of the end, if the event has ended.
        finds, novelty: See `Message`.
    """
    first, last = chain[0], chain[-1]
    # A sink may be told of two rises of an event, to medium and to high, and of several steps of
    # an escalation.
    picture, blurred_picture = picture_paths(first.camera, first.id, first.start_ms)
    mark = {"rise": f"-{last.priority}", "escalation": f"-{at_ms}"}.get(kind, "")
    return Message(
        id=f"{first.id}-{kind}{mark}",
        kind=kind,
        at_ms=at_ms,
        timezone=timezone,
        link=f"{page}/events/{last.id}" if page else "",
        event=first.id,
        camera=last.camera,
        title=camera.title if camera else last.camera,
        site=camera.site if camera else "",
        priority=last.priority,
        start_ms=first.start_ms,
        end_ms=end_ms,
        peak=round(max(event.peak or 0.0 for event in chain), 6),
        threshold=last.threshold,
        picture=picture,
        blurred_picture=blurred_picture,
        finds=finds,
        novelty=novelty,
    )

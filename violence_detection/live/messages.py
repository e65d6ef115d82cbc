"""Messages about events and about the system, with their texts for people."""

import dataclasses
import json
from dataclasses import dataclass

KINDS_OF_EVENTS = ("start", "rise", "end", "escalation")
PRIORITIES = ("low", "medium", "high")


@dataclass(frozen=True)
class Message:
    """Content of a notification. All times are UTC in milliseconds.

    Attributes:
        id: `<event>-<kind>`, or a ULID and the kind: the same however often it is sent, so that a
            receiver can leave out what it has had.
        kind: About an event: `start`, `rise`, `end`, `escalation`. About several: `digest`. About
            the system: `camera_down`, `camera_up`, `sink_down`, `sink_up`, `disk`, and others.
        at_ms: When it was made.
        timezone: Zone of the times in its text, as `Europe/Berlin`.
        event: Id of the event, or empty.
        camera: Name of the camera, or empty.
        title: Title of the camera for people.
        site: Site of the camera.
        priority: `low`, `medium` or `high`.
        start_ms, end_ms: Those of the event, or None.
        peak: Highest probability so far, or None.
        threshold: The camera's threshold, or None.
        held_back: Number of earlier messages of the camera that the cool-down held back.
        held_back_since_ms: The time of the first of them, or None.
        link: Address of the event's page, or empty.
        detail: A sentence; the text of a message that is not about one event.
        picture: Path of a JPEG file of the event, or empty.
        blurred_picture: Path of one on which nobody can be recognised, or empty.
    """

    id: str
    kind: str
    at_ms: int
    timezone: str = "UTC"
    event: str = ""
    camera: str = ""
    title: str = ""
    site: str = ""
    priority: str = "medium"
    start_ms: int | None = None
    end_ms: int | None = None
    peak: float | None = None
    threshold: float | None = None
    held_back: int = 0
    held_back_since_ms: int | None = None
    link: str = ""
    detail: str = ""
    picture: str = ""
    blurred_picture: str = ""

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Message":
        """The message of a text of `as_json`; fields of other versions are left out."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in names})

"""Messages about events and about the system: their texts for people, their JSON for programs."""

import dataclasses
import json
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

JSON_VERSION = 1
PRIORITIES = ("low", "medium", "high")
LATE_S = 15 * 60  # from this age on the text says how late a message is
_LONGEST_TEXT = 400
FINDS = ("violence", "unusual")
_EVENT_WORDS = {
    "start": "Possible violence",
    "rise": "Possible violence, now more serious",
    "end": "Possible violence has ended",
    "escalation": "Nobody has acknowledged possible violence",
}
# Of a run that learned from normal videos alone: it does not know violence.
_UNUSUAL_WORDS = {
    "start": "Something unusual",
    "rise": "Something unusual, now more so",
    "end": "Something unusual has ended",
    "escalation": "Nobody has acknowledged something unusual",
}
_SYSTEM_WORDS = {
    "digest": "Several events",
    "camera_down": "Camera is down",
    "camera_up": "Camera is up again",
    "camera_blind": "Camera may see nothing",
    "sink_down": "A notification channel is down",
    "sink_up": "A notification channel works again",
    "disk": "Disk is nearly full",
    "clips": "Some clips are not kept",
    "falling_behind": "Watching falls behind",
    "judge": "Judging is interrupted",
    "not_judged": "Cameras are not judged",
    "page": "The review page is down",
    "reload": "A new cameras file was refused",
}
EVENT_KINDS = tuple(_EVENT_WORDS)


@dataclass(frozen=True)
class Message:
    """Content of a notification. All times are UTC in milliseconds.

    Attributes:
        id: `<ULID>-<kind>`, with the id of the event where it is about one: the same however
            often it is sent, so that a receiver can leave out what it has had.
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
        finds: What the run finds: `violence`, or what is `unusual` if it learned from normal videos
            alone.
        novelty: The highest novelty of the event's windows so far: above 1 one of them is unlike
            anything that the run was trained on. None where that is not known.
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
    finds: str = "violence"
    novelty: float | None = None

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Message":
        """The message of a text of `as_json`; fields of other versions are left out."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in names})


def headline(message: Message) -> str:
    """The message in a few words."""
    event_words = _UNUSUAL_WORDS if message.finds == "unusual" else _EVENT_WORDS
    words = event_words.get(message.kind) or _SYSTEM_WORDS.get(message.kind) or "Notice"
    if message.kind in _EVENT_WORDS:
        return clean(f"{words} ({message.priority}): {_place(message)}")
    return clean(f"{words}: {_place(message)}" if message.camera else words)


def body(message: Message, *, late_s: float = 0.0) -> str:
    """The message in sentences: when, how serious, what to do, where to look.

    Args:
        message: The message.
        late_s: Seconds since it was made.
    """
    when = message.at_ms if message.start_ms is None else message.start_ms
    times = local_time(when, message.timezone)
    if message.end_ms is not None and message.start_ms is not None:
        times += f", lasted {duration((message.end_ms - message.start_ms) / 1000)}"
    lines = [f"{_place(message)}, {times}." if message.camera else f"{times}."]
    if message.detail:
        lines.append(message.detail)
    if message.kind in _EVENT_WORDS:
        lines.append(f"Priority: {message.priority}. A person must look at it.")
        if message.finds == "unusual":
            lines.append("The run knows normal videos alone: unusual is not violent.")
        elif message.novelty is not None and message.novelty > 1:
            lines.append("It is unlike anything the run was trained on: its score says little.")
    if message.held_back:
        since = message.held_back_since_ms
        began = f" since {local_time(since, message.timezone)}" if since is not None else ""
        lines.append(f"And {message.held_back} more of this camera{began}.")
    if late := late_words(late_s):
        lines.append(f"This message is {late}.")
    if message.link:
        lines.append(message.link)
    return "\n".join(clean(line) for line in lines)


def payload(message: Message, *, late_s: float = 0.0) -> dict[str, Any]:
    """The message for programs; `docs/notification.schema.json` is its schema.

    Args:
        message: The message.
        late_s: Seconds since it was made.
    """
    return {
        "version": JSON_VERSION,
        "id": message.id,
        "kind": message.kind,
        "at": _iso(message.at_ms),
        "late_s": round(max(0.0, late_s), 1),
        "event": message.event or None,
        "camera": message.camera or None,
        "camera_title": message.title or None,
        "site": message.site or None,
        "priority": message.priority,
        "start": _iso(message.start_ms),
        "end": _iso(message.end_ms),
        "peak": message.peak,
        "threshold": message.threshold,
        "finds": message.finds,
        "novelty": message.novelty,
        "held_back": message.held_back,
        "held_back_since": _iso(message.held_back_since_ms),
        "timezone": message.timezone,
        "link": message.link or None,
        "headline": headline(message),
        "text": body(message, late_s=late_s),
    }


def local_time(time_ms: int, timezone: str) -> str:
    """A time by the wall clock of a zone, with the zone's name at that moment."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = UTC
    return f"{datetime.fromtimestamp(time_ms / 1000, zone):%Y-%m-%d %H:%M:%S %Z}"


def late_words(late_s: float) -> str:
    """`late by 43 min` for a message that is older than 15 minutes; else empty."""
    return f"late by {duration(late_s)}" if late_s > LATE_S else ""


def duration(seconds: float) -> str:
    """`8 s`, `43 min` or `2 h 5 min`."""
    seconds = max(0, round(seconds))
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def clean(text: str) -> str:
    """The text as one line of bounded length, without control and direction characters."""
    shown = "".join(
        " " if character.isspace() else character
        for character in text[: 4 * _LONGEST_TEXT]
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return shown if len(shown) <= _LONGEST_TEXT else shown[: _LONGEST_TEXT - 1] + "…"


def _place(message: Message) -> str:
    name = message.title or message.camera
    return f"{name} ({message.site})" if message.site else name


def _iso(time_ms: int | None) -> str | None:
    if time_ms is None:
        return None
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")

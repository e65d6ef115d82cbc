"""Records that the event store keeps and returns. All times are UTC in milliseconds."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from violence_detection.live.storage.messages import Message

Verdict = Literal["violent", "not_violent", "unsure"]
ClipState = Literal["writing", "kept", "expired", "lost"]


@dataclass(frozen=True)
class StoredEvent:
    """An event of a camera.

    Attributes:
        id: A ULID, which sorts by time (`EventStore.new_id`).
        camera: The name of the camera.
        kind: `violence`, `spot_check`, `reported`, `camera_down`.
        start_ms: Its start.
        end_ms: Its end; None while it is open.
        peak: Highest probability so far, or None.
        peak_ms: The time of it, or None.
        priority: `low`, `medium` or `high`.
        threshold: The threshold that was in force, or None.
        run_digest: Digest of the run that judged.
        settings_digest: Digest of the camera's settings.
        state: `open` or `ended`.
        continues: Id of the event that this one continues, or None.
        suppressed_by: Why nobody was notified: `cooldown`, `quiet_hours`, `snooze`, `observe`,
            or empty.
        acknowledged_by: Name of the person who acknowledged it, or None.
        acknowledged_ms: The time of that, or None.
        stratum: Of a spot check: `any`, `high` or `middle`, the scores it was drawn from; else
            empty.
    """

    id: str
    camera: str
    start_ms: int
    priority: str = "low"
    kind: str = "violence"
    end_ms: int | None = None
    peak: float | None = None
    peak_ms: int | None = None
    threshold: float | None = None
    run_digest: str = ""
    settings_digest: str = ""
    state: str = "open"
    continues: str | None = None
    suppressed_by: str = ""
    acknowledged_by: str | None = None
    acknowledged_ms: int | None = None
    stratum: str = ""


@dataclass(frozen=True)
class SentMessage:
    """A message about an event that was decided to be sent, whether the sink has it or not.

    Attributes:
        event: Id of the event, the first of those that continue each other.
        sink: Name of the sink.
        kind: `start`, `rise`, `end` or `escalation`.
        priority: Of the event then.
        at_ms: When it was decided.
    """

    event: str
    sink: str
    kind: str
    priority: str
    at_ms: int


@dataclass(frozen=True)
class EventWindow:
    """A judged window of an event.

    Attributes:
        start_ms, end_ms: UTC.
        probability: Of violence.
        region: Its region of motion (x, y, width, height; shares of the frame), or None.
        novelty: Above 1 it is unlike anything that the run was trained on. None where that is not
            known.
    """

    start_ms: int
    end_ms: int
    probability: float
    region: tuple[float, float, float, float] | None = None
    novelty: float | None = None

    @property
    def is_novel(self) -> bool:
        return self.novelty is not None and self.novelty > 1


@dataclass(frozen=True)
class Addressed:
    """A message for a sink."""

    sink: str
    message: Message


@dataclass(frozen=True)
class OutboxRow:
    """A message that waits for a sink.

    Attributes:
        n: Its number: rows of a sink are sent in this order.
        sink: The name of the sink.
        message: What is sent.
        created_ms: When the message was stored.
        tries: How often sending it failed.
        next_ms: Earliest time of the next attempt.
        refusals: How often the sink answered that it does not take this message; from the first
            on it does not hold up the others.
        error: The reason of the last failure.
    """

    n: int
    sink: str
    message: Message
    created_ms: int
    tries: int = 0
    next_ms: int = 0
    refusals: int = 0
    error: str = ""


@dataclass(frozen=True)
class StoredClip:
    """The clip of an event.

    Attributes:
        event: Id of the event.
        path: Path of the video, relative to the data folder.
        start_ms, end_ms: What it covers; a copied stream starts at a key frame, so `start_ms` may
            be earlier than was asked. None while it is written.
        bytes: Size of the video and its pictures.
        codec: Name of the codec.
        preview_path: A video that any browser plays, if that is another file; else None.
        poster_path: A contact sheet, or None.
        state: `writing`, `kept`, `expired` (deleted on purpose) or `lost`.
        sha256: Digest of the video.
    """

    event: str
    path: str
    start_ms: int | None = None
    end_ms: int | None = None
    bytes: int = 0
    codec: str = ""
    preview_path: str | None = None
    poster_path: str | None = None
    state: ClipState = "writing"
    sha256: str = ""


@dataclass(frozen=True)
class EventVerdict:
    """A person's verdict on an event; the last one that is not undone holds.

    Attributes:
        n: Its number.
        event: Id of the event.
        verdict: `violent`, `not_violent` or `unsure`.
        by: Name of the person.
        at_ms: The time of the verdict.
        start_s, end_s: The violent part of the clip, or None.
        note: A text of the person.
        label_row: The row that `label` wrote, or empty.
        undone_by: Name of the person who took it back, or None.
    """

    n: int
    event: str
    verdict: Verdict
    by: str
    at_ms: int
    start_s: float | None = None
    end_s: float | None = None
    note: str = ""
    label_row: str = ""
    undone_by: str | None = None


class JudgedStretch(NamedTuple):
    """A window, or a stretch without one, as the alert policy of a camera got it.

    Attributes:
        start_ms, end_ms: By the camera's clock, in milliseconds.
        probability: Of violence, rounded to float32; NaN if nobody judged it.
    """

    start_ms: int
    end_ms: int
    probability: float


@dataclass(frozen=True)
class Minute:
    """A minute of a camera.

    Attributes:
        camera: The name of the camera.
        minute: Minutes since 1970 (UTC).
        run_digest: Digest of the run that judged.
        watch_ms: When the watch was started, UTC: an alert policy begins anew with each start.
        offset_ms: To be added to the times of its stretches for UTC.
        stretches: The windows that end in it, in the order in which they were judged: a replay of
            them gives the events that there were.
        stride_ms: Distance of the windows.
        lag_max_ms: The largest lag.
        frames: Number of frames that arrived.
        dropped: Number of frames that were dropped.
    """

    camera: str
    minute: int
    run_digest: str
    watch_ms: int = 0
    offset_ms: int = 0
    stretches: tuple[JudgedStretch, ...] = ()
    stride_ms: int = 1000
    lag_max_ms: int = 0
    frames: int = 0
    dropped: int = 0

    @property
    def scores(self) -> list[float]:
        """The probabilities of its judged windows."""
        return [row.probability for row in self.stretches if not math.isnan(row.probability)]


@dataclass(frozen=True)
class Gap:
    """A time in which a camera was in another state than `up`; `to_ms` None: it still is."""

    camera: str
    from_ms: int
    to_ms: int | None
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Snooze:
    """A camera of which nothing is sent until `until_ms`."""

    camera: str
    until_ms: int
    by: str = ""


@dataclass(frozen=True)
class SinkCounts:
    """Messages of a sink: waiting, sent, and given up; the creation time of the oldest waiting."""

    sink: str
    waiting: int = 0
    sent: int = 0
    dead: int = 0
    oldest_ms: int | None = None

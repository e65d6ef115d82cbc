"""State of a watch as pages and commands show it."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class CameraStatus:
    """State of a camera. Times named `_ms` are UTC.

    Attributes:
        name, title, site: As in the cameras file.
        state: `starting`, `up`, `silent`, `waiting`, `refused`, `absent` or `failed`.
        reason: Why it is in this state; empty for `up`.
        since_ms: Since when.
        threshold: From which on a window is violent.
        score: Probability of the last judged window, or None.
        novelty: Of the last judged window: above 1 it is unlike anything that the run was trained
            on, and its score says little. None where that is not known.
        scores: End time in ms and probability of the windows of the last minute, oldest first.
        last_frame_ms: The time of the last frame, or None before the first.
        lag_s: Seconds behind the camera.
        clip_reason: Why its `clip_source` gives nothing, or empty.
        kept_s: The last seconds of video that are kept for clips.
        stride_s: Seconds from one window to the next, as it is now.
        unjudged_s: Seconds without a judgement since midnight UTC or the start.
        snoozed_until_ms: Until when nothing is sent of it, or None.
        observed_until_ms: Until when its events are stored and nobody is told, or None.
        event: Id of the open event, or empty.
        pid: Number of its capture process; None while none runs.
    """

    name: str
    title: str
    site: str
    state: str
    threshold: float
    reason: str = ""
    since_ms: int = 0
    score: float | None = None
    novelty: float | None = None
    scores: tuple[tuple[int, float], ...] = ()
    last_frame_ms: int | None = None
    lag_s: float = 0.0
    clip_reason: str = ""
    kept_s: float = 0.0
    stride_s: float = 0.0
    unjudged_s: float = 0.0
    snoozed_until_ms: int | None = None
    observed_until_ms: int | None = None
    event: str = ""
    pid: int | None = None


@dataclass(frozen=True)
class JudgeStatus:
    """State of a judge.

    Attributes:
        number: 1, 2, …
        state: `starting`, `ready` or `down`.
        reason: Why it is down; empty if it is not.
        engine: Its engine and precision; empty before it was ready.
        gpu: Its GPU, by its name for CUDA; empty for none, or for all that there are.
        pid: Number of its process; None while none runs.
        cameras: Names of the cameras that it judges now.
        waiting: Windows that wait for it.
        queue_age_s: Seconds that the oldest of them has waited.
        judged, unjudged: Counts of windows since its process started.
        images: Images that it has encoded since then.
    """

    number: int
    state: str
    reason: str = ""
    engine: str = ""
    gpu: str = ""
    pid: int | None = None
    cameras: tuple[str, ...] = ()
    waiting: int = 0
    queue_age_s: float = 0.0
    judged: int = 0
    unjudged: int = 0
    images: int = 0


@dataclass(frozen=True)
class SinkStatus:
    """State of a receiver of notifications.

    Attributes:
        name: As in the cameras file.
        state: `up` or `down`.
        waiting, sent, dead: Counts of messages; `dead` were given up.
        oldest_ms: The time of the oldest message that waits, UTC, or None.
        error: The last failure, without passwords.
    """

    name: str
    state: str = "up"
    waiting: int = 0
    sent: int = 0
    dead: int = 0
    oldest_ms: int | None = None
    error: str = ""


@dataclass(frozen=True)
class WatchStatus:
    """State of a whole watch.

    Attributes:
        started_ms: When the supervisor started, UTC.
        judge: `ready` if a judge is, `down` if all are, else `starting`.
        run: Name of the run that judges.
        judges: Each of them; one where there is no GPU, or as many as the file says.
        finds: What the run finds: `violence`, or what is `unusual` if it learned from normal videos
            alone.
        warnings: Sentences for people: what is wrong with the machine or the configuration.
    """

    started_ms: int
    judge: str
    run: str
    cameras: tuple[CameraStatus, ...] = ()
    sinks: tuple[SinkStatus, ...] = ()
    warnings: tuple[str, ...] = ()
    judges: tuple[JudgeStatus, ...] = ()
    finds: str = "violence"

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The status of an object of `to_json`."""
        cameras = tuple(
            CameraStatus(**row | {"scores": tuple(map(tuple, row["scores"]))})
            for row in values["cameras"]
        )
        sinks = tuple(SinkStatus(**row) for row in values["sinks"])
        judges = tuple(
            JudgeStatus(**row | {"cameras": tuple(row["cameras"])}) for row in values["judges"]
        )
        rest = {"cameras": cameras, "sinks": sinks, "warnings": tuple(values["warnings"])}
        rest["judges"] = judges
        return cls(**values | rest)

"""Minutes of cameras: the scores of their windows and the figures of their capture."""

from dataclasses import dataclass, field

from violence_detection.live.processes.capture_messages import CaptureStatus
from violence_detection.live.storage.event_records import JudgedStretch, Minute

_MINUTE_MS = 60_000


@dataclass
class _Open:
    minute: int
    stretches: list[JudgedStretch] = field(default_factory=list)
    offset_ms: int = 0
    stride_ms: int = 0
    lag_max_ms: int = 0
    frames: int = 0
    dropped: int = 0


class ScoreMinutes:
    """Collects the minutes of one camera; each is given out once it is over."""

    def __init__(self, camera: str, run_digest: str, *, watch_ms: int) -> None:
        """
        Args:
            camera: Its name.
            run_digest: Of the run that judges.
            watch_ms: When the camera's alert policy was started, UTC.
        """
        self._camera, self._run_digest, self._watch_ms = camera, run_digest, watch_ms
        self._open: _Open | None = None
        self._counted: tuple[int, int] = (0, 0)  # frames and dropped of the last status

    def add_stretch(self, end_ms: int, stretch: JudgedStretch) -> list[Minute]:
        """Adds a window or a stretch without one, which belongs to the minute that it ends in.

        Args:
            end_ms: UTC of its end.
            stretch: By the camera's clock.
        """
        ended = self._turn(end_ms)
        self._open.stretches.append(stretch)
        self._open.offset_ms = end_ms - stretch.end_ms
        return ended

    def add_status(self, at_ms: int, status: CaptureStatus) -> list[Minute]:
        """Adds the figures of the capture, whose counts are since it was started."""
        ended = self._turn(at_ms)
        counts = status.frames, sum(status.dropped.values())
        for name, count, before in zip(("frames", "dropped"), counts, self._counted, strict=True):
            added = count - before if count >= before else count  # it was started anew
            setattr(self._open, name, getattr(self._open, name) + added)
        self._counted = counts
        self._open.stride_ms = max(self._open.stride_ms, round(1000 * status.stride_s))
        self._open.lag_max_ms = max(self._open.lag_max_ms, round(1000 * status.lag_s))
        return ended

    def end(self) -> list[Minute]:
        """The minute that has not ended."""
        ended = [self._finished()] if self._open else []
        self._open = None
        return ended

    def _turn(self, time_ms: int) -> list[Minute]:
        """Opens the minute of a time; the one before, if that is another.

        A window that ends in an earlier minute than the open one counts in the open one.
        """
        minute = time_ms // _MINUTE_MS
        if self._open and minute <= self._open.minute <= minute + 1:
            return []
        ended = [self._finished()] if self._open else []
        self._open = _Open(minute)
        return ended

    def _finished(self) -> Minute:
        opened = self._open
        return Minute(
            camera=self._camera,
            minute=opened.minute,
            run_digest=self._run_digest,
            watch_ms=self._watch_ms,
            offset_ms=opened.offset_ms,
            stretches=tuple(opened.stretches),
            stride_ms=opened.stride_ms,
            lag_max_ms=opened.lag_max_ms,
            frames=opened.frames,
            dropped=opened.dropped,
        )

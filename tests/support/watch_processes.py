"""A supervisor with processes that a test plays, and clocks that it sets."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from violence_detection.live.configuration import cameras_file
from violence_detection.live.processes.capture_messages import CaptureStatus, StateChange
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder, ClipWritten
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.process_messages import JudgedWindow, JudgeLoad, JudgeReady
from violence_detection.live.supervision.supervisor import Supervisor

READY = JudgeReady("drawn float32", 2.0, ("normal", "violent"), 0.5, 1.0)


class Times:
    """A monotonic clock and UTC, which a test sets."""

    def __init__(self, monotonic_s: float = 1000.0, utc_s: float = 1_800_000_000.0) -> None:
        self.monotonic_s, self.utc_s = monotonic_s, utc_s

    def wait(self, seconds: float, *, utc_step_s: float = 0.0) -> None:
        self.monotonic_s += seconds
        self.utc_s += seconds + utc_step_s


class PlayedWorker:
    """A process that says what a test lets it say.

    Attributes:
        sent: What the supervisor has sent to it.
    """

    def __init__(self, kind, start, on_message, *, clean, clock) -> None:
        self.kind, self.start, self._on_message, self._clock = kind, start, on_message, clock
        self.started_s, self.heard_s = clock(), None
        self.sent: list[Any] = []
        self._clips: dict[str, str] = {}
        self.is_running, self._reason, self.pid = True, "", 4711

    def say(self, message: Any) -> None:
        self.heard_s = self._clock()
        self._on_message(self, message)

    def die(self, reason: str = "SIGSEGV") -> None:
        if self.is_running:
            self.is_running, self._reason = False, reason
            self._on_message(self, None)

    def send(self, message: Any) -> None:
        self.sent.append(message)
        if isinstance(message, ClipOrder):
            self._clips[message.event] = message.path
        elif isinstance(message, ClipEnd) and message.event in self._clips:
            path = self._clips.pop(message.event)
            written = ClipWritten(path, 0.0, 0.0, 0, "", "", False, False, "it is only played")
            self._on_message(self, written)

    def terminate(self) -> None:
        self.die("SIGKILL")

    def wait(self, timeout_s: float) -> bool:
        return True

    def end_reason(self) -> str:
        return self._reason


class PlayedWatch:
    """A supervisor in the thread of a test.

    Attributes:
        notices: What it has reported, as JSON.
        times: Its clocks.
    """

    def __init__(self, path: Path, times: Times | None = None) -> None:
        self.times, self.notices = times or Times(), []
        self._workers: dict[str, list[PlayedWorker]] = {}
        self.file = cameras_file.load(path)
        self.supervisor = Supervisor(
            self.file,
            report=lambda notice: self.notices.append(notice.to_json()),
            clock=JoinedClock(lambda: self.times.monotonic_s, lambda: self.times.utc_s),
            start_worker=self._start,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator["PlayedWatch"]:
        """Its life; at the end it ends in order."""
        with self.supervisor.opened():
            yield self
            self.ended = self.supervisor.end().to_json()

    def _start(self, kind, *arguments, **values) -> PlayedWorker:
        worker = PlayedWorker(kind, *arguments, **values)
        self._workers.setdefault(kind.name, []).append(worker)
        return worker

    @property
    def judge(self) -> PlayedWorker:
        return self.judges[-1]

    @property
    def judges(self) -> list[PlayedWorker]:
        return self._workers["The judge"]

    def judge_number(self, number: int) -> PlayedWorker:
        """The present process of one of several judges."""
        return self._workers[f"Judge {number}"][-1]

    @property
    def pages(self) -> list[PlayedWorker]:
        return self._workers["The page"]

    def captures(self, camera: str) -> list[PlayedWorker]:
        """Every capture of a camera that was started, the last one runs."""
        return self._workers.get(f"The capture of {camera}", [])

    def handle(self) -> None:
        """The supervisor handles all that was said, and what is due."""
        while self.supervisor.step(0.0):
            pass

    def advance(self, seconds: float, *, speaking: bool = True) -> None:
        """Time passes a second at a time.

        Args:
            speaking: All processes are heard meanwhile.
        """
        while seconds > 0:
            self.times.wait(min(1.0, seconds))
            seconds -= 1.0
            for workers in self._workers.values() if speaking else ():
                workers[-1].heard_s = self.times.monotonic_s
            self.handle()

    def say_state(self, camera: str, state: str, reason: str = "") -> None:
        self.captures(camera)[-1].say(StateChange(state, reason, self.times.monotonic_s))
        self.handle()

    def say_status(self, camera: str, *, is_handled: bool = True, **values: Any) -> None:
        figures = dict.fromkeys("frames windows corrupt clock_jumps size_changes".split(), 0)
        figures |= dict.fromkeys("lag_s clock_offset_s unjudged_s ring_s".split(), 0.0)
        figures |= {"dropped": {}, "stride_s": 1.0, "ring_bytes": 0, "connections": 1}
        figures |= {"at_s": self.times.monotonic_s, "last_frame_s": self.times.monotonic_s}
        self.captures(camera)[-1].say(CaptureStatus(**figures | values))
        if is_handled:
            self.handle()

    def say_load(self, queue_age_s: float) -> None:
        working_s = 10.0 if queue_age_s > 0 else 0.0
        self.judge.say(JudgeLoad(queue_age_s, working_s, int(queue_age_s > 0), 0, 0, 0, 0.0))
        self.handle()

    def judge_windows(self, camera: str, *probabilities: float | None) -> None:
        """A second passes before each window, which is 2 s long and ends at once."""
        for probability in probabilities:
            self.advance(1.0)
            now_s = self.times.monotonic_s
            self.judge.say(JudgedWindow(camera, 1, now_s - 2.0, now_s, probability))
            self.handle()

    def told(self, notice: str) -> list[dict[str, Any]]:
        """The notices of a kind."""
        return [value for value in self.notices if value["notice"] == notice]

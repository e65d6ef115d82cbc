"""The judge of a watch: its process is kept running, its state and load are known."""

import logging
from collections.abc import Callable
from typing import Any

from violence_detection.errors import RunError
from violence_detection.live.processes import service_manager
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import KeptWorker, StartWorker
from violence_detection.live.processes.process_messages import (
    JudgedWindow,
    JudgeFailed,
    JudgeLoad,
    JudgeReady,
)
from violence_detection.live.processes.watch_notices import JudgeChanged
from violence_detection.live.processes.worker_process import JudgeStart, WorkerKind, WorkerProcess

log = logging.getLogger(__name__)

_MESSAGES = (JudgedWindow, JudgeReady, JudgeLoad, JudgeFailed)
_START_S = 300.0  # TensorFlow, the weights, the engine


class WatchJudge:
    """Keeps the judge running.

    Attributes:
        state: `starting`, `ready` or `down`.
        load: Its last load, or None.
        judged_s: Monotonic time of its last window, or of its readiness.
        failure: The reason why it cannot work at all, once that is known.
    """

    def __init__(
        self,
        start: JudgeStart,
        *,
        clock: JoinedClock,
        hear: Callable[[WorkerProcess, Any], None],
        report: Callable[[JudgeChanged], None],
        start_worker: StartWorker,
    ) -> None:
        """
        Args:
            start: The first argument of its `main`.
            clock: Monotonic times and UTC.
            hear: Takes its messages, in a thread.
            report: Is told when it is ready or down.
            start_worker: Starts its process.
        """
        self._clock, self._report = clock, report
        self.state, self.judged_s = "starting", clock.monotonic()
        self.load: JudgeLoad | None = None
        self.failure: RunError | None = None
        self._worker = KeptWorker(
            WorkerKind(
                "The judge", "violence_detection.live.judging.judge", _MESSAGES, threads=None
            ),
            lambda: start,
            hear,
            clock=clock.monotonic,
            first_word_s=_START_S,
            start_worker=start_worker,
        )
        self._worker.tick()

    @property
    def queue_age_s(self) -> float:
        """Seconds that the oldest window has waited; 0.0 if none waits, or nobody judges."""
        return self.load.queue_age_s if self.load else 0.0

    @property
    def waiting(self) -> int:
        """Windows that wait."""
        return self.load.waiting if self.load else 0

    def tick(self) -> None:
        """Starts it if that is due, and ends it if it is silent."""
        self._worker.tick()

    def end(self) -> None:
        """Ends it for good."""
        self._worker.end()
        self._worker.wait(5.0)

    def handle(self, process: WorkerProcess, message: Any) -> JudgedWindow | None:
        """Handles a message; returns it if it is a window."""
        if not self._worker.is_of(process):
            return None
        if isinstance(message, JudgedWindow):
            self.judged_s = self._clock.monotonic()
            return message
        if isinstance(message, JudgeLoad):
            self.load = message
        elif isinstance(message, JudgeReady):
            self.state, self.judged_s = "ready", self._clock.monotonic()
            service_manager.notify("READY=1")
            self._tell("ready", engine=message.engine, window_s=message.window_s)
        elif isinstance(message, JudgeFailed):
            log.error(f"The judge fails: {message.message}")
            if self.state == "starting":
                self.failure = RunError(message.message)
        else:
            self._note_end()
        return None

    def _note_end(self) -> None:
        self._worker.note_end()
        reason, self.load = self._worker.reason, None
        if self._worker.is_ending:
            return
        if self.state == "starting" and self._worker.has_failed:
            self.failure = RunError(f"The judge must start. Received: {reason}")
        elif self.state != "starting":
            self.state = "down"
        log.error(f"The judge ended: {reason}. It is started again.")
        self._tell("down", reason=reason)

    def _tell(self, state: str, **values: Any) -> None:
        self._report(JudgeChanged(self._clock.now_ms(), state, **values))

"""A judge of a watch: its process is kept running, its state and load are known."""

import logging
from collections.abc import Callable, Sequence
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
from violence_detection.live.processes.watch_status import JudgeStatus
from violence_detection.live.processes.worker_process import JudgeStart, WorkerKind, WorkerProcess
from violence_detection.live.supervision.stride_control import StrideControl

log = logging.getLogger(__name__)

_MESSAGES = (JudgedWindow, JudgeReady, JudgeLoad, JudgeFailed)
_START_S = 300.0  # TensorFlow, the weights, the engine
# The threads of OpenBLAS go on for 0.1 s after each product, in case there is another: for the
# distances of one window to the training clips they took a tenth of a core a camera.
_VARIABLES = {"OPENBLAS_NUM_THREADS": "1"}


class WatchJudge:
    """Keeps a judge running.

    Attributes:
        number: 1, 2, …
        name: For messages.
        address: The socket on which it takes windows.
        state: `starting`, `ready` or `down`.
        reason: Why it is down; empty if it is not.
        load: Its last load, or None.
        down_s: Monotonic time since which it is down; None if it is not.
        judged_s: Monotonic time of its last window, or of its readiness.
        failure: The reason why it cannot work at all, once that is known.
        strides: Distance of the windows of its cameras.
    """

    def __init__(
        self,
        start: JudgeStart,
        *,
        number: int,
        name: str,
        gpu: str,
        shares_gpu: bool,
        threads: int | None,
        clock: JoinedClock,
        hear: Callable[[WorkerProcess, Any], None],
        report: Callable[[JudgeChanged], None],
        start_worker: StartWorker,
    ) -> None:
        """
        Args:
            start: The first argument of its `main`.
            number, name: See the attributes.
            gpu: Its GPU, by its name for CUDA; empty for none, or for all that there are.
            shares_gpu: Another judge has the same GPU.
            threads: Threads of its libraries; None for no limit.
            clock: Monotonic times and UTC.
            hear: Takes its messages, in a thread.
            report: Is told when it is ready or down.
            start_worker: Starts its process.
        """
        self.number, self.name, self.address = number, name, start.address
        self._gpu, self._clock, self._report = gpu, clock, report
        self.state, self.reason, self.judged_s = "starting", "", clock.monotonic()
        self._engine, self.down_s = "", None
        self.load: JudgeLoad | None = None
        self.failure: RunError | None = None
        self.strides = StrideControl()
        environment = _VARIABLES | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})
        if gpu and shares_gpu:  # else the first one takes the whole memory of the GPU
            environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        self._worker = KeptWorker(
            WorkerKind(
                name,
                "violence_detection.live.judging.judge",
                _MESSAGES,
                threads=threads,
                environment=tuple(environment.items()),
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
    def working_s(self) -> float:
        """Seconds for which it has worked without a pause; 0.0 if nobody judges."""
        return self.load.working_s if self.load else 0.0

    @property
    def waiting(self) -> int:
        """Windows that wait."""
        return self.load.waiting if self.load else 0

    @property
    def is_starting(self) -> bool:
        """True while its process has not spoken yet, which has its own time limit."""
        return self._worker.is_starting

    def is_of(self, process: WorkerProcess) -> bool:
        """True for its present process."""
        return self._worker.is_of(process)

    def tick(self) -> None:
        """Starts it if that is due, and ends it if it is silent."""
        self._worker.tick()

    def end(self) -> None:
        """Ends it for good, without waiting for its end."""
        self._worker.end()

    def wait(self) -> None:
        """Waits for its end, up to 5 seconds."""
        self._worker.wait(5.0)

    def handle(self, message: Any) -> JudgedWindow | None:
        """Handles a message of its process; returns it if it is a window."""
        if isinstance(message, JudgedWindow):
            self.judged_s = self._clock.monotonic()
            return message
        if isinstance(message, JudgeLoad):
            self.load = message
        elif isinstance(message, JudgeReady):
            self.state, self.reason, self.judged_s = "ready", "", self._clock.monotonic()
            self.failure, self.down_s, self._engine = None, None, message.engine
            service_manager.notify("READY=1")
            self._tell("ready", engine=message.engine, window_s=message.window_s)
        elif isinstance(message, JudgeFailed):
            log.error(f"{self.name} fails: {message.message}")
            if not self._engine:
                self.failure = RunError(message.message)
        else:
            self._note_end()
        return None

    def as_status(self, cameras: Sequence[str]) -> JudgeStatus:
        """The state as pages show it.

        Args:
            cameras: Names of the cameras that it judges.
        """
        load = self.load
        return JudgeStatus(
            number=self.number,
            state=self.state,
            reason=self.reason,
            engine=self._engine,
            gpu=self._gpu,
            pid=self._worker.pid,
            cameras=tuple(cameras),
            waiting=self.waiting,
            queue_age_s=round(self.queue_age_s, 3),
            judged=load.judged if load else 0,
            unjudged=load.unjudged if load else 0,
            images=load.images if load else 0,
        )

    def _note_end(self) -> None:
        self._worker.note_end()
        self.load = None
        if self._worker.is_ending:
            return
        self.reason = str(self.failure) if self.failure else self._worker.reason
        if not self._engine and self._worker.has_failed:
            self.failure = RunError(f"{self.name} must start. Received: {self.reason}")
        self.state, self.down_s = "down", self.down_s or self._clock.monotonic()
        log.error(f"{self.name} ended: {self.reason}. It is started again.")
        self._tell("down", reason=self.reason)

    def _tell(self, state: str, **values: Any) -> None:
        self._report(JudgeChanged(self._clock.now_ms(), state, judge=self.number, **values))

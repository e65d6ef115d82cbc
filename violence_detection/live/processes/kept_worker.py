"""A child process that is kept running: started, watched, ended when silent, started again."""

import logging
from collections.abc import Callable
from typing import Any

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.processes.restart_rule import FAILED_DELAY_S, RestartRule
from violence_detection.live.processes.worker_process import WorkerKind, WorkerProcess

log = logging.getLogger(__name__)

_SILENCE_S = 10.0
StartWorker = Callable[..., WorkerProcess]


class KeptWorker:
    """Keeps a process of a kind running. Its methods are called by one thread.

    Attributes:
        starts: Count of starts.
        reason: Why its last process ended, or could not be started.
        is_ending: It is ended for good.
    """

    def __init__(
        self,
        kind: WorkerKind,
        first: Callable[[], Any],
        on_message: Callable[[WorkerProcess, Any], None],
        *,
        clock: Callable[[], float],
        clean: Callable[[str], str] = str,
        start_at_s: float = 0.0,
        first_word_s: float = 30.0,
        failed_delay_s: float = FAILED_DELAY_S,
        start_worker: StartWorker = WorkerProcess,
    ) -> None:
        """
        Args:
            kind: The kind of process.
            first: Gives what the next process is started with.
            on_message: Called in a thread with each record, and with None at the end of a process.
            clock: Monotonic seconds.
            clean: Masks passwords.
            start_at_s: Monotonic time of the first start.
            first_word_s: Seconds to the first message of a process.
            failed_delay_s: Seconds between two starts of one that has failed.
            start_worker: Starts a process.
        """
        self.kind, self._first, self._on_message = kind, first, on_message
        self._clock, self._clean, self._first_word_s = clock, clean, first_word_s
        self._start_worker = start_worker
        self._new_rule = lambda: RestartRule(failed_delay_s)
        self._rule = self._new_rule()
        self._start_at_s: float | None = start_at_s
        self._process: WorkerProcess | None = None
        self.is_ending = self._is_silent = self._is_restarting = False
        self.starts, self.reason = 0, ""

    @property
    def has_failed(self) -> bool:
        """True if it died again and again, and has not lived for long since."""
        return self._rule.has_failed

    @property
    def is_starting(self) -> bool:
        """True while its process has not said anything."""
        return self._process is not None and self._process.heard_s is None

    @property
    def pid(self) -> int | None:
        """Number of its process; None while none runs."""
        return self._process.pid if self._process else None

    def is_of(self, process: WorkerProcess) -> bool:
        """True for its present process: an earlier one may still be heard."""
        return process is self._process

    def tick(self) -> None:
        """Starts what is due, and ends what is silent; to be called each second."""
        now_s = self._clock()
        if self._process is None:
            if not self.is_ending and self._start_at_s is not None and now_s >= self._start_at_s:
                self._start()
            return
        heard_s, limit_s = self._process.heard_s, _SILENCE_S
        if heard_s is None:
            heard_s, limit_s = self._process.started_s, self._first_word_s
        if now_s - heard_s > limit_s:
            if not self._is_silent:
                log.warning(f"{self.kind.name} was silent for {limit_s:g} s and is started again.")
            self._is_silent = True
            self._process.terminate()

    def _start(self) -> None:
        self._start_at_s = None
        try:
            self._process = self._start_worker(
                self.kind,
                self._first(),
                self._on_message,
                clean=self._clean,
                clock=self._clock,
            )
            self.starts += 1
        except ViolenceDetectionError as error:
            self.reason = str(error)
            log.error(self.reason)
            self._start_at_s = self._clock() + self._rule.delay_s(self._clock(), lived_s=0.0)

    def note_end(self) -> float:
        """Notes that its process has ended; returns the seconds until the next is started."""
        process, self._process, self._is_silent = self._process, None, False
        now_s = self._clock()
        if self._is_restarting:
            self._is_restarting, self._start_at_s = False, now_s
            return 0.0
        self.reason = process.end_reason()
        delay_s = self._rule.delay_s(now_s, lived_s=now_s - process.started_s)
        self._start_at_s = now_s + delay_s
        return delay_s

    def restart(self) -> None:
        """Ends its process, if one runs, and starts the next soon; earlier deaths do not count."""
        self._rule, self._start_at_s = self._new_rule(), self._clock()
        self._is_restarting = self._process is not None
        if self._process:
            self._process.terminate()

    def send(self, message: Any) -> None:
        """Sends an object to its process; nothing while none runs."""
        if self._process:
            self._process.send(message)

    def end(self) -> None:
        """Ends its process at once, for good, without waiting for its end."""
        self.is_ending = True
        if self._process:
            self._process.terminate()

    def wait(self, timeout_s: float) -> bool:
        """Waits for the end of its process; False if it has not ended in time."""
        return self._process is None or self._process.wait(timeout_s)

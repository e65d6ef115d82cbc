"""The review page of a watch: its process is kept running, and never holds up an alert."""

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.live.configuration.config import WatchFile, settings_json
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import KeptWorker, StartWorker
from violence_detection.live.processes.page_start import (
    PageAlive,
    PageChange,
    PageFailed,
    PageStart,
)
from violence_detection.live.processes.watch_notices import PageChanged
from violence_detection.live.processes.worker_process import WorkerKind, WorkerProcess
from violence_detection.models.run import Run
from violence_detection.system.requirements import install_command

log = logging.getLogger(__name__)

_NEEDED = ("fastapi", "uvicorn")
_FAILED_DELAY_S = 30.0  # its port may be free again


class WatchWeb:
    """Keeps the page running.

    Attributes:
        address: Of the page, or empty while it is not there.
        problem: A sentence about why it cannot be there; empty if it can.
    """

    def __init__(
        self,
        file: WatchFile,
        *,
        store: str,
        socket: str,
        clock: JoinedClock,
        hear: Callable[[WorkerProcess, Any], None],
        report: Callable[[PageChanged], None],
        start_worker: StartWorker,
    ) -> None:
        """
        Args:
            file: The cameras file.
            store, socket: Names of the event store and of the supervisor's socket in `data`.
            clock: Monotonic times and UTC.
            hear: Takes its messages, in a thread.
            report: Is told when it is there, and when it ends.
            start_worker: Starts its process.

        Raises:
            ConfigError: If its libraries are not installed.
        """
        for name in _NEEDED:
            if importlib.util.find_spec(name) is None:
                raise ConfigError(
                    f"The review page must have {name} ({install_command('watch')}), "
                    "or `web: {enabled: false}` in the file. Received: it is not installed"
                )
        self._file, self._clock, self._report = file, clock, report
        self._store, self._socket = store, socket
        self.address = self.problem = self._failure = self._reported = ""
        kind = WorkerKind(
            "The page",
            "violence_detection.live.web.process",
            (PageAlive, PageFailed),
            niceness=5,
        )
        self._worker = KeptWorker(
            kind,
            self._start,
            hear,
            clock=clock.monotonic,
            failed_delay_s=_FAILED_DELAY_S,
            start_worker=start_worker,
        )
        self._worker.tick()

    def tick(self) -> None:
        """Starts it if that is due, and ends it if it is silent."""
        self._worker.tick()

    def apply(self, file: WatchFile) -> None:
        """Takes over a new file: the page goes on, unless its own settings have changed."""
        is_new, self._file = file.web != self._file.web, file
        if is_new:
            self.address = self.problem = self._reported = ""
            self._worker.restart()
        else:
            self._worker.send(PageChange(file.timezone, settings_json(file)))

    def end(self) -> None:
        """Ends it for good."""
        self._worker.end()
        self._worker.wait(2.0)

    def handle(self, process: WorkerProcess, message: Any) -> None:
        """Handles a message; None is the end of the process."""
        if not self._worker.is_of(process):
            return
        if isinstance(message, PageAlive):
            if not self.address:
                self.address = self._file.web.link_base(message.port)
                self.problem = self._failure = self._reported = ""
                self._report(PageChanged(self._clock.now_ms(), "up", self.address))
            return
        if isinstance(message, PageFailed):
            self._failure = message.message
            return
        is_restarted = self._worker.note_end() == 0.0
        self.address = ""
        if self._worker.is_ending or is_restarted:
            return
        reason, self._failure = self._failure or self._worker.reason, ""
        if self._worker.has_failed or reason != self._worker.reason:
            self.problem = f"The page is not there: {reason}."
        if reason != self._reported:  # it is tried again and again, and said once
            self._reported = reason
            log.error(f"The page ended: {reason}. It is started again.")
            self._report(PageChanged(self._clock.now_ms(), "down", reason=reason))

    def _start(self) -> PageStart:
        file, record = self._file, Run(self._file.run).record()
        return PageStart(
            settings=file.web,
            store=file.data / self._store,
            socket=file.data / self._socket,
            data=file.data,
            run=file.run,
            classes=tuple(record.classes),
            window_s=record.window_s,
            timezone=file.timezone,
            file=settings_json(file),
        )

"""The supervisor of a watch: runs the processes, applies the policies, writes the event store.

It alone writes the store and starts processes: a capture for each camera, and the judge. What they
say goes through one queue to its thread. It imports neither TensorFlow nor OpenCV nor PyAV, so
that it stays small and starts at once.
"""

import contextlib
import logging
import queue
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.inference.alert_policy import EventChange
from violence_detection.inference.notification_policy import Decision
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.listening import check_listen
from violence_detection.live.configuration import cameras_file
from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.processes import service_manager
from violence_detection.live.processes.capture_messages import (
    CameraPicture,
    CaptureStatus,
    StateChange,
)
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder, ClipWritten
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import StartWorker
from violence_detection.live.processes.page_start import ACCOUNTS
from violence_detection.live.processes.process_messages import PictureOrder
from violence_detection.live.processes.supervisor_requests import RequestServer
from violence_detection.live.processes.watch_notices import (
    CameraChanged,
    ClockStepped,
    Ended,
    Notice,
    Reloaded,
    Started,
)
from violence_detection.live.processes.watch_status import WatchStatus
from violence_detection.live.processes.worker_process import JudgeStart, WorkerProcess
from violence_detection.live.storage.event_records import Gap, Snooze, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision import store_upkeep
from violence_detection.live.supervision.stride_control import StrideControl
from violence_detection.live.supervision.supervisor_answers import SupervisorAnswers
from violence_detection.live.supervision.watch_judge import WatchJudge
from violence_detection.live.supervision.watch_sinks import WatchSinks
from violence_detection.live.supervision.watch_web import WatchWeb
from violence_detection.live.watching.camera_pictures import HOLD_S, CameraPictures
from violence_detection.live.watching.camera_set import JUDGE_SOCKET, CameraSet
from violence_detection.live.watching.camera_states import UP, CameraStates
from violence_detection.live.watching.watch_clips import WatchClips
from violence_detection.live.watching.watch_spot_checks import WatchSpotChecks
from violence_detection.live.watching.watch_warnings import WatchWarnings
from violence_detection.models.run import Run
from violence_detection.system import files, progress

log = logging.getLogger(__name__)

STORE, SOCKET = "events.db", "supervisor.sock"
# No camera has these names: they hold a blank.
_JUDGE, _PAGE = "the judge", "the page"
_TICK_S = 1.0
_DRAIN_S = 1.0
_CLIPS_S = 10.0  # for finishing clips at the end
# The service manager is told that all is well while cameras that are up are judged.
_UNJUDGED_S = 60.0


class Supervisor:
    """Runs one watch, from its start to its end. `reload` may be called from any thread."""

    def __init__(
        self,
        file: WatchFile,
        *,
        report: Callable[[Notice], None],
        for_s: float | None = None,
        clock: JoinedClock | None = None,
        start_worker: StartWorker = WorkerProcess,
    ) -> None:
        """
        Args:
            file: The cameras file.
            report: Is told what happens, in the thread of `run`.
            for_s: It ends after so many seconds; None goes on until a signal.
            clock: UTC and monotonic time.
            start_worker: Starts the processes.
        """
        self._file, self._report, self._for_s = file, report, for_s
        self._clock = clock or JoinedClock()
        self._start_worker = start_worker
        self._news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._strides = StrideControl()

    def run(self) -> Ended:
        """Watches until `for_s` is over or a signal asks for the end.

        Raises:
            ConfigError: If a sink cannot be made, or another process writes the store.
            RunError: If the judge cannot work with the run.
            KeyboardInterrupt: After the end that a signal has asked for; for SIGTERM another.
        """
        ends_s = None if self._for_s is None else self._clock.monotonic() + self._for_s
        progress.stop.loops += 1  # a signal asks for the end, and waits for it
        try:
            with self.opened():
                try:
                    while not progress.stop.error and (ends_s is None or self._left_s(ends_s)):
                        self.step(_TICK_S if ends_s is None else self._left_s(ends_s))
                finally:
                    ended = self.end()
        finally:
            progress.stop.loops -= 1
        self._report(ended)
        progress.stop.check()
        return ended

    def _left_s(self, ends_s: float) -> float:
        return max(0.0, ends_s - self._clock.monotonic())

    def reload(self) -> None:
        """Reads the cameras file again, soon. A file with errors changes nothing."""
        self._news.put(("reload", None))

    # -- start and end

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Opens the store, the sinks and the socket, and starts the processes."""
        file, clock = self._file, self._clock
        self._started_s, self._started_ms = clock.monotonic(), clock.now_ms()
        self._tick_s = self._started_s
        with contextlib.ExitStack() as opened:
            if file.web.enabled:
                file.data.mkdir(mode=0o700, parents=True, exist_ok=True)
                with Accounts(file.data / ACCOUNTS) as accounts:
                    check_listen(file.web, accounts)
            self._store = opened.enter_context(
                EventStore.open(file.data / STORE, now_ms=clock.now_ms)
            )
            store_upkeep.end_open_events(self._store)
            self._sinks = WatchSinks(file, self._store, self._snooze_for)
            opened.callback(lambda: self._sinks.close())
            self._states = CameraStates(
                self._store,
                clock,
                lambda message: self._sinks.send_to_all(message),
                down_after_s=file.camera_down_s,
                timezone=file.timezone,
            )
            self._warnings = WatchWarnings(
                self._store, clock, lambda message: self._sinks.send_to_all(message), file.timezone
            )
            self._upkeep = store_upkeep.StoreUpkeep(self._store, clock, self._warnings)
            opened.callback(self._upkeep.close)
            self._clips = WatchClips(file, self._store, clock, self._warnings, self._order)
            self._judge = WatchJudge(
                JudgeStart(file.run, file.data / JUDGE_SOCKET),
                clock=clock,
                hear=self._hear(_JUDGE),
                report=self._report,
                start_worker=self._start_worker,
            )
            run_digest = files.sha256_of_file(Run(file.run).model_path)[:16]
            self._spot_checks = WatchSpotChecks(
                file, self._store, clock, self._clips, run_digest=run_digest
            )
            self._cameras = CameraSet(
                file,
                store=self._store,
                clock=clock,
                states=self._states,
                run_digest=run_digest,
                decide=self._decide,
                report=self._report,
                record=self._clips.change,
                hear=self._hear,
                start_worker=self._start_worker,
            )
            tell = lambda name, about: self._news.put((name, about))
            self._pictures = CameraPictures(
                lambda camera: tell("picture", camera), now_s=clock.monotonic
            )
            window_s = Run(file.run).record().window_s
            self._answers = SupervisorAnswers(
                self._store, self._status(), self._pictures, window_s, tell
            )
            opened.enter_context(RequestServer(file.data / SOCKET, self._answers))
            self._web = self._start_web()
            with contextlib.suppress(ValueError):  # not in the main thread
                before = signal.signal(signal.SIGHUP, lambda *_: self.reload())
                opened.callback(signal.signal, signal.SIGHUP, before)
            names = [camera.camera.name for camera in self._cameras]
            sinks = [sink.name for sink in file.sinks]
            self._report(Started(clock.now_ms(), names, sinks, str(file.data)))
            yield

    def _start_web(self) -> WatchWeb | None:
        """The review page, if the file does not switch it off."""
        if not self._file.web.enabled:
            return None
        return WatchWeb(
            self._file,
            store=STORE,
            socket=SOCKET,
            clock=self._clock,
            hear=self._hear(_PAGE),
            report=self._report,
            start_worker=self._start_worker,
        )

    def end(self) -> Ended:
        """Ends what is judged, the events and their clips, then the processes."""
        service_manager.notify("STOPPING=1")
        until_s = self._clock.monotonic() + _DRAIN_S
        while self._judge.waiting and self._left_s(until_s) and self._handle_news(0.1):
            pass
        self._judge.end()
        for camera in self._cameras:
            self._guarded(camera.end)
        self._guarded(self._clips.end_all)
        silent_s, until_s = 0.0, self._clock.monotonic() + _CLIPS_S
        while self._clips.is_writing and silent_s < _CLIPS_S and self._left_s(until_s):
            silent_s += 0.0 if self._handle_news(0.1) else 0.1
        if self._web:
            self._web.end()
        for camera in self._cameras:
            self._guarded(self._cameras.remove, camera.camera.name, reason="the watch has ended")
        return Ended(
            self._clock.now_ms(),
            seconds=round(self._clock.monotonic() - self._started_s, 1),
            **self._cameras.counts,
            cameras_up=sorted(self._states.ever_up),
        )

    # -- the loop

    def step(self, max_wait_s: float) -> bool:
        """Does what is due each second, then handles what a process or a request says.

        Args:
            max_wait_s: Waits so long for the latter, at most to the next second.

        Returns:
            False if nobody has said anything.

        Raises:
            RunError: If the judge cannot work with the run.
        """
        if self._clock.monotonic() >= self._tick_s:
            self._tick_s = self._clock.monotonic() + _TICK_S
            self._guarded(self._tick)
        if self._judge.failure:
            raise self._judge.failure
        return self._handle_news(min(max_wait_s, self._left_s(self._tick_s)))

    def _guarded(self, work: Callable[..., None], *arguments: Any, **values: Any) -> None:
        """Does something whose failure, such as a full disk, must not end the watch."""
        try:
            work(*arguments, **values)
        except ViolenceDetectionError as error:
            log.error(str(error))

    def _handle_news(self, max_wait_s: float) -> bool:
        try:
            name, about = self._news.get(timeout=max_wait_s)
        except queue.Empty:
            return False
        handle = {
            "reload": self._reload,
            "acknowledge": self._acknowledge,
            "snooze": self._snooze,
            "keep_clip": self._keep_clip,
            "picture": lambda camera: self._order(camera, PictureOrder(HOLD_S)),
            "message": self._handle_message,
        }[name]
        self._guarded(handle, about)
        return True

    def _hear(self, name: str) -> Callable[[WorkerProcess, Any], None]:
        """A function that puts the messages of a process into the queue."""
        return lambda process, message: self._news.put(("message", (name, process, message)))

    def _handle_message(self, about: tuple[str, WorkerProcess, Any]) -> None:
        name, process, message = about
        if name == _JUDGE:
            window = self._judge.handle(process, message)
            camera = self._cameras.get(window.camera) if window else None
            if camera:
                camera.add_window(window)
                self._spot_checks.add(camera, window)
            return
        if name == _PAGE:
            self._web.handle(process, message)
            return
        camera = self._cameras.get(name)
        if camera is None or not camera.worker.is_of(process):
            return  # of a process that was replaced
        if message is None:
            camera.worker.note_end()
            camera.capture_ended()
            self._clips.forget(name)
            state = "failed" if camera.worker.has_failed else "waiting"
            self._change(name, state, f"its capture ended: {camera.worker.reason}")
        elif isinstance(message, StateChange):
            self._change(name, message.state, camera.camera.source.scrub(message.reason))
        elif isinstance(message, CaptureStatus):
            camera.add_status(message)
        elif isinstance(message, CameraPicture):
            self._pictures.add(name, message)
        elif isinstance(message, ClipWritten):
            self._clips.written(name, message)

    def _change(self, name: str, state: str, reason: str) -> None:
        if self._states.change(name, state, reason):
            self._report(CameraChanged(self._clock.now_ms(), name, state, reason))

    # -- each second

    def _tick(self) -> None:
        if step_s := self._clock.compare():
            self._note_clock_step(step_s)
        self._judge.tick()
        if self._web:
            self._web.tick()
        for camera in self._cameras:
            camera.worker.tick()
            state = self._states[camera.camera.name]
            camera.tick(is_up=state.name == UP, since_s=state.since_s)
        self._order_strides()
        self._states.tick()
        self._send_due()
        self._answers.latest = self._status()
        self._sinks.show(self._answers.latest, self._clock.now_ms())
        self._upkeep.tick()
        self._clips.tick()
        if self._is_judging():
            service_manager.notify("WATCHDOG=1")

    def _note_clock_step(self, step_s: float) -> None:
        now_ms = self._clock.now_ms()
        words = f"the clock of this machine was set by {step_s:+.1f} s"
        log.warning(f"UTC has stepped: {words}.")
        ends = sorted((now_ms, now_ms - round(1000 * step_s)))
        self._store.record_gap(Gap("", *ends, "clock", words))
        self._report(ClockStepped(now_ms, round(step_s, 3)))

    def _order_strides(self) -> None:
        self._strides.update(self._clock.monotonic(), self._judge.queue_age_s)
        strides = self._strides.strides(
            {
                camera.camera.name: (camera.camera.settings.stride_s, camera.alerts.is_quiet)
                for camera in self._cameras
            }
        )
        for camera in self._cameras:
            camera.order_stride(strides[camera.camera.name])
        self._warnings.set(
            "falling_behind",
            "This machine cannot judge all cameras in time: their windows are further apart.",
            holds=self._strides.is_behind,
        )

    def _is_judging(self) -> bool:
        """False if cameras that have been up for a while are not judged: something hangs."""
        now_s = self._clock.monotonic()
        states = [self._states[camera.camera.name] for camera in self._cameras]
        are_up = any(state.name == UP and now_s - state.since_s > _UNJUDGED_S for state in states)
        is_starting = self._judge.state == "starting"
        return is_starting or not are_up or now_s - self._judge.judged_s <= _UNJUDGED_S

    # -- messages and states

    def _keep_clip(self, event: StoredEvent) -> None:
        """Orders the clip of an event that a person has reported."""
        to_monotonic_s = self._clock.monotonic() - self._clock.now_ms() / 1000
        start_s, end_s = event.start_ms / 1000, event.end_ms / 1000
        self._clips.keep(event, start_s + to_monotonic_s, end_s + to_monotonic_s)

    def _order(self, camera: str, order: ClipOrder | ClipEnd | PictureOrder) -> None:
        """Sends an order to the capture of a camera."""
        if known := self._cameras.get(camera):
            known.worker.send(order)

    def _decide(self, camera: str, change: EventChange, at: datetime) -> Decision:
        return self._sinks.policy.on_change(camera, change, at)

    def _utc(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    def _send_due(self) -> None:
        for due in self._sinks.policy.due(self._utc()):
            if camera := self._cameras.get(due.camera):
                camera.alerts.send_due(due)

    def _snooze_for(self, camera: str, minutes: int) -> None:
        """Snoozes a camera from a sink's thread."""
        until_ms = self._clock.now_ms() + 60_000 * minutes
        self._store.snooze(Snooze(camera, until_ms, "a sink"))
        self._news.put(("snooze", (camera, until_ms)))

    def _snooze(self, about: tuple[str, int]) -> None:
        camera, until_ms = about
        self._sinks.policy.snooze(camera, datetime.fromtimestamp(until_ms / 1000, UTC))

    def _acknowledge(self, event_id: str) -> None:
        for camera in self._cameras:
            if number := camera.alerts.number_of(event_id):
                self._sinks.policy.acknowledge(camera.camera.name, number)

    def _status(self) -> WatchStatus:
        snoozes = {
            snooze.camera: snooze.until_ms for snooze in self._store.snoozes(self._clock.now_ms())
        }
        return WatchStatus(
            started_ms=self._started_ms,
            judge=self._judge.state,
            run=self._file.run.name,
            cameras=tuple(
                camera.as_status(self._states[camera.camera.name], snoozes.get(camera.camera.name))
                for camera in self._cameras
            ),
            sinks=tuple(self._sinks.statuses()),
            warnings=self._warnings.texts,
        )

    # -- reload

    def _reload(self, _: None) -> None:
        new, errors = None, []
        try:
            result = cameras_file.read(self._file.path)
            new, errors = result.settings, [error.text(result.path) for error in result.errors]
            if new and (new.run, new.data) != (self._file.run, self._file.data):
                errors = [f"{result.path}: `run` and `data` can change at a start only."]
            if new and not errors and _rules_of(new) != _rules_of(self._file):
                self._replace_sinks(new)
        except ConfigError as error:
            errors = [str(error)]
        text = "The cameras file has errors: what was read before holds."
        self._warnings.set("reload", text, holds=bool(errors))
        now_ms = self._clock.now_ms()
        if errors:
            for error in errors:
                log.error(f"Not reloaded: {error}")
            self._report(Reloaded(now_ms, ok=False, errors=errors))
            return
        self._states.down_after_s, self._states.timezone = new.camera_down_s, new.timezone
        self._warnings.timezone = new.timezone
        self._file = new
        self._clips.apply(new)
        self._spot_checks.apply(new)
        self._report(Reloaded(now_ms, ok=True, **self._cameras.apply(new)._asdict()))

    def _replace_sinks(self, new: WatchFile) -> None:
        """Ends the sinks and starts those of a new file.

        Raises:
            ConfigError: If one of these cannot be made; then the former are started again.
        """
        self._sinks.close()
        try:
            self._sinks = WatchSinks(new, self._store, self._snooze_for)
        except ConfigError:
            self._sinks = WatchSinks(self._file, self._store, self._snooze_for)
            raise


def _rules_of(file: WatchFile) -> tuple[Any, ...]:
    """Everything that the sinks and the notification policy depend on."""
    cameras = [
        (camera.name, camera.title, camera.site, camera.settings.alert.cooldown_s)
        for camera in file.cameras
    ]
    return file.sinks, file.quiet_hours, file.escalation, file.timezone, cameras

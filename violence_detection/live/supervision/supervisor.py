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

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.processes import service_manager
from violence_detection.live.processes.capture_messages import (
    CameraPicture,
    CameraVideo,
    CaptureStatus,
    StateChange,
)
from violence_detection.live.processes.clip_messages import ClipWritten
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import StartWorker
from violence_detection.live.processes.process_messages import PictureOrder, VideoOrder
from violence_detection.live.processes.watch_notices import (
    CameraChanged,
    ClockStepped,
    Ended,
    Notice,
    Started,
)
from violence_detection.live.processes.worker_process import WorkerProcess
from violence_detection.live.storage.event_records import Gap, StoredEvent
from violence_detection.live.supervision.file_reload import FileReload
from violence_detection.live.supervision.watch_parts import JUDGES, PAGE, open_parts
from violence_detection.live.watching.camera_pictures import HOLD_S
from violence_detection.live.watching.camera_states import UP
from violence_detection.live.watching.camera_videos import HOLD_S as VIDEO_S
from violence_detection.system import progress
from violence_detection.units import counted

log = logging.getLogger(__name__)

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
        self._parts.news.put(("reload", None))

    # -- start and end

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Opens the store, the sinks and the socket, and starts the processes."""
        clock, file = self._clock, self._file
        self._tick_s = self._started_s = clock.monotonic()
        parts = open_parts(file, clock=clock, report=self._report, start_worker=self._start_worker)
        with parts as self._parts, contextlib.ExitStack() as opened:
            self._reload = FileReload(self._parts, clock, self._report)
            with contextlib.suppress(ValueError):  # not in the main thread
                before = signal.signal(signal.SIGHUP, lambda *_: self.reload())
                opened.callback(signal.signal, signal.SIGHUP, before)
            names = [camera.camera.name for camera in self._parts.cameras]
            sinks = [sink.name for sink in file.sinks]
            self._report(Started(clock.now_ms(), names, sinks, str(file.data)))
            yield

    def end(self) -> Ended:
        """Ends what is judged, the events and their clips, then the processes."""
        service_manager.notify("STOPPING=1")
        until_s = self._clock.monotonic() + _DRAIN_S
        while self._parts.judges.waiting and self._left_s(until_s) and self._handle_news(0.1):
            pass
        self._parts.judges.end()
        for camera in self._parts.cameras:
            self._guarded(camera.end)
        self._guarded(self._parts.clips.end_all)
        silent_s, until_s = 0.0, self._clock.monotonic() + _CLIPS_S
        while self._parts.clips.is_writing and silent_s < _CLIPS_S and self._left_s(until_s):
            silent_s += 0.0 if self._handle_news(0.1) else 0.1
        if self._parts.web:
            self._parts.web.end()
        for camera in self._parts.cameras:
            self._guarded(
                self._parts.cameras.remove, camera.camera.name, reason="the watch has ended"
            )
        return Ended(
            self._clock.now_ms(),
            seconds=round(self._clock.monotonic() - self._started_s, 1),
            **self._parts.cameras.counts,
            cameras_up=sorted(self._parts.states.ever_up),
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
        if self._parts.judges.failure:
            raise self._parts.judges.failure
        return self._handle_news(min(max_wait_s, self._left_s(self._tick_s)))

    def _guarded(self, work: Callable[..., None], *arguments: Any, **values: Any) -> None:
        """Does something whose failure, such as a full disk, must not end the watch."""
        try:
            work(*arguments, **values)
        except ViolenceDetectionError as error:
            log.error(str(error))

    def _handle_news(self, max_wait_s: float) -> bool:
        try:
            name, about = self._parts.news.get(timeout=max_wait_s)
        except queue.Empty:
            return False
        handle = {
            "reload": lambda _: self._reload.run(),
            "acknowledge": self._parts.acknowledge,
            "snooze": self._snooze,
            "keep_clip": self._keep_clip,
            "picture": lambda camera: self._parts.order(camera, PictureOrder(HOLD_S)),
            "video": lambda camera: self._parts.order(camera, VideoOrder(VIDEO_S)),
            "message": self._handle_message,
        }[name]
        self._guarded(handle, about)
        return True

    def _handle_message(self, about: tuple[str, WorkerProcess, Any]) -> None:
        name, process, message = about
        if name == JUDGES:
            window = self._parts.judges.handle(process, message)
            camera = self._parts.cameras.get(window.camera) if window else None
            if camera:
                camera.add_window(window)
                self._parts.spot_checks.add(camera, window)
            return
        if name == PAGE:
            if self._parts.web:
                self._parts.web.handle(process, message)
            return
        camera = self._parts.cameras.get(name)
        if camera is None or not camera.worker.is_of(process):
            return  # of a process that was replaced
        if message is None:
            camera.worker.note_end()
            camera.capture_ended()
            self._parts.clips.forget(name)
            state = "failed" if camera.worker.has_failed else "waiting"
            self._change(name, state, f"its capture ended: {camera.worker.reason}")
        elif isinstance(message, StateChange):
            self._change(name, message.state, camera.camera.scrub(message.reason))
        elif isinstance(message, CaptureStatus):
            camera.add_status(message)
        elif isinstance(message, CameraPicture):
            self._parts.pictures.add(name, message)
        elif isinstance(message, CameraVideo):
            self._parts.videos.add(name, message)
        elif isinstance(message, ClipWritten):
            self._parts.clips.written(name, message)

    def _change(self, name: str, state: str, reason: str) -> None:
        if self._parts.states.change(name, state, reason):
            self._report(CameraChanged(self._clock.now_ms(), name, state, reason))

    # -- each second

    def _tick(self) -> None:
        if step_s := self._clock.compare():
            self._guarded(self._note_clock_step, step_s)
        parts = self._parts
        parts.judges.tick()
        if parts.web:
            parts.web.tick()
        for camera in parts.cameras:
            camera.worker.tick()
        self._order_judges()
        self._order_strides()
        # What fails in one of these, as on a full disk, must not keep the others from their work.
        self._guarded(parts.cameras.retry_writes)
        for camera in parts.cameras:
            state = parts.states[camera.camera.name]
            self._guarded(camera.tick, is_up=state.name == UP, since_s=state.since_s)
        self._guarded(self._set_warnings)
        for work in (parts.states.tick, self._send_due, self._show, parts.upkeep.tick):
            self._guarded(work)
        self._guarded(parts.clips.tick)
        if self._is_judging():
            service_manager.notify("WATCHDOG=1")

    def _show(self) -> None:
        self._parts.requests.latest = self._parts.status()
        self._parts.sinks.show(self._parts.requests.latest, self._clock.now_ms())

    def _note_clock_step(self, step_s: float) -> None:
        now_ms = self._clock.now_ms()
        words = f"the clock of this machine was set by {step_s:+.1f} s"
        log.warning(f"UTC has stepped: {words}.")
        ends = sorted((now_ms, now_ms - round(1000 * step_s)))
        self._parts.store.record_gap(Gap("", *ends, "clock", words))
        self._report(ClockStepped(now_ms, round(step_s, 3)))

    def _order_judges(self) -> None:
        """Gives the cameras of a judge that is down to the others, and takes some back."""
        judges, cameras = self._parts.judges, self._parts.cameras
        judges.assign([camera.camera.name for camera in cameras])
        for camera in cameras:
            camera.order_judge(judges.address_of(camera.camera.name))

    def _order_strides(self) -> None:
        now_s = self._clock.monotonic()
        for judge in self._parts.judges:
            judge.strides.update(now_s, judge.queue_age_s, judge.working_s)
            cameras = {
                name: self._parts.cameras.get(name) for name in self._parts.judges.cameras_of(judge)
            }
            strides = judge.strides.strides(
                {
                    name: (camera.camera.settings.stride_s, camera.alerts.is_quiet)
                    for name, camera in cameras.items()
                }
            )
            for name, camera in cameras.items():
                camera.order_stride(strides[name])

    def _set_warnings(self) -> None:
        parts, warnings = self._parts, self._parts.warnings
        warnings.set(
            "falling_behind",
            "This machine cannot judge all cameras in time: their windows are further apart.",
            holds=any(judge.strides.is_behind for judge in parts.judges),
        )
        words = parts.judges.down_words()
        warnings.set("judge", words, holds=bool(words))
        states = {camera.camera.name: parts.states[camera.camera.name] for camera in parts.cameras}
        names = [
            name
            for name, state in states.items()
            if parts.judges.state == "ready"
            and state.name == UP
            and parts.cameras.get(name).is_not_judged(since_s=state.since_s)
        ]
        text = f"{counted(len(names), 'camera')} up, but not judged for over a minute"
        warnings.set(
            "not_judged",
            f"{text}: {'its tile says' if len(names) == 1 else 'their tiles say'} so.",
            holds=bool(names),
            detail=f"{text}: {', '.join(names)}.",
        )
        problem = parts.web.problem if parts.web else ""
        warnings.set("page", problem, holds=bool(problem))

    def _is_judging(self) -> bool:
        """False if cameras that have been up for a while are not judged: something hangs."""
        now_s = self._clock.monotonic()
        for judge in self._parts.judges:
            names = self._parts.judges.cameras_of(judge)
            states = [self._parts.states[name] for name in names]
            are_up = any(
                state.name == UP and now_s - state.since_s > _UNJUDGED_S for state in states
            )
            if are_up and not judge.is_starting and now_s - judge.judged_s > _UNJUDGED_S:
                return False
        return True

    # -- messages and states

    def _keep_clip(self, event: StoredEvent) -> None:
        """Orders the clip of an event that a person has reported."""
        to_monotonic_s = self._clock.monotonic() - self._clock.now_ms() / 1000
        start_s, end_s = event.start_ms / 1000, event.end_ms / 1000
        self._parts.clips.keep(event, start_s + to_monotonic_s, end_s + to_monotonic_s)

    def _utc(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    def _send_due(self) -> None:
        for due in self._parts.sinks.policy.due(self._utc()):
            if camera := self._parts.cameras.get(due.camera):
                camera.alerts.send_due(due)

    def _snooze(self, about: tuple[str, int]) -> None:
        camera, until_ms = about
        self._parts.sinks.policy.snooze(camera, datetime.fromtimestamp(until_ms / 1000, UTC))

"""The parts of a watch, opened and closed together, and what several of them need of each other."""

import contextlib
import queue
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from violence_detection.inference.alert_policy import EventChange
from violence_detection.inference.notification_policy import Decision
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.listening import check_listen
from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import StartWorker
from violence_detection.live.processes.page_start import ACCOUNTS
from violence_detection.live.processes.process_messages import PictureOrder, VideoOrder
from violence_detection.live.processes.supervisor_requests import RequestServer
from violence_detection.live.processes.watch_notices import Notice
from violence_detection.live.processes.watch_status import WatchStatus
from violence_detection.live.processes.worker_process import WorkerProcess
from violence_detection.live.storage.event_records import Snooze
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision import left_events
from violence_detection.live.supervision.request_handler import RequestHandler
from violence_detection.live.supervision.run_subject import finds_of
from violence_detection.live.supervision.store_upkeep import StoreUpkeep
from violence_detection.live.supervision.watch_judges import WatchJudges
from violence_detection.live.supervision.watch_sinks import WatchSinks
from violence_detection.live.supervision.watch_web import WatchWeb
from violence_detection.live.watching.camera_pictures import CameraPictures
from violence_detection.live.watching.camera_set import CameraSet
from violence_detection.live.watching.camera_states import CameraStates
from violence_detection.live.watching.camera_videos import CameraVideos
from violence_detection.live.watching.event_numbers import EventNumbers
from violence_detection.live.watching.watch_clips import WatchClips
from violence_detection.live.watching.watch_spot_checks import WatchSpotChecks
from violence_detection.live.watching.watch_warnings import WatchWarnings
from violence_detection.models.run import Run
from violence_detection.system import files

STORE, SOCKET = "events.db", "supervisor.sock"
# No camera has these names: they hold a blank.
JUDGES, PAGE = "the judges", "the page"
News = queue.SimpleQueue[tuple[str, Any]]


class WatchParts:
    """The parts of a watch.

    Attributes:
        file: The cameras file, as it was read last.
        news: What processes and requests say, by kind, for the supervisor's thread.
        store, states, warnings, upkeep, clips, spot_checks, pictures, videos, requests: See their
            classes.
        sinks: The sinks, which are replaced where a new file has others.
        judges: The processes that judge.
        cameras: The cameras, with their captures.
        web: The review page; None where the file switches it off.
    """

    def __init__(
        self,
        file: WatchFile,
        *,
        clock: JoinedClock,
        report: Callable[[Notice], None],
        start_worker: StartWorker,
        opened: contextlib.ExitStack,
    ) -> None:
        """Use `open_parts`.

        Args:
            file: The cameras file.
            clock: UTC and monotonic time.
            report: Is told what happens.
            start_worker: Starts the processes.
            opened: Closes what was opened.
        """
        self.file, self.news = file, News()
        self._clock, self._report, self._start_worker = clock, report, start_worker
        self._started_ms = clock.now_ms()
        self._numbers = EventNumbers()
        self.web: WatchWeb | None = None
        if file.web.enabled:
            file.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with Accounts(file.data / ACCOUNTS) as accounts:
                check_listen(file.web, accounts)
        self.store = opened.enter_context(EventStore.open(file.data / STORE, now_ms=clock.now_ms))
        alive_ms = self.store.last_minute_ms()
        self.sinks = WatchSinks(file, self.store, self._snooze_for)
        opened.callback(lambda: self.sinks.close())
        self._finds = finds_of(file.run)
        left_events.end_open_events(self.store, file, self.sinks.enders, self._page(), self._finds)
        self.restore_incidents(alive_ms)
        self.states = CameraStates(
            self.store,
            clock,
            lambda message: self.sinks.send_to_all(message),
            down_after_s=file.camera_down_s,
            timezone=file.timezone,
        )
        self.warnings = WatchWarnings(
            self.store, clock, lambda message: self.sinks.send_to_all(message), file.timezone
        )
        self.upkeep = StoreUpkeep(self.store, clock, self.warnings, file.retention)
        opened.callback(self.upkeep.close)
        self.clips = WatchClips(file, self.store, clock, self.warnings, self.order)
        self.judges = WatchJudges(
            file,
            clock=clock,
            hear=self._hear(JUDGES),
            report=report,
            start_worker=start_worker,
        )
        self.judges.assign([camera.name for camera in file.cameras])
        run_digest = files.sha256_of_file(Run(file.run).model_path)[:16]
        self.spot_checks = WatchSpotChecks(
            file, self.store, clock, self.clips, run_digest=run_digest
        )
        self.cameras = CameraSet(
            file,
            store=self.store,
            clock=clock,
            states=self.states,
            run_digest=run_digest,
            decide=self._decide,
            report=report,
            record=self.clips.change,
            hear=self._hear,
            judge_of=self.judges.address_of,
            numbers=self._numbers,
            page=self._page,
            finds=self._finds,
            start_worker=start_worker,
        )
        tell = lambda name, about: self.news.put((name, about))
        self.pictures = CameraPictures(
            lambda camera: tell("picture", camera), now_s=clock.monotonic
        )
        self.videos = CameraVideos(lambda camera: tell("video", camera), now_s=clock.monotonic)
        window_s = Run(file.run).record().window_s
        self.requests = RequestHandler(
            self.store, self.status(), self.pictures, self.videos, window_s, tell
        )
        opened.enter_context(RequestServer(file.data / SOCKET, self.requests))
        self.start_web()

    def start_web(self) -> None:
        """Starts the review page, if the file does not switch it off."""
        if not self.file.web.enabled:
            return
        self.web = WatchWeb(
            self.file,
            store=STORE,
            socket=SOCKET,
            clock=self._clock,
            hear=self._hear(PAGE),
            report=self._report,
            start_worker=self._start_worker,
        )

    def replace_sinks(self, file: WatchFile) -> None:
        """Ends the sinks and starts those of a new file, which go on with what was sent.

        Raises:
            ConfigError: If one of these cannot be made; then the former are started again.
            ViolenceDetectionError: If messages wait for the event store, which cannot be written:
                new sinks would not know what was sent.
        """
        self.cameras.retry_writes()
        self.sinks.close()
        try:
            self.sinks = WatchSinks(file, self.store, self._snooze_for)
            self.restore_incidents(self.store.now_ms(), file)
        except BaseException:
            self.sinks = WatchSinks(self.file, self.store, self._snooze_for)
            self.restore_incidents(self.store.now_ms())
            raise

    def restore_incidents(self, alive_ms: int, file: WatchFile | None = None) -> None:
        """Lets the policy of new sinks go on with what was sent.

        Args:
            alive_ms: UTC up to which there was a policy.
            file: The file of the sinks; None for the present one.
        """
        left_events.restore_incidents(
            self.sinks.policy,
            self.store,
            self._numbers,
            (file or self.file).escalation,
            alive_ms=alive_ms,
        )

    def order(self, camera: str, order: ClipOrder | ClipEnd | PictureOrder | VideoOrder) -> None:
        """Sends an order to the capture of a camera."""
        if known := self.cameras.get(camera):
            known.worker.send(order)

    def acknowledge(self, event_id: str) -> None:
        """Ends the escalation of an event."""
        number, event = self._numbers.number_of(event_id), self.store.event(event_id)
        if number is not None and event is not None:
            self.sinks.policy.acknowledge(event.camera, number)

    def status(self) -> WatchStatus:
        """The state as pages show it."""
        snoozes = {
            snooze.camera: snooze.until_ms for snooze in self.store.snoozes(self._clock.now_ms())
        }
        return WatchStatus(
            started_ms=self._started_ms,
            judge=self.judges.state,
            run=self.file.run.name,
            cameras=tuple(
                camera.as_status(self.states[camera.camera.name], snoozes.get(camera.camera.name))
                for camera in self.cameras
            ),
            sinks=tuple(self.sinks.statuses()),
            warnings=self.warnings.texts,
            judges=self.judges.statuses(),
            finds=self._finds,
        )

    def _page(self) -> str:
        """The address of the review page for links; empty if there is none."""
        if self.web and self.web.address:
            return self.web.address
        web = self.file.web
        port = web.address[1]
        return web.link_base(port) if web.enabled and (port or web.url) else ""

    def _hear(self, name: str) -> Callable[[WorkerProcess, Any], None]:
        """A function that puts the messages of a process into the queue."""
        return lambda process, message: self.news.put(("message", (name, process, message)))

    def _decide(self, camera: str, change: EventChange, at: datetime) -> Decision:
        return self.sinks.policy.on_change(camera, change, at)

    def _snooze_for(self, camera: str, minutes: int) -> None:
        """Snoozes a camera from a sink's thread."""
        until_ms = self._clock.now_ms() + 60_000 * minutes
        self.store.snooze(Snooze(camera, until_ms, "a sink"))
        self.news.put(("snooze", (camera, until_ms)))


@contextlib.contextmanager
def open_parts(
    file: WatchFile,
    *,
    clock: JoinedClock,
    report: Callable[[Notice], None],
    start_worker: StartWorker,
) -> Iterator[WatchParts]:
    """The parts of a watch, which are closed in the end; its processes are ended by others.

    Args:
        file: The cameras file.
        clock: UTC and monotonic time.
        report: Is told what happens.
        start_worker: Starts the processes.

    Raises:
        ConfigError: If a sink cannot be made, or another process writes the store.
    """
    with contextlib.ExitStack() as opened:
        yield WatchParts(file, clock=clock, report=report, start_worker=start_worker, opened=opened)

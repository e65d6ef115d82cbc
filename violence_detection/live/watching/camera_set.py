"""The cameras of a watch: started, ended, and changed as the cameras file is."""

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from violence_detection.inference.alert_policy import EventChange
from violence_detection.inference.notification_policy import Decision
from violence_detection.live.configuration.camera_settings import CameraAlert
from violence_detection.live.configuration.config import Camera, WatchFile
from violence_detection.live.processes.capture_messages import CAPTURE_MESSAGES
from violence_detection.live.processes.clip_messages import CLIP_MESSAGES
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import KeptWorker, StartWorker
from violence_detection.live.processes.watch_notices import EventChanged
from violence_detection.live.processes.worker_process import CaptureStart, WorkerKind, WorkerProcess
from violence_detection.live.storage.event_records import StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.camera_alerts import CameraAlerts
from violence_detection.live.watching.camera_states import CameraStates
from violence_detection.live.watching.event_numbers import EventNumbers
from violence_detection.live.watching.late_writes import LateWrites
from violence_detection.live.watching.watched_camera import WatchedCamera, settings_digest

_SAME_HOST_S = 0.5  # between the first attempts of two cameras of a host
_SECTIONS = 1_000_000  # at most, of one capture process
_OWN_BYTES = 2**30  # of a capture, beside the frames that it holds
_NICENESS = 5
# Frames get memory of their own, which is given back with them. glibc would raise this limit by
# itself and keep what they leave in its heap: 130 MB for a camera of 640x360 in place of 86.
CAPTURE_VARIABLES = (("MALLOC_MMAP_THRESHOLD_", str(2**19)),)


class Changes(NamedTuple):
    """Names of cameras that a new cameras file has started, ended, and started anew."""

    started: list[str]
    ended: list[str]
    restarted: list[str]


class CameraSet:
    """The watched cameras, by name.

    Attributes:
        events, windows, unjudged: Counts of all cameras since the start.
    """

    def __init__(
        self,
        file: WatchFile,
        *,
        store: EventStore,
        clock: JoinedClock,
        states: CameraStates,
        run_digest: str,
        decide: Callable[[str, EventChange, datetime], Decision],
        report: Callable[[EventChanged], None],
        record: Callable[[str, StoredEvent, float], None],
        hear: Callable[[str], Callable[[WorkerProcess, Any], None]],
        judge_of: Callable[[str], Path],
        numbers: EventNumbers,
        page: Callable[[], str],
        finds: str,
        start_worker: StartWorker,
    ) -> None:
        """
        Args:
            file: The cameras file; its cameras are started.
            store, clock, states, run_digest: As of `WatchedCamera`.
            decide: Decides who is told of a change of an event.
            report: Is told of every change of an event.
            record: Orders clips; see `CameraAlerts`.
            hear: Gives what takes the messages of a camera's capture.
            judge_of: Gives the socket of a camera's judge.
            numbers: Numbers of events for the notification policy.
            page: Gives the address of the review page; empty for none.
            finds: What the run finds; see `Message`.
            start_worker: Starts a process.
        """
        self._file, self._store, self._clock, self._states = file, store, clock, states
        self._run_digest, self._decide, self._report = run_digest, decide, report
        self._record, self._hear, self._start_worker = record, hear, start_worker
        self._judge_of, self._event_numbers, self._page = judge_of, numbers, page
        self._late, self._finds = LateWrites(), finds
        self._cameras: dict[str, WatchedCamera] = {}
        self._numbers = itertools.count()  # of captures: none comes twice
        self._removed = (0, 0, 0)  # counts of cameras that were removed
        self._add(file.cameras)

    def __iter__(self) -> Iterator[WatchedCamera]:
        return iter(list(self._cameras.values()))

    def get(self, name: str) -> WatchedCamera | None:
        return self._cameras.get(name)

    @property
    def counts(self) -> dict[str, int]:
        """Counts of events, judged windows and unjudged windows since the start."""
        counts = self._removed
        for camera in self:
            counts = tuple(map(sum, zip(counts, _counts(camera), strict=True)))
        return dict(zip(("events", "windows", "unjudged"), counts, strict=True))

    def retry_writes(self) -> None:
        """Stores changes of events that wait; to be called each second.

        Raises:
            ViolenceDetectionError: If the event store cannot be written.
        """
        self._late.retry()

    def apply(self, file: WatchFile) -> Changes:
        """Takes over the cameras of a new file; those that are unchanged go on untouched."""
        zone_is_new = file.timezone != self._file.timezone
        self._file, new = file, {camera.name: camera for camera in file.cameras}
        ended = [name for name in self._cameras if name not in new]
        restarted, rest = [], []
        for name, camera in new.items():
            known = self._cameras.get(name)
            if known is None:
                rest.append(camera)
            elif known.camera == camera and not zone_is_new:
                continue
            elif _capture_settings(known.camera) == _capture_settings(camera):
                known.change(camera, self._alerts_of(camera))
            else:
                restarted.append(name)
                rest.append(camera)
        for name in [*ended, *restarted]:
            self.remove(name, reason="it was changed" if name in restarted else "it was removed")
        self._add(rest)
        started = [camera.name for camera in rest if camera.name not in restarted]
        return Changes(started, ended, restarted)

    def remove(self, name: str, *, reason: str) -> None:
        """Ends a camera."""
        camera = self._cameras.pop(name)
        camera.worker.end()
        camera.end()
        counts = zip(self._removed, _counts(camera), strict=True)
        self._removed = tuple(map(sum, counts))
        self._states.remove(name, reason=reason)

    def _add(self, cameras: Iterable[Camera]) -> None:
        """Starts cameras; those of one host one after the other."""
        hosts: Counter[str] = Counter()
        for camera in cameras:
            host = _host_of(camera)
            self._states.add(camera.name, title=camera.title, site=camera.site)
            worker = self._worker_of(camera, delay_s=_SAME_HOST_S * hosts[host])
            self._cameras[camera.name] = WatchedCamera(
                camera,
                worker,
                self._alerts_of(camera),
                store=self._store,
                clock=self._clock,
                run_digest=self._run_digest,
                judge=self._judge_of(camera.name),
            )
            hosts[host] += 1
            worker.tick()

    def _worker_of(self, camera: Camera, *, delay_s: float) -> KeptWorker:
        file = self._file
        kind = WorkerKind(
            f"The capture of {camera.name}",
            "violence_detection.live.capturing.capture",
            CAPTURE_MESSAGES + CLIP_MESSAGES,
            niceness=_NICENESS,
            memory_bytes=_OWN_BYTES + camera.settings.hold_mb * 2**20,
            environment=CAPTURE_VARIABLES,
        )
        return KeptWorker(
            kind,
            lambda: CaptureStart(
                camera, file.run, self._judge_of(camera.name), next(self._numbers) * _SECTIONS
            ),
            self._hear(camera.name),
            clock=self._clock.monotonic,
            clean=camera.scrub,
            start_at_s=self._clock.monotonic() + delay_s,
            start_worker=self._start_worker,
        )

    def _alerts_of(self, camera: Camera) -> CameraAlerts:
        digest = settings_digest(camera)
        row = {"title": camera.title, "site": camera.site, "settings_digest": digest}
        self._late.add(functools.partial(self._store.record_camera, camera.name, **row))
        return CameraAlerts(
            camera,
            store=self._store,
            clock=self._clock,
            decide=self._decide,
            timezone=self._file.timezone,
            page=self._page,
            run_digest=self._run_digest,
            settings_digest=digest,
            report=self._report,
            record=self._record,
            numbers=self._event_numbers,
            late=self._late,
            finds=self._finds,
        )


def _counts(camera: WatchedCamera) -> tuple[int, int, int]:
    return camera.events, camera.judged, camera.unjudged


def _capture_settings(camera: Camera) -> Camera:
    """The camera without what its capture does not depend on."""
    settings = dataclasses.replace(camera.settings, alert=CameraAlert())
    return dataclasses.replace(camera, title="", site="", settings=settings)


def _host_of(camera: Camera) -> str:
    try:
        return urlsplit(camera.source.reveal()).hostname or camera.name
    except ValueError:
        return camera.name

"""The work of an extraction on the machines of a Ray cluster, which share its folders."""

import contextlib
import dataclasses
import logging
import math
import os
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_folder import Video
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.features.video_worker import VideoResult, VideoWorker, unread_entry
from violence_detection.system import devices, progress
from violence_detection.units import counted

log = logging.getLogger(__name__)

_AT_ONCE = 32  # videos that a machine is given, at the most
_TRIES = 3  # of a video, whose machine dies each time
_POLL_S = 0.5
_PATIENCE_S = 120.0  # until a machine has started
_STARTING = ""  # the key of no video: machines that died before they had one


def extract_on_cluster(
    videos: Sequence[Video],
    note: Callable[[VideoResult], None],
    *,
    root: Path,
    cache: FeatureCache,
    space: FeatureSpace,
    config: ExtractConfig,
) -> None:
    """Write the array of each video that has one; see `Worker.work`.

    A machine that dies is replaced, and what it had in hand is given to another; a video that
    has cost three machines has failed.

    Args:
        videos: Which ones.
        note: Is told what came of each; what it raises ends the work.
        root: The folder of the videos, the same on all machines.
        cache: Where the arrays go, the same on all machines.
        space: What every machine must compute.
        config: Everything that was asked for.

    Raises:
        ConfigError: If Ray is not installed, or there is no cluster at the address.
        ViolenceDetectionError: If a machine cannot do the work.
    """
    ray = _ray()
    with _connected(ray, config.address):
        crew = _WorkerPool(ray, (root, cache.dir, space, config), config.machines)
        try:
            crew.work(deque(videos), note)
        finally:
            crew.leave()


class ClusterWorker:
    """One of a cluster, with the backbone in its memory."""

    def start(
        self, root: Path, cache_dir: Path, space: FeatureSpace, config: ExtractConfig
    ) -> None:
        """Build the backbone. (An error of `__init__` would look like a machine that died.)"""
        devices.import_tensorflow()
        extractor = FeatureExtractor.of_config(config)
        if extractor.space != space:
            raise ViolenceDetectionError(
                f"Every machine must compute {space.name}. Received: {os.uname().nodename}, which "
                f"computes {extractor.space.name}"
            )
        self._worker = VideoWorker(root, FeatureCache(cache_dir), extractor, config)

    def work(self, videos: Sequence[Video]) -> list[VideoResult]:
        """What came of each."""
        done: list[VideoResult] = []
        self._worker.work(videos, done.append)
        return done


def workers_that_fit(cpus: Sequence[int], asked: int | None) -> tuple[int, int]:
    """How many workers there are room for on nodes with so many CPUs, and the CPUs of each.

    Args:
        cpus: Of each node.
        asked: Workers; None for one on each node.

    Raises:
        ConfigError: If no node has a CPU.
    """
    cpus = [count for count in cpus if count >= 1]
    if not cpus:
        raise ConfigError("The Ray cluster must have a machine with a CPU. Received: none")
    count = min(asked or len(cpus), sum(cpus))
    share = min(cpus) if count <= len(cpus) else max(1, sum(cpus) // count)
    while sum(node // share for node in cpus) < count:
        share -= 1
    return count, share


class _WorkerPool:
    """The machines that work, and what each has in hand."""

    def __init__(self, ray: Any, task: tuple, asked: int | None) -> None:
        """
        Args:
            ray: The library.
            task: What a Machine is started with.
            asked: How many; None for one on each that the cluster has.
        """
        self._ray, self._task = ray, task
        there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._size, cpus = workers_that_fit([int(node.get("CPU", 0)) for node in there], asked)
        gpus = sum(node.get("GPU", 0) for node in there) / self._size
        self._actor = ray.remote(
            num_cpus=cpus, num_gpus=min(1, gpus), scheduling_strategy="SPREAD"
        )(ClusterWorker)
        # What is awaited of each machine: its start (no videos), or what came of some.
        self._awaited: dict[Any, tuple[Any, list[Video]]] = {}
        self._losses: Counter[str] = Counter()
        self._at_once = 1
        log.info(
            f"Ray runs the backbone {counted(self._size, 'time')}, on "
            f"{counted(len(there), 'machine')}."
        )
        if asked and asked > self._size:
            log.warning(f"The cluster has room for {self._size} of the {asked} --machines.")

    def work(self, todo: deque[Video], note: Callable[[VideoResult], None]) -> None:
        self._at_once = max(1, min(_AT_ONCE, len(todo) // (2 * self._size)))
        for _ in range(self._size):
            self._start()
        idle: list[Any] = []
        waits_s = time.monotonic()
        while todo or any(given for _, given in self._awaited.values()):
            while todo and idle:
                machine, given = idle.pop(), self._next(todo)
                self._awaited[machine.work.remote(given)] = machine, given
            ready, _ = self._ray.wait(list(self._awaited), timeout=_POLL_S)
            progress.stop.check()
            if ready:
                waits_s = math.inf
            if time.monotonic() - waits_s > _PATIENCE_S:
                log.warning("No machine of the cluster has room yet; waiting for one.")
                waits_s = math.inf
            for answer in ready:
                machine, given = self._awaited.pop(answer)
                try:
                    came = self._ray.get(answer) or ()
                    idle.append(machine)
                except self._ray.exceptions.RayTaskError as error:
                    raise ViolenceDetectionError(
                        f"A machine of the cluster failed: {error.cause or error}"
                    ) from error
                except self._ray.exceptions.RayError as error:
                    came = self._lost(error, given, todo)
                for done in came:
                    note(done)

    def _start(self) -> None:
        """Start a machine; it is given nothing before it is there, which may be never."""
        machine = self._actor.remote()
        self._awaited[machine.start.remote(*self._task)] = machine, []

    def _next(self, todo: deque[Video]) -> list[Video]:
        """What a machine is given: some videos, or one alone that has cost a machine."""
        given = [todo.popleft()]
        while todo and len(given) < self._at_once:
            if self._losses[given[0].key] or self._losses[todo[0].key]:
                break
            given.append(todo.popleft())
        return given

    def _lost(self, error: Exception, given: list[Video], todo: deque[Video]) -> list[VideoResult]:
        """Replace a machine that is lost, and put its videos back; those that are given up."""
        log.warning(
            f"A machine of the cluster was lost ({type(error).__name__}) with "
            f"{counted(len(given), 'video')} in hand, which go to another."
        )
        self._losses[_STARTING] += not given
        if self._losses[_STARTING] >= _TRIES * self._size:
            raise ViolenceDetectionError(
                f"Machines of the cluster must start. Received: {self._losses[_STARTING]} that "
                f"died on the way ({type(error).__name__})"
            ) from error
        given_up = []
        for video in given:
            self._losses[video.key] += 1
            if self._losses[video.key] < _TRIES:
                todo.append(video)
            else:
                given_up.append(VideoResult(_costly(self._task[0], video), 0.0))
        self._start()
        return given_up

    def leave(self) -> None:
        """End the machines that are at work, or are still to start."""
        for machine, _ in self._awaited.values():
            self._ray.kill(machine)
        self._awaited.clear()


def _costly(root: Path, video: Video) -> ManifestEntry:
    error = f"{_TRIES} machines of the cluster died while they had it in hand"
    return dataclasses.replace(unread_entry(root, video), status="failed", error=error)


def check_cluster(address: str | None) -> None:
    """Whether there is Ray, and somebody at an address.

    Raises:
        ConfigError: If not.
    """
    _ray()
    try:
        _check_listens(address or "")
    except (OSError, ValueError) as error:
        raise _not_there(address, error) from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--executor ray must have Ray (pip install 'violence-detection[ray]'). Received: none"
        ) from error
    return ray


@contextlib.contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """On a cluster; without an address, on one that is started on this machine."""
    handler = signal.getsignal(signal.SIGTERM)
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    check_cluster(address)
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            # Without "local" Ray tries the last cluster that ran here, for minutes if it died.
            ray.init(address="local", include_dashboard=False, **quiet)
    except (OSError, ValueError) as error:  # a ConnectionError is an OSError
        raise _not_there(address, error) from error
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, handler)  # Ray puts its own there
    try:
        yield
    finally:
        ray.shutdown()


def _not_there(address: str | None, error: Exception) -> ConfigError:
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigError(f"`address` must be of a Ray cluster. Received: address={address} ({first})")


def _check_listens(address: str) -> None:
    """Ray itself tries for many minutes.

    Raises:
        OSError: If nobody listens at `host:port`.
        ValueError: If the port is no number.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()

"""Extraction on the nodes of a Ray cluster, which share the folders of videos and cache."""

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
from typing import Any, NamedTuple

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction.video_worker import (
    DecodingSettings,
    VideoResult,
    VideoWorker,
    unread_entry,
)
from violence_detection.features.extractor import ExtractorSettings, FeatureExtractor
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import devices, progress
from violence_detection.system.requirements import install_command
from violence_detection.units import counted

log = logging.getLogger(__name__)

_MAX_BATCH = 32  # videos that a worker gets at a time
_MAX_LOSSES = 3  # workers that a video may cost before it counts as failed
_POLL_S = 0.5
_START_WARNING_S = 120.0  # without a worker that has started
_STARTING = ""  # the key of no video: losses of workers that had not started yet


class ExtractionTask(NamedTuple):
    """Folders and settings of the workers.

    Attributes:
        root: The folder of the videos, the same on all nodes.
        cache_dir: The folder of the cache, the same on all nodes.
        space: The feature space that every node must compute.
        extractor: Settings of each worker's extractor.
        decoding: How each worker decodes videos.
    """

    root: Path
    cache_dir: Path
    space: FeatureSpace
    extractor: ExtractorSettings
    decoding: DecodingSettings


def extract_on_cluster(
    videos: Sequence[Video],
    on_result: Callable[[VideoResult], None],
    *,
    task: ExtractionTask,
    address: str | None,
    size: int | None,
) -> None:
    """Writes the array of each video that can be read; see `VideoWorker.extract`.

    A worker that dies is replaced, and its videos go to another; a video that costs three workers
    has failed.

    Args:
        videos: The videos.
        on_result: Called with the result of each video; an error that it raises ends the work.
        task: Folders and settings of the workers.
        address: Address of the cluster; None starts one on this machine.
        size: Number of workers; None for one on each node.

    Raises:
        ConfigError: If Ray is not installed, or no cluster answers at the address.
        ViolenceDetectionError: If a worker cannot do the work.
    """
    ray = _ray()
    with _connected(ray, address):
        pool = _WorkerPool(ray, task, size)
        try:
            pool.extract(deque(videos), on_result)
        finally:
            pool.close()


class ClusterWorker:
    """A Ray actor: a process of a node, with the backbone in its memory."""

    def start(self, task: ExtractionTask) -> None:
        """Builds the backbone. (An error of `__init__` would look like a worker that died.)"""
        devices.import_tensorflow()
        extractor = FeatureExtractor.for_machine(task.extractor)
        if extractor.space != task.space:
            raise ViolenceDetectionError(
                f"Every machine must compute {task.space.name}. Received: "
                f"{os.uname().nodename}, which computes {extractor.space.name}"
            )
        cache = FeatureCache(task.cache_dir)
        self._worker = VideoWorker(task.root, cache, extractor, task.decoding)

    def extract(self, videos: Sequence[Video]) -> list[VideoResult]:
        results: list[VideoResult] = []
        self._worker.extract(videos, results.append)
        return results


def workers_that_fit(cpus: Sequence[int], asked: int | None) -> tuple[int, int]:
    """The number of workers that fit on nodes, and the CPUs of each worker.

    Args:
        cpus: CPUs of each node.
        asked: Workers asked for; None for one on each node.

    Raises:
        ConfigError: If no node has a CPU.
    """
    cpus = [count for count in cpus if count >= 1]
    if not cpus:
        raise ConfigError(
            "The Ray cluster must have a machine with a CPU. Received: a cluster without one"
        )
    count = min(asked or len(cpus), sum(cpus))
    each = min(cpus) if count <= len(cpus) else max(1, sum(cpus) // count)
    while sum(node // each for node in cpus) < count:
        each -= 1
    return count, each


class _WorkerPool:
    """The workers of a cluster, and the videos in progress on each."""

    def __init__(self, ray: Any, task: ExtractionTask, asked: int | None) -> None:
        """
        Args:
            ray: The library.
            task: Folders and settings of the workers.
            asked: Number of workers; None for one on each node.
        """
        self._ray, self._task = ray, task
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._size, cpus = workers_that_fit([int(node.get("CPU", 0)) for node in nodes], asked)
        gpus = sum(node.get("GPU", 0) for node in nodes) / self._size
        self._actor = ray.remote(
            num_cpus=cpus, num_gpus=min(1, gpus), scheduling_strategy="SPREAD"
        )(ClusterWorker)
        # By the reference of a call: its worker and the videos in it, none for a start.
        self._in_progress: dict[Any, tuple[Any, list[Video]]] = {}
        self._losses: Counter[str] = Counter()
        self._batch = 1
        log.info(
            f"Ray runs the backbone {counted(self._size, 'time')}, on "
            f"{counted(len(nodes), 'machine')}."
        )
        if asked and asked > self._size:
            log.warning(f"The cluster has room for {self._size} of the {asked} --machines.")

    def extract(self, todo: deque[Video], on_result: Callable[[VideoResult], None]) -> None:
        self._batch = max(1, min(_MAX_BATCH, len(todo) // (2 * self._size)))
        for _ in range(self._size):
            self._start()
        idle: list[Any] = []
        waiting_since_s = time.monotonic()
        while todo or any(videos for _, videos in self._in_progress.values()):
            while todo and idle:
                worker, videos = idle.pop(), self._next_batch(todo)
                self._in_progress[worker.extract.remote(videos)] = worker, videos
            ready, _ = self._ray.wait(list(self._in_progress), timeout=_POLL_S)
            progress.stop.check()
            if ready:
                waiting_since_s = math.inf
            if time.monotonic() - waiting_since_s > _START_WARNING_S:
                log.warning("No machine of the cluster has room yet; waiting for one.")
                waiting_since_s = math.inf
            for reference in ready:
                worker, videos = self._in_progress.pop(reference)
                try:
                    results = self._ray.get(reference) or ()
                    idle.append(worker)
                except self._ray.exceptions.RayTaskError as error:
                    raise ViolenceDetectionError(
                        f"A machine of the cluster failed: {error.cause or error}"
                    ) from error
                except self._ray.exceptions.RayError as error:
                    results = self._replace_lost(error, videos, todo)
                for result in results:
                    on_result(result)

    def _start(self) -> None:
        """Starts a worker; it gets videos only once it has started, which may be never."""
        worker = self._actor.remote()
        self._in_progress[worker.start.remote(self._task)] = worker, []

    def _next_batch(self, todo: deque[Video]) -> list[Video]:
        """The next videos of a worker; a video that has cost a worker before goes alone."""
        batch = [todo.popleft()]
        while todo and len(batch) < self._batch:
            if self._losses[batch[0].key] or self._losses[todo[0].key]:
                break
            batch.append(todo.popleft())
        return batch

    def _replace_lost(
        self, error: Exception, videos: list[Video], todo: deque[Video]
    ) -> list[VideoResult]:
        """Starts another worker for a lost one and puts its videos back; returns the results of
        those that count as failed now."""
        log.warning(
            f"A machine of the cluster was lost ({type(error).__name__}) with "
            f"{counted(len(videos), 'video')} in progress, which go to another."
        )
        self._losses[_STARTING] += not videos
        if self._losses[_STARTING] >= _MAX_LOSSES * self._size:
            raise ViolenceDetectionError(
                f"Machines of the cluster must start. Received: {self._losses[_STARTING]} that "
                f"died while they started ({type(error).__name__})"
            ) from error
        failed = []
        for video in videos:
            self._losses[video.key] += 1
            if self._losses[video.key] < _MAX_LOSSES:
                todo.append(video)
            else:
                failed.append(VideoResult(_costly_entry(self._task.root, video), 0.0))
        self._start()
        return failed

    def close(self) -> None:
        """Kills the workers that are working or starting."""
        for worker, _ in self._in_progress.values():
            self._ray.kill(worker)
        self._in_progress.clear()


def _costly_entry(root: Path, video: Video) -> ManifestEntry:
    error = f"{_MAX_LOSSES} machines of the cluster died while they read it"
    return dataclasses.replace(unread_entry(root, video), status="failed", error=error)


def check_cluster(address: str | None) -> None:
    """Checks that Ray is installed and that something listens at an address.

    Raises:
        ConfigError: If not.
    """
    _ray()
    try:
        _check_listens(address or "")
    except (OSError, ValueError) as error:
        raise _no_cluster(address, error) from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--executor ray must run where Ray is installed. Received: a Python without it "
            f"({install_command('ray')})"
        ) from error
    return ray


@contextlib.contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Context manager: connects to a cluster; without an address, starts one on this machine."""
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
        raise _no_cluster(address, error) from error
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, handler)  # Ray installs its own
    try:
        yield
    finally:
        ray.shutdown()


def _no_cluster(address: str | None, error: Exception) -> ConfigError:
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigError(f"`address` must be of a Ray cluster. Received: address={address} ({first})")


def _check_listens(address: str) -> None:
    """Connects to a `host:port` once: Ray itself would try for many minutes.

    Raises:
        OSError: If nothing listens there.
        ValueError: If the port is not a number.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()

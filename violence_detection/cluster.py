"""The work of an extraction on the machines of a Ray cluster, which share its folders."""

import contextlib
import logging
import os
import signal
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from violence_detection import progress, runtime
from violence_detection.cache import Entry, FeatureCache, FeatureSpace
from violence_detection.config import ExtractConfig
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.extractor import FeatureExtractor
from violence_detection.units import counted
from violence_detection.videos import Video
from violence_detection.worker import Done, Worker

log = logging.getLogger(__name__)

_AT_ONCE = 32  # videos that a machine is given, at the most
_TRIES = 3  # of a video, whose machine dies each time
_POLL_S = 0.5


def work(
    videos: Sequence[Video],
    note: Callable[[Done], None],
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
        crew = _Crew(ray, (root, cache.dir, space, config), config.machines)
        try:
            crew.work(deque(videos), note)
        finally:
            crew.leave()


class Machine:
    """One of a cluster, with the backbone in its memory."""

    def __init__(
        self, root: Path, cache_dir: Path, space: FeatureSpace, config: ExtractConfig
    ) -> None:
        runtime.import_tensorflow()
        extractor = FeatureExtractor.of_config(config)
        if extractor.space != space:
            raise ViolenceDetectionError(
                f"Every machine must compute {space.name}. Received: {os.uname().nodename}, which "
                f"computes {extractor.space.name}"
            )
        self._worker = Worker(root, FeatureCache(cache_dir), extractor, config)

    def work(self, videos: Sequence[Video]) -> list[Done]:
        """What came of each."""
        done: list[Done] = []
        self._worker.work(videos, done.append)
        return done


class _Crew:
    """The machines that work, and what each has in hand."""

    def __init__(self, ray: Any, task: tuple, size: int | None) -> None:
        """
        Args:
            ray: The library.
            task: What a Machine is made with.
            size: How many; None for one on each that the cluster has.
        """
        self._ray, self._task = ray, task
        there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._size = size or len(there)
        share = {
            kind: sum(node.get(kind, 0) for node in there) / self._size
            for kind in ("CPU", "GPU")
        }
        self._actor = ray.remote(
            num_cpus=max(1, int(share["CPU"])),
            num_gpus=min(1, share["GPU"]),
            scheduling_strategy="SPREAD",
        )(Machine)
        self._in_hand: dict[Any, tuple[Any, list[Video]]] = {}
        self._losses: Counter[str] = Counter()
        self._at_once = 1
        log.info(
            f"Ray runs the backbone {counted(self._size, 'time')}, on "
            f"{counted(len(there), 'machine')}."
        )

    def work(self, todo: deque[Video], note: Callable[[Done], None]) -> None:
        free: list[Any] = []
        self._at_once = max(1, min(_AT_ONCE, len(todo) // (2 * self._size)))
        while todo or self._in_hand:
            while todo and len(self._in_hand) < self._size:
                machine = free.pop() if free else self._actor.remote(*self._task)
                given = self._next(todo)
                self._in_hand[machine.work.remote(given)] = machine, given
            ready, _ = self._ray.wait(list(self._in_hand), timeout=_POLL_S)
            progress.stop.check()
            for answer in ready:
                machine, given = self._in_hand.pop(answer)
                try:
                    came = self._ray.get(answer)
                    free.append(machine)
                except self._ray.exceptions.RayTaskError as error:
                    raise ViolenceDetectionError(
                        f"A machine of the cluster failed: {error.cause or error}"
                    ) from error
                except self._ray.exceptions.RayError as error:
                    log.warning(
                        f"A machine of the cluster was lost ({type(error).__name__}); the "
                        f"{counted(len(given), 'video')} that it had in hand go to another."
                    )
                    came = self._lost(given, todo)
                for done in came:
                    note(done)

    def _next(self, todo: deque[Video]) -> list[Video]:
        """What a machine is given: some videos, or one alone that has cost a machine."""
        given = [todo.popleft()]
        while todo and len(given) < self._at_once:
            if self._losses[given[0].key] or self._losses[todo[0].key]:
                break
            given.append(todo.popleft())
        return given

    def _lost(self, given: list[Video], todo: deque[Video]) -> list[Done]:
        """Put the videos of a lost machine back; those that are given up."""
        given_up = []
        for video in given:
            self._losses[video.key] += 1
            if self._losses[video.key] < _TRIES:
                todo.append(video)
            else:
                given_up.append(Done(_costly(video), 0.0))
        return given_up

    def leave(self) -> None:
        for machine, _ in self._in_hand.values():
            self._ray.kill(machine)
        self._in_hand.clear()


def _costly(video: Video) -> Entry:
    return Entry(
        path=video.key,
        label=video.label,
        group=video.group,
        split="",
        status="failed",
        error=f"{_TRIES} machines of the cluster died while they had it in hand",
    )


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
    try:
        if address:
            _check_listens(address)
            ray.init(address=address, **quiet)
        else:
            ray.init(include_dashboard=False, **quiet)
    except (OSError, ValueError) as error:  # a ConnectionError is an OSError
        first = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"`address` must be of a Ray cluster. Received: address={address} ({first})"
        ) from error
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, handler)  # Ray puts its own there
    try:
        yield
    finally:
        ray.shutdown()


def _check_listens(address: str) -> None:
    """Ray itself tries for many minutes.

    Raises:
        OSError: If nobody listens at `host:port`.
        ValueError: If the port is no number.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()

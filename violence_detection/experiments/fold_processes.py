"""Folds learned side by side, in a process each.

The number of a process's threads is a function of the machine and of the number of folds, not of
how many are learned at a time: with another number, sums are rounded otherwise.
"""

import functools
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Self

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import TrainingError
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.fold_runner import Fold, Judge
from violence_detection.system import processes, progress
from violence_detection.system.processes import ProcessKind, ProcessPool
from violence_detection.training import train

log = logging.getLogger(__name__)

_MEMORY_BYTES = 3 * 2**29  # of a process that learns
_ASK_S = 0.3  # from one look at what a signal asks for to the next
_GROW = (("TF_FORCE_GPU_ALLOW_GROWTH", "true"),)  # several share a GPU, with the parent

Learned = tuple[dict[str, Any], dict[str, np.ndarray]]


class FoldPool:
    """Processes that learn folds; leaving the context ends them."""

    def __init__(self, config: CrossValidateConfig, judge: Judge, folder: Path) -> None:
        """
        Args:
            judge: Which knows the folds.
            folder: Of the cross-validation.
        """
        self._config, self._judge, self._folder = config, judge, folder
        threads = max(1, _cores() // len(judge.folds))
        kind = ProcessKind("its process", TrainingError, threads=threads, environment=_GROW)
        self._call = ProcessPool(kind=kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._call.__exit__()
        processes.end_idle_processes()

    def check_buildable(self) -> None:
        """What cannot be built must fail before what is there is replaced.

        Raises:
            ViolenceDetectionError: If it cannot.
        """
        self._call(check_buildable, *self._arguments)

    def learned(self, folds: Sequence[Fold]) -> Iterator[tuple[Fold, *Learned]]:
        """Each fold with what its training came to and what it answers, as they get done.

        Raises:
            TrainingError: If a training cannot go on, or its process is killed twice.
        """
        if not folds:
            return
        jobs = self._config.jobs or _jobs(len(folds))
        if jobs > 1:
            log.info(f"{min(jobs, len(folds))} folds are learned at a time (--jobs).")
        pool = ThreadPoolExecutor(jobs)
        try:
            waiting = {pool.submit(self._learn, fold): fold for fold in folds}
            with progress.track("Folds", len(folds), "folds") as step:
                while waiting:
                    for done in _first(waiting):
                        fold = waiting.pop(done)
                        yield fold, *self._told(fold, done.result())
                        step()
        finally:
            self._call.__exit__()
            pool.shutdown(cancel_futures=True)

    @property
    def _arguments(self) -> tuple[CrossValidateConfig, Path, tuple[ManifestEntry, ...]]:
        return self._config, self._folder, self._judge.clips.entries

    def _learn(self, fold: Fold) -> tuple[Learned, list[str]]:
        number = self._judge.folds.index(fold)
        try:
            return self._call(learn, *self._arguments, number)
        except TrainingError as error:
            if "its process crashed" not in str(error) or self._call.ended:
                raise
            log.warning(f"{fold.name}: {error}; it is learned again.")
        try:
            return self._call(learn, *self._arguments, number)
        except TrainingError as error:
            raise TrainingError(
                f"A fold must be learned to its end. Received: {fold.name}, {error} (where the "
                "memory was full, fewer --jobs help)"
            ) from error

    def _told(self, fold: Fold, answer: tuple[Learned, list[str]]) -> Learned:
        learned, warnings = answer
        for line in warnings:
            log.warning(f"{fold.name}: {line}")
        log.info(f"{fold.name}: epoch {learned[0]['best_epoch']} is kept")
        return learned


def _first(waiting: dict[Future, Fold]) -> set[Future]:
    """Those that are done, once there are any; a signal ends the waiting."""
    while True:
        done, _ = wait(waiting, timeout=_ASK_S, return_when=FIRST_COMPLETED)
        if done:
            return done
        progress.stop.check()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _jobs(folds: int) -> int:
    """As many as there are cores and memory for; one where there is a GPU."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(folds, _cores(), _available_bytes() // _MEMORY_BYTES))


def _available_bytes() -> int:
    """Memory that is free, or can be made so."""
    with open("/proc/meminfo") as file:
        rows = dict(line.split(":") for line in file)
    return int(rows["MemAvailable"].split()[0]) * 1024


# -- in a process of its own


class _Heard(logging.Handler):
    """Keeps warnings, for the parent to say."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def check_buildable(
    config: CrossValidateConfig, folder: Path, entries: tuple[ManifestEntry, ...]
) -> None:
    """Whether a fold's training can be built."""
    _judge(config, folder, entries).check_buildable()


def learn(
    config: CrossValidateConfig,
    folder: Path,
    entries: tuple[ManifestEntry, ...],
    number: int,
) -> tuple[Learned, list[str]]:
    """What the training of a fold came to and what it answers; and what was warned of."""
    heard, logger = _Heard(), logging.getLogger("violence_detection")
    logger.handlers, logger.propagate = [heard], False
    logger.setLevel(logging.WARNING)
    judge = _judge(config, folder, entries)
    return judge.learn(judge.folds[number]), heard.lines


@functools.lru_cache(maxsize=1)
def _judge(config: CrossValidateConfig, folder: Path, entries: tuple[ManifestEntry, ...]) -> Judge:
    machine = train.start_devices(config)
    return Judge(config, machine, folder, list(entries))

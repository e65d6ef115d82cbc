"""Trains folds side by side, each in a process of its own.

The number of threads of a process depends on the hardware and the number of folds, never on how
many folds are trained at a time: with another number of threads, sums are rounded differently.
"""

import functools
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Self

from violence_detection.errors import TrainingError
from violence_detection.experiments.cross_validation.drawn_folds import Fold
from violence_detection.experiments.cross_validation.fold_runner import (
    FoldRunner,
    FoldSetup,
    TrainedFold,
)
from violence_detection.system import devices, machine_checks, processes, progress
from violence_detection.system.processes import ProcessKind, ProcessPool

log = logging.getLogger(__name__)

_MEMORY_BYTES = 3 * 2**29  # of a process that trains
_SIGNAL_CHECK_S = 0.3  # between two checks for Ctrl-C and SIGTERM
_GROW = (("TF_FORCE_GPU_ALLOW_GROWTH", "true"),)  # several processes share a GPU


class _ProcessCrashError(TrainingError):
    """The process of a fold crashed; calls have no time limit, so nothing else raises it."""


class FoldProcesses:
    """Processes that train folds; leaving the context ends them."""

    def __init__(self, setup: FoldSetup, folds: Sequence[Fold], jobs: int | None) -> None:
        """
        Args:
            setup: The videos, the folds and the settings of each training.
            folds: All folds, as each process draws them again.
            jobs: Folds trained at the same time; None for as many as cores and memory allow.
        """
        self._setup, self._folds, self._jobs = setup, folds, jobs
        threads = max(1, _cores() // len(folds))
        kind = ProcessKind("its process", _ProcessCrashError, threads=threads, environment=_GROW)
        self._pool = ProcessPool(kind=kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._pool.end()
        processes.end_idle_processes()

    def check_buildable(self) -> None:
        """See `FoldRunner.check_buildable`."""
        self._pool(check_buildable, self._setup)

    def train(self, folds: Sequence[Fold]) -> Iterator[tuple[Fold, TrainedFold]]:
        """Each fold with its training, in the order in which the trainings finish.

        Raises:
            TrainingError: If a training fails, or its process is killed twice.
        """
        if not folds:
            return
        jobs = min(self._jobs or _parallel_jobs(len(folds)), len(folds))
        if jobs > 1:
            log.info(f"{jobs} folds are trained at a time (--jobs).")
        threads = ThreadPoolExecutor(jobs)
        try:
            waiting = {threads.submit(self._train, fold): fold for fold in folds}
            with progress.track("Folds", len(folds), "folds", at_a_time=jobs) as step:
                while waiting:
                    for future in _wait_for_first(waiting):
                        fold = waiting.pop(future)
                        trained, warnings = future.result()
                        for line in warnings:
                            log.warning(f"{fold.name}: {line}")
                        log.info(f"{fold.name}: epoch {trained.kept_epoch} is kept")
                        yield fold, trained
                        step()
        finally:
            self._pool.end()
            threads.shutdown(cancel_futures=True)

    def _train(self, fold: Fold) -> tuple[TrainedFold, list[str]]:
        number = self._folds.index(fold)
        try:
            return self._pool(train_fold, self._setup, number)
        except _ProcessCrashError as error:
            if self._pool.ended:
                raise
            log.warning(f"{fold.name}: {error}; it is trained again.")
        try:
            return self._pool(train_fold, self._setup, number)
        except TrainingError as error:
            raise TrainingError(
                f"The training of a fold must complete. Received: {fold.name}, {error} (if the "
                "memory was full, use fewer --jobs)"
            ) from error


def _wait_for_first(waiting: dict[Future, Fold]) -> set[Future]:
    """Waits until at least one future is done; a signal ends the wait."""
    while True:
        done, _ = wait(waiting, timeout=_SIGNAL_CHECK_S, return_when=FIRST_COMPLETED)
        if done:
            return done
        progress.stop.check()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _parallel_jobs(folds: int) -> int:
    """Processes that cores and memory allow; 1 with a GPU."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(folds, _cores(), machine_checks.available_memory() // _MEMORY_BYTES))


# -- in the process that trains


class _WarningCollector(logging.Handler):
    """Keeps warnings, which the parent process logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def check_buildable(setup: FoldSetup) -> None:
    """See `FoldRunner.check_buildable`."""
    runner_of(setup).check_buildable()


def train_fold(setup: FoldSetup, number: int) -> tuple[TrainedFold, list[str]]:
    """The training of a fold, and the warnings that it logged."""
    collector, logger = _WarningCollector(), logging.getLogger("violence_detection")
    logger.handlers, logger.propagate = [collector], False
    logger.setLevel(logging.WARNING)
    runner = runner_of(setup)
    return runner.train_fold(runner.folds[number]), collector.lines


@functools.lru_cache(maxsize=1)
def runner_of(setup: FoldSetup) -> FoldRunner:
    """The runner of this process, which also starts its devices."""
    return FoldRunner(setup, devices.start(seed=setup.train.seed, **setup.train.devices.as_dict()))

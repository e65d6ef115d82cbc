"""Benchmark of a run's engine on this machine, in a child process."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.live.judging.judge import WindowScorer
from violence_detection.models.run import Run

_BATCH = 64


@dataclass(frozen=True)
class EngineSpeed:
    """The speed of an engine.

    Attributes:
        engine: Its name and precision.
        images_per_s: Images that it encodes in a second, with the whole machine for itself.
    """

    engine: str
    images_per_s: float


def measure_engine(run: Path, seconds: float) -> EngineSpeed:
    """Encodes random images for some seconds, as the judge does.

    Args:
        run: Folder of the run.
        seconds: Seconds of measurement, after the engine has started.

    Raises:
        RunError, WeightsError, ConfigError: If the run cannot be used.
    """
    scorer = WindowScorer(Run.open(run))
    draw = np.random.default_rng(0)
    images = list(draw.integers(0, 256, (_BATCH, scorer.side, scorer.side, 3), np.uint8))
    scorer.encode(images)  # the first call builds
    count, start_s = 0, time.perf_counter()
    while time.perf_counter() - start_s < seconds:
        scorer.encode(images)
        count += len(images)
    return EngineSpeed(scorer.engine, round(count / (time.perf_counter() - start_s), 1))

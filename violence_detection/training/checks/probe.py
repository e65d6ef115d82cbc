"""A probe of a training: the time of its steps and its memory, measured on a few steps."""

import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from violence_detection.models.run import Run
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.training_settings import TrainingSettings

STEPS = 20


@dataclass(frozen=True)
class Probe:
    """The speed and the memory of a training.

    Attributes:
        step_s: Seconds of a step, the mean of `STEPS`.
        steps_per_epoch: Steps of an epoch.
        validation_s: Seconds of a validation.
        memory_bytes: Peak of this process so far.
        gpu_memory_bytes: Peak on the first GPU; 0 without one.
        model_bytes: Size of the saved weights in float32.
    """

    step_s: float
    steps_per_epoch: int
    validation_s: float
    memory_bytes: int
    gpu_memory_bytes: int
    model_bytes: int

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch with its validation."""
        return self.step_s * self.steps_per_epoch + self.validation_s

    def to_json(self) -> dict[str, Any]:
        return {"steps": STEPS, **asdict(self), "epoch_s": self.epoch_s}


def probe_training(job: TrainingJob, settings: TrainingSettings) -> Probe:
    """Builds a training and runs `STEPS` steps of it and a validation; nothing is kept.

    Args:
        job: Data and devices.
        settings: Settings of the training.
    """
    import tensorflow as tf

    from violence_detection.training.optimisation.step import AT_ONCE

    with tempfile.TemporaryDirectory() as folder:
        trainer = job.build_trainer(Run(Path(folder) / "probe"), settings)
        batches = trainer.batches()
        trainer.step.run(batches, 1)["loss"].numpy()  # the graph is traced
        start_s = time.perf_counter()
        for done in range(0, STEPS, AT_ONCE):
            losses = trainer.step.run(batches, min(AT_ONCE, STEPS - done))["loss"]
        losses.numpy()  # waits until all steps are done
        step_s = (time.perf_counter() - start_s) / STEPS
        trainer.validation.measure(trainer.classifier)  # traced
        start_s = time.perf_counter()
        trainer.validation.measure(trainer.classifier)
        validation_s = time.perf_counter() - start_s
    gpu = job.device_setup.gpus
    return Probe(
        step_s=step_s,
        steps_per_epoch=trainer.data.steps_per_epoch,
        validation_s=validation_s,
        memory_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        gpu_memory_bytes=tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpu else 0,
        model_bytes=4 * trainer.classifier.count_params(),
    )

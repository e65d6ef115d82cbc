"""The rehearsal of a training: eight checks, each of which costs seconds, before hours are
spent."""

import dataclasses
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics.sample_size import FEW_RECORDINGS
from violence_detection.models.classifier import load_model, probabilities
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.system.check_list import CheckList, Outcome
from violence_detection.system.devices import DeviceSetup
from violence_detection.system.processes import DedicatedProcess
from violence_detection.training import batching
from violence_detection.training.checks import model_parts
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving.epoch_selection import check_monitor
from violence_detection.training.training_data import read_splits
from violence_detection.training.training_job import TrainingJob
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.training.trainer import Trainer

VIDEOS = 32  # of the last check
_STEPS = 20  # on one batch
_CHECKED_FINITE = 4096  # videos
_SAME = 1e-5  # difference of probabilities in another process
_VALIDATION_EVERY = 4


class Rehearsal:
    """The checks of a training on cached features; each needs those before it."""

    def __init__(self, config: TrainConfig, checks: CheckList) -> None:
        """
        Args:
            config: Settings of the training, with `features`.
            checks: The list that the checks join.
        """
        self._config, self._checks = config, checks

    def run(self) -> None:
        """Runs all checks; errors are results, and are not raised."""
        with tempfile.TemporaryDirectory() as folder:
            self._folder = Path(folder)
            for name, check, needs, help in (
                ("configuration", self._configuration, (), "correct the setting that is named"),
                ("dataset", self._dataset, ("configuration",), "extract the features again"),
                ("batch", self._batch, ("dataset",), "extract-features --verify makes arrays anew"),
                ("forward", self._forward, ("batch",), "try --head linear"),
                (
                    "trainer",
                    self._trainer,
                    ("forward",),
                    "a smaller --batch-size needs less memory",
                ),
                ("step", self._step, ("trainer",), "a lower --learning-rate; --no-mixed-precision"),
                ("validation", self._validation, ("step",), "a lower --learning-rate"),
                (
                    "rehearsal",
                    self._end_to_end,
                    ("validation",),
                    "train with --debug, which prints the traceback",
                ),
            ):
                self._checks.run(name, check, needs=needs, help=help)

    # -- the checks

    def _configuration(self) -> Outcome:
        config = self._config
        config.check_sources()
        self._cache = FeatureCache.open(config.features)
        self._entries = dataset.usable_entries(self._cache)
        self._classes = classes_of(self._entries, config.normal_class)
        model_parts.check_parts(
            config.model,
            config.batches.augment,
            classes=len(self._classes),
            segments=self._cache.space().segments,
        )
        self._devices: DeviceSetup = devices.start(seed=config.seed, **config.devices.as_dict())
        optimisation = config.optimisation
        return Outcome.ok(
            f"{config.model.head}, {config.model.loss}, batches of {optimisation.batch_size}, "
            f"rate {optimisation.learning_rate:g}"
        )

    def _dataset(self) -> Outcome:
        entries, classes = self._entries, self._classes
        clips = self._clips = read_splits(
            self._cache,
            entries,
            classes,
            views=batching.reads_views(self._config.batches.augment),
        )
        check_monitor(self._config.selection.monitor, clips["validation"].labels)
        for part in clips.values():
            rows = np.linspace(0, len(part) - 1, min(len(part), _CHECKED_FINITE)).astype(int)
            for row in rows.tolist():
                if not np.isfinite(part.features[row : row + 1]).all():
                    path = part.entries[row].path
                    return Outcome.failed(
                        f"the features of {path} are not finite", "extract-features --verify"
                    )
        recordings = len({entry.group for entry in entries})
        counts = Counter(entry.label for entry in entries)
        by_class = ", ".join(f"{counts[name]} {name}" for name in classes)
        text = (
            f"{counted(len(entries), 'video')} ({by_class}) of {counted(recordings, 'recording')}"
        )
        if recordings < FEW_RECORDINGS:
            text += ": few, every score is a rough guess"
        return Outcome.ok(text)

    def _batch(self) -> Outcome:
        self._job = TrainingJob(
            self._devices, self._cache, self._entries, self._classes, self._clips, []
        )
        trainer = self._build(self._job, "batch")
        batch = next(iter(trainer.dataset()))
        features, targets, weights = (np.asarray(part) for part in batch)
        shape = "x".join(map(str, features.shape))
        if not (np.isfinite(features).all() and np.isfinite(weights).all()):
            return Outcome.failed("a value is not finite", "extract-features --verify")
        if not weights.sum() > 0:
            return Outcome.failed("all weights are 0", "check --recording-weights and the labels")
        self._first_batch = features
        return Outcome.ok(f"features {shape} {features.dtype}, targets {targets.shape[-1]} wide")

    def _forward(self) -> Outcome:
        model = self._build(self._job, "forward").classifier
        answer = model(self._first_batch.astype(np.float32), training=False)
        answers = answer if isinstance(answer, dict) else {"logits": answer}
        shapes = []
        for name, answer in answers.items():
            logits = np.asarray(answer)
            if len(logits) != len(self._first_batch):
                return Outcome.failed(f"{name} has {len(logits)} rows", "try --head linear")
            if not np.isfinite(logits).all():
                return Outcome.failed(f"{name} is not finite", "train in float32")
            shapes.append(f"{name} {'x'.join(map(str, logits.shape))}")
        return Outcome.ok(", ".join(shapes))

    def _trainer(self) -> Outcome:
        # Decay moves weights that have no gradient: without it, what stays has none. A warm-up of
        # many steps would keep the loss where it is.
        self._in_training = trainer = self._build(
            self._job, "trainer", weight_decay=0.0, schedule="constant", warmup_epochs=None
        )
        effective = self._job.effective_in(trainer)
        weights = sum(int(np.prod(item.shape)) for item in trainer.classifier.trainable_variables)
        xla = "on" if effective.xla else "off"
        return Outcome.ok(
            f"{weights:,} weights, {counted(effective.replicas, 'device')}, "
            f"{effective.precision}, XLA {xla}"
        )

    def _step(self) -> Outcome:
        trainer = self._in_training
        variables = trainer.classifier.trainable_variables
        before = [np.array(item.numpy()) for item in variables]
        batch = next(trainer.batches())
        losses = [float(trainer.step(batch)["loss"]) for _ in range(_STEPS)]
        if not np.isfinite(losses).all():
            return Outcome.failed("the loss is not finite", "a lower --learning-rate")
        still = [
            item.path
            for item, value in zip(variables, before, strict=True)
            if np.array_equal(item.numpy(), value)
        ]
        if still:
            return Outcome.failed(
                f"{counted(len(still), 'weight')} without a gradient: {', '.join(still[:4])}",
                "the head is built wrongly; try --head linear",
            )
        # Dropout and augmentation make single losses jump.
        first, last = np.mean(losses[:3]), np.mean(losses[-3:])
        text = f"loss {first:.3f} to {last:.3f} in {_STEPS} steps on one batch"
        if not last < first:
            return Outcome.failed(f"{text}: it does not fall", "a lower or higher --learning-rate")
        return Outcome.ok(f"{text}; every weight has a gradient")

    def _validation(self) -> Outcome:
        scores = self._in_training.validation.measure(self._in_training.classifier)
        if not np.isfinite(scores.loss):
            return Outcome.failed("the validation loss is not finite", "a lower --learning-rate")
        auc = "none: one class" if scores.auc is None else f"{scores.auc:.3f}"
        videos = counted(len(self._clips["validation"]), "video")
        return Outcome.ok(f"{videos}: loss {scores.loss:.3f}, AUC {auc} after {_STEPS} steps")

    def _end_to_end(self) -> Outcome:
        entries = few_videos(self._entries, self._classes)
        clips = read_splits(
            self._cache,
            entries,
            self._classes,
            views=batching.reads_views(self._config.batches.augment),
        )
        job = dataclasses.replace(self._job, entries=entries, clips=clips)
        run = Run(self._folder / "rehearsal")
        run.dir.mkdir()
        trainer = self._build(
            job, run.dir.name, epochs=2, early_stopping_patience=0, warmup_epochs=None
        )
        trainer.run_epochs()
        features = clips["validation"].features[:]
        expected = probabilities(load_model(run.model_path), features)
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}
        with DedicatedProcess("the process that loads the model", environment) as process:
            answers = process(predict_saved, run.model_path, np.asarray(features))
        difference = float(np.abs(answers - expected).max())
        videos = counted(len(entries), "video")
        if not difference <= _SAME:
            return Outcome.failed(
                f"the saved model answers otherwise in another process, by {difference:.1e}",
                "install the versions of TensorFlow and Keras that the check `libraries` names",
            )
        return Outcome.ok(
            f"{videos}: 2 epochs, saved, loaded in another process, answers within {difference:.0e}"
        )

    def _build(self, job: TrainingJob, name: str, **changed) -> "Trainer":
        config = self._config.with_settings(**changed) if changed else self._config
        return job.build_trainer(Run(self._folder / name), config.training)


def few_videos(entries: list[ManifestEntry], classes: list[str]) -> list[ManifestEntry]:
    """About `VIDEOS` videos, equally many of each class; every fourth of a class validates.

    Args:
        entries: All videos.
        classes: Names, the normal class first.
    """
    labels = np.array([classes.index(entry.label) for entry in entries])
    chosen = []
    for label in range(len(classes)):
        rows = np.flatnonzero(labels == label)
        count = min(len(rows), max(2, VIDEOS // len(classes)))
        rows = rows[np.linspace(0, len(rows) - 1, count).astype(int)]
        # The last of few validates, too: a class has to be on both sides.
        first = min(_VALIDATION_EVERY, count) - 1
        validates = set(range(first, count, _VALIDATION_EVERY))
        chosen += [
            dataclasses.replace(entries[row], split="validation" if n in validates else "train")
            for n, row in enumerate(rows.tolist())
        ]
    return chosen


def predict_saved(path: Path, features: np.ndarray) -> np.ndarray:
    """The probabilities of a saved model, in the process that calls it, float64 (N, K)."""
    devices.import_tensorflow()
    return probabilities(load_model(path), features)

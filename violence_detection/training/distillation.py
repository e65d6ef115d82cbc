"""Distillation: a teacher's predictions of the training videos, learned beside their labels.

The teacher predicts each training video once, before the first step. Its softened probabilities
are further columns of the targets, so that they follow the videos into batches, replicas and
mixtures of clips. It predicts no validation and no test video.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError, TrainingError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import calibration
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training.saving.initial_weights import InitialWeights
from violence_detection.training.training_settings import DistillationConfig
from violence_detection.units import counted

if TYPE_CHECKING:
    import keras

    from violence_detection.training.optimisation.distillation_loss import DistillationLoss

log = logging.getLogger(__name__)

_COPY = "teacher.npz"
_NAMED = 3  # missing videos in a message


@dataclass(frozen=True)
class Teacher:
    """The predictions of a teacher.

    Attributes:
        rows: Row of `probability` by the path of a video.
        probability: The probability of each class at temperature 1, float64 (N, K).
        temperature: Divides the logits of teacher and classifier.
        weight: Of the teacher's part in the loss, in [0, 1]; the labels have the rest.
    """

    rows: dict[str, int]
    probability: np.ndarray
    temperature: float
    weight: float

    def columns(self, entries: Sequence[ManifestEntry]) -> np.ndarray:
        """The softened probabilities of some videos, float32 (M, 1) for two classes, else (M, K).

        Args:
            entries: M videos.
        """
        rows = [self.rows[entry.path] for entry in entries]
        soft = calibration.apply_temperature(self.probability[rows], self.temperature)
        return (soft[:, 1:] if soft.shape[1] == 2 else soft).astype(np.float32)

    def loss(self, of_labels: "keras.losses.Loss") -> "DistillationLoss":
        """The loss on labels and teacher, from the loss on the labels."""
        from violence_detection.training.optimisation.distillation_loss import DistillationLoss

        return DistillationLoss(of_labels, temperature=self.temperature, weight=self.weight)

    def write(self, state_dir: Path) -> None:
        """Keeps the predictions until the run is finished: --resume needs no teacher."""
        with files.writing(state_dir / _COPY) as file:
            np.savez(file, paths=np.array(list(self.rows)), probability=self.probability)

    @classmethod
    def read(cls, state_dir: Path, settings: DistillationConfig) -> Self:
        """The inverse of `write`.

        Raises:
            TrainingError: If the file is missing or damaged.
        """
        path = state_dir / _COPY
        try:
            with np.load(path, allow_pickle=False) as content:
                rows = {str(name): row for row, name in enumerate(content["paths"])}
                probability = content["probability"]
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(
                f"A run with a teacher must have {_COPY} until it is finished. Received: {path} "
                "(missing or damaged)"
            ) from error
        return cls(rows, probability, settings.teacher_temperature, settings.teacher_weight)


@dataclass(frozen=True)
class TeacherSource:
    """A run that may teach a training: its classes are the same, and it knows its videos.

    Attributes:
        run: The teacher's run.
        cache: Features of the videos in the teacher's feature space.
        settings: Of the distillation.
        overlap: Validation and test videos of the training that the teacher was trained on.
        known: Training and validation videos of the training that the teacher was trained on.
    """

    run: Run
    cache: FeatureCache
    settings: DistillationConfig
    overlap: dict[str, int]
    known: int

    @classmethod
    def find(
        cls,
        settings: DistillationConfig,
        cache: FeatureCache,
        entries: Sequence[ManifestEntry],
        classes: list[str],
    ) -> Self | None:
        """The teacher of a training; None without one.

        Args:
            settings: Of the distillation.
            cache: The features of the training.
            entries: Its videos, with their splits.
            classes: Names, the normal class first.

        Raises:
            RunError: If the teacher is no finished run.
            ConfigError: If its classes are others, or it was trained on validation or test videos.
            CacheError: If there are no features of the training videos in its feature space.
        """
        if settings.teacher is None:
            return None
        run = Run.open(settings.teacher)
        record = run.record()
        if record.classes != classes:
            raise ConfigError(
                f"`teacher` must be a run with the classes {', '.join(classes)}, the normal "
                f"class first. Received: {', '.join(record.classes)} ({run.dir})"
            )
        own_features = _features_of(settings, run, cache)
        overlap = _overlap(run, cache, entries)
        # As test videos, those of training and validation are counted together.
        own = [dataclasses.replace(row, split="test") for row in entries if row.split != "test"]
        known = _overlap(run, cache, own)["test"]
        source = cls(run, own_features, settings, overlap, known)
        source._check_overlap()
        source._rows([entry for entry in entries if entry.split == "train"])
        return source

    def predict(self, entries: Sequence[ManifestEntry]) -> Teacher:
        """The teacher's predictions of some videos of the training.

        Raises:
            CacheError: If one is missing from the teacher's features.
        """
        rows = self._rows(entries)
        clips = dataset.read_dataset(self.cache, rows, self.run.record().classes)
        probability = self.run.load_classifier().uncalibrated(clips.features)
        return Teacher(
            {entry.path: row for row, entry in enumerate(entries)},
            probability,
            self.settings.teacher_temperature,
            self.settings.teacher_weight,
        )

    def to_json(self) -> dict[str, Any]:
        """The entry `teacher` of the run's record."""
        return {
            "run": str(self.run.dir),
            "model_digest": files.sha256_of_file(self.run.model_path),
            "features": str(self.cache.dir),
            "fingerprint": self.cache.space().fingerprint,
            "met": self.overlap,
            "known": self.known,
        }

    def _check_overlap(self) -> None:
        """Refuses a teacher that knows videos that validate or test, unless it is allowed."""
        met = {split: count for split, count in self.overlap.items() if count}
        if not met:
            return
        listed = " and ".join(f"{count} of the {split} videos" for split, count in met.items())
        text = f"a teacher that was trained on {listed}, or on their recordings ({self.run.dir})"
        if not self.settings.allow_teacher_overlap:
            raise ConfigError(
                "`teacher` must not know the videos that validate and test, or the scores are too "
                f"good; train it on the same split, or --allow-teacher-overlap. Received: {text}"
            )
        log.warning(f"The scores are better than on new videos: they come from {text}.")

    def _rows(self, entries: Sequence[ManifestEntry]) -> list[ManifestEntry]:
        """The videos as rows of the teacher's features, found by path and content."""
        known = {(row.path, row.digest): row for row in dataset.usable_entries(self.cache)}
        missing = [entry.path for entry in entries if (entry.path, entry.digest) not in known]
        if missing:
            named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
            raise CacheError(
                "The teacher's features must have all training videos, unchanged. Received: "
                f"{self.cache.dir}, which lacks {len(missing)} of {counted(len(entries), 'video')}"
                f": {named}"
            )
        # The labels are those of the training: only the features are the teacher's.
        return [known[entry.path, entry.digest] for entry in entries]


def _overlap(run: Run, cache: FeatureCache, entries: Sequence[ManifestEntry]) -> dict[str, int]:
    """Number of validation and of test videos that a run knows; see `InitialWeights.overlap`."""
    knows = InitialWeights(run.model_path, run, run.videos_trained_on(), run.record().dataset)
    return knows.overlap(cache, list(entries))


def _features_of(settings: DistillationConfig, run: Run, cache: FeatureCache) -> FeatureCache:
    """The features in the teacher's space: as given, of the training itself, beside them, or
    those that the teacher was trained on.

    Raises:
        CacheError: If there are none.
    """
    record = run.record()
    if settings.teacher_features is not None:
        given = FeatureCache.open(settings.teacher_features)
        if given.space().fingerprint != record.fingerprint:
            raise CacheError(
                f"`teacher_features` must be of the teacher's feature space. Received: {given.dir} "
                f"({given.space().differing(record.feature_space.as_dict())})"
            )
        return given
    if cache.space().fingerprint == record.fingerprint:
        return cache
    beside = sorted(path.parent for path in cache.dir.parent.glob("*/extraction.json"))
    for folder in (*beside, Path(record.features)):
        with contextlib.suppress(CacheError):
            candidate = FeatureCache.open(folder)
            if candidate.space().fingerprint == record.fingerprint:
                return candidate
    raise CacheError(
        "The videos must have features in the teacher's feature space; extract-features makes "
        f"them, and --teacher-features names them. Received: none beside {cache.dir}"
    )

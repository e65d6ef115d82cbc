"""Initial weights of a training from a finished run (`--init-from`)."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from violence_detection import registry
from violence_detection.datasets.dataset_origin import DatasetOrigin
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError, TrainingError
from violence_detection.features.cache import FeatureCache
from violence_detection.models import classifier
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.system import files
from violence_detection.training.training_settings import ModelConfig

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

_COPY = "initial_model.keras"


@dataclass(frozen=True)
class InitialWeights:
    """A trained model whose weights, without its optimizer, are those that a run starts from.

    A started run keeps a copy of the model in its state until it is finished, so that --resume
    does not need the source run.

    Attributes:
        model_path: The model, in the source run or copied.
        run: The source run.
        videos: Rows of the videos that the weights were trained on, with their split in that
            training.
        dataset: The dataset in which the names of their recordings are unique; None if it is the
            dataset of the new run.
    """

    model_path: Path
    run: Run
    videos: list[dict[str, str]]
    dataset: DatasetOrigin | None = None

    @classmethod
    def find(cls, init_from: str | None, run: Run, *, head: str, resume: bool) -> Self | None:
        """The initial weights of a run; None without `init_from`.

        Args:
            init_from: The folder of a finished run.
            run: The run that starts from its weights.
            head: Spec of the head of `run`.
            resume: Continue `run` if it is started.

        Raises:
            RunError: If the source is not a finished run.
            ConfigError: If the source is `run` itself, or has another head.
            TrainingError: If `run` is resumed and its copy of the model is missing.
        """
        if init_from is None:
            return None
        if resume and run.started:
            copy = run.state_dir / _COPY
            if not copy.is_file():
                raise TrainingError(
                    f"A run started from another run's weights must have {_COPY} until it is "
                    f"finished. Received: {copy} (missing)"
                )
            rows = files.read_own_csv(run.initial_videos_path, VIDEO_COLUMNS)
            return cls(copy, Run(Path(init_from)), rows)
        source = Run.open(init_from)
        if source.dir == run.dir:
            raise ConfigError(
                f"`init_from` must be another run. Received: {source.dir}, which would be replaced"
            )
        _check_head(source, head)
        dataset = source.record().dataset
        return cls(source.model_path, source, source.videos_trained_on(), dataset)

    def check(self, cache: FeatureCache, classes: list[str]) -> None:
        """Checks that features and classes are those that the model was trained on.

        Raises:
            ConfigError: If they differ, with the differences.
        """
        record = self.run.record()
        space = cache.space()
        if record.fingerprint != space.fingerprint:
            differences = space.differing(record.feature_space.as_dict())
            raise ConfigError(
                "`init_from` must be a run on features of the same space. Received: "
                f"{self.run.dir} (here: {differences})"
            )
        if record.classes != classes:
            raise ConfigError(
                f"`init_from` must be a run with the classes {', '.join(classes)}, the normal "
                f"class first. Received: {', '.join(record.classes)} ({self.run.dir})"
            )

    def check_sizes(self, model: ModelConfig, cache: FeatureCache, classes: list[str]) -> None:
        """Checks that head and outputs have as many weights, of the same sizes, as the run's.

        Raises:
            ConfigError: If they differ.
        """
        space = cache.space()
        built = classifier.build_classifier(
            head=model.head,
            outputs=model.outputs,
            features=np.zeros((2, *space.shape), np.float16),
            classes=len(classes),
            recurrence="loop",
        )
        classifier.check_shapes(built, self.load())

    def load(self) -> "keras.Model":
        return classifier.load_model(self.model_path)

    def copy_to(self, run: Run, cache: FeatureCache) -> None:
        """Copies the model into the state of a new run, and lists its videos there."""
        with files.writing(run.state_dir / _COPY) as file:
            file.write(self.model_path.read_bytes())
        files.write_csv(run.initial_videos_path, VIDEO_COLUMNS, self._videos_for(cache))

    def to_json(self, cache: FeatureCache, entries: list[ManifestEntry]) -> dict[str, Any]:
        """The entry `init_from` of the run's record."""
        return {
            "run": str(self.run.dir),
            "model_digest": files.sha256_of_file(self.model_path),
            "met": self.overlap(cache, entries),
        }

    def overlap(self, cache: FeatureCache, entries: list[ManifestEntry]) -> dict[str, int]:
        """Number of validation and of test videos that the weights were trained or tuned on.

        A video counts if its recording or its content is among the training videos of the source
        run; for the test videos, if it is among its validation videos as well.
        """
        counts = {}
        for split, used in (("validation", ["train"]), ("test", ["train", "validation"])):
            rows = [row for row in self._videos_for(cache) if row["split"] in used]
            groups = {row["group"] for row in rows} - {""}
            digests = {row["digest"] for row in rows}
            counts[split] = sum(
                entry.group in groups or entry.digest in digests
                for entry in entries
                if entry.split == split
            )
        return counts

    def warn_of_overlap(self, cache: FeatureCache, entries: list[ManifestEntry]) -> None:
        for split, count in self.overlap(cache, entries).items():
            if count:
                log.warning(
                    f"The run of --init-from was trained on {count} of the {split} videos or "
                    f"their recordings: the {split} scores are better than on new videos."
                )

    def _videos_for(self, cache: FeatureCache) -> list[dict[str, str]]:
        """The videos; without recordings if those are of another dataset, where names differ."""
        if self.dataset in (None, cache.origin):
            return self.videos
        return [row | {"group": ""} for row in self.videos]


def _check_head(source: Run, head: str) -> None:
    """Raises ConfigError if a run is an ensemble, or has another head than `head`."""
    members = source.results().members
    if members and members.kept.ensemble:
        raise ConfigError(
            f"`init_from` must be one model. Received: {source.dir}, an ensemble (its members "
            f"are runs too: {source.dir / members.members[0].run}, ...)"
        )
    source_name, own_name = (registry.parse(spec)[0].name for spec in (source.record().head, head))
    if source_name != own_name:
        raise ConfigError(
            f"`init_from` must be a run with the head {own_name}. Received: {source_name} "
            f"({source.dir})"
        )

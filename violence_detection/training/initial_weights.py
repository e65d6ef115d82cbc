"""The run that another training begins with (`--init-from`): its weights, not its optimiser."""

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from violence_detection import registry
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import ConfigError, TrainingError
from violence_detection.features.cache import FeatureCache
from violence_detection.models import classifier
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.system import files
from violence_detection.training.config import TrainConfig

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

_LEARNED = ["train", "validation"]
_COPY = "initial_model.keras"


@dataclass(frozen=True)
class InitialWeights:
    """A trained model that a run begins with.

    A started run has a copy of it in its state, until it is finished: --resume needs the
    run that it came from no more.

    Attributes:
        videos: Rows of the videos that the weights have met, with the split of then.
        dataset: Within which their recordings have their names; None if that is the run's own.
    """

    model_path: Path
    run: Run
    videos: list[dict[str, str]]
    dataset: dict[str, str] | None = None

    @classmethod
    def of(cls, config: TrainConfig, run: Run) -> Self | None:
        """What `config` asks `run` to begin with; None where it asks for nothing.

        Raises:
            RunError: If it is no finished run.
            ConfigError: If it is `run` itself, or has another head.
            TrainingError: If `run` is started, and its copy is gone.
        """
        if config.init_from is None:
            return None
        if config.resume and run.started:
            copy = run.state_dir / _COPY
            if not copy.is_file():
                raise TrainingError(
                    f"A run that began with another's weights must have {_COPY} until it is "
                    f"finished. Received: {copy} (not there)"
                )
            rows = files.read_own_csv(run.initial_videos_path, VIDEO_COLUMNS)
            return cls(copy, Run(Path(config.init_from)), rows)
        source = Run.open(config.init_from)
        if source.dir == run.dir:
            raise ConfigError(
                f"`init_from` must be another run. Received: {source.dir}, which is to be replaced"
            )
        _check_head(source, config)
        dataset = source.record().dataset
        return cls(source.model_path, source, source.known_videos(), dataset)

    def check(self, cache: FeatureCache, classes: list[str]) -> None:
        """Whether the features and classes are those that the model knows.

        Raises:
            ConfigError: If they are not; it says what differs.
        """
        record = self.run.record()
        space = cache.space()
        if record.fingerprint != space.fingerprint:
            raise ConfigError(
                "`init_from` must be a run on features of the same space. Received: "
                f"{self.run.dir} (here: {space.differing(dataclasses.asdict(record.feature_space))})"
            )
        if record.classes != classes:
            raise ConfigError(
                f"`init_from` must be a run with the classes {', '.join(classes)}, the normal "
                f"one first. Received: {', '.join(record.classes)} ({self.run.dir})"
            )

    def check_sizes(self, config: TrainConfig, cache: FeatureCache, classes: list[str]) -> None:
        """Whether the head that is asked for has the weights of the model.

        Raises:
            ConfigError: If it does not.
        """
        space = cache.space()
        asked = classifier.build_classifier(
            head=config.head,
            features=np.zeros((2, space.frames, space.dim), np.float16),
            classes=len(classes),
            recurrence="loop",
        )
        classifier.check_shapes(asked, self.load())

    def load(self) -> "keras.Model":
        return classifier.load_model(self.model_path)

    def keep(self, run: Run, cache: FeatureCache) -> None:
        """Put the copy into the state of a run that starts, and its videos beside the run's."""
        with files.writing(run.state_dir / _COPY) as file:
            file.write(self.model_path.read_bytes())
        files.write_csv(run.initial_videos_path, VIDEO_COLUMNS, self._videos_for(cache))

    def as_dict(self, cache: FeatureCache, entries: list[ManifestEntry]) -> dict[str, Any]:
        """For the run's record."""
        return {
            "run": str(self.run.dir),
            "model_digest": files.sha256_of_file(self.model_path),
            "met": self.met(cache, entries),
        }

    def met(self, cache: FeatureCache, entries: list[ManifestEntry]) -> dict[str, int]:
        """How many videos of validation and test the weights were made with: of the same
        recording or content."""
        counts = {}
        for split, learned in (("validation", ["train"]), ("test", _LEARNED)):
            rows = [row for row in self._videos_for(cache) if row["split"] in learned]
            groups = {row["group"] for row in rows} - {""}
            digests = {row["digest"] for row in rows}
            counts[split] = sum(
                entry.group in groups or entry.digest in digests
                for entry in entries
                if entry.split == split
            )
        return counts

    def warn_of_met(self, cache: FeatureCache, entries: list[ManifestEntry]) -> None:
        for split, count in self.met(cache, entries).items():
            if count:
                log.warning(
                    f"The run of --init-from learned from {count} of the {split} videos or "
                    "their recordings: what they give is better than what new ones will."
                )

    def _videos_for(self, cache: FeatureCache) -> list[dict[str, str]]:
        """The videos; names of recordings mean something within one dataset only."""
        if self.dataset in (None, cache.settings().get("dataset")):
            return self.videos
        return [row | {"group": ""} for row in self.videos]


def _check_head(source: Run, config: TrainConfig) -> None:
    results = source.results()
    if results.get("kept", {}).get("ensemble"):
        raise ConfigError(
            f"`init_from` must be one model. Received: {source.dir}, an ensemble (its members "
            f"are runs too: {source.dir / results['seeds'][0]['run']}, ...)"
        )
    head = source.config().get("settings", {}).get("head", "")
    theirs, ours = (registry.parse(spec)[0].name for spec in (head, config.head))
    if theirs != ours:
        raise ConfigError(
            f"`init_from` must be a run with the head {ours}. Received: {theirs} ({source.dir})"
        )

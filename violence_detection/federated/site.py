"""A site of a federation: from the coordinator's file and its own features to an update."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.datasets.labels import with_class_names
from violence_detection.datasets.table_files.manifest import ManifestEntry, contents_digest
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.federated import site_statistics, update_file
from violence_detection.federated.config import UpdateConfig
from violence_detection.federated.federation import Federation, read_federation
from violence_detection.federated.score_histogram import ARRAY, ScoreHistogram
from violence_detection.models import classifier
from violence_detection.system import devices, files, locks
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching

if TYPE_CHECKING:
    from violence_detection.federated.local_training import LocalTraining
    from violence_detection.training.saving.training_state import ValidationScores

log = logging.getLogger(__name__)

_SITE = "site.json"


@dataclass(frozen=True)
class UpdateResult:
    """An update that a site has written.

    Attributes:
        update: Path of the file.
        round: Number of the round.
        kind: What is in it: `statistics`, `weights` or `scores`.
        bytes: Size of the file.
        videos: Number of the site's training videos.
        validation: Loss, accuracy and AUC of the weights that the round began with, on the site's
            validation videos; empty where there is none.
        seconds: How long the training of the round took; 0 without one.
    """

    update: str
    round: int
    kind: str
    bytes: int
    videos: int
    validation: Mapping[str, float | None]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


class Site:
    """The features of a site, and its answers to the rounds of a federation.

    Attributes:
        entries: Its usable videos.
    """

    def __init__(
        self,
        features: str,
        folder: Path,
        device_setup: DeviceSetup,
        *,
        site_id: str,
        name: str | None = None,
        seed: int | None = None,
    ) -> None:
        """
        Args:
            features: Folder of the features.
            folder: For the state of the site in this federation.
            device_setup: From `devices.start`.
            site_id: By which the coordinator tells the sites apart.
            name: Of the site, for the record; None for none.
            seed: Seed of order and dropout; None for the federation's.
        """
        self._cache = FeatureCache.open(features)
        self.entries = dataset.usable_entries(self._cache)
        self._folder, self._device_setup = folder, device_setup
        self._id, self._name, self._seed = site_id, name, seed
        self._training: LocalTraining | None = None
        self._clips: dict[str, FeatureDataset] = {}

    @property
    def train_videos(self) -> int:
        return sum(entry.split == "train" for entry in self.entries)

    def answer(self, federation: Federation, model_path: Path | None) -> tuple[bytes, dict]:
        """The update of a round, and its facts.

        Args:
            federation: As the coordinator sent it.
            model_path: The coordinator's model; None in round 0.

        Raises:
            CacheError: If the features are missing, altered, or of another space or class list.
            TrainingError: If the loss is no longer finite.
        """
        facts: dict[str, Any] = {
            "federation": federation.id,
            "round": federation.round,
            "kind": federation.kind,
            "site": self._id,
            "name": self._name or "",
            "model_digest": federation.model_digest,
            "videos_digest": contents_digest(self.entries),
        }
        if federation.kind == "statistics":
            statistics, arrays = site_statistics.measure_site(
                self._cache, self.entries, federation.settings
            )
            facts |= {"statistics": statistics.to_facts()}
            return update_file.encode(facts, arrays), facts
        training = self._training_for(federation)
        model = classifier.load_model(model_path)
        if federation.kind == "weights":
            result = training.train_round(federation.round, model, federation.model_digest)
            facts |= {
                "loss": result.loss,
                "seconds": round(result.seconds, 3),
                "validation": self._validation_facts(result.validation),
            }
            arrays = {f"w{number:05d}": array for number, array in enumerate(result.weights)}
            return update_file.encode(facts, arrays), facts
        scores, histogram = training.measure(model), ScoreHistogram.nothing()
        if scores is not None:
            clips = self._clips["validation"]
            histogram = ScoreHistogram.from_probabilities(
                training.validation_probability, clips.labels, clips.groups
            )
        facts |= {"validation": self._validation_facts(scores), "scores": histogram.to_facts()}
        arrays = {ARRAY: histogram.counts.astype(np.int64)}
        return update_file.encode(facts, arrays), facts

    def _validation_facts(self, scores: "ValidationScores | None") -> dict[str, Any]:
        """The scores on the site's validation videos; empty where there are none."""
        if scores is None:
            return {}
        return {
            "videos": len(self._clips["validation"]),
            "loss": scores.loss,
            "accuracy": scores.accuracy,
            "auc": scores.auc,
        }

    def _training_for(self, federation: Federation) -> "LocalTraining":
        from violence_detection.federated.local_training import LocalTraining

        if self._training is None:
            self._clips = _read_clips(
                self._cache,
                self.entries,
                federation.pool.classes,
                views=batching.reads_views(federation.settings.batches.augment),
            )
            self._check_space(federation)
            self._training = LocalTraining(
                federation,
                self._clips,
                self._device_setup,
                self._folder,
                seed=federation.seed if self._seed is None else self._seed,
            )
        return self._training

    def _check_space(self, federation: Federation) -> None:
        differing = self._cache.space().differing(federation.pool.space.as_dict())
        if differing:
            raise CacheError(
                "Features must be of the federation's feature space. Received: "
                f"{self._cache.dir} ({differing})"
            )


def _read_clips(
    cache: FeatureCache,
    entries: Sequence[ManifestEntry],
    classes: Sequence[str],
    *,
    views: bool,
) -> dict[str, FeatureDataset]:
    """The training and, where there are any, validation videos. A site may lack a class."""
    entries = with_class_names(entries, classes)
    clips = {}
    for split in ("train", "validation"):
        members = [entry for entry in entries if entry.split == split]
        if members:
            clips[split] = dataset.read_dataset(cache, members, classes)
    if views:
        clips["train"] = dataset.with_views(cache, clips["train"])
    return clips


class UpdateStage:
    """`federate update`: reads the coordinator's file, writes the site's update."""

    def __init__(self, config: UpdateConfig, *, force: bool = False) -> None:
        """
        Args:
            config: Settings of `federate update`.
            force: An update in the target file is replaced.
        """
        self._config, self._force = config, force

    def prepare(self) -> dict[str, Any]:
        """Checks the coordinator's file, the features and the target; writes nothing.

        Raises:
            ConfigError, CacheError, ViolenceDetectionError: If one of them is not usable.
        """
        config = self._config
        self._federation = read_federation(Path(config.source))
        self._target = Path(config.target)
        if self._target.exists() and not self._force:
            raise ConfigError(
                f"--to must name a new file, or --force be given. Received: {self._target} (it "
                "exists)"
            )
        cache = FeatureCache.open(config.features)
        entries = dataset.usable_entries(cache)
        if self._federation.pool:
            with_class_names(entries, self._federation.pool.classes)
        return {
            "dry_run": True,
            "update": str(self._target),
            "round": self._federation.round,
            "kind": self._federation.kind,
            "videos": sum(entry.split == "train" for entry in entries),
        }

    def run(self) -> UpdateResult:
        """Writes the update; a round that was interrupted goes on after its last epoch.

        Raises:
            ConfigError, CacheError, TrainingError, ViolenceDetectionError: See `prepare` and
                `Site.answer`.
        """
        self.prepare()
        config, federation = self._config, self._federation
        folder = Path(config.site_dir) / federation.id
        files.ensure_writable(folder)
        with locks.locked(folder / ".lock", f"{folder} is in use by another update."):
            files.sweep_temporary(folder)
            seed = config.seed if "seed" in config.given else federation.seed
            device_setup = devices.start(seed=seed, **config.devices.as_dict())
            site = Site(
                config.features,
                folder,
                device_setup,
                site_id=_site_id(folder),
                name=config.site_name,
                seed=seed,
            )
            model = Path(config.source) if federation.round else None
            content, facts = site.answer(federation, model)
            with files.writing(self._target) as file:
                file.write(content)
        return UpdateResult(
            update=str(self._target),
            round=federation.round,
            kind=federation.kind,
            bytes=len(content),
            videos=site.train_videos,
            validation=facts.get("validation", {}),
            seconds=facts.get("seconds", 0.0),
        )


def _site_id(folder: Path) -> str:
    """The id of the site in a federation, drawn at its first update."""
    path = folder / _SITE
    if path.is_file():
        return str(files.read_json(path)["site"])
    site_id = secrets.token_hex(8)
    files.write_json(path, {"site": site_id})
    return site_id

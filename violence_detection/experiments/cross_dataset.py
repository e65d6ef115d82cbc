"""Cross-dataset evaluation: trains on each of several datasets and scores each run on all."""

import functools
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from violence_detection.datasets import labels
from violence_detection.datasets.labels import label_mapping, renamed_labels
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError
from violence_detection.evaluation import evaluation_set, leakage
from violence_detection.experiments.config import CrossDatasetConfig, settings_of_run
from violence_detection.experiments.cross_dataset_result import (
    COLUMNS,
    Cell,
    CellScores,
    CrossDatasetResult,
)
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import classification
from violence_detection.models.outputs.classes import is_violent
from violence_detection.models.run import Run
from violence_detection.system import devices, files, provenance
from violence_detection.system.study_folder import StudyFolder, StudyIdentity
from violence_detection.training import train
from violence_detection.training.saving.epoch_selection import check_monitor
from violence_detection.units import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetFeatures:
    """Features of one dataset.

    Attributes:
        name: As the cache has it.
        cache: The features.
        entries: The usable videos.
        classes: Names, the normal one first.
    """

    name: str
    cache: FeatureCache
    entries: list[ManifestEntry]
    classes: list[str]

    @classmethod
    def open(cls, features: str, normal_class: str | None) -> Self:
        """Opens the features of a dataset.

        Raises:
            CacheError: If there are no features of a finished extraction, or of one class only.
            ConfigError: If the normal class is not recognised.
        """
        cache = FeatureCache.open(features)
        entries = dataset.usable_entries(cache)
        name = cache.origin.name
        return cls(name, cache, entries, labels.classes_of(entries, normal_class))

    @functools.cached_property
    def digests(self) -> frozenset[str]:
        """Digests of the contents of its videos."""
        return frozenset(entry.digest for entry in self.entries) - {""}


class CrossDatasetStage:
    """A matrix of trainings and datasets in `<checkpoint-dir>/<name>/`.

    Started again, it resumes the training that was interrupted and runs the missing ones.
    """

    def __init__(
        self, features: Sequence[str], config: CrossDatasetConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            features: Folders of features of two datasets or more, of one feature space.
            config: The settings of every training.
            force: Whether an earlier study in the folder is replaced.
        """
        self._features, self._config, self._force = features, config, force

    def prepare(self) -> dict[str, Any]:
        """Checks everything that can be checked before a training; the JSON object of a dry run.

        Raises:
            ConfigError: If there are not two or more different datasets, or the folder has a study
                with other settings.
            CacheError: If features are missing, damaged, of different spaces, or of classes that
                cannot be matched.
        """
        self._open()
        if self._study.started and not self._force:
            self._study.check_same(self._identity())
        return {
            "dry_run": True,
            "cross_dataset": str(self._study.dir),
            "trainings": len(self._datasets) * self._config.train.members,
            "datasets": {item.name: len(item.entries) for item in self._datasets},
            "warnings": list(_shared_video_warnings(self._datasets)),
            "settings": self._config.as_dict(),
        }

    def run(self) -> CrossDatasetResult:
        """Trains and evaluates; leaves matrix.csv, results.json and the runs.

        Raises:
            ConfigError, CacheError: As `prepare`.
            TrainingError: If a loss is no longer finite.
        """
        self._open()
        devices.import_tensorflow()
        with self._study.lock():
            notes = {"versions": provenance.versions(), "commit": provenance.commit_hash()}
            self._study.start(self._identity(), force=self._force, notes=notes)
            cells = []
            for number, trained_on in enumerate(self._datasets, 1):
                log.info(f"Training {number} of {len(self._datasets)}: {trained_on.name}")
                run = self._train(trained_on)
                cells += [
                    _cell(
                        run,
                        trained_on,
                        scored_on,
                        resamples=self._config.bootstrap,
                        seed=self._config.seed,
                    )
                    for scored_on in self._datasets
                ]
            return self._write(cells)

    def _open(self) -> None:
        config = self._config
        self._datasets = open_datasets(self._features, config.train.normal_class)
        for item in self._datasets:
            validation = [row.label for row in item.entries if row.split == "validation"]
            check_monitor(config.train.selection.monitor, map(item.classes.index, validation))
        self._study = StudyFolder.named(
            config.train.checkpoint_dir,
            config.run,
            "cross-dataset study",
            record="cross_dataset.json",
            settings=CrossDatasetConfig,
        )

    def _identity(self) -> StudyIdentity:
        rows = [
            [
                item.name,
                *([e.path, e.label, e.group, e.split, e.digest] for e in item.entries),
            ]
            for item in self._datasets
        ]
        digests = {
            "fingerprint": self._datasets[0].cache.space().fingerprint,
            "videos_digest": files.sha256_of_json(rows),
        }
        return StudyIdentity(digests, self._config.as_dict())

    def _train(self, trained_on: DatasetFeatures) -> Run:
        """The run on a dataset; an interrupted one is resumed."""
        import keras

        run = Run(self._study.dir / "runs" / trained_on.name)
        keras.backend.clear_session()
        resume = run.config_path.is_file()
        features = str(trained_on.cache.dir)
        train.train_classifier(
            settings_of_run(self._config.train, run.dir, features=features, resume=resume)
        )
        return Run.open(run.dir)

    def _write(self, cells: Sequence[Cell]) -> CrossDatasetResult:
        """Writes matrix.csv and results.json."""
        folder, datasets = self._study.dir, self._datasets
        files.write_csv(folder / "matrix.csv", COLUMNS, [cell.to_csv() for cell in cells])
        warnings = list(_shared_video_warnings(datasets))
        warnings += [
            f"The recordings of {item.name} are not all known: its intervals may be too narrow."
            for item in datasets
            if not dataset.has_all_recordings(item.cache)
        ]
        result = CrossDatasetResult(
            dir=str(folder),
            datasets=[item.name for item in datasets],
            features=[str(item.cache.dir) for item in datasets],
            runs=[str(folder / "runs" / item.name) for item in datasets],
            cells=cells,
            warnings=warnings,
            matrix_csv=str(folder / "matrix.csv"),
        )
        files.write_json(folder / "results.json", result.to_json())
        return result


def open_datasets(features: Sequence[str], normal_class: str | None) -> list[DatasetFeatures]:
    """Opens the features of datasets that can be compared.

    Args:
        features: Their folders.
        normal_class: Name of the normal class; None recognises it.

    Raises:
        ConfigError: If there are not two or more different datasets.
        CacheError: If features are missing, of different spaces, or of classes that cannot be
            matched.
    """
    datasets = [DatasetFeatures.open(folder, normal_class) for folder in features]
    names = [item.name for item in datasets]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if len(datasets) < 2 or repeated:
        received = f"{repeated[0]} twice" if repeated else counted(len(datasets), "dataset")
        raise ConfigError(
            f"FEATURES must be of two or more different datasets. Received: {received}"
        )
    first = datasets[0].cache
    differing = [
        f"{item.cache.dir}: {difference}"
        for item in datasets[1:]
        if (difference := item.cache.space().differing(first.space().as_dict()))
    ]
    if differing:
        raise CacheError(
            f"FEATURES must all be of one feature space, as {first.dir} is. Received: "
            + "; ".join(differing)
        )
    for trained_on, scored_on in itertools.permutations(datasets, 2):
        label_mapping(trained_on.classes, scored_on.classes)
    return datasets


def _shared_video_warnings(datasets: Sequence[DatasetFeatures]) -> Iterator[str]:
    """A line for each pair of datasets with identical videos."""
    for first, second in itertools.combinations(datasets, 2):
        if shared := first.digests & second.digests:
            yield (
                f"{counted(len(shared), 'video')} of {first.name} and {second.name} have the same "
                "bytes: numbers of a run that was trained on them are too good."
            )


def _cell(
    run: Run, trained_on: DatasetFeatures, scored_on: DatasetFeatures, *, resamples: int, seed: int
) -> Cell:
    """Scores of a run on another dataset, or on the test videos of its own.

    Args:
        run: The run that was trained on the first dataset.
        trained_on, scored_on: The datasets.
        resamples, seed: The number of resamples of the recordings, and their seed.
    """
    own = scored_on is trained_on
    split = "test" if own else "all"
    if own and all(entry.split != "test" for entry in trained_on.entries):
        return Cell(trained_on.name, scored_on.name, split, videos=0, scores=None)
    entries = evaluation_set.split_entries(run, scored_on.cache, split)
    clips = dataset.read_dataset(scored_on.cache, entries, trained_on.classes)
    probability = run.load_classifier().probabilities(clips.features)
    thresholds = run.record().thresholds
    threshold, correct = thresholds.threshold, thresholds.decide(probability) == clips.labels
    violent, score = is_violent(clips.labels), thresholds.score(probability)
    rates = classification.binary_metrics(violent, score, threshold)
    leaks = leakage.find_leaks(
        run, scored_on.cache, entries, split, same_dataset=own, read_videos=False
    )
    scores = CellScores(
        recordings=len(set(clips.groups)),
        grouped=dataset.has_all_recordings(scored_on.cache),
        scores=classification.scores(
            correct, violent, score, clips.groups, resamples=resamples, seed=seed
        ),
        recall=rates.recall,
        false_alarm_rate=rates.false_alarm_rate,
        threshold=threshold,
        class_mapping=renamed_labels(trained_on.classes, scored_on.entries),
        clean=leaks.clean,
        shared_videos=len(leaks.identical),
    )
    return Cell(trained_on.name, scored_on.name, split, len(clips), scores)

"""The folds of a cross-validation, each learned and answered; what is answered is kept."""

import contextlib
import dataclasses
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import folds, recordings
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.recordings import NearDuplicates
from violence_detection.errors import ConfigError, EvidenceError
from violence_detection.evaluation.baselines import Baselines
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.fold_results import MODEL, Judged
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import calibration, threshold_selection
from violence_detection.models.classifier import load_model, probabilities
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching, multi_seed
from violence_detection.training.initial_weights import InitialWeights
from violence_detection.training.train import classes_of
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.validation import check_monitor
from violence_detection.units import counted

log = logging.getLogger(__name__)

_TRAINING = "training"  # folder of the folds in hand


@dataclass(frozen=True)
class Fold:
    """One fold to judge.

    Attributes:
        grouped: Whether all videos of a recording are in one fold.
        repeat, number: From 1.
        entries: All videos, those of the fold with the split `test`.
    """

    grouped: bool
    repeat: int
    number: int
    entries: list[ManifestEntry]

    @property
    def name(self) -> str:
        kind = "grouped" if self.grouped else "random"
        return f"{kind}_repeat_{self.repeat}_fold_{self.number}"

    def rows(self, split: str) -> np.ndarray:
        """Numbers of the videos of a split, int64."""
        there = [row for row, one in enumerate(self.entries) if one.split == split]
        return np.array(there, np.int64)


class Judge:
    """The folds, and what they are trained and judged with.

    Args:
        machine: That folds are learned on; None where they are learned elsewhere.
        entries: All videos with their recordings; None takes those of the features, as the
            settings group them.
        looks: Whether videos may be looked at.

    Attributes:
        folds: All of them, in their order.
        identity: What they are of: settings, features and videos.
        clips: All videos.
        classes: Names, the normal one first.
        is_known: Whether the recording of every video is known.
    """

    def __init__(
        self,
        config: CrossValidateConfig,
        machine: DeviceSetup | None,
        folder: Path,
        entries: list[ManifestEntry] | None = None,
        *,
        looks: bool = True,
    ) -> None:
        self._config, self._machine, self._folder = config, machine, folder
        self._cache = FeatureCache.open(config.features)
        self.is_known, self.grouped_by = dataset.has_all_recordings(self._cache), ""
        self.alike, self._seen = NearDuplicates.not_searched("nothing is looked at"), None
        if entries is None:
            entries = self._grouped(dataset.usable_entries(self._cache), looks)
        self.classes = classes_of(entries, config.normal_class)
        self._origin = _origin(config, self._cache, entries, self.classes)
        self.folds = _drawn(config, entries)
        self.clips = dataset.read_dataset(self._cache, entries, self.classes)
        if batching.reads_views(config.augment):
            self.clips = dataset.with_views(self._cache, self.clips)
        rows = [(one.path, one.label, one.group, one.digest) for one in entries]
        self.identity = {
            "settings": config.as_dict(),
            "fingerprint": self._cache.space().fingerprint,
            "videos_digest": files.sha256_of_json(rows),
        }
        self._baselines: Baselines | None = None

    def _grouped(self, entries: list[ManifestEntry], looks: bool) -> list[ManifestEntry]:
        """The videos with the recordings that are asked for, once all are looked at."""
        config = self._config
        if looks:
            self.alike, self._seen = recordings.find_near_duplicates(
                entries,
                video_dir=self._cache.video_dir,
                summaries_path=self._cache.summaries_path,
                read_videos=config.pictures,
                max_bits=config.near_bits,
            )
        joined = config.group_near_duplicates and looks
        found = recordings.choose_recordings(
            entries,
            complete=self.is_known,
            pattern=config.group_pattern,
            joined_by=self.alike if joined else None,
        )
        self.is_known, self.grouped_by = found.complete, found.source
        return found.apply_to(entries)

    def check_validation(self) -> None:
        """Whether the validation videos of every fold can say what they are asked.

        Raises:
            ConfigError: If those of one cannot tell one epoch from another.
            EvidenceError: If those of one cannot support the operating point.
        """
        for fold in self.folds:
            rows = fold.rows("validation")
            try:
                check_monitor(self._config.monitor, self.clips.labels[rows])
                threshold_selection.check_support(
                    self._config.operating_point,
                    self.clips.labels[rows] > 0,
                    self.clips.groups[rows],
                )
            except (ConfigError, EvidenceError) as error:
                raise type(error)(f"{error} ({fold.name})") from error

    def note(self, grouped: bool) -> str:
        """What the folds are, for every output."""
        unknown = "" if self.is_known else "the recordings are not known"
        if not grouped:
            return (
                "random folds: clips of one recording are on both sides; the numbers are too "
                "good" + (unknown and f", and {unknown}")
            )
        if unknown and self._config.group_near_duplicates:
            return (
                "folds grouped by likeness: videos that look alike are on one side; the "
                "recordings are not known, and clips of one that do not look alike may be on both"
            )
        if unknown:
            return (
                f"{unknown}: clips of one recording may be on both sides, and the numbers too good"
            )
        return "grouped folds: all clips of a recording are on one side"

    def _trivial(self) -> Baselines:
        if self._baselines is None:
            sights: Any = self.alike.reason
            if self._seen and not self._seen.missing_reason:
                sights = self._seen.summaries
            self._baselines = Baselines(self.clips, len(self.classes), sights)
            for line in self._baselines.notes:
                log.warning(line)
        return self._baselines

    def path_of(self, fold: Fold) -> Path:
        return self._folder / "folds" / f"{fold.name}.json"

    def kept(self, fold: Fold) -> Judged | None:
        """A fold that was judged before; None if it was not, or what is there is torn."""
        path = self.path_of(fold)
        try:
            found = Judged.of(json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.warning(f"{path} was altered; its fold is trained again.")
            return None
        if not np.array_equal(found.rows, fold.rows("test")):
            log.warning(f"{path} is of other videos; its fold is trained again.")
            return None
        return found

    def completed(
        self, fold: Fold, learned: dict[str, Any], answers: dict[str, np.ndarray]
    ) -> Judged:
        """What was learned, with the baselines; it is kept from now on."""
        test = fold.rows("test")
        train = np.setdiff1d(np.arange(len(self.clips)), test)
        seed = self._config.seed + fold.repeat - 1
        trivial = self._trivial()
        answers = dict(answers)
        for name in trivial.names:
            answer = trivial.answers(name, train, test, seed=seed)
            answers[name] = np.asarray(answer, np.float64)  # as it is read again
        judged = Judged(
            repeat=fold.repeat,
            fold=fold.number,
            grouped=fold.grouped,
            rows=test,
            answers=answers,
            left_out=trivial.notes,
            **learned,
        )
        files.write_text(self.path_of(fold), json.dumps(judged.as_dict()))
        return judged

    def learn(self, fold: Fold) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """How the training went, as `Judged` has it; and the model's answers."""
        import keras

        run = Run(self._folder / _TRAINING / fold.name)
        config = self._config.of_fold(fold.repeat - 1, run.dir)
        lesson = self.lesson(fold)
        keras.backend.clear_session()
        shutil.rmtree(run.dir, ignore_errors=True)
        files.ensure_writable(run.dir)
        try:
            if config.seeds > 1:
                done = multi_seed.train_members(lesson, run, config)
                effective = done["effective"]
            else:
                trainer = lesson.trainer(run, config)
                trainer.run_epochs()
                done = trainer.summary()
                effective = lesson.effective | trainer.effective
            model = load_model(run.model_path)
            answer = probabilities(model, lesson.clips["test"].features)
            temperature, threshold = self._chosen(model, lesson.clips["validation"])
        finally:
            shutil.rmtree(run.dir, ignore_errors=True)
            with contextlib.suppress(OSError):  # another fold is in training there
                run.dir.parent.rmdir()
        learned = {
            "epochs": done["epochs_run"],
            "best_epoch": done["best_epoch"],
            "temperature": temperature,
            "threshold": threshold,
            "effective": effective,
        }
        return learned, {MODEL: calibration.apply_temperature(answer, temperature)}

    def lesson(self, fold: Fold) -> TrainingJob:
        """What a fold's classifier is taught with. Without videos for validation, those that
        it learns from are looked at instead; nothing is chosen by them."""
        clips = {
            split: self.clips.take(fold.rows(split)) for split in ("train", "validation", "test")
        }
        if not len(clips["validation"]):
            clips["validation"] = clips["train"]
        return TrainingJob(
            self._machine,
            self._cache,
            fold.entries,
            self.classes,
            clips,
            [],
            self._origin,
        )

    def _chosen(self, model: Any, validation: FeatureDataset) -> tuple[float, float]:
        """Temperature and threshold, as a training chooses them on its validation videos."""
        if self._config.monitor == "none":
            return 1.0, 0.5
        probability = probabilities(model, validation.features)
        temperature, _ = calibration.fit_temperature(
            probability,
            validation.labels,
            validation.groups,
            violent=is_violent(validation.labels),
        )
        probability = calibration.apply_temperature(probability, temperature)
        threshold, _ = threshold_selection.choose_threshold(
            is_violent(validation.labels),
            violence_score(probability),
            validation.groups,
            asked=self._config.operating_point,
        )
        return temperature, threshold

    def sweep(self) -> None:
        """Remove what folds have left that were killed in training."""
        shutil.rmtree(self._folder / _TRAINING, ignore_errors=True)

    def check_buildable(self) -> None:
        """What cannot be built must fail before what is there is replaced."""
        first = self.folds[0]
        run = Run(self._folder / _TRAINING / first.name)
        self.lesson(first).trainer(run, self._config.of_fold(0, run.dir))


def _origin(
    config: CrossValidateConfig,
    cache: FeatureCache,
    entries: Sequence[ManifestEntry],
    classes: list[str],
) -> InitialWeights | None:
    """The run that each training begins with, once it has met none of the videos."""
    origin = InitialWeights.of(config, Run(Path(config.checkpoint_dir) / config.name))
    if origin:
        origin.check(cache, classes)
        judged = [dataclasses.replace(entry, split="test") for entry in entries]
        if met := origin.met(cache, judged)["test"]:
            raise ConfigError(
                "`init_from` must be a run that has not learned from the videos that are judged. "
                f"Received: {config.init_from} (it has met {counted(met, 'video')} or their "
                "recordings)"
            )
    return origin


def _drawn(config: CrossValidateConfig, entries: list[ManifestEntry]) -> list[Fold]:
    return [
        Fold(grouped, repeat, number, part)
        for grouped in config.protocols
        for repeat in range(1, config.repeats + 1)
        for number, part in enumerate(
            folds.test_folds(
                entries,
                config.folds,
                seed=config.seed + repeat - 1,
                grouped=grouped,
                validation_fraction=config.validation_fraction,
            ),
            1,
        )
    ]

"""An ensemble of runs of different feature spaces, as a run of its own.

It predicts the mean of their logits, each at its run's temperature, on the features of all spaces
side by side, and has a temperature and a threshold of its own.
"""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError
from violence_detection.features import dataset, joined_features
from violence_detection.features.cache import FeatureCache
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.output_set import OutputSet
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.models.run_record import RunRecord
from violence_detection.models.training_results import TrainingResults, TrainingSummary
from violence_detection.reports import model_card
from violence_detection.system import devices, files
from violence_detection.training.config import DeviceConfig, EnsembleConfig
from violence_detection.training.saving import run_setup
from violence_detection.training.training_data import read_splits
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.training_settings import DecisionConfig

log = logging.getLogger(__name__)

_WINDOW_SHARE = 0.01  # by which the windows of two runs may differ
_TINY = 1e-12  # probabilities are at least this, for their logarithm


@dataclass(frozen=True)
class Member:
    """A run of an ensemble."""

    run: Run
    record: RunRecord

    @property
    def videos(self) -> dict[str, tuple[str, str, str]]:
        """Label, split and content of each of its videos, by path."""
        return {
            row["path"]: (row["label"], row["split"], row["digest"])
            for row in self.run.own_videos()
        }

    def describe(self) -> dict[str, Any]:
        """Its entry in the record of the ensemble."""
        results = self.run.results().scores
        return {
            "run": str(self.run.dir),
            "feature_space": self.record.feature_space.name,
            "head": self.record.head or None,
            "temperature": self.record.temperature,
            "validation": results.validation.to_json(),
            "test": results.test and results.test.to_json(),
        }


class EnsembleStage:
    """Makes one run of several that were trained on the same videos."""

    def __init__(
        self, run_dirs: Sequence[str], config: EnsembleConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            run_dirs: Folders of two runs or more.
            config: Place, and goal of the threshold.
            force: Replace a run of this name.
        """
        self._run_dirs, self._config, self._force = run_dirs, config, force

    def prepare(self) -> dict[str, Any]:
        """Opens the runs and checks that they go together; the JSON object of a dry run.

        Raises:
            RunError: If a run cannot be used.
            ConfigError: If their classes, windows, videos or splits differ, or their feature
                spaces cannot be joined.
            CacheError: If the features of a run are gone.
        """
        config = self._config
        if len(self._run_dirs) < 2:
            raise ConfigError(
                f"RUN must be two runs or more. Received: {', '.join(self._run_dirs)}"
            )
        self._members = [Member(run, run.record()) for run in map(Run.open, self._run_dirs)]
        for member in self._members:
            record = member.record
            outputs = OutputSet.of_spec(record.outputs, len(record.classes)).outputs
            kinds = {output.kind for output in outputs}
            if record.one_class or not kinds & {"classes", "violence"}:
                raise ConfigError(
                    "Runs of an ensemble must have the output `classes` or `violence`: other "
                    "scores have no common scale. Received: "
                    f"outputs={record.outputs} ({member.run.dir})"
                )
        first, *others = self._members
        for member in others:
            _check_pair(first, member)
        self._space = FeatureSpace.joined([member.record.feature_space for member in self._members])
        self._caches = [FeatureCache.open(member.record.features) for member in self._members]
        self._run = run_setup.choose_run(
            Path(config.checkpoint_dir), config.run, resume=False, force=self._force
        )
        return {
            "dry_run": True,
            "run": str(self._run.dir),
            "members": [str(member.run.dir) for member in self._members],
            "feature_space": self._space.name,
            "videos": len(first.videos),
        }

    def run(self) -> TrainingResults:
        """Joins the features, and writes the run.

        Raises:
            RunError, ConfigError, CacheError: See `prepare`.
            EvidenceError: If there are too few videos for the operating point.
        """
        # -- the members and their features
        self.prepare()
        config, members = self._config, self._members
        device_setup = devices.start(seed=config.seed, **DeviceConfig().as_dict())
        cache = joined_features.join_features(self._caches)
        entries = _entries(cache, members[0])
        classes = members[0].record.classes
        job = TrainingJob(
            device_setup,
            cache,
            entries,
            classes,
            read_splits(cache, entries, classes, views=False),
            failures=[],
            own_split=any(member.record.own_split for member in members),
        )

        # -- the model, its temperature and threshold
        is_new = not self._run.config_path.is_file()
        locked = run_setup.locked_run(
            self._run, config.as_dict(), new=is_new, or_next=config.run is None
        )
        with locked as run:
            run_setup.write_record(
                run,
                config.as_dict(),
                cache,
                entries,
                classes,
                own_split=job.own_split,
                effective=job.effective,
            )
            run.write_config(run.config() | {"ensemble": [member.describe() for member in members]})
            _write_initial_videos(run, members)
            _save_model(run, members)
            files.write_csv(run.history_path, ("epoch", "loss"), [])
            decision = DecisionConfig(operating_point=config.operating_point)
            out_of_fold = _mean_out_of_fold(members)
            scores = job.score_run(run, decision, seed=config.seed, out_of_fold=out_of_fold)
            if out_of_fold is not None:
                basis = dataclasses.replace(
                    scores.calibration,
                    folds=int(out_of_fold.folds.max()),
                    reason="those of the runs, averaged",
                )
                scores = dataclasses.replace(scores, calibration=basis)
            summary = TrainingSummary(
                0, 0, 0, 0.0, kept_reason=f"the mean of the logits of {len(members)} runs"
            )
            results = job.results(run, summary, scores, effective=job.effective)
            job.write_results(run, results)
            TrainingClips.from_features(job.clips["train"]).write(run)
            model_card.write_model_card(run)
        return results


def _check_pair(first: Member, second: Member) -> None:
    """Checks that two runs answer the same question, and learned from the same videos.

    Raises:
        ConfigError: If they do not.
    """
    pair = f"{first.run.dir} and {second.run.dir}"
    record, second_record = first.record, second.record
    if record.classes != second_record.classes:
        raise ConfigError(
            "Runs of an ensemble must have the same classes. Received: "
            f"{', '.join(record.classes)} and {', '.join(second_record.classes)} ({pair})"
        )
    if record.fingerprint == second_record.fingerprint:
        raise ConfigError(
            "Runs of an ensemble must be of different feature spaces; `train --members N "
            f"--ensemble` averages runs of one. Received: {record.feature_space.name} twice "
            f"({pair})"
        )
    if abs(record.window_s - second_record.window_s) > _WINDOW_SHARE * record.window_s:
        raise ConfigError(
            "Runs of an ensemble must have windows of the same length. Received: "
            f"{record.window_s:g} s and {second_record.window_s:g} s ({pair})"
        )
    ours, theirs = first.videos, second.videos
    differing = sorted(
        path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)
    )
    if differing:
        path = differing[0]
        raise ConfigError(
            "Runs of an ensemble must be trained on the same videos with the same split: what one "
            "was trained on cannot be validation of another. Received: "
            f"{len(differing)} videos that differ, e.g. {path}, {_place(ours.get(path))} in "
            f"{first.run.dir} and {_place(theirs.get(path))} in {second.run.dir}"
        )


def _place(video: tuple[str, str, str] | None) -> str:
    """The label and split of a video, in words."""
    return f"{video[0]} in {video[1]}" if video else "absent"


def _entries(cache: FeatureCache, member: Member) -> list[ManifestEntry]:
    """The rows of the videos that a member knows, with its splits.

    Raises:
        ConfigError: If the features lack one of them.
    """
    videos = member.videos
    entries = [
        dataclasses.replace(entry, split=videos[entry.path][1], label=videos[entry.path][0])
        for entry in dataset.usable_entries(cache)
        if entry.path in videos and entry.digest == videos[entry.path][2]
    ]
    if len(entries) < len(videos):
        missing = min(videos.keys() - {entry.path for entry in entries})
        raise ConfigError(
            "The features of an ensemble must hold every video of its runs. Received: "
            f"{cache.dir}, which lacks {len(videos) - len(entries)}, e.g. {missing}"
        )
    return entries


def _write_initial_videos(run: Run, members: Sequence[Member]) -> None:
    """The videos of runs that the members began with: they are leaks of the ensemble, too."""
    paths = [member.run.initial_videos_path for member in members]
    rows = [
        row for path in paths if path.is_file() for row in files.read_own_csv(path, VIDEO_COLUMNS)
    ]
    if rows:
        files.write_csv(run.initial_videos_path, VIDEO_COLUMNS, rows)


def _save_model(run: Run, members: Sequence[Member]) -> None:
    """Saves the model of the members' mean logits."""
    from violence_detection.models.heads import _ensemble
    from violence_detection.training.saving.checkpoint import save_classifier

    models = [member.run.load_classifier().model for member in members]
    temperatures = [member.record.temperature for member in members]
    save_classifier(_ensemble.build_of_spaces(models, temperatures), run.model_path)


def _mean_out_of_fold(members: Sequence[Member]) -> CalibrationPredictions | None:
    """The means of the members' out-of-fold predictions; None if a member has none.

    Each is of models that were not trained on the video, so that the folds may differ.
    """
    predicted = [CalibrationPredictions.of_run(member.run) for member in members]
    if any(part is None or part.folds is None for part in predicted):
        return None
    rows = [{path: row for row, path in enumerate(part.paths)} for part in predicted]
    paths = [path for path in predicted[0].paths if all(path in row for row in rows)]
    chosen = [[row[path] for path in paths] for row in rows]
    logits = [
        np.log(np.maximum(part.probability[places], _TINY)) / member.record.temperature
        for part, places, member in zip(predicted, chosen, members, strict=True)
    ]
    first = predicted[0]
    return dataclasses.replace(
        first,
        paths=tuple(paths),
        groups=first.groups[chosen[0]],
        labels=first.labels[chosen[0]],
        probability=softmax(np.mean(logits, axis=0), axis=1),
        folds=first.folds[chosen[0]],
        baseline=np.mean(
            [part.baseline[places] for part, places in zip(predicted, chosen, strict=True)], axis=0
        ),
    )

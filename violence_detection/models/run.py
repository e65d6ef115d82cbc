"""A run: the folder of a trained classifier, and the record of how it was trained."""

import difflib
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from violence_detection import units
from violence_detection.datasets.video_files import EXTENSIONS
from violence_detection.errors import ConfigError, RunError, ViolenceDetectionError
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.models.run_record import FORMAT_VERSION, RunRecord
from violence_detection.models.training_results import TrainingResults
from violence_detection.system import files
from violence_detection.system.files import read_json

if TYPE_CHECKING:
    from violence_detection.models.classifier import Classifier

_CHECKPOINT_DIR = Path("checkpoints")  # the default of train
_MOST_NAMED = 4  # runs that an error lists

VIDEO_COLUMNS = ("path", "label", "group", "split", "digest")


@dataclass(frozen=True)
class Run:
    """The paths in a run's folder, and the JSON in it."""

    dir: Path

    @property
    def model_path(self) -> Path:
        return self.dir / "best_model.keras"

    @property
    def config_path(self) -> Path:
        return self.dir / "training_config.json"

    @property
    def results_path(self) -> Path:
        return self.dir / "training_results.json"

    @property
    def history_path(self) -> Path:
        return self.dir / "training_history.csv"

    @property
    def videos_path(self) -> Path:
        """The videos that it was trained on, with their recording, split and digest."""
        return self.dir / "training_videos.csv"

    @property
    def initial_videos_path(self) -> Path:
        """The videos of the run whose weights it began with, where it did."""
        return self.dir / "initial_videos.csv"

    @property
    def calibration_path(self) -> Path:
        """The predictions that temperature and threshold were chosen on."""
        return self.dir / "calibration_predictions.csv"

    @property
    def training_clips_path(self) -> Path:
        """Statistics of the training clips, for novelty and the nearest clips; with their paths."""
        return self.dir / "training_clips.npz"

    @property
    def state_dir(self) -> Path:
        return self.dir / "state"

    @property
    def tensorboard_dir(self) -> Path:
        return self.dir / "tensorboard"

    @property
    def footage_dir(self) -> Path:
        """The windows of normal footage, a file a video."""
        return self.dir / "footage"

    def evaluation_dir(self, split: str) -> Path:
        return self.dir / "evaluation" / split

    def checkpoint_path(self, epoch: int) -> Path:
        return self.dir / f"checkpoint_epoch_{epoch:04d}.keras"

    @property
    def started(self) -> bool:
        """True once the training data is recorded; before that only the settings are."""
        return self.config_path.is_file() and "videos_digest" in self.config()

    @property
    def finished(self) -> bool:
        return self.results_path.is_file()

    def history(self) -> list[dict[str, float]]:
        """The rows of training_history.csv, without empty cells."""
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in files.read_own_csv(self.history_path, ("epoch",))
        ]

    def own_splits(self) -> dict[str, str]:
        """Split by path, where the run drew one for itself; nothing where it has the dataset's."""
        if not self.config().get("own_split"):
            return {}
        rows = self.own_videos()
        return {row["path"]: row["split"] for row in rows}

    @property
    def known_to_teacher(self) -> int:
        """Number of its videos that its teacher was trained on, or on their recordings."""
        return self.config()["teacher"]["known"]

    def own_videos(self) -> list[dict[str, str]]:
        """The videos that it was trained, validated and tested on."""
        return files.read_own_csv(self.videos_path, VIDEO_COLUMNS)

    def videos_trained_on(self) -> list[dict[str, str]]:
        """The videos that its weights were trained on, also in the run that they come from."""
        paths = [self.videos_path]
        if self.initial_videos_path.is_file():
            paths.append(self.initial_videos_path)
        rows = [files.read_own_csv(path, VIDEO_COLUMNS) for path in paths]
        return list(itertools.chain(*rows))

    def trained_digests(self) -> dict[str, str]:
        """Split, train or validation, by the digest of each file that the weights learned from or
        were chosen on; nothing where the run lists no videos, as a federated one."""
        if not self.videos_path.is_file():
            return {}
        rows = [row for row in self.videos_trained_on() if row["split"] in ("train", "validation")]
        rows.sort(key=lambda row: row["split"], reverse=True)  # parts of a file: train stays
        return {row["digest"]: row["split"] for row in rows}

    @classmethod
    def named(cls, checkpoint_dir: Path, name: str | None) -> Self:
        """The run `name` in `checkpoint_dir`, or one with a fresh name; nothing is made yet.

        Raises:
            ConfigError: If `name` is not the name of a folder.
        """
        if name is None:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            names = [stamp, *(f"{stamp}-{count}" for count in range(2, 1000))]
            name = next(name for name in names if not (checkpoint_dir / name).exists())
        elif not units.is_name(name):
            raise ConfigError(f"`run` must be the name of a folder. Received: {name!r}")
        return cls((checkpoint_dir / name).resolve())

    def reserve(self, settings: Mapping[str, Any], *, or_next: bool) -> Self:
        """Make the folder, if nobody else has, and leave the settings in it.

        Args:
            settings: All settings of `train`, by flat name.
            or_next: Take the next free name where another training was quicker.

        Raises:
            ConfigError: If another training was quicker.
            ViolenceDetectionError: If it cannot be written.
        """
        names = [self.dir.name]
        if or_next:
            names += [f"{self.dir.name}-{count}" for count in range(2, 1000)]
        for name in names:
            run = type(self)(self.dir.with_name(name))
            try:
                run.dir.mkdir(parents=True, exist_ok=True)
                # Of several trainings, one makes this file.
                run.config_path.touch(exist_ok=False)
            except FileExistsError:
                continue
            except OSError as error:
                raise files.write_error(run.dir, error) from error
            try:
                run.write_config({"settings": settings})
            except ViolenceDetectionError:
                run.config_path.unlink(missing_ok=True)
                raise
            return run
        raise ConfigError(
            f"--run must name a new run. Received: {self.dir} (another training has taken it)"
        )

    @classmethod
    def newest(cls, checkpoint_dir: Path) -> Self | None:
        """The unfinished run whose settings were written last, else the finished one."""
        configs = list(checkpoint_dir.glob("*/training_config.json"))
        if not configs:
            return None
        runs = [cls(path.parent.resolve()) for path in configs]
        return max(runs, key=lambda run: (not run.finished, run.config_path.stat().st_mtime_ns))

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """A trained run.

        Raises:
            RunError: If `folder` is none, is not finished or is of a newer version.
        """
        run = cls(Path(folder).resolve())
        if not run.dir.is_dir():
            reason = "a file" if run.dir.is_file() else "does not exist"
            if run.dir.is_file() and run.dir.suffix.lower() in EXTENSIONS:
                reason = "a video; are the arguments swapped? RUN comes first"
            near = "" if run.dir.is_file() else _runs_near(run.dir)
            raise RunError(
                f"RUN must be a folder that train left. Received: {folder} ({reason}){near}"
            )
        if not run.config_path.is_file():
            raise RunError(
                f"RUN must be a folder that train left. Received: {folder} (it has no "
                f"{run.config_path.name}){_runs_near(run.dir)}"
            )
        for path in (run.results_path, run.model_path):
            if not path.is_file():
                raise RunError(
                    f"A finished run must hold {path.name}. Received: {folder} (it does not; "
                    "train --resume finishes an interrupted one)"
                )
        run.record()
        return run

    def config(self) -> dict[str, Any]:
        return read_json(self.config_path)

    def results(self) -> TrainingResults:
        """The results of a finished run.

        Raises:
            RunError: If the file cannot be read, or lacks a key.
        """
        return TrainingResults.from_json(read_json(self.results_path))

    def record(self) -> RunRecord:
        """The record of a finished run.

        Raises:
            RunError: If its files cannot be read, or are of a newer version.
        """
        return RunRecord.from_json(self.config(), read_json(self.results_path), self.dir)

    def load_classifier(self) -> "Classifier":
        """The trained classifier, whose probabilities are at the run's temperature.

        Raises:
            RunError: If the model is damaged.
        """
        from violence_detection.models.classifier import Classifier, load_model

        return Classifier.of_model(load_model(self.model_path), self.record().temperature)

    def write_config(self, config: Mapping[str, Any]) -> None:
        files.write_json(self.config_path, {"format_version": FORMAT_VERSION, **config})

    def write_results(self, results: TrainingResults) -> None:
        files.write_json(self.results_path, results.to_json())

    def write_threshold(
        self,
        threshold: float,
        reason: str,
        point: ChosenOperatingPoint | None,
        class_thresholds: Mapping[str, float] | None = None,
    ) -> None:
        """Replaces the threshold of a finished run.

        Args:
            threshold: On the score, from which on a clip is violent.
            reason: The reason for it, in words.
            point: The operating point that it was chosen for; None keeps the recorded one.
            class_thresholds: Thresholds of single classes by name; None keeps the recorded ones.
        """
        chosen = {"threshold": threshold, "threshold_reason": reason}
        if point is not None:
            chosen["operating_point"] = point.as_dict()
        if class_thresholds is not None:
            chosen["class_thresholds"] = dict(class_thresholds)
        files.write_json(self.results_path, read_json(self.results_path) | chosen)


def _runs_near(folder: Path) -> str:
    """The run that was most likely meant by a folder that is not a run, else the newest runs in it,
    beside it and in the default folder; empty if there are none."""
    runs = {
        path.parent.resolve(): path.stat().st_mtime
        for place in (folder, folder.parent, _CHECKPOINT_DIR)
        for path in place.glob(f"*/{Run(place).config_path.name}")
    }
    newest = sorted(runs, key=runs.__getitem__, reverse=True)
    names = {run.name: units.shown_path(run) for run in reversed(newest)}
    if close := difflib.get_close_matches(folder.name, names, n=1):
        return f". Did you mean {names[close[0]]}?"
    if not newest:
        return ""
    shown = ", ".join(units.shown_path(run) for run in newest[:_MOST_NAMED])
    more = f" and {len(newest) - _MOST_NAMED} more" if newest[_MOST_NAMED:] else ""
    return f". Existing runs: {shown}{more}"

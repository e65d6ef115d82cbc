"""A run: the folder that training leaves, and that everything after it starts from."""

import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from violence_detection import units
from violence_detection.errors import ConfigError, RunError, ViolenceDetectionError
from violence_detection.system import files
from violence_detection.system.files import read_json

FORMAT_VERSION = 1
CONFIG_KEYS = frozenset(
    "classes normal_class dataset features fingerprint feature_space weights window_s".split()
)
VIDEO_COLUMNS = ("path", "label", "group", "split", "digest")
RESULTS_KEYS = frozenset({"threshold"})


@dataclass(frozen=True)
class Run:
    """Paths in a run's folder, and the JSON in it."""

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
    def state_dir(self) -> Path:
        return self.dir / "state"

    @property
    def tensorboard_dir(self) -> Path:
        return self.dir / "tensorboard"

    @property
    def footage_dir(self) -> Path:
        """What it sees in normal footage, video by video."""
        return self.dir / "footage"

    def evaluation_dir(self, split: str) -> Path:
        return self.dir / "evaluation" / split

    def checkpoint_path(self, epoch: int) -> Path:
        return self.dir / f"checkpoint_epoch_{epoch:04d}.keras"

    @property
    def started(self) -> bool:
        """Whether it is known what it learns from; before that only its settings are."""
        return self.config_path.is_file() and "videos_digest" in self.config()

    @property
    def finished(self) -> bool:
        return self.results_path.is_file()

    def own_splits(self) -> dict[str, str]:
        """Split by path, where the run drew one for itself; nothing where it has the dataset's."""
        if not self.config().get("own_split"):
            return {}
        rows = self.own_videos()
        return {row["path"]: row["split"] for row in rows}

    def own_videos(self) -> list[dict[str, str]]:
        """The videos that it was trained, validated and tested on."""
        return files.read_own_csv(self.videos_path, VIDEO_COLUMNS)

    def known_videos(self) -> list[dict[str, str]]:
        """The videos that its weights have met: its own, and those of the run it began with."""
        paths = [self.videos_path]
        if self.initial_videos_path.is_file():
            paths.append(self.initial_videos_path)
        rows = [files.read_own_csv(path, VIDEO_COLUMNS) for path in paths]
        return list(itertools.chain(*rows))

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

    def reserve(self, settings: dict[str, Any], *, or_next: bool) -> Self:
        """Make the folder, if nobody else has, and leave the settings in it.

        Args:
            settings: Of the training.
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
            raise RunError(f"RUN must be a folder that train left. Received: {folder} (not there)")
        if not run.config_path.is_file():
            raise RunError(
                f"RUN must be a folder that train left. Received: {folder} (it has no "
                f"{run.config_path.name})"
            )
        for path in (run.results_path, run.model_path):
            if not path.is_file():
                raise RunError(
                    f"A finished run must hold {path.name}. Received: {folder} (it does not; "
                    "train --resume goes on with an unfinished one)"
                )
        version = run.config().get("format_version", 0)
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise RunError(
                f"The run's format must be <= {FORMAT_VERSION}. Received: {version} in {folder} "
                "(made by a newer version of this program)"
            )
        for path, keys in (
            (run.config_path, CONFIG_KEYS),
            (run.results_path, RESULTS_KEYS),
        ):
            missing = keys - read_json(path).keys()
            if missing:
                raise RunError(
                    f"{path.name} must have `{min(missing)}`. Received: {path} (it has not)"
                )
        _check_share(run.results_path, run.results()["threshold"])
        _check_temperature(run.results_path, run.temperature)
        return run

    def config(self) -> dict[str, Any]:
        return read_json(self.config_path)

    def results(self) -> dict[str, Any]:
        return read_json(self.results_path)

    @property
    def temperature(self) -> float:
        """What its logits are divided by; 1 for a run of before there was one."""
        return self.results().get("temperature", 1.0)

    def write_config(self, config: dict[str, Any]) -> None:
        files.write_json(self.config_path, {"format_version": FORMAT_VERSION, **config})

    def write_results(self, results: dict[str, Any]) -> None:
        files.write_json(self.results_path, results)


def _check_share(path: Path, threshold: Any) -> None:
    sound = type(threshold) in (int, float) and math.isfinite(threshold)
    if not sound or not 0 <= threshold <= 1:
        raise RunError(
            f"`threshold` in {path.name} must be in [0, 1]. Received: {threshold} ({path})"
        )


def _check_temperature(path: Path, temperature: Any) -> None:
    sound = type(temperature) in (int, float) and math.isfinite(temperature)
    if not sound or temperature <= 0:
        raise RunError(
            f"`temperature` in {path.name} must be > 0. Received: {temperature} ({path})"
        )

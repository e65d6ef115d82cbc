"""Long footage in which nothing happens, scored as `predict` scores it: what would be an alarm
there is a false one."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from violence_detection.datasets import video_folder
from violence_detection.errors import DatasetError, VideoError
from violence_detection.evaluation.false_alarms import ScoredFootage
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.predictor import Predictor
from violence_detection.models.run import Run
from violence_detection.system import files, progress
from violence_detection.units import counted

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class NormalFootage:
    """Normal footage as a run sees it.

    Attributes:
        folder: Where it is.
        watched: What alarms there are at any threshold.
        unreadable: `path` and `reason` of what could not be read, and is not counted.
    """

    folder: Path
    watched: ScoredFootage
    unreadable: list[dict[str, str]]

    def told(self, threshold: float, **draw: int) -> dict[str, Any]:
        """`Watched.told`, with the folder and what is unreadable in it."""
        return {
            "dir": str(self.folder),
            **self.watched.told(threshold, **draw),
            "unreadable": self.unreadable,
        }


def list_videos(folder: Path) -> list[str]:
    """The videos below a folder, relative to it.

    Raises:
        DatasetError: If there is no folder, or no video in it.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"--normal-footage must be a folder of videos. Received: {folder} (none)"
        )
    found, notes = video_folder.find_videos(folder)
    for note in notes:
        log.info(f"{folder}: {note}")
    if not found:
        raise DatasetError(f"--normal-footage must hold videos. Received: {folder} (none)")
    return found


def score_footage(run: Run, folder: Path, config: PredictConfig) -> NormalFootage:
    """Score every video below a folder with a run's sliding window.

    Each is kept in the run's `footage/` as soon as it is scored, so that what was interrupted is
    gone on with, and another threshold costs nothing.

    Raises:
        DatasetError: If there is nothing to see in the folder.
        RunError, WeightsError: If the run cannot look at videos.
    """
    paths = list_videos(folder)
    scores = _WindowCache(run, folder, config)
    windows, unreadable = {}, []
    with progress.track("Watching", len(paths), "videos") as step:
        for path in paths:
            try:
                windows[path] = scores.of(path)
            except VideoError as error:
                log.warning(f"Cannot read {path}: {error}")
                unreadable.append({"path": path, "reason": str(error)})
            step()
    if not windows:
        raise DatasetError(
            f"--normal-footage must hold readable videos. Received: {folder} "
            f"({counted(len(paths), 'video')}, of which none is)"
        )
    return NormalFootage(folder, ScoredFootage.of(windows), unreadable)


class _WindowCache:
    """Windows of videos, kept; the predictor starts with the first that is not there yet."""

    def __init__(self, run: Run, folder: Path, config: PredictConfig) -> None:
        self._run, self._folder, self._config = run, folder, config
        self._predictor: Predictor | None = None
        self._identity = {
            "model_digest": files.sha256_of_file(run.model_path),
            "temperature": run.temperature,
        }

    def of(self, path: str) -> list[dict[str, float]]:
        """
        Raises:
            VideoError: If it cannot be read.
        """
        full = self._folder / path
        try:
            stat = full.stat()
        except OSError as error:
            raise VideoError(f"it cannot be read: {error.strerror}") from error
        whole = str(full.resolve())
        identity = self._identity | {
            "path": whole,
            "size": stat.st_size,
            "mtime": stat.st_mtime_ns,
        }
        digits = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
        kept = self._run.footage_dir / f"{digits[:16]}.json"
        if (found := _read_windows(kept, identity)) is not None:
            return found
        if self._predictor is None:
            self._predictor = Predictor(self._run, self._config)
        windows = self._predictor.predict(full)["windows"]
        files.write_text(kept, json.dumps(identity | {"windows": windows}))
        return windows


def _read_windows(path: Path, identity: dict[str, Any]) -> list[dict[str, float]] | None:
    """Windows that were kept; None where they are not there, torn, or of something else."""
    try:
        there = json.loads(path.read_text())
        if any(there[name] != value for name, value in identity.items()):
            return None
        return [
            {name: float(row[name]) for name in ("start_s", "end_s", "probability")}
            for row in there["windows"]
        ] or None
    except (OSError, ValueError, KeyError, TypeError):
        return None

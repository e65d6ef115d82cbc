"""Normal footage, scored as `predict` scores it: every alarm in it is a false alarm."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from violence_detection.datasets import video_files
from violence_detection.datasets.videos import Problem
from violence_detection.errors import DatasetError, VideoError
from violence_detection.evaluation.footage.alarm_counts import PLAIN, AlarmRule
from violence_detection.evaluation.footage.false_alarms import ScoredFootage
from violence_detection.inference.config import CAMERA_HOLD_MB
from violence_detection.inference.prediction_records import Window
from violence_detection.inference.predictor import Predictor
from violence_detection.models.run import Run
from violence_detection.reports.evaluation.evaluation_result import FootageAlarms
from violence_detection.system import files, progress
from violence_detection.units import counted
from violence_detection.video import video_file
from violence_detection.video.frame_series import names_by_video, with_rate

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class NormalFootage:
    """A folder of normal footage, scored by a run.

    Attributes:
        folder: The folder of the videos.
        scored: The windows of the readable videos.
        unreadable: Videos that could not be read; they do not count.
    """

    folder: Path
    scored: ScoredFootage
    unreadable: list[Problem]

    def alarms_at(self, threshold: float, *, resamples: int, seed: int) -> FootageAlarms:
        """`ScoredFootage.alarms_at`, with the folder and its unreadable videos."""
        alarms = self.scored.alarms_at(threshold, resamples=resamples, seed=seed)
        return dataclasses.replace(alarms, dir=str(self.folder), unreadable=self.unreadable)


def list_videos(folder: Path, frames_fps: float | None = None) -> dict[str, Path]:
    """The videos below a folder, by their path relative to it.

    Args:
        folder: The folder, which may itself be a video of numbered pictures.
        frames_fps: The rate at which numbered pictures are read as videos; None does not.

    Raises:
        DatasetError: If the folder does not exist or has no video.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"--normal-footage must be a folder of videos. Received: {folder} (no such folder)"
        )
    folder_files = video_files.find_files(folder, frames_fps)
    for note in folder_files.notes():
        log.info(f"{folder}: {note}")
    videos = {path: folder / path for path in folder_files.videos}
    is_series = "" in names_by_video(path for path in folder_files.others if "/" not in path)
    if is_series and frames_fps is not None:
        whole = folder.resolve()
        name = with_rate(whole.name, frames_fps)
        videos[name] = whole.with_name(name)
    if not videos and frames_fps is None and (is_series or video_files.frame_videos(folder_files)):
        raise DatasetError(
            "--frames-fps must give the rate of videos that are kept as numbered pictures. "
            f"Received: {folder} (numbered pictures, and no --frames-fps)"
        )
    if not videos:
        raise DatasetError(f"--normal-footage must hold videos. Received: {folder} (empty)")
    return videos


def score_footage(
    run: Run,
    folder: Path,
    *,
    rule: AlarmRule = PLAIN,
    frames_fps: float | None = None,
    weights: str | None = None,
    seed: int = 42,
) -> NormalFootage:
    """Scores every video below a folder with a run's sliding window.

    The windows of each video are saved in the run's `footage/` as soon as they are scored: an
    interrupted scoring resumes, and another threshold needs no scoring.

    Args:
        run: The run.
        folder: The folder of the videos.
        rule: What makes an alarm of windows.
        frames_fps: See `list_videos`.
        weights: File of the backbone's weights; None for the one that the run names.
        seed: Seed of the prediction.

    Raises:
        DatasetError: If the folder has no readable video.
        RunError, WeightsError: If the run cannot be applied to videos.
    """
    videos = list_videos(folder, frames_fps)
    windows, unreadable = score_videos(run, videos, weights=weights, seed=seed)
    if not windows:
        raise DatasetError(
            f"--normal-footage must hold readable videos. Received: {folder} "
            f"({counted(len(videos), 'video')}, none of them readable)"
        )
    return NormalFootage(folder, ScoredFootage.from_windows(windows, rule), unreadable)


def score_videos(
    run: Run, files_of: Mapping[str, Path], *, weights: str | None = None, seed: int = 42
) -> tuple[dict[str, list[Window]], list[Problem]]:
    """The windows of each readable video by its name, and the videos that could not be read.
    Windows are saved as `score_footage` says.

    Args:
        run: The run.
        files_of: The file of each name.
        weights: File of the backbone's weights; None for the one that the run names.
        seed: Seed of the prediction.

    Raises:
        RunError, WeightsError: If the run cannot be applied to videos.
    """
    cache = _WindowCache(run, weights=weights, seed=seed)
    windows, unreadable = {}, []
    with progress.track("Scoring footage", len(files_of), "videos") as step:
        for name, path in files_of.items():
            try:
                windows[name] = cache.windows_of(path)
            except VideoError as error:
                log.warning(f"Cannot read {name}: {error}")
                unreadable.append(Problem(name, str(error)))
            step()
    return windows, unreadable


class _WindowCache:
    """Scored windows of videos, saved in the run; the predictor starts with the first video that
    has none."""

    def __init__(self, run: Run, *, weights: str | None, seed: int) -> None:
        self._run = run
        self._weights, self._seed = weights, seed
        self._predictor: Predictor | None = None
        self._identity = {
            "model_digest": files.sha256_of_file(run.model_path),
            "temperature": run.record().temperature,
            "hold_mb": CAMERA_HOLD_MB,  # as `watch` does, so that thresholds hold there
        }

    def windows_of(self, path: Path) -> list[Window]:
        """The scored windows of a video, from the run's folder or by prediction.

        Raises:
            VideoError: If the video cannot be read.
        """
        try:
            state = video_file.state_of(path)
        except OSError as error:
            raise VideoError(f"it cannot be read: {error.strerror}") from error
        whole = str(path.resolve())
        identity = self._identity | {
            "path": whole,
            "size": state.size,
            "mtime": state.mtime_ns,
        }
        digits = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
        saved = self._run.footage_dir / f"{digits[:16]}.json"
        if (windows := _read_windows(saved, identity)) is not None:
            return windows
        if self._predictor is None:
            self._predictor = Predictor(
                self._run, weights=self._weights, seed=self._seed, hold_mb=CAMERA_HOLD_MB
            )
        windows = self._predictor.predict_video(path).windows
        rows = [window.as_dict() for window in windows]
        files.write_text(saved, json.dumps(identity | {"windows": rows}))
        return list(windows)


def _read_windows(path: Path, identity: dict[str, Any]) -> list[Window] | None:
    """Saved windows; None if the file is missing, torn, or of another model or video."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if any(saved[name] != value for name, value in identity.items()):
            return None
        return [
            Window(float(row["start_s"]), float(row["end_s"]), float(row["probability"]))
            for row in saved["windows"]
        ] or None
    except (OSError, ValueError, KeyError, TypeError):
        return None

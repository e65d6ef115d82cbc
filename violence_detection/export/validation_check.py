"""The predictions of a run and of its exported file for the validation videos."""

import functools
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from violence_detection.datasets.videos import Problem
from violence_detection.errors import DatasetError, VideoError
from violence_detection.export.check_windows import CheckVideo
from violence_detection.export.conversion import Converter, ExportedModel, WindowPredictions
from violence_detection.export.export_job import READER_BYTES, ExportJob
from violence_detection.export.formats._format import FEATURES, PROBABILITIES, PROBABILITY
from violence_detection.export.parity import VideoPredictions
from violence_detection.models.outputs.classes import violence_score
from violence_detection.system import processes, progress
from violence_detection.system.processes import DedicatedProcess, ProcessPool

log = logging.getLogger(__name__)


class CheckedVideos(NamedTuple):
    """The predictions of N videos in M windows.

    Attributes:
        rows: Numbers of the videos, (N,).
        video_of_window: Number among `rows` of each window's video, (M,).
        source: Predictions of the windows by the model that was converted, float64 (M, K).
        exported: The same by the file.
        videos: Predictions of the videos.
        left_out: Windows of long videos that were not checked.
        unreadable: The other videos.
        example: The input of the file for one clip, by name.
    """

    rows: list[int]
    video_of_window: list[int]
    source: np.ndarray
    exported: np.ndarray
    videos: VideoPredictions
    left_out: int = 0
    unreadable: Sequence[Problem] = ()
    example: Mapping[str, np.ndarray] = {}


def check_features(
    job: ExportJob, converter: DedicatedProcess, exported: DedicatedProcess
) -> CheckedVideos:
    """Predicts the clips from the features in the cache, with the run and with a classifier.

    Of a video in segments each is a clip, and the video is its most violent one.
    """
    features = np.float32(job.cached.features)
    videos, segments = len(features), features.shape[1] if features.ndim == 4 else 1
    clips = features.reshape(-1, *features.shape[-2:])
    reference, source = converter.call_method(Converter.predict_features, clips)
    inputs = [{FEATURES: clip[None]} for clip in clips]
    by_file = np.stack(
        [_by_class(exported.call_method(ExportedModel.predict, given)) for given in inputs]
    )

    def of_videos(windows: np.ndarray) -> np.ndarray:
        return np.stack([_most_violent(rows) for rows in windows.reshape(videos, segments, -1)])

    evaluated = of_videos(reference)
    return CheckedVideos(
        rows=list(range(videos)),
        video_of_window=np.repeat(np.arange(videos), segments).tolist(),
        source=source,
        exported=by_file,
        videos=VideoPredictions(
            evaluated=evaluated,
            own=None,
            resized=None,
            resampled=None,
            given=evaluated,
            source=of_videos(source) if job.request.is_compressed else evaluated,
            exported=of_videos(by_file),
        ),
        example=inputs[0],
    )


def check_videos(
    job: ExportJob, converter: DedicatedProcess, exported: DedicatedProcess, scratch: Path
) -> CheckedVideos:
    """Predicts the windows of every readable video with the run and with the file.

    Raises:
        DatasetError: If no video can be read.
    """
    windows: dict[int, dict[str, np.ndarray]] = {}  # by row: predictions (windows, K) by name
    unreadable, left_out, example = {}, 0, {}
    with (
        progress.track("Checking", len(job.entries), "videos") as step,
        ThreadPoolExecutor(1) as runtime,
    ):
        videos = processes.map_unordered(
            functools.partial(_read_video, job=job, folder=scratch),
            range(len(job.entries)),
            children=2,
            memory_bytes=READER_BYTES,
        )
        for row, video in videos:
            progress.stop.check()
            if isinstance(video, VideoError):
                log.warning(f"Cannot read {job.entries[row].path}: {video}")
                unreadable[row] = Problem(job.entries[row].path, str(video))
                continue
            # The file is run while the run's own model predicts.
            frame_input = job.request.frame_input
            by_file = runtime.submit(
                exported.call_method, ExportedModel.predict_windows, video.windows, frame_input
            )
            by_run = [
                converter.call_method(Converter.predict_window, window.images)
                for window in video.windows
            ]
            windows[row] = {
                name: np.stack(rows)
                for name, rows in zip(
                    WindowPredictions._fields, zip(*by_run, strict=True), strict=True
                )
            } | {"exported": np.stack([_by_class(outputs) for outputs in by_file.result()])}
            left_out += video.left_out
            if not example:
                inputs = video.windows[0].inputs(frame_input)
                example = {name: np.array(value) for name, value in inputs.items()}
            for window in video.windows:
                window.frames.unlink()
            step()
    if not windows:
        first = next(iter(unreadable.values()))
        raise nothing_readable(f"{first.path} ({first.reason})")
    return _checked_videos(job, converter, dict(sorted(windows.items())))._replace(
        left_out=left_out,
        unreadable=[unreadable[row] for row in sorted(unreadable)],
        example=example,
    )


def _checked_videos(
    job: ExportJob, converter: DedicatedProcess, windows: Mapping[int, Mapping[str, np.ndarray]]
) -> CheckedVideos:
    """The predictions of videos, of those of their windows, (M, K) by name and row."""
    rows = list(windows)
    features = np.stack([job.cached.features[row] for row in rows])
    evaluated, _ = converter.call_method(Converter.predict_features, features)
    of_videos = {
        name: np.stack([_most_violent(windows[row][name]) for row in rows])
        for name in windows[rows[0]]
    }
    if not job.request.is_compressed:
        of_videos["source"] = of_videos["given"]
    return CheckedVideos(
        rows=rows,
        video_of_window=[
            number for number, row in enumerate(rows) for _ in windows[row]["exported"]
        ],
        source=np.concatenate([windows[row]["source"] for row in rows]),
        exported=np.concatenate([windows[row]["exported"] for row in rows]),
        videos=VideoPredictions(evaluated=evaluated, **of_videos),
    )


def _read_video(
    row: int, call: ProcessPool, *, job: ExportJob, folder: Path
) -> tuple[int, CheckVideo | VideoError]:
    try:
        return row, job.read_video(row, call, folder)
    except VideoError as error:
        return row, error


def _most_violent(windows: np.ndarray) -> np.ndarray:
    """The prediction (K,) of the window with the highest score, of those of all (M, K)."""
    return windows[int(np.nan_to_num(violence_score(windows)).argmax())]


def _by_class(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """The probabilities of all classes, float64 (K,), of the outputs of a file for one clip."""
    if PROBABILITIES in outputs:
        return outputs[PROBABILITIES][0].astype(np.float64)
    violent = outputs[PROBABILITY][0].astype(np.float64)
    return np.concatenate([1 - violent, violent])


def nothing_readable(received: object) -> DatasetError:
    """The error if no validation video can be read."""
    return DatasetError(f"At least one validation video must be readable. Received: {received}")

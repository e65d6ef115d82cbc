"""Explains predictions: frames of the highest window, and the training clips nearest to it."""

from pathlib import Path

import cv2
import numpy as np

from violence_detection.datasets.table_files.manifest import part_of
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.inference.prediction_records import VideoPrediction
from violence_detection.inference.video_sources import Source
from violence_detection.models.neighbours.near_clip import NearClip
from violence_detection.models.neighbours.training_clips import missing_line
from violence_detection.models.run import Run
from violence_detection.reports.plots.explanation_figure import Explanation
from violence_detection.system.processes import ProcessPool
from violence_detection.video import still_frames, video_file

_TILE_PX = (320, 240)


class Explainer:
    """Explains the predictions of a run; decodes videos in a child process."""

    def __init__(self, run: Run, *, video_timeout_s: float | None = None) -> None:
        """
        Args:
            run: The run that predicts.
            video_timeout_s: Seconds that the frames of a video may take.
        """
        self._timeout_s = video_timeout_s
        self._note = missing_line(run)
        self._video_dir = Path(run.record().dataset.dir)
        try:
            self._digests = {row["path"]: row["digest"] for row in run.own_videos()}
        except ViolenceDetectionError:  # a run of a model alone shows no training videos
            self._digests = {}

    def explain(
        self,
        source: Source,
        prediction: VideoPrediction,
        *,
        threshold: float,
        scored: str = "Probability of violence",
    ) -> Explanation:
        """The explanation of a prediction whose windows have attention and nearest clips.

        Args:
            source: The video.
            prediction: Its prediction.
            threshold: On the probability.
            scored: Name of the probability.
        """
        windows = prediction.windows
        peak = max(range(len(windows)), key=lambda number: windows[number].probability)
        window = windows[peak]
        frames, reason = [], "a stream is not read a second time"
        nearest: list[tuple[NearClip, np.ndarray | None]] = []
        with ProcessPool() as call:
            if not source.is_live:
                try:
                    frames = self._frames(call, source.path, window.start_s, window.end_s)
                except VideoError as error:
                    reason = str(error)
            nearest = [(clip, self._image(call, clip)) for clip in window.nearest]
        return Explanation(
            title=source.name,
            scored=scored,
            windows=[(row.start_s, row.end_s, row.probability) for row in windows],
            segments=[(row.start_s, row.end_s) for row in prediction.segments],
            threshold=threshold,
            novelty=[]
            if prediction.novel_windows is None
            else [float(row.novelty) for row in windows],
            peak=peak,
            attention=window.attention,
            frames=frames,
            missing_frames="" if frames else reason,
            nearest=nearest,
            missing_nearest="" if nearest else self._note,
        )

    def _frames(self, call, path: Path, start_s: float | None, end_s: float | None) -> list:
        frames = call(still_frames.shown_frames, path, start_s, end_s, timeout_s=self._timeout_s)
        tiles = [still_frames.fit(frame, _TILE_PX) for frame in frames]
        return [cv2.cvtColor(tile, cv2.COLOR_BGR2RGB) for tile in tiles]

    def _image(self, call, clip: NearClip) -> np.ndarray | None:
        """The middle of a training clip; None if the video is gone, or is another."""
        name, start_s, end_s = part_of(clip.path)
        path = self._video_dir / name
        try:
            if video_file.digest_of(path) != self._digests.get(clip.path):
                return None
            frames = self._frames(call, path, start_s, end_s)
        except (VideoError, OSError):
            return None
        return frames[len(frames) // 2]

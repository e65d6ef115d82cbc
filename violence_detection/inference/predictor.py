"""The predictor: applies a run to videos, from windows to probabilities, labels and segments."""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from violence_detection import units
from violence_detection.errors import ConfigError, VideoError
from violence_detection.features.run_extractor import extractor_of_run
from violence_detection.inference import segments, video_sources, window_reader
from violence_detection.inference.alert_policy import AlertPolicy, AlertSettings
from violence_detection.inference.config import PredictorConfig, parse_confirmation
from violence_detection.inference.prediction_records import (
    VideoPrediction,
    Window,
)
from violence_detection.inference.sliding_windows import WindowPlan
from violence_detection.inference.video_sources import Source
from violence_detection.inference.window_classifier import BATCH_WINDOWS, WindowClassifier
from violence_detection.inference.window_encoder import EncodedWindow, WindowEncoder
from violence_detection.inference.window_reader import Chunk, VideoEnd, WindowSource
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.run import Run
from violence_detection.system import devices, progress
from violence_detection.video.views import ORIGINAL, TEST_TIME_VIEWS

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_MAX_WAIT_S = 1.0  # that a window waits for others to fill a batch
_MAX_LIVE_WAIT_S = 0.05  # that of a stream or a camera


class Predictor:
    """A trained run, applied to videos with the preprocessing that it was trained with.

    Attributes:
        run_dir: The folder of the run.
        config: The settings.
        classes: Names, the normal class first.
        threshold: On the probability of violence.
        lower_threshold: That a segment does not fall below.
        window_s, stride_s: Length of a window, and from the start of a window to the next.
    """

    def __init__(
        self, run: Run, *, with_attention: bool = False, with_nearest: bool = False, **settings: Any
    ) -> None:
        """
        Args:
            run: The trained run.
            with_attention: Windows have the attention weights of their frames.
            with_nearest: Windows have the nearest training clips, where the run knows them.
            settings: How videos are read and decided on, by the names of `PredictorConfig`; the
                others have their defaults.

        Raises:
            RunError: If the run cannot be used.
            WeightsError: If the backbone's weights are missing, or are others.
            ConfigError: If a setting is unknown or out of range, or the lower threshold is above
                the upper one.
        """
        values = {
            name: os.fspath(value) if isinstance(value, os.PathLike) else value
            for name, value in settings.items()
        }
        config = PredictorConfig.from_settings(values, given=values)
        devices.import_tensorflow()
        record = run.record()
        self.run_dir, self.config = run.dir, config
        self._is_one_class = bool(record.one_class)
        self.classes: list[str] = record.classes
        self.threshold: float = record.threshold
        if config.threshold is not None:
            self.threshold = config.threshold
        self._thresholds = ClassThresholds(self.classes, self.threshold, record.class_thresholds)
        if config.class_threshold is not None:
            self._thresholds = ClassThresholds.from_text(
                config.class_threshold, self.classes, self.threshold
            )
        self.lower_threshold = segments.default_lower_threshold(self.threshold)
        if config.lower_threshold is not None:
            self.lower_threshold = config.lower_threshold
        if self.lower_threshold > self.threshold:
            raise ConfigError(
                f"`lower_threshold` must be <= the run's threshold, {self.threshold:.3f}. "
                f"Received: {self.lower_threshold}"
            )
        self.window_s: float = record.window_s
        self.stride_s = config.stride_s or self.window_s / 2
        self._classifier = WindowClassifier(
            run, self._thresholds, with_attention=with_attention, with_nearest=with_nearest
        )
        self._extractor = extractor_of_run(
            record, weights=config.weights, batch_size=config.batch_size, engine=config.engine
        )
        plan = WindowPlan(
            self.window_s, self.stride_s, self._extractor.space.frames, config.focus_s
        )
        self._source = WindowSource(
            self._extractor.reader,
            plan,
            views=(ORIGINAL, *TEST_TIME_VIEWS) if config.tta else (ORIGINAL,),
            max_duration_s=config.max_duration_s,
            open_timeout_s=config.open_timeout_s,
            hold_bytes=config.hold_mb * 2**20,
        )

    @classmethod
    def load(cls, run: str | os.PathLike, **settings: Any) -> Self:
        """Loads a predictor from the folder of a run.

        Args:
            run: The folder that `train` left.
            settings: As of the class: `weights`, `engine`, `stride_s`, `threshold`, `tta` ...

        Raises:
            ConfigError, RunError, WeightsError: If a setting or the run cannot be used.
        """
        return cls(Run.open(run), **settings)

    def __repr__(self) -> str:
        return (
            f"Predictor({str(self.run_dir)!r}, classes={self.classes}, "
            f"threshold={self.threshold:.3f}, window_s={self.window_s:g}, "
            f"stride_s={self.stride_s:g}, engine={self.engine!r})"
        )

    @property
    def class_thresholds(self) -> Mapping[str, float]:
        """Thresholds of single classes by name; empty without any."""
        return self._thresholds.own

    @property
    def violent(self) -> str:
        """The name of what segments show."""
        return self.classes[1] if len(self.classes) == 2 else f"not {self.classes[0]}"

    @property
    def scored(self) -> str:
        """The name of the score, for figures."""
        return "Score of unusual" if self._is_one_class else "Probability of violence"

    @property
    def knows_novelty(self) -> bool:
        """True if windows have a novelty: the run knows clips of several recordings."""
        known = self._classifier.known_clips
        return known is not None and known.limit is not None

    @property
    def engine(self) -> str:
        """The name of the engine that runs the backbone, and its precision."""
        space = self._extractor.space
        return f"{space.engine} {space.precision}"

    def __call__(
        self, video: str | os.PathLike | np.ndarray, *, fps: float | None = None
    ) -> dict[str, Any]:
        """Predicts one video.

        Args:
            video: A path, a URL, a camera's number as text, or frames, uint8 (N, H, W, 3) RGB.
            fps: Frames per second, of frames; without it for a path.

        Returns:
            `probability` in [0, 1] of violence, that of the most violent window; `label`, a
            class by the threshold; `windows`, dicts of `start_s`, `end_s`, `probability`;
            `segments`, dicts of `start_s`, `end_s`, `peak`, `peak_s`; `duration_s`; `fps`,
            frames per second; `damage`, what is wrong with the file, mostly ""; with several
            classes `probabilities`, which windows have too then. Where the run knows its training
            clips, windows have `novelty`, above 1 if they are unlike these, and `novel_windows`
            counts them. Seconds are from the start.

        Raises:
            VideoError: If it cannot be decoded.
            ConfigError: If frames are not as above, or a stream comes without
                `max_duration_s`.
        """
        return self.predict_video(video, fps=fps).as_dict()

    def predict(self, path: str | os.PathLike) -> dict[str, Any]:
        """Predicts one video; see `__call__`."""
        return self(path)

    def predict_video(
        self, video: str | os.PathLike | np.ndarray, *, fps: float | None = None
    ) -> VideoPrediction:
        """Predicts one video, as a record; see `__call__`."""
        windows, end = [], None
        for item in self._score_video(video, fps):
            if isinstance(item, VideoEnd):
                end = item
            else:
                windows.append(item)
        return self._summarise(windows, end)

    def windows(
        self, video: str | os.PathLike | np.ndarray, *, fps: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yields the windows of a video as they are scored, in bounded memory; see `__call__`."""
        for item in self._score_video(video, fps):
            if not isinstance(item, VideoEnd):
                yield item.rounded().as_dict()

    def predict_all(
        self,
        sources: Sequence[Source],
        on_window: Callable[[int, Window, float], None] = lambda number, window, video_s: None,
    ) -> Iterator[tuple[int, VideoPrediction | VideoError]]:
        """Yields the number of each source, as it is done, with its prediction or the reason why
        it could not be read.

        Args:
            sources: To predict.
            on_window: Called with the number of a source, its next window, and the seconds of the
                source that are going to be read (0.0 if unknown).
        """
        windows: list[list[Window]] = [[] for _ in sources]
        video_s = [0.0] * len(sources)

        def noting_lengths(items: Iterator) -> Iterator:
            for number, item in items:
                if isinstance(item, Chunk):
                    video_s[number] = item.video_s
                yield number, item

        with self._read(sources) as items:
            for number, item in self._score(noting_lengths(items)):
                if isinstance(item, VideoEnd):
                    yield number, self._summarise(windows[number], item)
                    windows[number] = []
                elif isinstance(item, VideoError):
                    windows[number] = []
                    yield number, item
                else:
                    windows[number].append(item)
                    on_window(number, item, video_s[number])

    def to_frame(self, videos: Iterable[str | os.PathLike]) -> "pd.DataFrame":
        """Predicts several videos, returns a pandas table with a row a window.

        Args:
            videos: Paths; see `__call__`.

        Returns:
            `path`, `start_s`, `end_s`, `probability`, `error`; see `pandas_tables.windows`. A
            video that cannot be read has one row, with its error and without a window.

        Raises:
            ConfigError: If a stream comes without `max_duration_s`.
        """
        from violence_detection.reports import pandas_tables  # pandas takes half a second

        sources = [video_sources.parse_source(os.fspath(video)) for video in videos]
        video_sources.check_time_limits(sources, self.config.max_duration_s)
        rows_of_source: dict[int, list[pandas_tables.WindowRow]] = {}
        for number, prediction in self.predict_all(sources):
            path = sources[number].name
            if isinstance(prediction, VideoError):
                rows_of_source[number] = [pandas_tables.WindowRow(path, error=str(prediction))]
                continue
            rows_of_source[number] = [
                pandas_tables.WindowRow(
                    path,
                    window.start_s,
                    window.end_s,
                    window.probability,
                    window.probabilities,
                    outputs=window.outputs.columns() if window.outputs else None,
                )
                for window in prediction.windows
            ]
        rows = [row for _, rows in sorted(rows_of_source.items()) for row in rows]
        return pandas_tables.windows(rows, self.classes)

    # -- from chunks of images to windows

    def _score_video(
        self, video: str | os.PathLike | np.ndarray, fps: float | None
    ) -> Iterator[Window | VideoEnd]:
        with contextlib.ExitStack() as stack:
            if isinstance(video, (str, os.PathLike)):
                source = video_sources.parse_source(os.fspath(video))
                video_sources.check_time_limits([source], self.config.max_duration_s)
                items = stack.enter_context(self._read([source]))
            else:
                frames, fps = window_reader.check_frames(video, fps)
                items = ((0, chunk) for chunk in self._source.chunks_of_frames(frames, fps))
            for _, item in self._score(items):
                if isinstance(item, VideoError):
                    raise item
                yield item

    def _read(self, sources: Sequence[Source]) -> contextlib.AbstractContextManager[Iterator]:
        return window_reader.read_sources(
            self._source,
            sources,
            workers=self.config.workers or os.cpu_count() or 1,
            timeout_s=self.config.video_timeout_s,
        )

    def _score(
        self, items: Iterable[tuple[int, Chunk | VideoEnd | VideoError]]
    ) -> Iterator[tuple[int, Window | VideoEnd | VideoError]]:
        """Yields the windows of each video in their order, and after its last window its end."""
        encoder = WindowEncoder(self._extractor.encode, batch_size=self._extractor.batch_size)
        encoded: list[EncodedWindow] = []
        ended: dict[int, VideoEnd] = {}
        failed: set[int] = set()
        scored_s = time.monotonic()
        for number, item in items:
            progress.stop.check()
            if isinstance(item, VideoError):
                encoder.close(number)
                failed.add(number)
                yield number, item
            elif isinstance(item, VideoEnd):
                ended[number] = item
            elif number not in failed:
                encoded += encoder.add(number, item)
            is_complete = bool(ended) and not any(map(encoder.has_waiting, ended))
            is_live = isinstance(item, Chunk) and item.is_live
            wait_s = _MAX_LIVE_WAIT_S if is_live else _MAX_WAIT_S
            is_late = time.monotonic() - scored_s > wait_s
            if is_live and is_late and encoder.has_waiting(number):
                encoded += encoder.flush()
            if is_complete or is_late or len(encoded) >= BATCH_WINDOWS:
                yield from self._classifier.windows(encoded, failed)
                encoded, scored_s = [], time.monotonic()
            if is_complete:
                yield from _close(ended, encoder, failed)
        encoded += encoder.flush()
        yield from self._classifier.windows(encoded, failed)
        yield from _close(ended, encoder, failed)

    def alert_policy(self) -> AlertPolicy:
        """The policy that finds the segments of one video, with the settings of this predictor."""
        confirm_windows, confirm_of = parse_confirmation(self.config.confirm)
        return AlertPolicy(
            AlertSettings(
                self.threshold,
                self.lower_threshold,
                confirm_windows=confirm_windows,
                confirm_of=confirm_of,
                close_gaps_s=self.config.close_gaps_s,
                min_duration_s=self.config.min_duration_s,
            )
        )

    def _summarise(self, windows: list[Window], end: VideoEnd) -> VideoPrediction:
        """The prediction of a video, of probabilities that are not rounded yet."""
        peak = max(windows, key=lambda window: window.probability)
        violent = segments.segments_of(windows, self.alert_policy())
        rounded_peak = peak.rounded()
        return VideoPrediction(
            probability=rounded_peak.probability,
            # Label and segments are those of the exact probabilities, so that they agree.
            label=self._label(peak),
            segments=tuple(segment.rounded() for segment in violent),
            windows=tuple(window.rounded() for window in windows),
            duration_s=round(end.duration_s, 3),
            fps=round(units.frames_to_s(end.frames, end.duration_s), 6),  # frames / seconds
            damage=end.damage,
            notes=end.notes,
            probabilities=rounded_peak.probabilities,
            started_at=end.started_at,
            nearest=peak.nearest,
        )

    def _label(self, window: Window) -> str:
        if window.probability < self.threshold:
            return self.classes[0]
        if window.probabilities is None:
            return self.classes[1]
        probability = np.array([[window.probabilities[name] for name in self.classes]])
        return self.classes[self._thresholds.decide(probability)[0]]


def _close(
    ended: dict[int, VideoEnd], encoder: WindowEncoder, failed: set[int]
) -> Iterator[tuple[int, VideoEnd]]:
    """Yields the ends of videos whose windows are all scored; failed videos have none."""
    for number in list(ended):
        encoder.close(number)
        end = ended.pop(number)
        if number not in failed:
            yield number, end

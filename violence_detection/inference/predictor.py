"""A run that looks at videos: from their windows to probabilities, labels and segments."""

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from violence_detection import units
from violence_detection.errors import ConfigError, VideoError
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.inference import segments, video_sources, window_reader
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.sliding_windows import WindowPlan
from violence_detection.inference.video_sources import Source
from violence_detection.inference.window_encoder import EncodedWindow, WindowEncoder
from violence_detection.inference.window_reader import Chunk, VideoEnd, WindowSource
from violence_detection.metrics import calibration
from violence_detection.models import classifier
from violence_detection.models.attention_maps import attention_weights
from violence_detection.models.run import Run
from violence_detection.system import devices, progress
from violence_detection.video.views import ORIGINAL, TEST_TIME_VIEWS

log = logging.getLogger(__name__)

_WINDOWS_AT_ONCE = 64
_TELL_S = 1.0  # that an answer may wait for others to be classified with


class Predictor:
    """A run, ready to look at videos through the preprocessing that it was trained with.

    Attributes:
        classes: Names, the normal class first.
        threshold: On the probability of violence.
        lower_threshold: That a segment does not fall below.
        window_s, stride_s: Length of a window in seconds, and from one to the next.
    """

    def __init__(self, run: Run, config: PredictConfig, *, attentive: bool = False) -> None:
        """
        Args:
            run: What training left.
            config: How videos are looked at.
            attentive: Whether windows tell the `attention` that each of their moments gets.

        Raises:
            RunError: If the run cannot be used.
            WeightsError: If the backbone's weights are not here, or are others.
            ConfigError: If the lower threshold is above the upper one.
        """
        trained, results = run.config(), run.results()
        self.config, self._attentive = config, attentive
        self.classes: list[str] = trained["classes"]
        self.threshold: float = results["threshold"]
        if config.threshold is not None:
            self.threshold = config.threshold
        self.lower_threshold = segments.default_lower_threshold(self.threshold)
        if config.lower_threshold is not None:
            self.lower_threshold = config.lower_threshold
        if self.lower_threshold > self.threshold:
            raise ConfigError(
                f"`lower_threshold` must be <= the run's threshold, {self.threshold:.3f}. "
                f"Received: {self.lower_threshold}"
            )
        self._temperature = run.temperature
        self.window_s: float = trained["window_s"]
        self.stride_s = config.stride_s or self.window_s / 2
        self._classifier = classifier.load_classifier(run.model_path)
        self._extractor = _extractor(trained, config)
        plan = WindowPlan(
            self.window_s, self.stride_s, self._extractor.space.frames, config.focus_s
        )
        self._reading = WindowSource(
            self._extractor.reader,
            plan,
            views=(ORIGINAL, *TEST_TIME_VIEWS) if config.tta else (ORIGINAL,),
            max_duration_s=config.max_duration_s,
            open_timeout_s=config.open_timeout_s,
        )

    @classmethod
    def load(cls, run: str | os.PathLike, **settings: Any) -> Self:
        """A predictor from a run's folder.

        Args:
            run: What training left.
            settings: Of `PredictConfig`: `weights`, `engine`, `stride_s`, `threshold`, `tta` ...

        Raises:
            ConfigError, RunError, WeightsError: If a setting or the run cannot be used.
        """
        opened = Run.open(run)
        config = PredictConfig(**settings, given=frozenset(settings))
        devices.import_tensorflow()
        return cls(opened, config)

    @property
    def violent(self) -> str:
        """What is seen in a segment."""
        return self.classes[1] if len(self.classes) == 2 else f"not {self.classes[0]}"

    @property
    def engine(self) -> str:
        """What runs the backbone, and in which precision."""
        space = self._extractor.space
        return f"{space.engine} {space.precision}"

    def __call__(
        self, video: str | os.PathLike | np.ndarray, *, fps: float | None = None
    ) -> dict[str, Any]:
        """What a video shows.

        Args:
            video: A path, a URL, a camera's number as text, or frames, uint8 (N, H, W, 3) RGB.
            fps: Frames per second, of frames.

        Returns:
            `probability` in [0, 1] of violence, that of the most violent window; `label`, a
            class by the threshold; `windows`, dicts of `start_s`, `end_s`, `probability`;
            `segments`, dicts of `start_s`, `end_s`, `peak`, `peak_s`; `duration_s`; `fps`,
            frames in a second; `damage`, what is wrong with the file, mostly ""; with several
            classes `probabilities`, which windows have too then. Seconds are from the start.

        Raises:
            VideoError: If it cannot be decoded.
            ConfigError: If frames are not as above, or a stream comes without
                `max_duration_s`.
        """
        windows, ending = [], None
        for answer in self._answers_of(video, fps):
            if isinstance(answer, VideoEnd):
                ending = answer
            else:
                windows.append(answer)
        return self._summary(windows, ending)

    def predict(self, path: str | os.PathLike) -> dict[str, Any]:
        """What one video shows; see `__call__`."""
        return self(path)

    def windows(
        self, video: str | os.PathLike | np.ndarray, *, fps: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """The windows of a video as they are answered, in bounded memory; see `__call__`."""
        for answer in self._answers_of(video, fps):
            if not isinstance(answer, VideoEnd):
                yield _rounded(answer)

    def predict_all(
        self, listed: Sequence[Source]
    ) -> Iterator[tuple[int, dict[str, Any] | VideoError]]:
        """What many videos show, as each is done: its number, and what `__call__` gives, or why
        it could not be read."""
        windows: list[list[dict[str, Any]]] = [[] for _ in listed]
        with self._feeding(listed) as fed:
            for number, answer in self._answers(fed):
                if isinstance(answer, VideoEnd):
                    yield number, self._summary(windows[number], answer)
                    windows[number] = []
                elif isinstance(answer, VideoError):
                    windows[number] = []
                    yield number, answer
                else:
                    windows[number].append(answer)

    # -- from chunks to answers

    def _answers_of(
        self, video: str | os.PathLike | np.ndarray, fps: float | None
    ) -> Iterator[dict[str, Any] | VideoEnd]:
        with contextlib.ExitStack() as stack:
            if isinstance(video, (str, os.PathLike)):
                source = video_sources.parse_source(os.fspath(video))
                video_sources.check_time_limits([source], self.config.max_duration_s)
                fed = stack.enter_context(self._feeding([source]))
            else:
                frames = window_reader.check_frames(video, fps)
                chunks = self._reading.chunks_of(frames, fps)
                fed = ((0, chunk) for chunk in chunks)
            for _, answer in self._answers(fed):
                if isinstance(answer, VideoError):
                    raise answer
                yield answer

    def _feeding(self, listed: Sequence[Source]) -> contextlib.AbstractContextManager[Iterator]:
        return window_reader.read_sources(
            self._reading,
            listed,
            workers=self.config.workers or os.cpu_count() or 1,
            timeout_s=self.config.video_timeout,
        )

    def _answers(
        self, fed: Iterable[tuple[int, Chunk | VideoEnd | VideoError]]
    ) -> Iterator[tuple[int, dict[str, Any] | VideoEnd | VideoError]]:
        """The windows of each video in their order, and after its last how it ended."""
        assembly = WindowEncoder(self._extractor.encode, batch_size=self._extractor.batch_size)
        seen: list[EncodedWindow] = []
        ended: dict[int, VideoEnd] = {}
        failed: set[int] = set()
        told_s = time.monotonic()
        for number, item in fed:
            progress.stop.check()
            if isinstance(item, VideoError):
                assembly.close(number)
                failed.add(number)
                yield number, item
            elif isinstance(item, VideoEnd):
                ended[number] = item
            elif number not in failed:
                seen += assembly.add(number, item)
            over = bool(ended) and not any(map(assembly.waits, ended))
            if over or len(seen) >= _WINDOWS_AT_ONCE or _passed_s(told_s) > _TELL_S:
                yield from self._classified(seen, failed)
                seen, told_s = [], time.monotonic()
            if over:
                yield from _closed(ended, assembly, failed)
        seen += assembly.flush()
        yield from self._classified(seen, failed)
        yield from _closed(ended, assembly, failed)

    def _classified(
        self, seen: list[EncodedWindow], failed: set[int]
    ) -> Iterator[tuple[int, dict[str, Any] | VideoError]]:
        """The answers to windows, the mean over their views; a video whose features are no
        numbers has failed."""
        for number in {one.video for one in seen if not np.isfinite(one.features).all()}:
            if number not in failed:
                failed.add(number)
                yield number, VideoError("its features are not finite in float16")
        seen = [one for one in seen if one.video not in failed]
        for start in range(0, len(seen), _WINDOWS_AT_ONCE):
            some = seen[start : start + _WINDOWS_AT_ONCE]
            features = np.concatenate([one.features for one in some])
            rows = self._probabilities(features)
            rows = rows.reshape(len(some), -1, rows.shape[-1]).mean(1)
            attention = self._attention(features).reshape(len(some), len(features) // len(some), -1)
            for one, row, weights in zip(some, rows, attention.mean(1), strict=True):
                yield one.video, self._window(one, row, weights)

    def _probabilities(self, clips: np.ndarray) -> np.ndarray:
        """float64 (N, K) of float16 (N, T, D)."""
        probability = classifier.probabilities(self._classifier, clips, batch_size=_WINDOWS_AT_ONCE)
        return calibration.apply_temperature(probability, self._temperature)

    def _attention(self, clips: np.ndarray) -> np.ndarray:
        """float (N, T), rows sum to 1, of float16 (N, T, D); (N, 0) where it is not asked for,
        or the head has none."""
        found = attention_weights(self._classifier, clips) if self._attentive else {}
        return np.mean(list(found.values()), axis=0) if found else np.empty((len(clips), 0))

    def _window(
        self, seen: EncodedWindow, row: np.ndarray, attention: np.ndarray
    ) -> dict[str, Any]:
        # Rounded now, so that windows which touch have one and the same time.
        return {
            "start_s": round(seen.window.start_s, 3),
            "end_s": round(seen.window.end_s, 3),
            "probability": float(1 - row[0]),
            **self.by_class(row),
            **({"attention": attention.tolist()} if self._attentive else {}),
        }

    def _summary(self, windows: list[dict[str, Any]], ending: VideoEnd) -> dict[str, Any]:
        worst = max(windows, key=lambda one: one["probability"])
        found = segments.find_segments(
            windows,
            self.threshold,
            lower=self.lower_threshold,
            close_gaps_s=self.config.close_gaps_s,
            min_duration_s=self.config.min_duration_s,
        )
        named = {name: worst[name] for name in ("probabilities",) if name in worst}
        return _rounded(
            {
                "probability": worst["probability"],
                "label": self._label(worst),
                # Before probabilities are rounded, so that they agree with the label.
                "segments": [_rounded(one) for one in found],
                "windows": [_rounded(one) for one in windows],
                **named,
                "duration_s": ending.duration_s,
                "fps": units.frames_to_s(ending.frames, ending.duration_s),
                "damage": ending.damage,
            }
        )

    def _label(self, window: dict[str, Any]) -> str:
        if window["probability"] < self.threshold:
            return self.classes[0]
        named = window.get("probabilities") or {self.classes[1]: 1.0}
        return max(self.classes[1:], key=lambda name: named[name])

    def by_class(self, row: np.ndarray) -> dict[str, Any]:
        """`probabilities` of each class, where there are more than two."""
        if len(self.classes) == 2:
            return {}
        named = dict(zip(self.classes, map(float, row), strict=True))
        return {"probabilities": named}


def _closed(
    ended: dict[int, VideoEnd], assembly: WindowEncoder, failed: set[int]
) -> Iterator[tuple[int, VideoEnd]]:
    for number in list(ended):
        assembly.close(number)
        ending = ended.pop(number)
        if number not in failed:
            yield number, ending


def _passed_s(since_s: float) -> float:
    return time.monotonic() - since_s


def _extractor(trained: dict[str, Any], config: PredictConfig) -> FeatureExtractor:
    """The feature space's, on the engine that is asked for, or the run's."""
    weights = trained["weights"]
    return FeatureExtractor.from_space(
        FeatureSpace.from_json(trained["feature_space"]),
        weights=config.weights or weights["source"],
        batch_size=config.batch_size,
        seed=weights["seed"],
        engine=config.engine,
    )


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers as people can read them: seconds to the millisecond, the rest to 1e-6."""
    found = {}
    for name, value in row.items():
        if isinstance(value, float):
            value = round(value, 3 if name.endswith("_s") else 6)
        elif isinstance(value, dict):
            value = _rounded(value)
        found[name] = value
    return found

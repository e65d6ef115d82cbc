"""What a run says about videos that it has never seen, of any length."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import calibration, model, progress, runtime, videos
from violence_detection.cache import FeatureSpace
from violence_detection.config import PredictConfig
from violence_detection.errors import VideoError
from violence_detection.extractor import FeatureExtractor
from violence_detection.runs import Run
from violence_detection.units import TOUCH_S

log = logging.getLogger(__name__)

_WINDOWS_AT_ONCE = 64


class Predictor:
    """A run, ready to look at videos through the preprocessing that it was trained with.

    Attributes:
        classes: Names, the normal class first.
        threshold: On the probability of violence.
    """

    def __init__(self, run: Run, config: PredictConfig) -> None:
        trained, results = run.config(), run.results()
        self.classes: list[str] = trained["classes"]
        self.threshold: float = results["threshold"]
        self._temperature = run.temperature
        self.window_s: float = trained["window_s"]
        self.stride_s = config.stride_s or self.window_s / 2
        self.focus_s = config.focus_s
        self._classifier = model.load_classifier(run.model_path)
        weights = trained["weights"]
        self._extractor = FeatureExtractor.of_space(
            FeatureSpace.of(trained["feature_space"]),
            weights=config.weights or weights["source"],
            batch_size=config.batch_size,
            seed=weights["seed"],
        )

    def predict(self, path: Path) -> dict[str, Any]:
        """What one video shows.

        The video's probability is that of its most violent window. A short clip is one
        window.

        Returns:
            probability, label, windows, segments, and with several classes
            probabilities.

        Raises:
            VideoError: If it cannot be decoded.
        """
        windows, probability = [], []
        batch: list[np.ndarray] = []
        for start_s, end_s, features in self._extractor.windows(
            path,
            window_s=self.window_s,
            stride_s=self.stride_s,
            focus_s=self.focus_s,
        ):
            if not np.isfinite(features).all():
                raise VideoError("its features are not finite in float16")
            # Rounded now, so that windows which touch have one and the same time.
            windows.append({"start_s": round(start_s, 3), "end_s": round(end_s, 3)})
            batch.append(features)
            if len(batch) == _WINDOWS_AT_ONCE:
                probability.append(self._classify(batch))
                batch.clear()
        if batch:
            probability.append(self._classify(batch))
        rows = np.concatenate(probability)
        worst = rows[np.argmin(rows[:, 0])]
        for window, row in zip(windows, rows, strict=True):
            window["probability"] = float(1 - row[0])
        answer = {
            "probability": float(1 - worst[0]),
            "label": self.classes[int(model.decisions(worst[None], self.threshold)[0])],
            # Before probabilities are rounded, so that they agree with the label.
            "segments": _rounded(segments(windows, self.threshold)),
            "windows": _rounded(windows),
            **self.by_class(worst),
        }
        return _rounded([answer])[0]

    def by_class(self, row: np.ndarray) -> dict[str, Any]:
        """`probabilities` of each class, where there are more than two."""
        if len(self.classes) == 2:
            return {}
        named = dict(zip(self.classes, map(float, row), strict=True))
        return {"probabilities": _rounded([named])[0]}

    def _classify(self, batch: list[np.ndarray]) -> np.ndarray:
        probability = model.probabilities(
            self._classifier, np.stack(batch), batch_size=_WINDOWS_AT_ONCE
        )
        return calibration.tempered(probability, self._temperature)


def predict(
    run_dir: str, paths: list[str], config: PredictConfig
) -> list[dict[str, Any]]:
    """A row for each video, in the order given; one that cannot be read has its `error`.

    Args:
        run_dir: What training left.
        paths: Videos; a folder stands for the videos in it.

    Raises:
        RunError: If the run cannot be used.
        WeightsError: If the backbone's weights are not here, or are others.
    """
    run = Run.open(run_dir)
    runtime.import_tensorflow()
    predictor = Predictor(run, config)
    rows = []
    listed = [path for given in paths for path in _expanded(given)]
    with progress.track("Predicting", len(listed), "videos") as step:
        for path in listed:
            rows.append(_row(predictor, path))
            step()
    return rows


def segments(
    windows: list[dict[str, float]], threshold: float
) -> list[dict[str, float]]:
    """Violent intervals: runs of windows at or above the threshold that touch or overlap.

    Args:
        windows: start_s, end_s, probability; ascending.

    Returns:
        start_s, end_s and peak (the highest probability) of each.
    """
    found: list[dict[str, float]] = []
    for window in windows:
        if window["probability"] < threshold:
            continue
        if found and window["start_s"] <= found[-1]["end_s"] + TOUCH_S:
            found[-1]["end_s"] = max(found[-1]["end_s"], window["end_s"])
            found[-1]["peak"] = max(found[-1]["peak"], window["probability"])
        else:
            found.append(
                {
                    "start_s": window["start_s"],
                    "end_s": window["end_s"],
                    "peak": window["probability"],
                }
            )
    return found


def _expanded(path: str) -> list[str]:
    """The videos that a path on the command line stands for."""
    if not Path(path).is_dir():
        return [path]
    found, notes = videos.walk(Path(path))
    for note in notes:
        log.info(f"{path}: {note}")
    return [str(Path(path, one)) for one in found] or [path]


def _row(predictor: Predictor, path: str) -> dict[str, Any]:
    nothing = {"probability": 0.0, "label": "", "windows": [], "segments": []}
    nothing |= predictor.by_class(np.zeros(len(predictor.classes)))
    try:
        if Path(path).is_dir():
            raise VideoError("a folder without videos")
        answer = predictor.predict(Path(path))
    except VideoError as error:
        log.warning(f"Cannot read {path}: {error}")
        return {"path": path, **nothing, "error": str(error)}
    return {"path": path, **answer, "error": None}


def _rounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers as people can read them: seconds to the millisecond, the rest to 1e-6."""
    return [
        {
            name: round(value, 3 if name.endswith("_s") else 6)
            if isinstance(value, float)
            else value
            for name, value in row.items()
        }
        for row in rows
    ]

"""Test-time averaging of views: accuracy, AUC and time of one view, of four and of five.

    python benchmarks/tta.py FEATURES_DIR --kept view_features

FEATURES_DIR is a folder of features from extract-features; the videos must still be in their
folder. Each video is read and encoded in every view; the features are kept in --kept. The default
head trains on the clips as they are of four folds of recordings, without a choice of epoch, and
predicts the fifth: as it is, and by the mean of the probabilities over each set of views. The
threshold is 0.5; nothing is chosen on the held-out fold. The four views are those of
`predict --tta`: as it is, mirrored, and cropped to two corners. The five are those that papers
often take: as it is, mirrored, rotated, brighter and darker. The time is that of reading and
encoding the same clips once for each set, one after the other. With --evaluated 80 only 80 of the
videos, evenly spaced, are read and counted; the head still trains on all of the other folds.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import machine
import numpy as np
from grouped_folds import classifier_scores, difference, read_features
from robustness import predict_folds

from violence_detection.evaluation.robustness.corrupted_features import unchanged_excerpts
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.metrics import classification
from violence_detection.system import devices, files, progress
from violence_detection.video.views import TEST_TIME_VIEWS, View


@dataclass(frozen=True)
class Rotation(View):
    """A view of a clip, rotated about its centre; the border is repeated outside."""

    degrees: float = 0.0

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """The view of a frame, uint8 (H, W, 3)."""
        height, width = frame.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), self.degrees, 1.0)
        return cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


_AS_IT_IS = "1 view: none"
_SETS = {
    _AS_IT_IS: (),
    "4 views: mirrored, cropped (--tta)": TEST_TIME_VIEWS,
    "5 views: mirrored, rotated by 10 degrees, brightness 1.2 and 0.8": (
        View(mirror=True),
        Rotation(degrees=10.0),
        View(gain=1.2),
        View(gain=0.8),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--kept", default="view_features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--evaluated", type=int, help="number of videos; default: all")
    parser.add_argument("--timed", type=int, default=24, help="number of videos")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices.import_tensorflow()
    print(json.dumps(machine.describe()))
    cache = FeatureCache.open(arguments.features)
    clips, classes = read_features(arguments.features, "none")
    record = cache.record()
    recordings = len(set(clips.groups.tolist()))
    print(
        f"{len(clips)} clips of {recordings} recordings; {record.space.backbone}, "
        f"{record.space.stream}, {record.space.engine} {record.space.precision}; grouped 5-fold, "
        f"seeds {arguments.seeds}, {arguments.epochs} epochs",
        flush=True,
    )
    views = list(dict.fromkeys(view for views in _SETS.values() for view in views))
    encoder = ViewEncoder(cache, clips)
    seconds = {
        name: encoder.seconds_per_clip(views, arguments.timed) for name, views in _SETS.items()
    }
    print(json.dumps(seconds), flush=True)
    evaluated = evenly_spaced(len(clips), arguments.evaluated)
    layers = {_AS_IT_IS: np.asarray(clips.features[:])}
    layers |= encoder.features(views, evaluated, Path(arguments.kept))
    logging.disable(logging.WARNING)
    probabilities: dict[str, list[np.ndarray]] = {name: [] for name in _SETS}
    for seed in arguments.seeds:
        scores = predict_folds(
            clips,
            layers,
            seed,
            score=classifier_scores,
            classes=classes,
            epochs=arguments.epochs,
        )
        for name, views in _SETS.items():
            averaged = [scores[_AS_IT_IS], *(scores[str(view)] for view in views)]
            probabilities[name].append(np.mean(averaged, axis=0)[evaluated])
    counted = clips.take(evaluated)
    recordings = len(set(counted.groups.tolist()))
    print(f"evaluated: {len(counted)} clips of {recordings} recordings")
    print_table(counted, probabilities, seconds)


def evenly_spaced(total: int, most: int | None) -> np.ndarray:
    """Row numbers of at most `most` rows, int64."""
    return np.unique(np.linspace(0, total - 1, min(total, most or total)).round().astype(np.int64))


class ViewEncoder:
    """Reads and encodes the clips of a cache in views."""

    def __init__(self, cache: FeatureCache, clips: FeatureDataset) -> None:
        record = cache.record()
        self._clips = clips
        self._sources, failures = unchanged_excerpts(cache, clips.entries)
        if failures:
            raise SystemExit(f"Videos are missing or have changed: {failures}")
        self._extractor = FeatureExtractor.from_space(
            record.space,
            weights=record.weights.source,
            batch_size=64,
            seed=record.weights.seed,
        )

    def features(
        self, views: Sequence[View], rows: np.ndarray, folder: Path
    ) -> dict[str, np.ndarray]:
        """Features of all clips in each view, float16 (N, T, D), by the name of the view; kept in
        files of a folder. Clips of other rows have the features of the clip as it is."""
        files.ensure_writable(folder)
        features = np.stack([np.asarray(self._clips.features[:])] * len(views))
        with progress.track("Encoding", len(rows), "clips") as step:
            for row in rows.tolist():
                entry = self._clips.entries[row]
                path = folder / f"{entry.path.replace('/', '_')}.npy"
                if not path.is_file():
                    with files.writing(path) as file:
                        np.save(file, self._encoded(entry.path, views)[1:])
                features[:, row] = np.load(path)
                step()
        return {str(view): array for view, array in zip(views, features, strict=True)}

    def seconds_per_clip(self, views: Sequence[View], clips: int) -> float:
        """Seconds for reading and encoding a clip as it is and in these views: the mean over
        evenly spaced clips, of the faster of two rounds."""
        rows = evenly_spaced(len(self._clips), clips)
        entries = [self._clips.entries[row] for row in rows]
        self._encoded(entries[0].path, views)  # the first call compiles
        rounds_s = []
        for _ in range(2):
            start_s = time.perf_counter()
            for entry in entries:
                self._encoded(entry.path, views)
            rounds_s.append(time.perf_counter() - start_s)
        return min(rounds_s) / len(entries)

    def _encoded(self, key: str, views: Sequence[View]) -> np.ndarray:
        """Features of a clip as it is and in V views, float16 (V + 1, T, D)."""
        images = self._extractor.reader.read(*self._sources[key], views=views).views
        return np.stack([array for _, array in self._extractor.encode_clips(enumerate(images))])


def print_table(
    clips: FeatureDataset,
    probabilities: dict[str, list[np.ndarray]],
    seconds: dict[str, float],
) -> None:
    """Prints means over seeds, and differences to one view with intervals over recordings."""
    violent = clips.labels > 0
    for name, seeds in probabilities.items():
        accuracy = np.array([((scores >= 0.5) == violent).mean() for scores in seeds])
        auc = [classification.area_under_curve(violent, scores) for scores in seeds]
        text = (
            f"{name:66s} accuracy {accuracy.mean():.1%} ({100 * accuracy.std():.1f})  AUC "
            f"{np.mean(auc):.4f} ({np.std(auc):.4f})  {seconds[name]:.2f} s a clip"
        )
        if name != _AS_IT_IS:
            text += f"; {difference(clips, probabilities[_AS_IT_IS], seeds)}"
        print(text, flush=True)


if __name__ == "__main__":
    main()

"""The gain of a teacher (`train --teacher`), on real clips: recording-grouped 5-fold.

    python benchmarks/distillation.py FEATURES_DIR --teacher-features TEACHER_FEATURES_DIR

Both are folders of features of the same videos, from extract-features; they may be the same. In
each fold a teacher is trained on all other folds and predicts these. A classifier (`--head`) is
then trained on the same videos three times: with labels alone (`alone`), with the teacher
(`taught`), and as the teacher's head on its own features (`teacher`), which is what there is to be
gained. No model sees a recording of the fold. The last epoch is kept and the threshold is 0.5, so
that nothing is chosen on the fold. The differences at the end are means over the seeds, on the same
videos, with intervals from a bootstrap over recordings. `time` is the processor time of all folds
over that of `alone`; the teacher's holds the predictions that the taught learns from.
"""

import argparse
import functools
import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

import grouped_folds
import kept_scores
import machine
import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models import classifier
from violence_detection.models.outputs.classes import violence_score
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.training.config import TrainConfig

METHODS = ("alone", "taught", "teacher")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--teacher-features", help="default: FEATURES_DIR")
    parser.add_argument("--head", default="linear", help="of the classifier that is taught")
    parser.add_argument("--teacher-head", default="bilstm_attention")
    parser.add_argument("--teachers", type=int, default=3, help="teachers of a fold, averaged")
    parser.add_argument("--temperature", type=float, default=4.0)
    parser.add_argument("--weight", type=float, default=0.7)
    parser.add_argument("--epochs", type=int, help="default: that of train")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--keep", metavar="FOLDER", help="keeps scores, to go on with")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    logging.disable(logging.WARNING)
    print(json.dumps(machine.describe()), flush=True)

    clips, classes = grouped_folds.read_features(arguments.features, "none")
    theirs = clips
    if arguments.teacher_features:
        theirs = same_videos(clips, arguments.teacher_features)
    own = {"features", "teacher_features", "seeds", "keep"}
    asked = sorted(pair for pair in vars(arguments).items() if pair[0] not in own)
    spaces = [Path(name).name for name in (arguments.features, arguments.teacher_features) if name]
    keep = kept_scores.KeptScores(arguments.keep, [spaces, asked])
    done: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in METHODS}
    for seed in arguments.seeds:
        fold = Fold(clips, theirs, classes, arguments)
        for name in ("teacher", "alone", "taught"):
            make = functools.partial(fold.scored, name, seed)
            done[name].append(keep.arrays(f"{name} {seed}", make))
            if name == "teacher":
                fold.predicted = done[name][-1]
            accuracy, auc = grouped_folds.rates(clips, done[name][-1]["probability"])
            print(f"seed {seed:3d} {name:8s} accuracy {accuracy:.3f} AUC {auc:.3f}", flush=True)
    print(f"\nmean (sd) over {len(arguments.seeds)} seeds")
    predictions = {name: [row["probability"] for row in done[name]] for name in METHODS}
    times_s = {name: sum(float(row["cpu_s"]) for row in done[name]) for name in METHODS}
    for name in METHODS:
        rows = [grouped_folds.rates(clips, probability) for probability in predictions[name]]
        accuracy, auc = np.array(rows).T
        print(
            f"{name:8s} accuracy {accuracy.mean():.3f} ({accuracy.std():.3f}) "
            f"AUC {auc.mean():.3f} ({auc.std():.3f}) "
            f"time {times_s[name] / times_s[METHODS[0]]:.1f}"
        )
    for name in METHODS[1:]:
        text = grouped_folds.difference(clips, predictions["alone"], predictions[name])
        print(f"{name} minus alone: {text}")


def same_videos(clips: FeatureDataset, folder: str) -> FeatureDataset:
    """The videos of `clips` in another feature space, in the same order."""
    theirs, _ = grouped_folds.read_features(folder, "none")
    rows = {(entry.path, entry.digest): row for row, entry in enumerate(theirs.entries)}
    missing = [entry.path for entry in clips.entries if (entry.path, entry.digest) not in rows]
    if missing:
        raise ConfigError(
            f"--teacher-features must have all videos. Received: {folder}, which lacks "
            f"{len(missing)}, e.g. {missing[0]}"
        )
    return theirs.take([rows[entry.path, entry.digest] for entry in clips.entries])


def digest(rows: np.ndarray) -> str:
    return f"rows {hashlib.sha256(rows.tobytes()).hexdigest()[:16]}"


class Fold:
    """The methods on a fold.

    Attributes:
        predicted: The teachers' predictions of all videos, (N, K), by the digest of the rows that
            they learned from; `teacher` comes first and makes them.
    """

    def __init__(
        self,
        clips: FeatureDataset,
        theirs: FeatureDataset,
        classes: list[str],
        arguments: argparse.Namespace,
    ) -> None:
        self._clips, self._theirs, self._classes = clips, theirs, classes
        self._arguments = arguments
        self.predicted: Mapping[str, np.ndarray] = {}

    def scored(self, name: str, seed: int) -> dict[str, np.ndarray]:
        """The probabilities (N,) of all videos, and the predictions of the teachers."""
        if name == "teacher":
            self.predicted = {}
        method = getattr(self, name)
        probability = grouped_folds.scores_of_seed(self._clips, seed, method)[1]
        return {"probability": probability, **(self.predicted if name == "teacher" else {})}

    def teacher(self, clips, train, test, seed) -> np.ndarray:
        members = [
            self._trained(self._theirs, train, seed + 1000 * number, self._arguments.teacher_head)
            for number in range(self._arguments.teachers)
        ]
        self.predicted[digest(train)] = np.mean(members, axis=0)
        return violence_score(self.predicted[digest(train)][test])

    def alone(self, clips, train, test, seed) -> np.ndarray:
        return violence_score(self._trained(clips, train, seed, self._arguments.head)[test])

    def taught(self, clips, train, test, seed) -> np.ndarray:
        from violence_detection.training.distillation import Teacher

        rows = {clips.entries[row].path: place for place, row in enumerate(train.tolist())}
        # Of the fold itself nothing is handed over.
        probability = self.predicted[digest(train)][train]
        teacher = Teacher(rows, probability, self._arguments.temperature, self._arguments.weight)
        return violence_score(
            self._trained(clips, train, seed, self._arguments.head, teacher=teacher)[test]
        )

    def _trained(self, clips, train, seed, head, *, teacher=None) -> np.ndarray:
        """Probabilities of all videos by a classifier that was trained on some rows, (N, K)."""
        import keras

        from violence_detection.training.trainer import Trainer

        keras.backend.clear_session()
        settings = {"seed": seed, "checkpoint_epochs": 0, "monitor": "none", "head": head}
        if self._arguments.epochs:
            settings["epochs"] = self._arguments.epochs
        # Nothing is chosen on validation, so a few videos do.
        parts = {"train": clips.take(train), "validation": clips.take(train[::8])}
        with tempfile.TemporaryDirectory() as folder:
            config = TrainConfig.from_flags(settings)
            device_setup = devices.start(seed=seed, **config.devices.as_dict())
            run = Run(Path(folder))
            trainer = Trainer(
                run,
                config.training,
                device_setup,
                clips=parts,
                classes=self._classes,
                teacher=teacher,
            )
            trainer.run_epochs()
            best = classifier.load_model(run.model_path)
            return classifier.probabilities(best, clips.features[:])


if __name__ == "__main__":
    main()

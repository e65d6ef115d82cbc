"""Folders of cross-validations, whose predictions are drawn and not trained."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from support.reports import CROSS_VALIDATION
from violence_detection.evaluation.predictions import PredictionRow
from violence_detection.experiments.cross_validation.out_of_fold import OutOfFoldRow
from violence_detection.system import files

CLASSES = ("normal", "violent")


def draw_cross_validation(
    folder: Path,
    *,
    quality: float = 1.0,
    noise: int = 0,
    videos: Iterable[int] = range(96),
    folds: int = 4,
    repeats: int = 1,
    seed: int = 42,
    kinds: tuple[str, ...] = ("grouped",),
    settings: dict | None = None,
    **results,
) -> Path:
    """A finished cross-validation of videos, each eight of a recording.

    Args:
        folder: The folder to write.
        quality: Distance of the classes, in deviations of the logit.
        noise: Seed of the predictions' own errors; a video's difficulty does not depend on it.
        videos: Numbers of the videos; odd ones are violent.
        folds, repeats, seed: How recordings are drawn into folds.
        kinds: Grouped and random folds.
        settings: Further settings of the record.
        results: Values that results.json has besides.
    """
    rng, rows = np.random.default_rng(noise), []
    for kind in kinds:
        for repeat in range(1, repeats + 1):
            shift = np.random.default_rng(seed + repeat).permutation(12)
            for video in videos:
                label = CLASSES[video % 2]
                logit = quality * (2 * (video % 2) - 1)
                logit += np.random.default_rng(video).normal() + 0.5 * rng.normal()
                violence = float(1 / (1 + np.exp(-logit)))
                predicted = CLASSES[int(violence >= 0.5)]
                rows.append(
                    OutOfFoldRow(
                        PredictionRow(
                            f"{label}/{video}.mp4",
                            label,
                            f"recording {video // 8}",
                            violence,
                            predicted,
                            predicted == label,
                        ),
                        (1 - violence, violence),
                        repeat=repeat,
                        fold=int(shift[video // 8 % 12]) % folds + 1,
                        grouped=kind == "grouped",
                        seed=seed + repeat - 1,
                        threshold=0.5,
                        note="drawn",
                    )
                )
    table = [row.to_csv(CLASSES) for row in rows]
    folder.mkdir(parents=True)
    files.write_csv(folder / "predictions.csv", list(table[0]), table)
    record = {"settings": {"seed": seed, "folds": folds, **(settings or {})}, "fingerprint": "f"}
    (folder / "cross_validation.json").write_text(json.dumps(record))
    values = CROSS_VALIDATION | {"folds": folds, "repeats": repeats, "classes": list(CLASSES)}
    if kinds != ("grouped", "random"):
        random = values.pop("random")
        values |= random if kinds == ("random",) else {}
    values |= {"leaks": []} | results
    (folder / "results.json").write_text(json.dumps(values))
    return folder

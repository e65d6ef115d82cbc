"""Everything that `train` refuses and that can be known before features are extracted.

Warnings about a dataset that is trained on all the same are in `training/train.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from violence_detection.datasets.class_names import UNUSUAL
from violence_detection.datasets.config import SplitConfig
from violence_detection.datasets.labels import classes_of, normal_entries
from violence_detection.datasets.splitting import splits
from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError, ViolenceDetectionError


def check_splits(entries: Sequence[ManifestEntry], classes: Sequence[str]) -> None:
    """Checks that train and validation have videos, and train videos of every class.

    Raises:
        CacheError: If not.
    """
    counts = Counter(entry.split for entry in entries)
    for split in ("train", "validation"):
        if not counts[split]:
            numbers = ", ".join(f"{counts[name]} {name}" for name in SPLITS)
            raise CacheError(
                f"There must be readable videos for {split}. Received: {numbers}. More recordings, "
                "or a split column in videos.csv, help."
            )
    labels = {entry.label for entry in entries}
    # A detector of the unusual learns from normal videos alone: no video has its other class.
    wanted = {name for name in classes if name != UNUSUAL or name in labels}
    missing = wanted - {entry.label for entry in entries if entry.split == "train"}
    if missing:
        raise CacheError(
            "The training videos must have every class. Received: none of "
            f"{', '.join(sorted(missing))}. More recordings, or a split column in videos.csv, help."
        )


def check_trainable(
    videos: Sequence[Video], split: Mapping[str, str], normal_class: str | None = None
) -> None:
    """Makes the checks of a training with the videos of a dataset, as if all were extracted.

    Args:
        videos: Those that can be read, as far as that is known.
        split: The split of each, by key; see `planned_split`.
        normal_class: As `train --normal-class` gives it.

    Raises:
        ConfigError: If the normal class is not recognised.
        CacheError: If a split or a class in it is missing.
    """
    entries = [
        ManifestEntry(video.key, video.label, video.group, split[video.key]) for video in videos
    ]
    if len({entry.label for entry in entries}) == 1:  # for train --one-class
        check_splits(*normal_entries(entries, normal_class))
    else:
        check_splits(entries, classes_of(entries, normal_class))


def planned_split(
    videos: Sequence[Video], config: SplitConfig, kept: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The split that an extraction would give to each video, by key.

    Args:
        videos: The videos.
        config: Settings of the draw.
        kept: The split by key of an earlier extraction.
    """
    return splits.assign_splits(
        videos,
        kept=kept or {},
        leads={},
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.split_seed,
    )


def obstacles(
    videos: Sequence[Video],
    config: SplitConfig,
    *,
    kept: Mapping[str, str] | None = None,
    normal_class: str | None = None,
) -> list[str]:
    """Everything that `train` would refuse, in its own words; empty if it would train.

    Args:
        videos: The videos that can be read.
        config, kept: See `planned_split`.
        normal_class: As `train --normal-class` gives it.
    """
    split = planned_split(videos, config, kept)
    texts = []
    # The first check hides the others: with any class as the normal one, the next is seen.
    for normal in dict.fromkeys((normal_class, *sorted({v.label for v in videos})[:1])):
        try:
            check_trainable(videos, split, normal)
        except ViolenceDetectionError as error:
            texts.append(str(error))
    return list(dict.fromkeys(texts))


def lacking_classes(videos: Sequence[Video], config: SplitConfig) -> list[str]:
    """A text for each part of the split that would lack a class, and is trained on all the same:
    `test has no videos of fight`.

    A dataset that gives splits need not give a test split; what a training needs, `obstacles` says.

    Args:
        videos: The videos that can be read.
        config: Settings of the draw.
    """
    texts = splits.missing_classes(videos, planned_split(videos, config))
    left_out = ["validation has no videos"]
    if any(video.split for video in videos):
        left_out.append("test has no videos")
    return [text for text in texts if text not in left_out and not text.startswith("train ")]

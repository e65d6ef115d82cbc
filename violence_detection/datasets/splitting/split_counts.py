"""Numbers of videos and recordings in each split."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.units import counted


@dataclass(frozen=True)
class SplitCounts:
    """The videos of a split.

    Attributes:
        split: train, validation or test.
        by_class: Number of videos of each class that has any, by name.
        recordings: Number of their recordings.
    """

    split: str
    by_class: Mapping[str, int]
    recordings: int

    @property
    def videos(self) -> int:
        return sum(self.by_class.values())

    def __str__(self) -> str:
        """`163 videos of 25 recordings (88 fight, 75 normal)`."""
        listed = ", ".join(f"{count} {name}" for name, count in sorted(self.by_class.items()))
        recordings = counted(self.recordings, "recording")
        return f"{counted(self.videos, 'video')} of {recordings} ({listed})"


def count_splits(videos: Iterable[tuple[str, str, str]]) -> list[SplitCounts]:
    """The counts of each split that has videos, train first.

    Args:
        videos: Label, recording and split of each; a video without a split is not counted.
    """
    labels, recordings = defaultdict(Counter), defaultdict(set)
    for label, recording, split in videos:
        labels[split][label] += 1
        recordings[split].add(recording)
    return [
        SplitCounts(split, dict(labels[split]), len(recordings[split]))
        for split in SPLITS
        if split in labels
    ]

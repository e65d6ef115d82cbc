"""Leaves out videos of a class, whole recordings at a time, to imitate an uneven dataset."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError


def thin_class(
    entries: Sequence[ManifestEntry], label: str, fraction: float, *, seed: int
) -> list[ManifestEntry]:
    """The videos without those of a class in some recordings, so that the class has a fraction.

    Recordings are taken in a random order. The one whose removal would take the class further
    from the fraction than it is ends the removal. Videos of other classes stay, also those of the
    same recordings.

    Args:
        entries: The videos.
        label: The class.
        fraction: Of the class among the videos that are left, in (0, 1).
        seed: Seed of the order.

    Raises:
        ConfigError: If the class has a smaller fraction already, or too few recordings to come
            near.
    """
    counts = Counter(entry.label for entry in entries)
    others = len(entries) - counts[label]
    wanted = others * fraction / (1 - fraction)
    if counts[label] < wanted:
        raise ConfigError(
            f"`thin` must be at most the fraction of the videos that are {label}, "
            f"{counts[label] / len(entries):.2f}. Received: {fraction:g}"
        )
    sizes = Counter(entry.group for entry in entries if entry.label == label)
    groups, left = sorted(sizes), counts[label]
    removed: set[str] = set()
    for number in np.random.default_rng(seed).permutation(len(groups)).tolist():
        after = left - sizes[groups[number]]
        if abs(after - wanted) > abs(left - wanted) or not after:
            break
        removed.add(groups[number])
        left = after
    return [entry for entry in entries if entry.label != label or entry.group not in removed]

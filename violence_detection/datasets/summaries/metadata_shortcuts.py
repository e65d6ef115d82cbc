"""Classes that the size, length or rate of a video tells: a model could learn these instead."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

_MIN_ACCURACY = 0.8  # balanced, of the best cut
_MAX_P = 0.01


@dataclass(frozen=True)
class Shortcut:
    """A property of the files that tells a class from the others.

    Attributes:
        property: Such as `width`.
        label: The class.
        accuracy: Balanced accuracy of the best cut through the property, over recordings.
        p: The two-sided p-value of the two-sample Kolmogorov-Smirnov test.
        usual: The commonest value in the class, and in the other classes.
    """

    property: str
    label: str
    accuracy: float
    p: float
    usual: tuple[float, float]


def find_shortcuts(
    properties: Mapping[str, Sequence[float]], labels: Sequence[str], recordings: Sequence[str]
) -> list[Shortcut]:
    """The properties that tell a class from the others, the clearest first.

    Videos of a recording are alike, so each recording counts once for each class, with its median.
    The best cut through a property is right, in both classes on average, for (1 + D) / 2, where D
    is the statistic of Kolmogorov and Smirnov, whose exact test says whether so few recordings
    could show it by chance.

    Args:
        properties: Values of the N videos, by the name of the property.
        labels: The class of each.
        recordings: The recording of each.

    Returns:
        Those with a balanced accuracy of 80% or more and p < 0.01. Of two classes, the second in
        alphabetical order stands for either.
    """
    names = sorted(set(labels))
    shortcuts = []
    for label in names[-1:] if len(names) == 2 else names:
        for name, values in properties.items():
            inside, outside = _medians(values, labels, recordings, label)
            if not inside or not outside or len({*inside, *outside}) == 1:
                continue
            test = ks_2samp(inside, outside)
            accuracy = (1 + float(test.statistic)) / 2
            if accuracy >= _MIN_ACCURACY and test.pvalue < _MAX_P:
                usual = (_commonest(inside), _commonest(outside))
                shortcuts.append(Shortcut(name, label, accuracy, float(test.pvalue), usual))
    return sorted(shortcuts, key=lambda shortcut: -shortcut.accuracy)


def _medians(
    values: Sequence[float], labels: Sequence[str], recordings: Sequence[str], label: str
) -> tuple[list[float], list[float]]:
    """The median of each recording's videos in a class, and in the other classes."""
    by_recording = defaultdict(list)
    for value, name, recording in zip(values, labels, recordings, strict=True):
        by_recording[name == label, recording].append(value)
    medians = {key: float(np.median(group)) for key, group in by_recording.items()}
    inside = [value for (is_inside, _), value in medians.items() if is_inside]
    outside = [value for (is_inside, _), value in medians.items() if not is_inside]
    return inside, outside


def _commonest(values: Sequence[float]) -> float:
    value, count = Counter(values).most_common(1)[0]
    return value if count > 1 else float(np.median(values))

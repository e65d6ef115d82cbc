"""Properties of files that tell the classes, by recording."""

import numpy as np
import pytest

from violence_detection.datasets.summaries.metadata_shortcuts import find_shortcuts

LABELS = ["calm"] * 20 + ["fight"] * 20
EACH = [str(number) for number in range(40)]


def test_a_property_that_separates_the_classes_is_found():
    properties = {"width": [640.0] * 20 + [320.0] * 20, "rate": [25.0] * 40}
    (found,) = find_shortcuts(properties, LABELS, EACH)
    assert (found.property, found.label, found.accuracy) == ("width", "fight", 1.0)
    assert found.usual == (320.0, 640.0)
    assert found.p < 0.01


def test_the_accuracy_is_that_of_the_best_cut():
    widths = [640.0] * 18 + [320.0] * 2 + [320.0] * 20
    (found,) = find_shortcuts({"width": widths}, LABELS, EACH)
    assert found.accuracy == pytest.approx((18 / 20 + 1) / 2)


def test_clips_of_few_recordings_show_nothing():
    recordings = ["a"] * 20 + ["b"] * 20
    assert find_shortcuts({"width": [640.0] * 20 + [320.0] * 20}, LABELS, recordings) == []


def test_random_properties_are_rarely_found():
    rng = np.random.default_rng(0)
    found = [
        find_shortcuts({"x": rng.random(12).tolist()}, LABELS[14:26], EACH[:12]) for _ in range(300)
    ]
    assert sum(map(bool, found)) <= 6


def test_each_of_several_classes_is_compared_with_the_rest():
    labels = ["a"] * 8 + ["b"] * 8 + ["c"] * 8
    widths = [1.0] * 8 + [2.0] * 8 + [1.0] * 8
    found = find_shortcuts({"width": widths}, labels, EACH[:24])
    assert [shortcut.label for shortcut in found] == ["b"]

"""Thresholds of single classes: what is predicted, and a score that agrees with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError
from violence_detection.models.class_thresholds import ClassThresholds, canonical
from violence_detection.models.outputs.classes import decide, violence_score

CLASSES = ["normal", "abuse", "fight"]


def predicted(text, *rows, threshold=0.5):
    thresholds = ClassThresholds.from_text(text, CLASSES, threshold)
    return [CLASSES[index] for index in thresholds.decide(np.array(rows))]


def test_a_class_is_predicted_from_its_own_threshold_on_and_never_below():
    assert predicted("abuse=0.9", [0.3, 0.6, 0.1], [0.05, 0.92, 0.03]) == ["normal", "abuse"]
    assert predicted("abuse=0.2", [0.75, 0.25, 0.0], [0.85, 0.15, 0.0]) == ["abuse", "normal"]


def test_the_others_go_by_the_threshold_of_violence_without_its_probability():
    assert predicted("abuse=0.9", [0.1, 0.3, 0.6], [0.1, 0.6, 0.3]) == ["fight", "normal"]
    assert predicted("abuse=0.2", [0.1, 0.3, 0.6]) == ["fight"]  # of both, the likeliest


probabilities = st.lists(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=8
).map(lambda rows: np.array(rows) / np.sum(rows, axis=1, keepdims=True))


@given(probabilities, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_the_score_reaches_the_threshold_where_violence_is_predicted(rows, threshold, own):
    thresholds = ClassThresholds(CLASSES, threshold, {"abuse": own})
    score = thresholds.score(rows)
    assert ((score >= 0) & (score <= 1)).all()
    np.testing.assert_array_equal(score >= threshold, thresholds.decide(rows) > 0)


@given(probabilities, st.floats(0.05, 0.95))
def test_without_own_thresholds_nothing_changes(rows, threshold):
    thresholds = ClassThresholds.from_text(None, CLASSES, threshold)
    np.testing.assert_array_equal(thresholds.score(rows), violence_score(rows))
    np.testing.assert_array_equal(thresholds.decide(rows), decide(rows, threshold))


def test_the_text_is_canonical():
    assert canonical(" abuse = 0.90, fight=0.5 ") == "abuse=0.9,fight=0.5"


@pytest.mark.parametrize("text", ["abuse", "abuse=x", "abuse=0", "=0.5", "abuse=0.5,abuse=0.6"])
def test_another_text_is_refused(text):
    with pytest.raises(ConfigError, match="must be NAME=P,NAME=P with each class once"):
        canonical(text)


def test_names_must_be_classes_of_violence_of_several():
    with pytest.raises(ConfigError, match="must be among abuse, fight. Received: normal"):
        ClassThresholds.from_text("normal=0.5", CLASSES, 0.5)
    with pytest.raises(ConfigError, match="more than two classes; here --threshold says the same"):
        ClassThresholds.from_text("abuse=0.5", CLASSES[:2], 0.5)

"""Logits, probabilities and decisions, and a classifier that comes back as it was saved."""

import re
import time
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from violence_detection.errors import ConfigError, RunError
from violence_detection.models.classifier import (
    build_classifier,
    load_model,
    probabilities,
)
from violence_detection.models.outputs.classes import Classes, decide
from violence_detection.training.saving.checkpoint import save_classifier

LOGITS = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 4)),
                    elements=st.floats(-1e4, 1e4, width=32))  # fmt: skip


@pytest.fixture
def clips(rng) -> np.ndarray:
    return rng.normal(size=(12, 5, 4)).astype(np.float16)


def linear(clips, classes=2) -> keras.Model:
    classifier = build_classifier(head="linear", features=clips, classes=classes, recurrence="loop")
    for weight in classifier.trainable_variables:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    return classifier


# -- golden


def test_two_classes_are_the_sigmoid_and_more_the_softmax():
    two = Classes(2).predictions(np.log(np.array([[3.0]])))
    np.testing.assert_allclose(two, [[0.25, 0.75]])
    three = Classes(2).predictions(np.log(np.array([[1.0, 2.0, 5.0]])))
    np.testing.assert_allclose(three, [[0.125, 0.25, 0.625]])


def test_decisions_follow_the_threshold_and_then_the_likeliest_other():
    probability = np.array([[0.7, 0.1, 0.2], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    np.testing.assert_array_equal(decide(probability, 0.4), [0, 1, 2])


def test_a_score_at_the_threshold_is_violent():
    assert decide(np.array([[0.5, 0.5]]), 0.5) == 1


# -- relation


def test_a_saved_classifier_answers_the_same(clips, tmp_path):
    classifier = linear(clips, classes=3)
    save_classifier(classifier, tmp_path / "best_model.keras")
    loaded = load_model(tmp_path / "best_model.keras")
    before, after = (probabilities(model, clips) for model in (classifier, loaded))
    np.testing.assert_array_equal(before, after)
    assert [path.name for path in tmp_path.iterdir()] == ["best_model.keras"]


def test_the_size_of_the_batches_does_not_change_probabilities(clips):
    classifier = linear(clips)
    whole = probabilities(classifier, clips)
    np.testing.assert_allclose(probabilities(classifier, clips, batch_size=5), whole, atol=1e-6)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_calls_no_more_videos_violent(first, second):
    violent = np.linspace(0, 1, 21)
    probability = np.stack([1 - violent, violent], axis=1)
    low, high = (decide(probability, value).sum() for value in sorted((first, second)))
    assert high <= low


# -- property


@given(LOGITS)
def test_probabilities_are_a_distribution_at_any_logits(logits):
    probability = Classes(2).predictions(logits)
    assert probability.shape == (len(logits), max(2, logits.shape[1]))
    np.testing.assert_allclose(probability.sum(1), 1)
    assert (probability >= 0).all()


# -- error


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 torn"])
def test_a_damaged_model_is_refused(tmp_path, content):
    path = tmp_path / "best_model.keras"
    path.write_bytes(content)
    with pytest.raises(RunError, match="must be one that train saved. Received: .*best_model"):
        load_model(path)


def test_a_model_with_one_altered_byte_is_refused(clips, tmp_path):
    path = tmp_path / "best_model.keras"
    save_classifier(linear(clips), path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("model.weights.h5").header_offset + 2000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(RunError, match="must be one that train saved"):
        load_model(path)


def test_code_inside_a_model_is_refused(tmp_path):
    inputs = keras.Input((2,))
    unsafe = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    unsafe.save(tmp_path / "best_model.keras")
    with pytest.raises(RunError, match="must be one that train saved"):
        load_model(tmp_path / "best_model.keras")


def rewritten(path, change) -> None:
    """A saved model with its description changed, and zipped as small as it goes."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["config.json"] = change(content["config.json"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in content.items():
            archive.writestr(name, part)


def test_a_description_that_would_fill_the_memory_is_not_unpacked(clips, tmp_path):
    path = tmp_path / "best_model.keras"
    save_classifier(linear(clips), path)
    rewritten(path, lambda config: config + b" " * (32 << 20))
    assert path.stat().st_size < 1 << 20
    start_s = time.monotonic()
    with pytest.raises(RunError, match="must be one that train saved"):
        load_model(path)
    assert time.monotonic() - start_s < 2


def test_weights_that_are_no_numbers_are_refused(clips, tmp_path):
    path = tmp_path / "best_model.keras"
    classifier = linear(clips)
    kernel = classifier.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    save_classifier(classifier, path)
    with pytest.raises(RunError, match="weights must be finite. Received: .*NaN"):
        load_model(path)


def test_constants_that_are_no_numbers_are_refused(clips, tmp_path):
    path = tmp_path / "best_model.keras"
    save_classifier(linear(clips), path)
    rewritten(path, lambda config: re.sub(rb'"mean": \[+[-0-9.e]+', b'"mean": [NaN', config))
    with pytest.raises(RunError, match="weights must be finite|train saved"):
        load_model(path)


def test_an_unknown_argument_of_a_head_is_named(clips):
    with pytest.raises(ConfigError, match="The head linear takes .*dropout.*. Received: depth"):
        build_classifier(head="linear(depth=3)", features=clips, classes=2, recurrence="loop")

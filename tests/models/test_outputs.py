"""The outputs of classes and of violence: targets, probabilities, what they say untrained."""

import numpy as np
import pytest

from violence_detection.models.classifier import build_classifier, probabilities
from violence_detection.models.forward_pass import run_model
from violence_detection.models.outputs.classes import Classes, decide, is_violent, violence_score


def test_targets_are_a_column_for_two_classes_and_one_hot_for_more():
    labels = np.array([0, 1, 1])
    np.testing.assert_array_equal(Classes(2).targets(labels), [[0], [1], [1]])
    np.testing.assert_array_equal(Classes(3).targets(labels), [[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    assert Classes(2).targets(labels).dtype == np.float32


def test_the_score_is_what_is_left_of_the_normal_class():
    probability = np.array([[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_array_equal(violence_score(probability), [0.75, 0.0])
    logits = np.array([[np.log(3)], [-100.0]])
    np.testing.assert_allclose(Classes(2).score(logits), [0.75, 0.0], atol=1e-12)
    assert violence_score(probability[0]) == 0.75


def test_labels_of_every_class_but_the_first_are_violent():
    np.testing.assert_array_equal(is_violent(np.array([0, 1, 2])), [False, True, True])


def test_the_decision_is_the_likeliest_class_but_for_the_threshold():
    probability = np.array([[0.4, 0.35, 0.25]])
    assert decide(probability, 0.5) == 1
    assert decide(probability, 0.7) == 0


@pytest.mark.parametrize("classes", [2, 3, 14])
def test_a_classifier_before_training_predicts_half_violence(classes):
    clips = np.random.default_rng(classes).normal(size=(8, 4, 3)).astype(np.float16)
    model = build_classifier(head="mean_pool", features=clips, classes=classes, recurrence="loop")
    predicted = probabilities(model, clips)
    np.testing.assert_allclose(violence_score(predicted), 0.5, atol=1e-6)
    np.testing.assert_allclose(predicted[:, 1:], 0.5 / (classes - 1), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_violence_begins_as_what_the_classes_say(classes):
    rng = np.random.default_rng(classes)
    clips = rng.normal(size=(8, 4, 3)).astype(np.float16)
    model = build_classifier(
        head="mean_pool",
        features=clips,
        classes=classes,
        recurrence="loop",
        outputs="mil+violence+classes",
    )
    outputs = run_model(model, clips)
    np.testing.assert_allclose(outputs["violence"], 0, atol=1e-6)
    kernel = model.get_layer("logits").kernel
    kernel.assign(10 * rng.normal(size=kernel.shape))
    outputs = run_model(model, clips)
    probability = Classes(classes).score(outputs["classes"])
    assert np.ptp(probability) > 0.01
    np.testing.assert_allclose(outputs["violence"][:, 0], 4 * probability - 2, atol=1e-5)

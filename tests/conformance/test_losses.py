"""The contract of every loss, and the closed forms of these two."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.models.outputs.classes import Classes
from violence_detection.training.training_data import weighted_fractions

LOSSES = [
    *registry.available("losses"),
    "focal(gamma=0.5)",
    "focal(alpha=none)",
    "focal(alpha=inverse_sqrt)",
    "focal(alpha=0.25)",
]
EXTREME = np.float32([-1e4, -80, -1, 0, 1, 80, 1e4])
LABELS, CLASSES, SMOOTHING = st.integers(0, 1), st.integers(2, 5), st.floats(0, 0.5)


def build(spec, *, smoothing=0.0, shares=(0.5, 0.5)):
    return registry.load("losses", spec, label_smoothing=smoothing, class_fractions=list(shares))


def value(loss, goals, logits) -> np.ndarray:
    return np.array(loss(np.float32(goals), np.float32(logits)))


def drawn(classes, count=8):
    """One-hot labels and logits of several classes, (N, K)."""
    rng = np.random.default_rng(classes)
    return np.eye(classes)[rng.integers(0, classes, count)], rng.normal(0, 3, (count, classes))


def log_softmax(logits) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def focal_in_numpy(goals, logits, *, gamma, alpha, smoothing):
    """The formula of the class's docstring, in float64."""
    log_p, classes = log_softmax(logits), np.shape(logits)[1]
    goals = (1 - smoothing) * goals + smoothing / classes
    return -(goals * alpha * (1 - np.exp(log_p)) ** gamma * log_p).sum(-1)


# -- golden


def test_cross_entropy_is_minus_the_log_of_the_probability():
    logits = np.log([[3.0], [3.0]])
    expected = [-np.log(0.75), -np.log(0.25)]
    np.testing.assert_allclose(
        value(build("crossentropy"), [[1], [0]], logits), expected, rtol=1e-6
    )


def test_focal_loss_turns_easy_examples_down_as_in_the_paper():
    """Lin et al., 2017, section 3.2: with gamma 2, p 0.9 costs 100 times less than with 0."""
    easy, plain = build("focal(gamma=2.0, alpha=none)"), build("crossentropy")
    ratio = value(plain, [[1]], [[np.log(9)]]) / value(easy, [[1]], [[np.log(9)]])
    np.testing.assert_allclose(ratio, 100, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_focal_loss_is_its_formula_in_float64(gamma, classes):
    goals, logits = drawn(classes)
    shares = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    loss = build(f"focal(gamma={gamma}, alpha=auto)", smoothing=0.1, shares=shares)
    alpha = 1 - shares if classes == 2 else np.array(loss.alpha)
    expected = focal_in_numpy(goals, logits, gamma=gamma, alpha=alpha, smoothing=0.1)
    np.testing.assert_allclose(value(loss, goals, logits), expected, rtol=1e-4, atol=1e-6)


def test_a_smoothed_label_costs_a_share_of_the_other_class():
    logit, smoothing = 2.0, 0.2
    right, wrong = np.log1p(np.exp(-logit)), np.log1p(np.exp(logit))
    loss = value(build("crossentropy", smoothing=smoothing), [[1]], [[logit]])
    np.testing.assert_allclose(loss, 0.9 * right + 0.1 * wrong, rtol=1e-6)


@pytest.mark.parametrize(
    ("alpha", "shares", "weights"),
    [("auto", (0.75, 0.25), (0.25, 0.75)), ("0.9", (0.5, 0.5), (0.1, 0.9))],
)
def test_alpha_weighs_violence_and_the_rest_the_normal_class(alpha, shares, weights):
    loss = build(f"focal(gamma=0, alpha={alpha})", shares=shares)
    plain = build("crossentropy")
    ratio = value(loss, [[0], [1]], [[0.3]] * 2) / value(plain, [[0], [1]], [[0.3]] * 2)
    np.testing.assert_allclose(ratio, weights, rtol=1e-5)


def test_alpha_auto_is_a_half_for_two_balanced_classes():
    assert build("focal(alpha=auto)").alpha == [0.5, 0.5]


def test_inverse_sqrt_is_one_over_the_root_of_the_fraction_with_mean_1():
    """1.15 for 76% and 14.14 for 0.5%, before they are scaled to a mean of 1."""
    shares = (0.76, 0.235, 0.005)
    alpha = np.array(build("focal(alpha=inverse_sqrt)", shares=shares).alpha)
    np.testing.assert_allclose(alpha.mean(), 1)
    np.testing.assert_allclose(alpha[2] / alpha[0], 14.142 / 1.1471, rtol=1e-4)


# -- relation


@pytest.mark.parametrize("spec", ["crossentropy", "focal", "focal(gamma=5)"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 3, 4, 14])
def test_the_best_constant_prediction_after_class_weights_is_half_violence(
    spec, smoothing, classes
):
    """The gradient of the weighted loss is 0 at zero logits with the bias that classifiers have."""
    shares = weighted_fractions(classes)
    # Smoothed cross-entropy has no weights of its own: its mean target is not one half there.
    smoothing = 0.0 if spec == "crossentropy" else smoothing
    loss = build(spec, smoothing=smoothing, shares=shares)
    goals, logits = Classes(classes).targets(np.arange(classes)), np.log(2 * shares)
    logits = np.zeros((2, 1)) if classes == 2 else np.tile(logits, (classes, 1))
    slopes = shares @ gradient(loss, goals, logits)
    np.testing.assert_allclose(slopes, 0, atol=1e-6)


@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.1), (0.25, 0.25, 0.25, 0.25)])
def test_alpha_auto_alone_balances_normal_against_all_other_classes(shares):
    loss = build("focal(alpha=auto)", shares=shares)
    rest = np.array(shares[1:]) * (1 - np.array(shares[1:]))
    prior = np.array([0.5, *(0.5 * rest / rest.sum())])
    slopes = shares @ gradient(loss, np.eye(len(shares)), np.tile(np.log(prior), (len(shares), 1)))
    np.testing.assert_allclose(slopes, 0, atol=1e-6)


@pytest.mark.slow
@given(LABELS, st.floats(-20, 20), SMOOTHING)
def test_focal_loss_without_gamma_is_cross_entropy(label, logit, smoothing):
    focal = build("focal(gamma=0, alpha=none)", smoothing=smoothing)
    plain = build("crossentropy", smoothing=smoothing)
    focal_value, plain_value = (value(loss, [[label]], [[logit]]) for loss in (focal, plain))
    np.testing.assert_allclose(focal_value, plain_value, rtol=1e-6)


@pytest.mark.parametrize("spec", LOSSES)
def test_one_logit_costs_what_two_logits_cost(spec):
    logits = np.linspace(-6, 6, 13)
    goals = np.arange(13) % 2
    loss = build(spec, smoothing=0.1, shares=(0.7, 0.3))
    of_one_logit = value(loss, goals[:, None], logits[:, None])
    of_two_logits = value(loss, np.eye(2)[goals], np.stack([0 * logits, logits], axis=1))
    np.testing.assert_allclose(of_one_logit, of_two_logits, rtol=1e-3, atol=1e-6)


def test_keras_agrees_on_cross_entropy_of_several_classes():
    goals, logits = drawn(4)
    ours = value(build("crossentropy", smoothing=0.1, shares=[0.25] * 4), goals, logits)
    theirs = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1, reduction="none"
    )
    np.testing.assert_allclose(ours, value(theirs, goals, logits), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_larger_gamma_never_costs_more(gamma):
    goals, logits = drawn(2, count=50)
    smaller, larger = (
        value(build(f"focal(gamma={value_of_gamma}, alpha=none)"), goals, logits)
        for value_of_gamma in (gamma, 2 * gamma)
    )
    assert (larger <= smaller + 1e-7).all()


# -- property: what every loss promises


def gradient(loss, goals, logits) -> np.ndarray:
    logits = tf.constant(np.float32(logits))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(loss(np.float32(goals), logits))
    return tape.gradient(total, logits).numpy()


@pytest.mark.parametrize("spec", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_are_finite_at_extreme_logits(spec, smoothing):
    loss = build(spec, smoothing=smoothing)
    for goal in (0, 1):
        goals, logits = np.full((7, 1), goal), EXTREME[:, None]
        assert np.isfinite(value(loss, goals, logits)).all()
        assert np.isfinite(gradient(loss, goals, logits)).all()


@pytest.mark.parametrize("spec", [spec for spec in LOSSES if "0.25" not in spec])
def test_several_classes_are_finite_at_extreme_logits(spec):
    loss = build(spec, smoothing=0.1, shares=(0.5, 0.3, 0.2))
    logits = np.stack([EXTREME, -EXTREME, 0 * EXTREME], axis=1)
    for kind in range(3):
        goals = np.eye(3)[np.full(7, kind)]
        assert np.isfinite(value(loss, goals, logits)).all()
        assert np.isfinite(gradient(loss, goals, logits)).all()


@pytest.mark.parametrize("spec", LOSSES)
def test_a_loss_gives_a_float32_value_per_example(spec):
    got = build(spec)(np.float16([[1], [0], [1]]), np.float16([[1], [2], [-1]]))
    assert got.shape == (3,)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"


@pytest.mark.parametrize("spec", LOSSES)
def test_a_better_logit_costs_less(spec):
    logits = np.linspace(-5, 5, 21)[:, None]
    losses = value(build(spec), np.ones((21, 1)), logits)
    assert (np.diff(losses) < 0).all() and (losses >= 0).all()


@pytest.mark.parametrize("spec", LOSSES)
def test_the_gradient_is_the_slope(spec):
    loss, logits, step = (
        build(spec, smoothing=0.1),
        np.float32([[-2.0], [0.3], [1.5]]),
        1e-2,
    )
    goals = [[1], [0], [1]]
    slope = (value(loss, goals, logits + step) - value(loss, goals, logits - step)) / (2 * step)
    np.testing.assert_allclose(gradient(loss, goals, logits)[:, 0], slope, atol=2e-3)


# -- error


def test_a_negative_gamma_is_refused():
    with pytest.raises(
        ConfigError, match=r"`gamma` .* must be float in \[0, 100\]. Received: gamma=-1"
    ):
        build("focal(gamma=-1)")


@pytest.mark.parametrize(("alpha", "shares"), [("2", (0.5, 0.5)), ("0.3", (0.4, 0.3, 0.3))])
def test_alpha_must_be_a_share_of_two_classes(alpha, shares):
    with pytest.raises(ConfigError, match=f"alpha={alpha}.* with {len(shares)} classes"):
        build(f"focal(alpha={alpha})", shares=shares)


def test_an_unknown_loss_is_refused_with_the_names_that_exist():
    with pytest.raises(ConfigError, match="The loss must be one of crossentropy, "):
        build("focl")

"""One step over several devices is one step on one device, whatever the batch holds."""

import contextlib
import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.trainers import strategy_over

from violence_detection import registry
from violence_detection.features.dataset import FeatureDataset
from violence_detection.system import devices
from violence_detection.training import batching
from violence_detection.training.optimisation.objective import of_logits
from violence_detection.training.optimisation.step import TrainingStep, separate_dropout
from violence_detection.training.saving.training_state import StepState

SHAPE, VIDEOS, BATCH = (4, 6), 20, 8
TOLERANCE = {"float32": 2e-6, "mixed_float16": 2e-3, "mixed_bfloat16": 2e-2}


def small_model() -> keras.Model:
    """A projection, a norm, and a logit."""
    layers = [
        keras.Input(SHAPE),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.LayerNormalization(),
        keras.layers.Dense(1, dtype="float32"),
    ]
    return keras.Sequential(layers)


def step_over(
    replicas, *, build=small_model, rate=0.1, momentum=0.9, global_clipnorm=0.0, **settings
):
    """A step whose model and optimiser begin the same at every call."""
    strategy = strategy_over(replicas)
    keras.utils.set_random_seed(3)
    with strategy.scope():
        classifier = build()
        optimizer = keras.optimizers.SGD(0.1, momentum=momentum)
        optimizer.build(classifier.trainable_variables)
    asked = {"label_smoothing": 0.0, "class_fractions": [0.5, 0.5]}
    return TrainingStep(
        classifier,
        objective=of_logits(registry.load("losses", "crossentropy", **asked)),
        optimizer=optimizer,
        strategy=strategy,
        schedule=lambda _: rate,
        **{"global_clipnorm": global_clipnorm, "xla": False, **settings},
    )


def drawn_clips(count=VIDEOS) -> FeatureDataset:
    rng = np.random.default_rng(5)
    labels = np.arange(count) % 2
    features = rng.normal(labels[:, None, None], 1, (count, *SHAPE)).astype(np.float16)
    return FeatureDataset(features, labels, (None,) * count)


def learn(step, clips, *, weights=None, steps=10, batch_size=BATCH):
    """Results of some steps over epochs of batches that do not divide evenly."""
    weights = np.ones(len(clips), np.float32) if weights is None else weights
    order = lambda epoch: batching.epoch_order(len(clips), seed=0, epoch=epoch)
    targets = clips.labels[:, None].astype(np.float32)
    batches = batching.batches(clips, targets, weights, order=order, batch_size=batch_size)
    batches = iter(step.strategy.experimental_distribute_dataset(batches))
    results = [step(next(batches)) for _ in range(steps)]
    return [{name: float(value) for name, value in result.items()} for result in results]


def weights_of(step) -> np.ndarray:
    return np.concatenate([np.ravel(variable) for variable in step.classifier.get_weights()])


def assert_equal(weights, expected, before, tolerance):
    """Equal to within a fraction of the distance from the first weights."""
    distance = np.abs(weights_of(weights) - before).max()
    assert distance > 0.01
    np.testing.assert_allclose(
        weights_of(weights), weights_of(expected), atol=tolerance * max(1, distance)
    )


# -- golden


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_clipping_scales_the_whole_gradient_to_the_norm(replicas):
    step = step_over(replicas, rate=1.0, momentum=0.0, global_clipnorm=0.01)
    before = weights_of(step)
    (result,) = learn(step, drawn_clips(8), steps=1)
    assert result["gradient_norm"] > 0.1
    assert np.linalg.norm(weights_of(step) - before) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.slow
def test_the_loss_is_the_weighted_mean_in_numpy():
    step, clips = step_over(2), drawn_clips(5)
    weights = np.float32([1, 2, 3, 4, 5])
    logits = step.classifier(clips.features.astype(np.float32)).numpy()[:, 0].astype(np.float64)
    losses = np.log1p(np.exp(-np.where(clips.labels == 1, logits, -logits)))
    (result,) = learn(step, clips, weights=weights, steps=1)
    assert result["loss"] == pytest.approx((losses * weights).sum() / 5, rel=1e-5)


@pytest.mark.slow
def test_the_rate_of_a_step_is_that_of_its_middle():
    step = step_over(1)
    step.schedule = lambda steps: 0.001 * steps
    learn(step, drawn_clips(8), steps=3)
    assert float(step.optimizer.learning_rate) == pytest.approx(0.0025)


# -- relation


CASES = {
    "plain": ("float32", {}, None),
    "clipped": ("float32", {"global_clipnorm": 0.05}, None),
    "class weights": ("float32", {}, np.where(np.arange(VIDEOS) % 2, 0.6, 1.7)),
    "float16": ("mixed_float16", {"global_clipnorm": 0.5}, None),
    "bfloat16": ("mixed_bfloat16", {"global_clipnorm": 0.5}, None),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
def test_two_replicas_train_as_one_device_does(case):
    """Ten steps; every third batch is padded, with one replica's share nearly all padding."""
    policy, settings, weights = CASES[case]
    weights = None if weights is None else weights.astype(np.float32)
    with devices.dtype_policy(policy):
        single, double = step_over(1, **settings), step_over(2, **settings)
        before = weights_of(single)
        np.testing.assert_array_equal(before, weights_of(double))
        alone = learn(single, drawn_clips(), weights=weights)
        together = learn(double, drawn_clips(), weights=weights)
    assert_equal(single, double, before, TOLERANCE[policy])
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose(
            [row[name] for row in alone], [row[name] for row in together], rtol=0.03
        )


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_padding_does_not_change_the_weights(replicas):
    padded, exact = step_over(replicas), step_over(1)
    before = weights_of(exact)
    learn(padded, drawn_clips(5), steps=3, batch_size=8)
    learn(exact, drawn_clips(5), steps=3, batch_size=5)
    assert_equal(exact, padded, before, 2e-6)


@pytest.mark.slow
def test_xla_gives_the_same_weights():
    plain, compiled = step_over(1), step_over(1, xla=True)
    before = weights_of(plain)
    for step in (plain, compiled):
        learn(step, drawn_clips())
    assert_equal(plain, compiled, before, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, True])
def test_xla_compiles_the_forward_pass(xla):
    """Which cannot be where Python is called in it."""

    @keras.saving.register_keras_serializable("test")
    class CallsPython(keras.layers.Layer):
        def call(self, features):
            factor = tf.numpy_function(lambda: np.float32(1), [], tf.float32)
            return features * tf.ensure_shape(factor, ())

    def build():
        return keras.Sequential([*small_model().layers, CallsPython()])

    step = step_over(1, build=build, xla=xla)
    assert step.xla is xla
    refused = pytest.raises(tf.errors.InvalidArgumentError, match="compil")
    with refused if xla else contextlib.nullcontext():
        learn(step, drawn_clips(8), steps=1)


@pytest.mark.slow
def test_doubling_all_weights_doubles_the_loss_and_the_gradient():
    clips, weights = drawn_clips(8), np.ones(8, np.float32)
    (once,) = learn(step_over(1), clips, weights=weights, steps=1)
    (twice,) = learn(step_over(1), clips, weights=2 * weights, steps=1)
    for name in ("loss", "gradient_norm"):
        assert twice[name] == pytest.approx(2 * once[name], rel=1e-5)


def test_replicas_draw_different_dropout_masks():
    strategy = strategy_over(2)
    with strategy.scope():
        inputs = keras.Input((64,))
        dropped = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
    masks = tf.function(lambda: strategy.run(lambda: dropped(tf.ones((1, 64)), training=True)))
    first, second = strategy.experimental_local_results(masks())
    np.testing.assert_array_equal(first, second)  # what Keras gives, as it is built
    separate_dropout(dropped, strategy)
    for _ in range(3):
        first, second = strategy.experimental_local_results(masks())
        assert not np.array_equal(first, second)


def test_replicas_of_another_machine_draw_masks_of_their_own():
    classifier = keras.Sequential([keras.Input(SHAPE), keras.layers.Dropout(0.5)])
    (seed,) = [variable for variable in classifier.variables if "seed_generator" in variable.path]
    drawn = seed.numpy()
    separate_dropout(classifier, strategy_over(1), first_replica=2)
    np.testing.assert_array_equal(seed.numpy(), drawn + np.array([2, 0], drawn.dtype))


@pytest.mark.slow
def test_a_step_that_is_done_leaves_no_graph_of_it_in_the_memory():
    """Keras' optimisers register gradients for good, and with them the graph that they are in."""

    def graphs():
        gc.collect()
        names = [item.name for item in gc.get_objects() if type(item).__name__ == "FuncGraph"]
        return sum("_replica_gradients" in name for name in names)

    before = graphs()
    learn(step_over(1), drawn_clips(8), steps=1)
    assert graphs() == before


@pytest.mark.slow
def test_pieces_of_a_step_that_takes_much_memory_are_added_up():
    """Grappler makes temporary variables above 0.8 of 256 MB, which it counts for any CPU.

    It merges the sum over the pieces only with a sum of gradients, so one layer is used twice.
    """

    def build():
        features = keras.Input(SHAPE)
        layer = keras.layers.Dense(24, activation="tanh")
        hidden = layer(layer(keras.layers.Flatten()(features)))
        hidden = keras.layers.RepeatVector(400_000)(hidden)
        hidden = keras.layers.GlobalAveragePooling1D()(hidden)
        return keras.Model(features, keras.layers.Dense(1)(hidden))

    step = step_over(1, build=build, pieces=2)
    batch = (drawn_clips(8).features, np.float32([[0], [1]] * 4), np.ones(8, np.float32))
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    # A variable that the first run leaves behind stops the second.
    assert [float(step.run(batches, 1)["finite"][0]) for _ in range(2)] == [1, 1]


@pytest.mark.slow
def test_a_restored_step_goes_on_where_it_was():
    with devices.dtype_policy("mixed_float16"):
        step, restored = step_over(1), step_over(1)
        learn(step, poisoned(0), steps=1)
        restored.restore(step.state())
    assert restored.state() == step.state() == StepState(steps=1, scale=2.0**14, sound_steps=0)


# -- the sample that overflows


def poisoned(row: int) -> FeatureDataset:
    """A batch of which row 0 is on replica 0, and row 4 on replica 1."""
    clips = drawn_clips(BATCH)
    position = int(batching.epoch_order(BATCH, seed=0, epoch=1)[row])
    clips.features[position] = np.inf
    return clips


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(0, id="first replica"),
        pytest.param(4, id="second replica", marks=pytest.mark.slow),
    ],
)
def test_an_overflow_on_any_replica_skips_the_step_and_halves_the_scale(replicas, row):
    with devices.dtype_policy("mixed_float16"):
        step = step_over(replicas, global_clipnorm=1.0)
        before, scale = weights_of(step), step.scale
        (result,) = learn(step, poisoned(row), steps=1)
        assert (result["finite"], step.scale, step.steps) == (0.0, scale / 2, 1)
        np.testing.assert_array_equal(weights_of(step), before)
        assert int(step.optimizer.iterations.numpy()) == 0
        (result,) = learn(step, drawn_clips(8), steps=1)
    assert result["finite"] == 1.0
    assert np.isfinite(weights_of(step)).all()
    assert not np.array_equal(weights_of(step), before)


@pytest.mark.slow
def test_in_float32_there_is_no_scale_and_a_bad_step_is_not_finite():
    step = step_over(2)
    before = weights_of(step)
    (result,) = learn(step, poisoned(4), steps=1)
    assert (result["finite"], step.scale) == (0.0, 1.0)
    np.testing.assert_array_equal(weights_of(step), before)


@pytest.mark.slow
def test_the_scale_doubles_after_two_thousand_sound_steps():
    with devices.dtype_policy("mixed_float16"):
        step = step_over(1)
        step.restore(StepState(steps=5000, scale=1024.0, sound_steps=1999))
        learn(step, drawn_clips(8), steps=1)
    assert step.scale == 2048.0


@pytest.mark.slow
def test_the_scale_is_taken_out_of_loss_and_gradient():
    with devices.dtype_policy("mixed_float16"):
        small, large = step_over(1), step_over(1)
        small.restore(StepState(steps=0, scale=1.0, sound_steps=0))
        (small_result,), (large_result,) = (
            learn(step, drawn_clips(8), steps=1) for step in (small, large)
        )
    assert small_result["gradient_norm"] == pytest.approx(large_result["gradient_norm"], rel=0.01)
    assert small_result["loss"] == pytest.approx(large_result["loss"], rel=1e-3)

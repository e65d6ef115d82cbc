"""The contract of every head, and the outputs of their layers."""

import functools
import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from violence_detection import registry
from violence_detection.models import classifier
from violence_detection.models.heads._layers import (
    AttentionPooling,
    SinePositions,
    TemporalStatistics,
    standardise,
    statistics_of,
)
from violence_detection.system import devices

HEADS = registry.available("heads")
ARGUMENTS = {
    head: {
        name: parameter.default
        for name, parameter in inspect.signature(
            registry.module("heads", head).build
        ).parameters.items()
        if parameter.default is not parameter.empty
    }
    for head in HEADS
}
SEQUENCE_HEADS = [head for head in HEADS if "change" in ARGUMENTS[head]]
RECURRENT_HEADS = ["bilstm_attention", "gru_attention"]
# Another format of 16 bits, by the same lines.
BFLOAT16 = pytest.param("mixed_bfloat16", marks=pytest.mark.thorough)


def of_examples(head, examples, outputs=1, recurrence="loop") -> keras.Model:
    classes = 2 if outputs == 1 else outputs
    return classifier.build_classifier(
        head=head, features=examples, classes=classes, recurrence=recurrence
    )


def build(head, *, frames=5, dim=6, outputs=1, policy="float32", recurrence="loop"):
    """A head on drawn examples, with no weight left at zero, and the examples."""
    rng = np.random.default_rng(0)
    examples = rng.normal(1, 2, (16, frames, dim)).astype(np.float16)
    with devices.dtype_policy(policy):
        built = of_examples(head, examples, outputs, recurrence)
    for weight in built.trainable_variables:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return built, examples.astype(np.float32)


@functools.cache
def drawn(head, frames=5, outputs=1, policy="float32", recurrence="loop"):
    """`build`, once for all tests that change nothing of it."""
    return build(head, frames=frames, outputs=outputs, policy=policy, recurrence=recurrence)


def save_and_load(built, folder) -> keras.Model:
    built.save(folder / "head.keras")
    return classifier.load_model(folder / "head.keras")


# -- what every head promises


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("frames", "outputs"), [(5, 1), (1, 1), (5, 3)])
def test_a_head_goes_from_features_to_finite_float32_logits(head, frames, outputs):
    built, clips = drawn(head, frames, outputs)
    logits = built(clips)
    assert logits.shape == (16, outputs)
    assert logits.dtype == tf.float32
    assert np.isfinite(logits).all()


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("policy", ["mixed_float16", BFLOAT16])
def test_reduced_precision_keeps_float32_logits_near_those_of_float32(head, policy):
    (exact, clips), (reduced, _) = build(head), build(head, policy=policy)
    reduced.set_weights(exact.get_weights())
    logits = reduced(clips)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, exact(clips), atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_saved_head_gives_equal_logits(head, policy, tmp_path):
    built, clips = drawn(head, outputs=3, policy=policy)
    loaded = save_and_load(built, tmp_path)
    np.testing.assert_array_equal(built(clips), loaded(clips))


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_a_clip_is_encoded_alone(head):
    """The others in the batch do not count, so padding does not either."""
    built, clips = drawn(head)
    np.testing.assert_allclose(built(clips)[:3], built(clips[:3]), atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_every_weight_of_a_head_learns(head):
    built, clips = drawn(head)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(built(clips, training=True) ** 2)
    variables = [variable.value for variable in built.trainable_variables]
    assert variables
    for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
        assert slope is not None and np.abs(slope).max() > 1e-4, variable.name


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_a_head_standardises_by_its_examples(head):
    """Features on another scale, with examples on that scale, give the same logits."""
    built, clips = drawn(head)
    scaled = of_examples(head, 8 * clips)
    trained = [variable.path for variable in built.trainable_variables]
    for variable, source in zip(scaled.trainable_variables, built.trainable_variables, strict=True):
        variable.assign(source.value)
    assert trained
    np.testing.assert_allclose(scaled(8 * clips), built(clips), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_a_feature_that_never_varies_is_not_blown_up(head):
    examples = np.random.default_rng(0).normal(size=(8, 5, 6)).astype(np.float16)
    examples[..., 0] = 3.0
    built = of_examples(head, examples)
    examples[..., 0] = 3.01
    assert np.abs(built(examples.astype(np.float32))).max() < 100


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("policy", ["mixed_float16", BFLOAT16])
def test_every_softmax_of_a_head_is_taken_in_float32(head, policy):
    built, clips = build(head, policy=policy)
    traced = tf.function(lambda clips: built(clips, training=True))
    graph = traced.get_concrete_function(tf.TensorSpec(clips.shape)).graph.as_graph_def()
    nodes = [
        *graph.node,
        *(node for function in graph.library.function for node in function.node_def),
    ]
    taken = [node.attr["T"].type for node in nodes if node.op == "Softmax"]
    assert (len(taken) > 0) == (head in SEQUENCE_HEADS)
    assert set(taken) <= {tf.float32.as_datatype_enum}


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_every_head_but_the_mean_depends_on_the_order_of_the_frames(head):
    built, clips = drawn(head)
    moved = np.abs(built(clips[:, [3, 0, 4, 1, 2]]) - built(clips)).max()
    assert moved < 1e-5 if head == "mean_pool" else moved > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("head", SEQUENCE_HEADS)
def test_what_reads_the_frames_depends_on_their_order_by_itself(head):
    """Not only the changes and the statistics that stand beside it."""
    built, clips = drawn(f"{head}(change=false, statistics=false)")
    assert np.abs(built(clips[:, ::-1]) - built(clips)).max() > 1e-2


def trained_answer(head, **arguments) -> np.ndarray:
    """Logits with dropout of a seeded head, with no weight left at zero."""
    keras.utils.set_random_seed(4)
    built, clips = build(str(registry.Spec(head, arguments)))
    return built(clips, training=True).numpy()


def another(value):
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else (value + 0.25) / 2


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.slow
def test_every_argument_of_a_head_changes_what_it_answers(head):
    plain = trained_answer(head)
    np.testing.assert_array_equal(trained_answer(head), plain)
    for name, value in ARGUMENTS[head].items():
        changed = trained_answer(head, **{name: another(value)})
        assert np.abs(changed - plain).max() > 1e-3, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "recurrence"),
    [
        *((head, "loop") for head in HEADS),
        *((head, recurrence) for head in RECURRENT_HEADS for recurrence in ("cudnn", "unrolled")),
    ],
)
def test_recurrences_alone_use_cudnn_and_only_where_they_may(head, recurrence):
    """What cuDNN asks of a recurrence is what Keras gives unless told otherwise."""
    built, _ = drawn(head, recurrence=recurrence)
    recurrences = [
        recurrent
        for layer in built.layers
        if isinstance(layer, keras.layers.Bidirectional)
        for recurrent in (layer.forward_layer, layer.backward_layer)
    ]
    assert len(recurrences) == (2 if head in RECURRENT_HEADS else 0)
    for layer in recurrences:
        assert layer.use_cudnn == ("auto" if recurrence == "cudnn" else False)
        assert layer.recurrent_dropout == 0 and getattr(layer, "reset_after", True)
        assert layer.unroll is (recurrence == "unrolled")


@pytest.mark.slow
@pytest.mark.parametrize("head", RECURRENT_HEADS)
def test_however_a_recurrence_is_computed_it_answers_the_same(head):
    looped, examples = drawn(head, frames=20)
    unrolled, _ = drawn(head, frames=20, recurrence="unrolled")
    np.testing.assert_allclose(unrolled(examples), looped(examples), atol=1e-5)


@pytest.mark.parametrize(
    ("head", "frames"), [("bilstm_attention", 49), ("bilstm_attention(layers=3)", 17)]
)
def test_what_takes_many_steps_is_not_unrolled(head, frames):
    built, _ = drawn(head, frames=frames, recurrence="unrolled")
    assert not built.get_layer("bilstm_1").forward_layer.unroll


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("head", ["tcn(layers=4, kernel=4)", "transformer(heads=5)"])
def test_sizes_that_do_not_divide_are_taken(head, frames):
    """A kernel wider than the clip, and heads that do not share the projection evenly."""
    built, clips = drawn(head, frames)
    assert np.isfinite(built(clips)).all()


# -- blocks and positions, golden


def between(built, first, last) -> keras.Model:
    """From features to what two layers of a head give."""
    layers = [built.get_layer(first), built.get_layer(last)]
    return keras.Model(built.input, [layer.output for layer in layers])


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "reach"), [(1, 2), (2, 6), (3, 14)])
def test_convolutions_reach_as_far_as_their_dilations_add_up(layers, reach):
    """Two convolutions a block, each one frame wide on either side, at 1, 2 and 4."""
    built, clips = drawn(f"tcn(layers={layers}, change=false)", frames=33)
    read = between(built, "projection", f"block_{layers}_sum")
    moved = clips.copy()
    moved[:, 16] += 1
    differs = np.abs(read(moved)[1] - read(clips)[1]).max(axis=(0, 2)) > 0
    np.testing.assert_array_equal(differs, np.abs(np.arange(33) - 16) <= reach)


@pytest.mark.parametrize(("head", "before"), [("transformer", "positions"), ("tcn", "projection")])
def test_blocks_of_zeros_pass_on_what_they_are_given(head, before):
    built, clips = build(f"{head}(layers=2)")
    for weight in built.trainable_variables:
        if weight.path.startswith("block_"):
            weight.assign(0 * weight)
    given, passed = between(built, before, "block_2_sum")(clips)
    np.testing.assert_array_equal(passed, given)


@pytest.mark.parametrize("size", [1, 6, 7])
def test_positions_are_the_sines_of_their_formula(size):
    added = SinePositions()(np.zeros((2, 5, size), np.float32)).numpy()
    for step in range(5):
        for place in range(size):
            angle = step / 10_000 ** (2 * (place // 2) / size)
            value = math.cos(angle) if place % 2 else math.sin(angle)
            assert added[:, step, place] == pytest.approx(value, abs=1e-6)


# -- attention, golden


def attention_in_numpy(layer, clips, mask=None):
    """The formula of the docstring, in float64."""
    kernel, bias, score = (np.array(row, np.float64) for row in layer.get_weights())
    scores = (np.tanh(clips.astype(np.float64) @ kernel + bias) @ score)[..., 0]
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("bt,btd->bd", weights, clips), weights


def attention(clips, units=4):
    keras.utils.set_random_seed(1)
    layer = AttentionPooling(units)
    layer.build(clips.shape)
    layer.set_weights([np.random.default_rng(2).normal(size=w.shape) for w in layer.get_weights()])
    return layer


@pytest.fixture
def clips(rng) -> np.ndarray:
    return rng.normal(size=(3, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_its_formula_in_float64(clips, masked):
    layer = attention(clips)
    mask = np.arange(5) < np.array([[5], [2], [1]]) if masked else None
    pooled, weights = layer(clips, mask=mask, return_weights=True)
    expected, expected_weights = attention_in_numpy(layer, clips, mask)
    np.testing.assert_allclose(pooled, expected, atol=1e-5)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-6)


def test_masked_steps_do_not_count(clips):
    layer, mask = attention(clips), np.array([[True, True, False, True, False]] * 3)
    pooled = layer(clips, mask=mask)
    clips[:, [2, 4]] = 1e3
    np.testing.assert_allclose(layer(clips, mask=mask), pooled, atol=1e-6)


def test_attention_does_not_depend_on_the_order_of_the_steps(clips):
    layer = attention(clips)
    np.testing.assert_allclose(layer(clips[:, ::-1]), layer(clips), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("scale", [0.01, 1, 100])
def test_weights_sum_to_one_and_the_mean_stays_within_the_steps(frames, scale):
    drawn = np.random.default_rng(frames).normal(0, scale, (2, frames, 3)).astype(np.float32)
    pooled, weights = attention(drawn)(drawn, return_weights=True)
    np.testing.assert_allclose(np.sum(weights, axis=1), 1, rtol=1e-5)
    slack = 1e-4 * scale
    assert (pooled >= drawn.min(1) - slack).numpy().all()
    assert (pooled <= drawn.max(1) + slack).numpy().all()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_weights_are_float32_in_every_precision(clips, policy):
    with devices.dtype_policy(policy):
        pooled, weights = attention(clips)(clips, return_weights=True)
    assert weights.dtype == tf.float32
    assert pooled.dtype.name == policy.removeprefix("mixed_")


def test_attention_is_loaded_with_its_units(clips, tmp_path):
    inputs = keras.Input(clips.shape[1:])
    built = keras.Model(inputs, AttentionPooling(9, name="attention")(inputs))
    loaded = save_and_load(built, tmp_path)
    assert loaded.get_layer("attention").units == 9
    np.testing.assert_array_equal(loaded(clips), built(clips))


# -- statistics


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_statistics_are_those_of_numpy(rng, frames):
    clips = rng.normal(size=(4, frames, 3)).astype(np.float16)
    exact = clips.astype(np.float64)
    change = np.abs(np.diff(exact, axis=1)).sum(1) / max(1, frames - 1)
    expected = np.concatenate([exact.mean(1), exact.std(1), change], axis=1)
    in_keras = TemporalStatistics(dtype="float32")(clips.astype(np.float32))
    np.testing.assert_allclose(in_keras, expected, atol=2e-6)
    np.testing.assert_allclose(statistics_of(clips), expected, atol=2e-6)


def test_many_clips_are_worked_through_in_blocks(rng):
    clips = rng.normal(0, 1, (150, 4, 3)).astype(np.float16)
    at_once = np.array(TemporalStatistics(dtype="float32")(clips.astype(np.float32)))
    np.testing.assert_allclose(statistics_of(clips), at_once, rtol=1e-6)


def test_statistics_of_a_ramp_are_known():
    ramp = np.arange(5, dtype=np.float16)[None, :, None]
    np.testing.assert_allclose(statistics_of(ramp), [[2.0, np.sqrt(2), 1.0]], rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_the_second_difference_is_that_of_numpy(rng, frames):
    clips = rng.normal(size=(4, frames, 3)).astype(np.float32)
    pooled = TemporalStatistics(second_difference=True)(clips)
    second = np.abs(np.diff(clips.astype(np.float64), n=2, axis=1)).sum(1)
    np.testing.assert_allclose(pooled[:, 9:], second / max(1, frames - 2), atol=2e-6)
    np.testing.assert_array_equal(pooled[:, :9], TemporalStatistics()(clips))


def test_the_second_difference_tells_jerky_from_steady():
    steady, jerky = np.arange(5.0), np.array([0.0, 1, 0, 1, 0])
    clips = np.stack([steady, jerky])[..., None].astype(np.float32)
    pooled = np.array(TemporalStatistics(second_difference=True)(clips))
    np.testing.assert_allclose(pooled[:, 2:], [[1, 0], [1, 2]], atol=1e-6)


def test_statistics_saved_before_there_was_a_second_difference_have_none():
    config = TemporalStatistics(name="statistics").get_config()
    del config["second_difference"]
    before = TemporalStatistics.from_config(config)
    assert before(np.ones((2, 4, 3), np.float32)).shape == (2, 9)


def test_the_statistics_of_a_still_clip_have_a_finite_gradient():
    still = tf.ones((1, 4, 2))
    with tf.GradientTape() as tape:
        tape.watch(still)
        total = tf.reduce_sum(TemporalStatistics()(still))
    assert np.isfinite(tape.gradient(total, still)).all()


def test_standardised_features_have_mean_0_and_variance_1(rng):
    examples = rng.normal(5, 3, (200, 3, 4)).astype(np.float16)
    for of in (None, TemporalStatistics(dtype="float32")):
        inputs = examples.astype(np.float32)
        inputs = inputs if of is None else of(inputs)
        standard = np.array(standardise(examples, "standardise", of=of)(inputs))
        standard = standard.reshape(-1, standard.shape[-1])
        np.testing.assert_allclose(standard.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(standard.std(0), 1, atol=1e-4)

"""The contract of every export format: the predictions of the run, in a file for other software."""

import re

import cv2
import keras
import numpy as np
import pytest

from violence_detection import registry
from violence_detection.export.formats._format import FEATURES, PROBABILITIES, PROBABILITY
from violence_detection.export.graphs import classifier_graph
from violence_detection.models import classifier
from violence_detection.models.outputs.classes import Classes

FORMATS = registry.available("formats")
HEADS = registry.available("heads")
FRAMES, DIM, TEMPERATURE = 4, 6, 1.7
each_format = pytest.mark.parametrize("name", FORMATS)


def head(name: str, outputs: int = 1) -> tuple[keras.Model, np.ndarray]:
    """A classifier with no weight left at zero, and clips for it."""
    rng = np.random.default_rng(0)
    clips = rng.normal(1, 2, (6, FRAMES, DIM)).astype(np.float32)
    classes = 2 if outputs == 1 else outputs
    built = classifier.build_classifier(
        head=name, features=clips.astype(np.float16), classes=classes, recurrence="loop"
    )
    for weight in built.trainable_variables:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return built, clips


def tempered_by_hand(logits: np.ndarray) -> np.ndarray:
    """float64 (N, K): exp(z / T) over its sum."""
    logits = logits.astype(np.float64) / TEMPERATURE
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def predict_with_file(name: str, built: keras.Model, clips: np.ndarray, folder, **asked) -> dict:
    """By name, of a file that was written and opened again, a clip at a time."""
    part = registry.module("formats", name)
    if part.missing():
        pytest.skip(f"needs {part.missing()}")
    made = classifier_graph.build_plain_classifier(
        built, temperature=TEMPERATURE, unrolled=part.UNROLLED
    )
    written = {"precision": "float32", "examples": [clips[:1]]} | asked
    part.write(made, folder / part.FILE, **written)
    run = part.load(folder / part.FILE)
    rows = [run({FEATURES: clip[None]}) for clip in clips]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def relative(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.thorough  # a recurrence, below, has more operations
@each_format
def test_a_file_predicts_the_tempered_probability(name, tmp_path):
    built, clips = head("mean_pool")
    expected = tempered_by_hand(np.array(built(clips)))
    predicted = predict_with_file(name, built, clips, tmp_path)
    assert list(predicted) == [PROBABILITY]
    assert predicted[PROBABILITY].dtype == np.float32
    np.testing.assert_allclose(predicted[PROBABILITY], expected[:, 1:], atol=1e-6)


@pytest.mark.slow
@each_format
def test_a_file_predicts_all_of_several_classes(name, tmp_path):
    built, clips = head("linear", outputs=3)
    expected = tempered_by_hand(np.array(built(clips)))
    predicted = predict_with_file(name, built, clips, tmp_path)
    assert set(predicted) == {PROBABILITY, PROBABILITIES}
    np.testing.assert_allclose(predicted[PROBABILITIES], expected, atol=1e-6)
    np.testing.assert_allclose(predicted[PROBABILITY], 1 - expected[:, :1], atol=1e-6)


@pytest.mark.slow
@each_format
def test_a_recurrence_can_be_written(name, tmp_path):
    built, clips = head("bilstm_attention")
    expected = tempered_by_hand(np.array(built(clips)))
    predicted = predict_with_file(name, built, clips, tmp_path)
    assert list(predicted) == [PROBABILITY]
    assert predicted[PROBABILITY].dtype == np.float32
    np.testing.assert_allclose(predicted[PROBABILITY], expected[:, 1:], atol=2e-6)


@each_format
def test_a_part_says_what_it_writes_and_how_far_off_it_may_be(name):
    part = registry.module("formats", name)
    assert "float32" in part.TOLERANCES
    flags = {part.NEEDS_TENSORFLOW, part.UNROLLED, part.ANY_SIZE}
    assert flags <= {True, False}
    for tolerance in part.TOLERANCES.values():
        assert 0 < tolerance.difference <= 1 and 0 <= tolerance.agreement <= 1
    assert part.TOLERANCES["float32"].difference <= 1e-3


@pytest.mark.parametrize("name", [one for one in FORMATS if one not in ("keras", "saved_model")])
def test_what_is_not_installed_is_named_by_its_extra(name, monkeypatch):
    from violence_detection.export.formats import _format

    monkeypatch.setattr(_format.importlib.util, "find_spec", lambda _: None)
    assert f"[{name}]'" in registry.module("formats", name).missing()


@pytest.mark.slow
@each_format
def test_a_format_of_any_size_takes_frames_of_several_sizes_and_a_second_input(name, tmp_path):
    """Resized by area as OpenCV does it, to the grey level."""
    from violence_detection.export.graphs import any_size_graph

    part = registry.module("formats", name)
    if part.missing() or not part.ANY_SIZE:
        pytest.skip("not installed, or of one size")
    frames = keras.Input(batch_shape=(1, None, None, None, 3), dtype="uint8", name="frames")
    fps = keras.Input(batch_shape=(1,), dtype="float32", name="fps")
    clip = keras.ops.squeeze(frames, 0)
    whole = any_size_graph.whole_frame(any_size_graph.size_of(clip))
    small = any_size_graph.resize(clip, 16, largest=200, region=whole)
    model = keras.Model([frames, fps], {PROBABILITY: small, "rate": fps * 2.0})
    part.write(model, tmp_path / part.FILE, precision="float32", examples=())
    run = part.load(tmp_path / part.FILE)
    for count, height, width in ((1, 90, 160), (3, 48, 32), (2, 12, 40)):
        drawn = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
        outputs = run({"frames": drawn[None], "fps": np.float32([25])})
        by_opencv = [cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA) for frame in drawn]
        np.testing.assert_array_equal(outputs[PROBABILITY], by_opencv)
        assert outputs["rate"] == 50


# -- tflite in fewer bits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "outputs", "within"),
    [("float16", 1, 2e-3), ("int8", 1, 0.1), ("int8", 3, 0.1)],
)
def test_fewer_bits_change_predictions_a_little(precision, outputs, within, tmp_path):
    built, clips = head("mean_pool", outputs=outputs)
    expected = tempered_by_hand(np.array(built(clips)))
    asked = {"precision": precision, "examples": [clip[None] for clip in clips]}
    predicted = predict_with_file("tflite", built, clips, tmp_path, **asked)
    off = np.abs(predicted[PROBABILITY] - (1 - expected[:, :1]))
    assert 0 < off.max() < within
    if outputs > 1:
        np.testing.assert_allclose(predicted[PROBABILITIES].sum(1), 1, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [pytest.param("float16", marks=pytest.mark.thorough), "int8"])
@pytest.mark.parametrize(
    "head_name",
    # another recurrence is written as bilstm_attention
    [pytest.param(name, marks=[pytest.mark.thorough] * name.startswith("gru")) for name in HEADS],
)
def test_a_head_is_written_in_fewer_bits_or_refused(head_name, precision, tmp_path):
    built, clips = head(head_name)
    asked = {"precision": precision, "examples": [clip[None] for clip in clips]}
    # All of linear is the logits, and the matrices of this small mlp are too few for int8.
    if precision == "int8" and head_name in ("linear", "mlp"):
        with pytest.raises(ValueError, match="no operation of it can be stored in fewer"):
            predict_with_file("tflite", built, clips, tmp_path, **asked)
        return
    predicted = predict_with_file("tflite", built, clips, tmp_path, **asked)[PROBABILITY]
    expected = tempered_by_hand(np.array(built(clips)))[:, 1:]
    np.testing.assert_allclose(predicted, expected, atol=0.1)


def drawn_network() -> keras.Model:
    """Named as a backbone and what follows it are: two convolutions, one by depth, and two
    matrices, of which one is tiny."""
    frames = keras.Input((8, 8, 4), name="frames")
    hidden = frames
    for number, filters in enumerate((4, 16), 1):
        hidden = keras.layers.Conv2D(filters, 3, name=f"backbone_{number}")(hidden)
    hidden = keras.layers.DepthwiseConv2D(3, name="backbone_3")(hidden)
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    hidden = keras.layers.Dense(16, name="projection")(hidden)
    answer = keras.layers.Dense(1, activation="sigmoid", name="logits")(hidden)
    return keras.Model(frames, {PROBABILITY: answer})


@pytest.mark.slow
def test_the_first_quarter_of_the_backbone_and_what_is_near_the_logits_stay_float():
    from violence_detection.export.formats import _tflite_precision, tflite

    operations, weights = _tflite_precision.list_operations(tflite._convert(drawn_network()))
    assert weights == 36 * 4 + 36 * 16 + 9 * 16 + 16 * 16 + 16
    named = {
        re.search(r"backbone_\d|projection|logits", operation.name): operation
        for operation in operations
    }
    named = {
        match[0]: operation for match, operation in named.items() if match and operation.weights
    }
    assert {name: (operation.weights, operation.products) for name, operation in named.items()} == {
        "backbone_1": (36 * 4, 36 * 4 * 36),
        "backbone_2": (36 * 16, 36 * 16 * 16),
        "backbone_3": (9 * 16, 9 * 16 * 4),
        "projection": (16 * 16, 16 * 16),
        "logits": (16, 16),
    }
    # The first is more than a quarter of the products; a third of it would be less.
    every = list(named.values())
    assert _tflite_precision.choose_int8_operations(every) == every[:-1]
    later = [every[0]._replace(products=every[0].products // 3), *every[1:]]
    assert _tflite_precision.choose_int8_operations(later) == later[1:-1]


@pytest.mark.slow
def test_float16_keeps_large_matrices_so_and_computes_in_float32():
    from ai_edge_litert import schema_py_generated as schema

    from violence_detection.export.formats import _tflite_precision, tflite

    made = _tflite_precision.to_float16(tflite._convert(drawn_network()), ())
    (graph,) = schema.ModelT.InitFromPackedBuf(made, 0).subgraphs
    halved = [item for item in graph.tensors if item.type == schema.TensorType.FLOAT16]
    assert sorted(int(np.prod(item.shape)) for item in halved) == [144, 256, 576]
    computed = {graph.tensors[item.outputs[0]].type for item in graph.operators}
    assert computed == {schema.TensorType.FLOAT32}


def test_a_shift_of_all_log_odds_is_corrected():
    import tensorflow as tf

    from violence_detection.export.formats import tflite

    given = keras.Input((1,), name="given")
    plain = keras.layers.Activation("sigmoid")(given)
    model = keras.Model(given, {PROBABILITY: plain})
    moved = tflite.shift_log_odds(model, np.float32([0.0, 0.75]))
    logit = np.float32([[-3.0], [0.0], [2.0]])
    np.testing.assert_allclose(moved(logit)[PROBABILITY], tf.sigmoid(logit + 0.75), atol=1e-6)


@pytest.fixture
def names_begin_anew():
    """As in the process that an export is written in, no operation has been named yet."""
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)


def drawn_sum() -> tuple[keras.Model, np.ndarray]:
    """Three logits from a layer `sum`, as in the heads of a loaded run; and clips that differ
    little, so that all lie in the ranges that eight bits are given."""
    rng = np.random.default_rng(0)
    features = keras.Input((FRAMES, DIM), name="features")
    hidden = keras.layers.Flatten()(features)
    hidden = keras.layers.Dense(16, activation="relu", name="projection")(hidden)
    summands = [keras.layers.Dense(3, name=name)(hidden) for name in ("logits", "more")]
    built = keras.Model(features, keras.layers.Add(name="sum")(summands))
    for weight in built.trainable_variables:
        weight.assign(rng.normal(0, 0.2, weight.shape))
    clips = rng.normal(0, 1, (FRAMES, DIM)) + rng.normal(0, 0.1, (6, FRAMES, DIM))
    return built, clips.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "within"), [("float16", 1e-3), ("int8", 0.03)])
def test_all_classes_are_predicted_in_fewer_bits(precision, within, names_begin_anew, tmp_path):
    built, clips = drawn_sum()
    expected = tempered_by_hand(np.array(built(clips)))
    assert np.diff(np.sort(expected, axis=1), axis=1).min() > within  # which is which is seen
    asked = {"precision": precision, "examples": [clip[None] for clip in clips]}
    predicted = predict_with_file("tflite", built, clips, tmp_path, **asked)
    assert set(predicted) == {PROBABILITY, PROBABILITIES}
    off = np.abs(predicted[PROBABILITIES] - expected)
    assert off.shape == (6, 3) and 0 < off.max() < within
    np.testing.assert_allclose(
        predicted[PROBABILITY], 1 - predicted[PROBABILITIES][:, :1], atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("head_name", HEADS)
def test_the_log_odds_of_every_head_can_be_shifted(head_name, names_begin_anew):
    from violence_detection.export.formats import tflite

    shift = np.array([0.0, 0.75, -0.5])
    for outputs in (1, 3):
        built, clips = head(head_name, outputs)
        keras.backend.clear_session()
        made = classifier_graph.build_plain_classifier(
            built, temperature=TEMPERATURE, unrolled=False
        )
        moved = tflite.shift_log_odds(made, shift[: max(2, outputs)])(clips)
        expected = tempered_by_hand(np.array(built(clips))) * np.exp(shift[: max(2, outputs)])
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(moved[PROBABILITY], 1 - expected[:, :1], atol=1e-5)
        if outputs > 1:
            np.testing.assert_allclose(moved[PROBABILITIES], expected, atol=1e-5)


def test_a_layer_may_have_any_name_where_log_odds_are_shifted():
    from violence_detection.export.formats import tflite

    given = keras.Input((1,), name="given")
    answer = keras.layers.Activation("sigmoid", name="shift_0")(given)
    moved = tflite.shift_log_odds(keras.Model(given, {PROBABILITY: answer}), np.zeros(2))
    assert [operation.name for operation in moved.operations][-2:] == ["shift_0", "shift_1"]


# -- the portable model itself


@pytest.mark.parametrize("head_name", HEADS)
def test_every_head_becomes_layers_of_keras_alone(head_name, tmp_path):
    built, clips = head(head_name)
    made = classifier_graph.build_plain_classifier(built, temperature=TEMPERATURE, unrolled=False)
    assert {type(layer).__module__.split(".")[0] for layer in made.layers} == {"keras"}
    expected = tempered_by_hand(np.array(built(clips)))[:, 1:]
    np.testing.assert_allclose(made(clips)[PROBABILITY], expected, atol=1e-6)


def test_a_model_of_reduced_precision_is_rebuilt_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    built, clips = head("bilstm_attention")
    made = classifier_graph.to_float32(built, unrolled=True)
    for layer in made.layers:
        assert layer.compute_dtype == "float32"
    for before, after in zip(built.get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    keras.config.set_dtype_policy("float32")
    plain, _ = head("bilstm_attention")
    np.testing.assert_allclose(made(clips), plain(clips), atol=1e-5)


def test_an_ensemble_predicts_the_mean_of_its_members():
    from violence_detection.models.heads import _ensemble

    members, clips = [head("linear")[0], head("mean_pool")[0]], head("linear")[1]
    made = classifier_graph.build_plain_classifier(
        _ensemble.build(members), temperature=1.0, unrolled=False
    )
    each = [Classes(2).predictions(np.array(member(clips)))[:, 1:] for member in members]
    np.testing.assert_allclose(made(clips)[PROBABILITY], np.mean(each, 0), atol=1e-6)


def lifted(model: keras.Model) -> list[str]:
    """What a graph of the model takes beside its input and its weights."""
    import tensorflow as tf

    signature = [tf.TensorSpec(model.input_shape, model.input.dtype)]
    graph = tf.function(lambda x: model(x, training=False), input_signature=signature)
    captured = graph.get_concrete_function().captured_inputs
    return [tensor.name for tensor in captured if tensor.dtype != tf.resource]


@pytest.mark.slow
@pytest.mark.parametrize("head_name", ["transformer", "bilstm_attention"])
def test_constants_of_a_head_are_in_its_graph(head_name):
    built, _ = head(head_name)
    assert not lifted(
        classifier_graph.build_plain_classifier(built, temperature=1.7, unrolled=False)
    )


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mobilenet", "resnet50", "efficientnetb0"])
def test_constants_of_a_backbone_are_in_its_graph(backbone):
    from violence_detection.export.graphs.end_to_end_graph import _backbone_model

    part = registry.module("backbones", backbone)
    assert not lifted(_backbone_model(part.build(frame_size=32, weights=None)))


@pytest.mark.parametrize("size", [(48, 64), (20, 24), (33, 50)])
def test_constants_of_a_resize_are_in_its_graph(size):
    from violence_detection.export.graphs import resize_graph

    frames = keras.Input(batch_shape=(2, *size, 3), dtype="float32")
    assert not lifted(keras.Model(frames, resize_graph.resize(frames, (32, 32))))

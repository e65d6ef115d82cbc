"""Every output builds on what any head encodes, can be trained, and its score is in [0, 1]."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from violence_detection import registry
from violence_detection.models import classifier
from violence_detection.models.forward_pass import run_model
from violence_detection.models.output_set import OutputSet
from violence_detection.system import devices

OUTPUTS = registry.available("outputs")
each = pytest.mark.parametrize("name", OUTPUTS)


def clips_of(rng, count=12) -> np.ndarray:
    return rng.normal(size=(count, 5, 6)).astype(np.float16)


def spec_of(name) -> str:
    """The output with another weight."""
    return f"{name}(weight=0.5)"


def built(name, clips, labels, head="linear", count=2, policy="float32"):
    """A model with an output beside the classes, prepared, and its outputs."""
    keras.utils.set_random_seed(1)
    other = "violence" if name == "classes" else "classes"
    spec = f"{other}+{spec_of(name)}"
    with devices.dtype_policy(policy):
        model = classifier.build_classifier(
            head=head, features=clips, classes=count, recurrence="loop", outputs=spec
        )
        outputs = OutputSet.of_spec(spec, count)
        outputs.prepare(model, clips, labels)
    return model, outputs


def output_of(outputs, name):
    return next(output for output in outputs.outputs if output.name == name)


@each
@pytest.mark.parametrize(("head", "count"), [("bilstm_attention", 3), ("linear", 2)])
def test_an_output_answers_on_every_head_and_its_loss_has_a_slope(name, head, count, rng):
    clips, labels = clips_of(rng), np.arange(12) % count
    model, outputs = built(name, clips, labels, head, count)
    output = output_of(outputs, name)
    targets = output.targets(labels)
    assert targets.dtype == np.float32 and len(targets) == 12
    scores = output.score(run_model(model, clips)[name])
    assert scores.shape == (12,)
    assert ((scores >= 0) & (scores <= 1)).all()
    if name == "classes":  # its loss is the run's
        return
    with tf.GradientTape() as tape:
        raw = model(clips.astype(np.float32), training=True)[name]
        rows = output.loss(tf.constant(targets), raw, tf.constant(output.state, tf.float32))
        loss = tf.reduce_sum(rows)
    assert rows.shape == (12,)
    variables = [v.value for v in model.trainable_variables]
    slopes = [s for s in tape.gradient(loss, variables) if s is not None]
    assert slopes and all(np.isfinite(slope).all() for slope in slopes)
    assert max(np.abs(slope).max() for slope in slopes) > 0


@each
@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_saved_model_says_the_same_with_its_constants(name, policy, rng, tmp_path):
    clips, labels = clips_of(rng), np.arange(12) % 2
    model, _ = built(name, clips, labels, policy=policy)
    model.save(tmp_path / "model.keras")
    loaded = classifier.load_model(tmp_path / "model.keras")
    expected, given = run_model(model, clips), run_model(loaded, clips)
    assert expected.keys() == given.keys()
    for key in expected:
        assert expected[key].dtype == np.float32
        np.testing.assert_array_equal(given[key], expected[key])
    names = OutputSet.of_model(loaded).names
    assert len(names) == 2 and name in names


@pytest.mark.slow
@each
def test_the_score_in_a_graph_is_the_score(name, rng):
    clips, labels = clips_of(rng), np.arange(12) % 2
    model, outputs = built(name, clips, labels)
    output = output_of(outputs, name)
    graph = keras.Model(model.input, output.score_layers(model.output[name]))
    np.testing.assert_allclose(
        run_model(graph, clips)[:, 0],
        output.score(run_model(model, clips)[name]),
        atol=1e-6,
    )


@pytest.mark.slow
@each
def test_nothing_of_an_output_depends_on_the_other_clips_of_a_batch(name, rng):
    clips, labels = clips_of(rng), np.arange(12) % 2
    model, _ = built(name, clips, labels)
    whole, part = run_model(model, clips)[name], run_model(model, clips[:3])[name]
    np.testing.assert_allclose(whole[:3], part, atol=1e-5)


@pytest.mark.slow
@each
def test_an_anomaly_score_is_half_at_the_border_of_normal_clips(name, rng):
    clips, labels = clips_of(rng, 200), np.arange(200) % 2
    model, outputs = built(name, clips, labels)
    output = output_of(outputs, name)
    if output.kind != "anomaly" or name == "mil":
        return
    scores = output.score(run_model(model, clips[labels == 0])[name])
    assert np.quantile(scores, 0.95) == pytest.approx(0.5, abs=0.02)
    for variable in model.trainable_variables:  # another model has another border
        variable.assign(0.5 * variable)
    outputs.calibrate(model, clips, labels)
    scores = output.score(run_model(model, clips[labels == 0])[name])
    assert np.quantile(scores, 0.95) == pytest.approx(0.5, abs=0.02)

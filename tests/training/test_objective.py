"""The loss of a batch: weights of outputs, running numbers, and trainings with several outputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.features import draw_features
from support.trainers import interrupt, trainer_on
from support.training import history_columns, read_history, train_quickly

from violence_detection.errors import ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.classifier import load_model
from violence_detection.models.output_set import OutputSet
from violence_detection.models.run import Run
from violence_detection.training.optimisation.objective import Objective
from violence_detection.training.training_settings import ModelConfig

SMALL = {
    "classes": "classes(units=6)",
    "svdd": "svdd(units=8, size=4)",
    "vae": "vae(units=8, size=3)",
    "future": "future(units=5, size=4)",
    "mil": "mil",
    "violence": "violence",
}
ALL = "+".join(SMALL.values())


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return draw_features(tmp_path_factory.mktemp("cache") / "space", counts=(24, 12, 8))


def squared(targets, outputs):
    return tf.reduce_sum(tf.square(targets - outputs), axis=-1)


def objective_of(spec, **asked) -> Objective:
    return Objective(OutputSet.of_spec(spec, 2), squared, **asked)


# -- golden


def test_a_loss_is_the_weighted_sum_of_those_of_the_outputs():
    objective = objective_of("classes(weight=0.5)+violence(weight=2.0)")
    targets = tf.constant([[0.0, 0.0], [1.0, 1.0]])
    outputs = {"classes": tf.constant([[1.0], [3.0]]), "violence": tf.constant([[0.0], [0.0]])}
    loss, observed = objective.of_batch(
        targets, outputs, tf.constant([0.25, 0.75]), objective.state()
    )
    classes, violence = 0.25 * 1 + 0.75 * 4, np.log(2)
    np.testing.assert_allclose(observed, [classes, violence], rtol=1e-6)
    assert float(loss) == pytest.approx(0.5 * classes + 2 * violence)


def test_dynamic_weights_are_inverse_to_running_means_and_keep_their_sum():
    objective = objective_of("classes(weight=0.5)+violence(weight=2.0)", dynamic=True)
    np.testing.assert_allclose(objective.weights(objective.state()), [0.5, 2.0])
    means = np.array([4.0, 1.0])
    for losses in (means, np.array([2.0, 3.0])):
        objective.move(tf.constant(losses, tf.float32), objective.state(), tf.constant(True))
    means = 0.9 * means + 0.1 * np.array([2.0, 3.0])
    inverse = np.array([0.5, 2.0]) / means
    np.testing.assert_allclose(
        objective.weights(objective.state()), 2.5 * inverse / inverse.sum(), rtol=1e-5
    )
    before = objective.state().numpy()
    objective.move(tf.constant([np.nan, 1.0]), objective.state(), tf.constant(False))
    np.testing.assert_array_equal(objective.state(), before)


def test_bags_are_ranked_against_running_means_of_the_other_side():
    objective = objective_of("mil(smooth=0.0, sparse=0.0)")
    frames = np.array([[0.2, 0.9], [0.1, 0.3]], np.float32)
    outputs = {"mil": tf.constant(np.concatenate([frames, frames.max(1, keepdims=True)], 1))}
    targets, weights = tf.constant([[1.0], [0.0]]), tf.constant([0.5, 0.5])
    loss, observed = objective.of_batch(targets, outputs, weights, objective.state())
    # violent: relu(0.5 + N - 0.9), normal: relu(0.5 + 0.3 - A), with A = N = 0.5 before a step
    assert float(loss) == pytest.approx(0.5 * 0.1 + 0.5 * 0.3, rel=1e-5)
    objective.move(observed, objective.state(), tf.constant(True))
    np.testing.assert_allclose(objective.state(), [0.9 * 0.5 + 0.09, 0.9 * 0.5 + 0.03], rtol=1e-5)


# -- trainings


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        {"ema_decay": 0.9},
        pytest.param({"ema_decay": 0.9, "sam_rho": 0.05}, marks=pytest.mark.thorough),
        pytest.param({"swa_fraction": 0.5}, marks=pytest.mark.thorough),
    ],
)
def test_a_resumed_training_of_all_outputs_is_the_uninterrupted_one(features, tmp_path, setting):
    asked = {"outputs": ALL, "output_weights": "dynamic", "epochs": 4, **setting}
    train_quickly(features, tmp_path / "whole", **asked)
    interrupt(features, tmp_path / "parts", epoch=3, **asked)
    train_quickly(features, tmp_path / "parts", resume=True, **asked)
    assert read_history(tmp_path / "parts" / "run") == read_history(tmp_path / "whole" / "run")
    whole, parts = (
        load_model(tmp_path / name / "run" / "best_model.keras") for name in ("whole", "parts")
    )
    for one, other in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    check_history_of_all_outputs(tmp_path / "whole" / "run")


def check_history_of_all_outputs(run):
    """Every output has its loss and its weight."""
    losses = history_columns(run, *[f"loss_{name}" for name in SMALL])
    weights = history_columns(run, *[f"weight_{name}" for name in SMALL])
    assert {f"val_loss_{name}" for name in SMALL} <= read_history(run)[0].keys()
    np.testing.assert_allclose(weights.sum(1), len(SMALL), rtol=1e-5)
    assert (np.ptp(weights, axis=0) > 0).all() and np.isfinite(losses).all()


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["vae", "mil"])
def test_an_output_trains_alone(outputs, features, tmp_path):
    """Also without a target, as a batch without columns ended the process."""
    trained = train_quickly(features, tmp_path, outputs=outputs, epochs=1)
    assert np.isfinite(trained["validation"]["auc"])


@pytest.mark.slow
def test_the_kept_model_has_the_border_of_its_own_normal_clips(features, tmp_path):
    train_quickly(features, tmp_path, outputs="svdd+vae+future", learning_rate=0.01)
    cache = FeatureCache.open(features)
    entries = [
        e for e in dataset.usable_entries(cache) if (e.split, e.label) == ("train", "normal")
    ]
    clips = dataset.read_dataset(cache, entries, ["normal", "violent"])
    answers = Run.open(tmp_path / "run").load_classifier().output_predictions(clips.features)
    for scores in answers.anomaly_scores.values():
        assert np.quantile(scores, 0.95) == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(answers.probability[:, 1], answers.anomaly_score)


@pytest.mark.thorough
def test_compiled_by_xla_every_output_learns_the_same(features, tmp_path):
    still = ALL.replace("units=6", "units=6, dropout=0.0").replace("size=3", "size=3, noise=0.0")
    asked = {"outputs": still, "output_weights": "dynamic"}
    for run, xla in (("plain", False), ("compiled", True)):
        train_quickly(features, tmp_path, run=run, xla=xla, **asked)
    names = ["loss", "val_loss", *[f"val_loss_{name}" for name in SMALL]]
    np.testing.assert_allclose(
        history_columns(tmp_path / "compiled", *names),
        history_columns(tmp_path / "plain", *names),
        rtol=1e-4,
    )


def test_the_centre_is_the_mean_of_normal_clips_without_small_coordinates(features, tmp_path):
    trainer = trainer_on(features, tmp_path, outputs="svdd(size=16)")
    model, clips = trainer.classifier, trainer.data.videos
    phi = keras.Model(model.input, model.get_layer("svdd_phi").output)
    mean = phi(clips.features[:][clips.labels == 0].astype(np.float32)).numpy().mean(0)
    centre = model.get_layer("svdd_distance").centre.numpy()
    assert (np.abs(centre) >= 0.1 - 1e-6).all()
    large = np.abs(mean) >= 0.1
    np.testing.assert_allclose(centre[large], mean[large], atol=1e-5)
    np.testing.assert_array_equal(np.sign(centre[~large]), np.where(mean[~large] < 0, -1, 1))


def test_what_is_predicted_is_the_principal_part_of_the_frames(features, tmp_path):
    trainer = trainer_on(features, tmp_path, outputs="future(size=5)")
    model, clips = trainer.classifier, trainer.data.videos
    matrix = model.get_layer("future_projection").matrix.numpy()
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(5), atol=1e-5)
    standardised = keras.Model(model.input, model.get_layer("future_standardise").output)
    frames = standardised(clips.features[:][clips.labels == 0].astype(np.float32)).numpy()
    frames = frames.reshape(-1, frames.shape[-1])
    variances = np.sort(np.linalg.eigvalsh(np.cov(frames.T)))[::-1]
    assert np.var(frames @ matrix, axis=0, ddof=1).sum() == pytest.approx(
        variances[:5].sum(), rel=0.02
    )


@pytest.mark.parametrize(
    ("outputs", "words"),
    [("classes+classes", "once"), ("svdd(wide=2)", "takes"), ("focal", "one of")],
)
def test_outputs_that_do_not_go_together_are_refused(outputs, words, features, tmp_path):
    with pytest.raises(ConfigError, match=words):
        train_quickly(features, tmp_path, outputs=outputs)
    assert not (tmp_path / "run").exists()


def test_several_classes_need_the_output_of_classes():
    with pytest.raises(ConfigError, match="classes"):
        OutputSet.of_spec("svdd", 3)
    OutputSet.of_spec("fusion", 3)
    with pytest.raises(ConfigError, match="must have a weight above 0"):
        OutputSet.of_spec("classes(weight=0)", 2)
    with pytest.raises(ConfigError, match="must name fusion alone"):
        ModelConfig(outputs="fusion+svdd")


def test_the_violent_classes_share_the_probability_of_violence():
    outputs = OutputSet.of_spec("classes+violence", 3)
    answers = outputs.output_predictions(
        {"classes": np.log([[0.5, 0.3, 0.2]]), "violence": np.array([[np.log(4.0)]])}
    )
    np.testing.assert_allclose(answers.probability, [[0.2, 0.48, 0.32]])
    np.testing.assert_allclose(answers.class_probability, [[0.5, 0.3, 0.2]])
    assert answers.anomaly_score is None

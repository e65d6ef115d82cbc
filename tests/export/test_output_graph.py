"""Exported models with several outputs: `probability`, `probabilities` and `anomaly_score`."""

import keras
import numpy as np
import pytest

from violence_detection import registry
from violence_detection.export.formats._format import ANOMALY_SCORE, PROBABILITIES, PROBABILITY
from violence_detection.export.graphs import classifier_graph
from violence_detection.models import classifier
from violence_detection.models.classifier import Classifier
from violence_detection.models.output_set import OutputSet

EVERY = "classes(units=6)+svdd(units=8, size=4)+vae(units=8, size=3)+future(units=5)+mil(top=2)"
CASES = {
    "violence and every other": (f"{EVERY}+violence", "bilstm_attention", 2),
    "violence and three classes": ("classes+svdd+violence", "linear", 3),
    "classes and an anomaly": ("classes+vae", "mean_pool", 3),
    "anomalies alone": ("svdd+future", "linear", 2),
    "violence alone": ("violence", "linear", 2),
}
TEMPERATURE = 1.7


def trained(spec, head, count, rng):
    """A model with drawn weights, and clips."""
    keras.utils.set_random_seed(2)
    clips, labels = rng.normal(size=(12, 5, 6)).astype(np.float16), np.arange(12) % count
    model = classifier.build_classifier(
        head=head, features=clips, classes=count, recurrence="loop", outputs=spec
    )
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    OutputSet.of_spec(spec, count).prepare(model, clips, labels)
    return model, clips


def assert_answers(outputs, model, clips):
    """What a file gives is what the run's classifier says."""
    answers = Classifier(model, OutputSet.of_model(model), TEMPERATURE).output_predictions(clips)
    np.testing.assert_allclose(outputs[PROBABILITY][:, 0], 1 - answers.probability[:, 0], atol=2e-5)
    if answers.probability.shape[1] > 2:
        np.testing.assert_allclose(outputs[PROBABILITIES], answers.probability, atol=2e-5)
    assert (ANOMALY_SCORE in outputs) == (answers.anomaly_score is not None)
    if answers.anomaly_score is not None:
        np.testing.assert_allclose(outputs[ANOMALY_SCORE][:, 0], answers.anomaly_score, atol=2e-5)


def plain(model, *, unrolled):
    return classifier_graph.build_plain_classifier(
        model, temperature=TEMPERATURE, unrolled=unrolled
    )


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_graph_says_what_the_outputs_say_and_can_be_saved_without_code(case, rng, tmp_path):
    model, clips = trained(*CASES[case], rng)
    graph = plain(model, unrolled=True)
    graph.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert_answers(loaded.predict(clips.astype(np.float32), verbose=0), model, clips)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.thorough] * (name not in ("onnx", "tflite")))
        for name in registry.available("formats")
    ],
)
def test_every_format_has_the_outputs(name, rng, tmp_path):
    part = registry.module("formats", name)
    if part.missing():
        pytest.skip(part.missing())
    model, clips = trained(*CASES["violence and every other"], rng)
    path = tmp_path / part.FILE
    part.write(plain(model, unrolled=part.UNROLLED), path, precision="float32", examples=())
    run = part.load(path)
    rows = [run({"features": clip[None].astype(np.float32)}) for clip in clips[:4]]
    outputs = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    assert_answers(outputs, model, clips[:4])

"""The converter and the exported model: two Keras models, a file, and one call a clip."""

from pathlib import Path

import numpy as np
import pytest

from violence_detection.export import conversion
from violence_detection.export.conversion import (
    ConversionRequest,
    Converter,
    ExportedModel,
    TensorDescription,
)
from violence_detection.models.run import Run
from violence_detection.system.processes import DedicatedProcess


def request_of(run_dir: Path, **asked) -> ConversionRequest:
    """A request for the classifier alone, without videos."""
    plain = {"format": "keras", "precision": "float32", "frame_input": None, "weights": None}
    return ConversionRequest(run_dir=run_dir, **plain | {"prune": 0.0, "cluster": None} | asked)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 6, 8)).astype(np.float32)


def test_the_reference_is_the_runs_own_classifier(run_dir, features):
    converter = Converter(request_of(run_dir))
    expected = Run.open(run_dir).load_classifier().probabilities(features.astype(np.float16))
    reference, source = converter.predict_features(features.astype(np.float16))
    np.testing.assert_allclose(reference, expected, atol=1e-6)
    np.testing.assert_array_equal(source, reference)
    assert reference.shape == (5, 2) and reference.dtype == np.float64


def test_compressed_weights_change_the_source_and_not_the_reference(run_dir, features):
    plain, _ = Converter(request_of(run_dir)).predict_features(features)
    reference, source = Converter(request_of(run_dir, prune=0.9)).predict_features(features)
    np.testing.assert_array_equal(reference, plain)
    assert np.abs(source - plain).max() > 1e-6


@pytest.mark.slow
def test_the_converter_and_the_exported_model_run_in_processes_of_their_own(
    run_dir, features, tmp_path
):
    path = tmp_path / "model.keras"
    environment = {"CUDA_VISIBLE_DEVICES": "-1"}
    with DedicatedProcess("The converter", environment) as converter:
        converter.construct(Converter, request_of(run_dir))
        interface = converter.call_method(Converter.write, path, [])
        _, source = converter.call_method(Converter.predict_features, features[:1])
    assert interface.inputs == [TensorDescription("features", [None, 6, 8], "float32")]
    assert [output.name for output in interface.outputs] == ["probability"]
    exported = ExportedModel("keras", path)
    inputs = {"features": features[:1]}
    probability = exported.predict(inputs)["probability"]
    np.testing.assert_allclose(probability[:, 0], source[:, 1], atol=1e-6)
    latency = exported.measure_latency(inputs)
    assert 0 < latency.ms < 10_000 and latency.rounds > 0 and latency.threads == 1


def test_a_converter_that_refuses_a_model_names_a_setting_that_works():
    text = str(conversion.conversion_error("tflite", "int8", ValueError("no kernel\nfor it")))
    assert "--precision float32 is" in text and "(no kernel for it)" in text
    text = str(conversion.conversion_error("onnx", "float32", ValueError()))
    assert "--format saved_model is" in text and "(ValueError)" in text

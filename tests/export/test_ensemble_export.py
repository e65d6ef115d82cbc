"""An ensemble of runs of different feature spaces is exported as one file that takes frames."""

import pytest
from support.backbones import backbones_are_whole  # noqa: F401
from support.training import train_quickly
from support.videos import draw_two_classes

from violence_detection.export.config import ExportConfig
from violence_detection.export.export import ExportStage
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction.extract import extract_features
from violence_detection.training.config import EnsembleConfig
from violence_detection.training.ensemble import EnsembleStage

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def ensemble(backbones_are_small, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("ensemble")
    videos = draw_two_classes(folder / "videos", each=8)
    runs = []
    for stream in ("rgb", "motion(focus=true)"):
        small = {"frames": 4, "frame_size": 32, "batch_size": 8, "weights": "random"}
        config = ExtractConfig(
            cache_dir=str(folder / "cache"), backbone="mobilenet", stream=stream, **small
        )
        features = extract_features(videos, config).features
        runs.append(train_quickly(features, folder / "runs", run=stream[:3])["run"])
    config = EnsembleConfig(checkpoint_dir=str(folder / "runs"), run="both")
    return EnsembleStage(runs, config).run().run


@pytest.mark.parametrize("format", ["tflite", "saved_model", "onnx", "openvino", "keras"])
def test_the_file_predicts_as_the_ensemble_does(ensemble, tmp_path, format):
    config = ExportConfig(format=format, output=str(tmp_path), videos_to_check=2)
    result = ExportStage(ensemble, config).run()
    assert result.windows_checked >= 2 and result.equal_inputs.max_abs_difference < 1e-4
    assert result.as_they_are.changed_decisions == 0

"""The examples of docs/export.md run without this program, and predict as the run does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.folders import ROOT
from support.training import train_on_videos
from support.videos import draw_two_classes

from violence_detection import registry
from violence_detection.export import export
from violence_detection.export.config import ExportConfig
from violence_detection.inference import predict
from violence_detection.inference.config import PredictConfig

TEXT = (ROOT / "docs" / "export.md").read_text()
EXAMPLES = dict(re.findall(r"```python (\w+)\n(.*?)```", TEXT, re.S))
FORMATS = registry.available("formats")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("documented")
    videos = draw_two_classes(root / "videos", each=4)
    return train_on_videos(videos, root, backbone="mobilenet", stream="rgb", frames=3)


def exported(run: Path, name: str, output: Path) -> Path:
    config = ExportConfig(format=name, output=str(output))
    return Path(export.export_run(str(run), config)["path"]).parent


@pytest.fixture(scope="module")
def keras_export(run, tmp_path_factory) -> tuple[Path, float]:
    """The folder of the run's export to Keras with the clip of the example, and the run's
    probability for that clip."""
    folder = exported(run, "keras", tmp_path_factory.mktemp("keras_export"))
    video = folder / "video.mp4"
    shutil.copy(run.parents[1] / "videos" / "fight" / "0.mp4", video)
    printed(EXAMPLES["clip"], folder)
    predicted = predict.predict_videos(str(run), [str(video)], PredictConfig(batch_size=8))
    return folder, predicted["videos"][0]["probability"]


def printed(program: str, folder: Path) -> str:
    """The output of a program that is run in a folder, in an interpreter of its own."""
    assert "violence_detection" not in program
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_format_has_an_example():
    assert set(EXAMPLES) == {"clip", *FORMATS}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_an_example_predicts_as_the_run_does(name, run, keras_export, tmp_path):
    if registry.module("formats", name).missing():
        pytest.skip(f"needs {registry.module('formats', name).missing()}")
    folder, probability = keras_export
    if name != "keras":
        clip = folder / "clip.npy"
        folder = exported(run, name, tmp_path)
        shutil.copy(clip, folder)
    assert float(printed(EXAMPLES[name], folder)) == pytest.approx(probability, abs=2e-3)

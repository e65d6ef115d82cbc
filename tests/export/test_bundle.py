"""A bundle is a run for another machine: the same predictions, and nothing of this machine."""

import shutil
import subprocess
import sys

import keras
import pytest
from support.backbones import backbones_are_whole  # noqa: F401
from support.training import train_on_videos
from support.videos import draw_video

from violence_detection.errors import ConfigError
from violence_detection.export.bundle import BundleStage
from violence_detection.export.config import ExportConfig
from violence_detection.inference.predictor import Predictor
from violence_detection.models.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on twelve drawn videos, whose backbone has a weights file."""
    folder = tmp_path_factory.mktemp("bundle")
    for number in range(12):
        label = ("fight", "noFight")[number % 2]
        draw_video(folder / "videos" / label / f"{number}.mp4", frames=12, seed=number)
    keras.utils.set_random_seed(7)  # else these may be the weights that the extractor draws
    network = keras.applications.MobileNet(
        weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )
    weights = folder / "private" / "own.weights.h5"
    weights.parent.mkdir()
    network.save_weights(weights)
    return train_on_videos(
        folder / "videos", folder, backbone="mobilenet", weights=str(weights), stream="rgb"
    )


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "bundle"
    result = BundleStage(str(run), output=str(folder)).run()
    assert result.weights == ("own.weights.h5",)
    assert result.videos_checked > 0
    assert result.max_abs_difference == 0.0
    return folder


def test_it_predicts_elsewhere_as_the_run_does(run, bundle, tmp_path):
    video = run.parent.parent / "videos" / "fight" / "0.mp4"
    expected = Predictor.load(run)(video)["probability"]
    moved = shutil.copytree(bundle, tmp_path / "moved")
    weights = run.parent.parent / "private"
    hidden = weights.rename(weights.with_name("elsewhere"))
    try:
        assert Predictor.load(moved)(video)["probability"] == expected
        command = [sys.executable, moved / "example.py", video]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert float(printed) == pytest.approx(expected, abs=1e-6)
    finally:
        hidden.rename(weights)


def test_it_names_no_path_and_no_video(run, bundle):
    texts = [
        path.read_text() for path in bundle.iterdir() if path.suffix in (".json", ".csv", ".md")
    ]
    assert len(texts) == 4
    for text in texts:
        assert str(run.parent.parent) not in text
        assert "fight/0.mp4" not in text.lower()
    ours, theirs = Run(run).own_videos(), Run(bundle).own_videos()
    assert [row["digest"] for row in ours] == [row["digest"] for row in theirs]
    assert (bundle / "README.md").read_text().startswith('---\nlibrary_name: "keras"\n')


def test_an_earlier_bundle_is_replaced_on_request_only(run, bundle, tmp_path):
    with pytest.raises(ConfigError, match="--force replaces a bundle"):
        BundleStage(str(run), output=str(bundle)).prepare()
    assert BundleStage(str(run), output=str(bundle), force=True).prepare().dry_run
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="must be new, or hold a bundle"):
        BundleStage(str(run), output=str(tmp_path / "mine"), force=True).prepare()
    with pytest.raises(ConfigError, match="without the options of a file. Received: precision"):
        ExportConfig.from_flags({"bundle": True, "precision": "int8"})

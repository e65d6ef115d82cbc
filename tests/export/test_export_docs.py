"""The examples of docs/export.md run as they stand, and predict as `predict` does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.folders import ROOT
from support.training import train_on_videos
from support.videos import draw_two_classes

from violence_detection import registry
from violence_detection.export import export
from violence_detection.export.config import ExportConfig
from violence_detection.inference.predictor import Predictor

TEXT = (ROOT / "docs" / "export.md").read_text()
EXAMPLES = dict(re.findall(r"```python (\w+)\n(.*?)```", TEXT, re.S))
FORMATS = registry.available("formats")
VARIATIONS = ("keras", "openvino", "saved_model")
# The training videos have 12 frames a second, and 64x48. At 16 each window starts on a frame, so
# that `predict`, whose windows share one grid of moments, and the examples take the same frames.
# What is left is the rounding of features to float16 in `predict`, a hundredfold at the run's
# temperature.
FPS, SIZE = 16.0, (160, 120)
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of a hardly trained head; at its low temperature probabilities are far apart."""
    root = tmp_path_factory.mktemp("documented")
    videos = draw_two_classes(root / "videos", each=4)
    run = train_on_videos(videos, root, backbone="mobilenet", stream="motion")
    results = run / "training_results.json"
    results.write_text(json.dumps(json.loads(results.read_text()) | {"temperature": 0.01}))
    return run


@pytest.fixture(scope="module", params=[8, pytest.param(46, marks=pytest.mark.thorough)])
def video(request, tmp_path_factory) -> Path:
    """A square that moves at another speed in each second of a video of some seconds."""
    path = tmp_path_factory.mktemp("long") / "video.mp4"
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, SIZE)
    left = 0
    for index in range(int(request.param * FPS)):
        if index % 16 == 0:
            speed, top, side = rng.integers(0, 12), rng.integers(0, 90), rng.integers(10, 30)
        frame = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
        left = int(left + speed) % (SIZE[0] - 30)
        frame[top : top + side, left : left + side] = 230
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="module")
def predicted(run, video) -> np.ndarray:
    """Start and probability of each window by `predict`, (windows, 2)."""
    windows = Predictor.load(run, batch_size=8).predict_video(video).windows
    rows = np.array([(window.start_s, window.probability) for window in windows])
    assert len(rows) > 10 and rows[:, 1].std() > 3 * TOLERANCE  # otherwise equality says little
    return rows


def printed(program: str, folder: Path) -> str:
    """The output of a program that is run in a folder, in an interpreter of its own."""
    assert "violence_detection" not in program
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_format_has_an_example():
    assert set(EXAMPLES) == {"windows", *FORMATS}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",  # tests/conformance/test_formats.py runs the files of all
    [pytest.param(name, marks=[pytest.mark.thorough] * (name in VARIATIONS)) for name in FORMATS],
)
def test_an_example_predicts_as_predict_does(name, run, video, predicted, tmp_path):
    part = registry.module("formats", name)
    if part.missing():
        pytest.skip(f"needs {part.missing()}")
    own = {} if part.ANY_SIZE else {"width": SIZE[0], "height": SIZE[1], "fps": FPS}
    result = export.export_run(
        str(run), ExportConfig(format=name, output=str(tmp_path), videos_to_check=1, **own)
    )
    folder = Path(result.path).parent
    (folder / "video.mp4").symlink_to(video)
    (folder / "windows.py").write_text(EXAMPLES["windows"])
    lines = printed(EXAMPLES[name], folder).splitlines()
    rows = np.array([[float(number) for number in line.split()] for line in lines])
    np.testing.assert_allclose(rows[:, 0], predicted[:, 0], atol=1 / FPS)
    np.testing.assert_allclose(rows[:, 1], predicted[:, 1], atol=TOLERANCE)

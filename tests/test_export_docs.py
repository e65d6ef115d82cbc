"""What docs/export.md says can be run without this program, can be run without it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import draw_video, train_quickly

from violence_detection import export, features, parts
from violence_detection.config import ExportConfig, ExtractConfig

TEXT = (Path(__file__).parents[1] / "docs" / "export.md").read_text()
EXAMPLES = dict(re.findall(r"```python (\w+)\n(.*?)```", TEXT, re.S))
FORMATS = parts.available("formats")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("documented")
    for label in ("fight", "noFight"):
        for number in range(4):
            draw_video(root / "videos" / label / f"{number}.mp4", seed=number)
    config = ExtractConfig(
        cache_dir=str(root / "cache"),
        backbone="mobilenet",
        weights="random",
        stream="rgb",
        frames=3,
        frame_size=32,
        batch_size=8,
    )
    found = features.extract(root / "videos", config)
    return Path(train_quickly(found.features, root / "runs", epochs=1)["run"])


def printed(program: str, folder: Path) -> str:
    """What a program prints in a folder, in an interpreter that has not heard of us."""
    assert "violence_detection" not in program
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_an_example_for_every_format():
    assert set(EXAMPLES) == {"clip", *FORMATS}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_an_example_gives_the_runs_answer(name, run, tmp_path):
    if parts.module("formats", name).missing():
        pytest.skip(f"needs {parts.module('formats', name).missing()}")
    config = ExportConfig(format=name, output=str(tmp_path))
    folder = Path(export.export(str(run), config)["path"]).parent
    shutil.copy(run.parents[1] / "videos" / "fight" / "0.mp4", folder / "video.mp4")
    printed(EXAMPLES["clip"], folder)
    from violence_detection import prediction
    from violence_detection.config import PredictConfig

    (row,) = prediction.predict(
        str(run), [str(folder / "video.mp4")], PredictConfig(batch_size=8)
    )["videos"]
    found = float(printed(EXAMPLES[name], folder))
    assert found == pytest.approx(row["probability"], abs=2e-3)

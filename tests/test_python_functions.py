"""The commands as Python functions: the notebook of docs/python.md runs, and results print."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
from support.fold_processes import folds_in_this_process
from support.folders import ROOT
from support.tensorflow_start import start_tensorflow

import violence_detection as vd
from violence_detection.errors import ConfigError

start_tensorflow()

CELLS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
# The clips are tiny, there is no network, and no time.
QUICKER = {
    'backbone="mobilenetv2"': 'backbone="mobilenetv2", weights="random", frame_size=32, frames=4',
    "epochs=60": 'epochs=2, head="linear"',
    "folds=5": "folds=2",
    "violent/a.mp4": "fight/0.mp4",
    ".plot()": '.plot(backend="matplotlib")',
}


@pytest.mark.slow
def test_the_notebook_of_the_docs_runs(dataset_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.move(dataset_dir, tmp_path / "my_videos")
    text = "\n".join(CELLS)
    for documented, quicker in QUICKER.items():
        assert documented in text
        text = text.replace(documented, quicker)
    Path("notebook.py").write_text(text)
    with folds_in_this_process():
        values = runpy.run_path("notebook.py")
    assert len(values["videos"]) == 12
    assert len(values["training"].to_frame()) == 2
    assert set(values["mistakes"]["correct"]) <= {False}
    assert list(values["folds"].to_frame()["fold"]) == [1, 2]
    for name in ("extraction", "training", "evaluation", "folds"):
        assert "next  " in repr(values[name]) or "report  " in repr(values[name])


@pytest.mark.parametrize(
    "call",
    [
        lambda: vd.extract("x", backbones="vgg19"),
        lambda: vd.train(features="x", epoch=3),
        lambda: vd.evaluate("x", splits="test"),
        lambda: vd.cross_validate(features="x", fold=3),
    ],
)
def test_a_mistyped_keyword_names_the_nearest(call):
    with pytest.raises(ConfigError, match="Did you mean `(backbone|epochs|split|folds)`"):
        call()

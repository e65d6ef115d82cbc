"""Limits of `export --fit`, and the file that is kept."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.training import train_quickly

from violence_detection import cli
from violence_detection.errors import ConfigError
from violence_detection.export.config import ExportConfig
from violence_detection.export.export import ExportStage
from violence_detection.export.fit import FitStage
from violence_detection.export.fit_limits import canonical, parse_limits, unmet


def test_limits_are_parsed_and_canonical():
    assert canonical(" mb <= 4.0,ms<=60, auc>=-0.01") == "mb<=4, ms<=60, auc>=-0.01"
    measured = {"mb": 4.0, "zipped_mb": 1.0, "ms": 61.0, "auc": None}
    limits = parse_limits("mb<=4, ms<=60, auc>=-0.01")
    assert [limit.measure for limit in unmet(limits, measured)] == ["ms", "auc"]


@pytest.mark.parametrize("text", ["", "mb", "mb>=4", "auc<=0", "kb<=4", "mb<=x", "mb<=4, mb<=5"])
def test_other_limits_are_refused(text):
    with pytest.raises(ConfigError, match="`fit` must"):
        canonical(text)


def test_what_fit_chooses_must_not_be_given():
    with pytest.raises(ConfigError, match="`fit` must come without precision"):
        ExportConfig.from_flags({"fit": "mb<=4", "precision": "int8"})


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("fit")
    features = draw_features(root / "cache" / "space", counts=(24, 24, 12), shift=2.0)
    head = "mean_pool(projection=8, units=16)"
    settings = {"head": head, "epochs": 6, "learning_rate": 0.05}
    return train_quickly(features, root / "runs", **settings)["run"]


@pytest.mark.slow
def test_the_fastest_file_that_fits_is_kept(run):
    config = ExportConfig(scope="classifier", format="tflite", fit="mb<=1, ms<=1000, auc>=-1")
    result = FitStage(run, config).run()
    names = [row.name for row in result.tried]
    assert names[:3] == ["float32", "float16", "int8"] and "head linear, distilled" in names
    fitting = [row for row in result.tried if not row.breaks and not row.error]
    assert len(fitting) >= 5
    assert result.kept == min(fitting, key=lambda row: row.ms).name
    path = Path(result.path)
    assert path.is_file() and (path.parent / "model.json").is_file()
    assert json.loads((path.parent / "parity.json").read_text())["path"] == str(path)
    folders = [item.name for item in (Path(run) / "export").iterdir() if item.is_dir()]
    assert folders == [path.parent.name]


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_with_what_is_left(run, tmp_path, monkeypatch, caplog):
    config = ExportConfig(
        scope="classifier", format="keras", output=str(tmp_path), fit="mb<=1, ms<=1000"
    )
    plain_run, exported = ExportStage.run, []

    def run_twice_only(stage):
        if len(exported) == 2:
            raise KeyboardInterrupt
        exported.append(plain_run(stage))
        return exported[-1]

    monkeypatch.setattr(ExportStage, "run", run_twice_only)
    with pytest.raises(KeyboardInterrupt):
        FitStage(run, config, force=True).run()
    assert not (tmp_path / "fit.json").exists()
    monkeypatch.setattr(ExportStage, "run", plain_run)
    with caplog.at_level("INFO"):
        result = FitStage(run, config.with_settings(fit="mb<=2, ms<=1000"), force=True).run()
    assert "Going on: 2 of 5 variants were tried before" in caplog.text
    assert [row.ms for row in result.tried[:2]] == [
        min(item.latency.ms, item.latency.cpu_ms) for item in exported
    ]
    names = {item.name for item in tmp_path.iterdir()}
    assert names == {"fit.json", Path(result.path).parent.name}
    with pytest.raises(ConfigError, match="--force replaces an export"):
        FitStage(run, config).prepare()


@pytest.mark.slow
def test_a_limit_that_nothing_keeps_is_named(run_dir, tmp_path):
    flags = ["--scope", "classifier", "--format", "keras", "--output", str(tmp_path)]
    asked = ["export", str(run_dir), *flags, "--fit", "mb<=0.000001, ms<=1000"]
    shown = CliRunner().invoke(cli.main, asked)
    assert shown.exit_code == 3, shown.output
    assert "kept        none: no variant keeps mb<=1e-06 (the best is" in shown.stdout
    assert re.search(r"^ +float32 +\d+\.\d\d\* .*(none|[+-]\d\.\d{3})$", shown.stdout, re.MULTILINE)
    assert "* is outside its limit" in shown.stdout
    assert "; --format tflite has float16 and int8 as well" in shown.stdout
    again = CliRunner().invoke(cli.main, [*asked[:-1], "mb<=1, ms<=1000"])
    assert again.exit_code == 0 and "Converting" not in again.stderr, again.output
    kept = json.loads((tmp_path / "fit.json").read_text())["kept"]
    assert kept and not (tmp_path / "fit-tried").exists()

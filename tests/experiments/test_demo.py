"""The demo replaces nothing but an earlier demo; tests/live/test_live_demo.py runs a whole one."""

import pytest
from click.testing import CliRunner
from support.folders import tree_of

from violence_detection.cli import main
from violence_detection.errors import ConfigError
from violence_detection.experiments.config import DemoConfig
from violence_detection.experiments.demo import DemoStage, run_demo


@pytest.mark.parametrize(
    ("name", "force", "message"),
    [
        ("mine.txt", False, "must be empty or an earlier demo"),
        ("mine.txt", True, "must be empty or an earlier demo"),
        ("violence-detection-demo", False, "--force replaces an earlier demo"),
    ],
)
def test_a_folder_that_may_not_be_replaced_is_left_alone(tmp_path, name, force, message):
    (tmp_path / name).write_text("x")
    stage = DemoStage(DemoConfig(output=str(tmp_path)), force=force)
    for act in (stage.prepare, stage.run):
        with pytest.raises(ConfigError, match=message):
            act()
    assert (tmp_path / name).read_text() == "x"
    assert tree_of(tmp_path) == [name]


def test_an_earlier_demo_may_be_replaced_with_force(tmp_path):
    (tmp_path / "violence-detection-demo").write_text("x")
    stage = DemoStage(DemoConfig(output=str(tmp_path)), force=True)
    assert stage.prepare().clips == DemoConfig().clips


def test_the_output_must_be_a_folder(tmp_path):
    (tmp_path / "demo").write_text("x")
    with pytest.raises(ConfigError, match="--output must be a folder. Received: .*demo .a file."):
        run_demo(DemoConfig(output=str(tmp_path / "demo")))


def test_a_dry_run_draws_nothing(tmp_path):
    output = tmp_path / "demo"
    ran = CliRunner().invoke(main, ["demo", "--output", str(output), "--dry-run"])
    assert ran.exit_code == 0
    assert not output.exists()

"""The demo learns motion, and not the picture; it replaces nothing but itself."""

import json

import pytest
from click.testing import CliRunner

from violence_detection.cli import main
from violence_detection.errors import ConfigError
from violence_detection.experiments.config import DemoConfig
from violence_detection.experiments.demo import run_demo


@pytest.mark.slow
def test_the_demo_learns_motion_that_the_mean_picture_does_not_tell(tmp_path):
    ran = CliRunner().invoke(
        main, ["demo", "--output", str(tmp_path / "demo"), "--clips", "200", "--json"]
    )
    assert ran.exit_code == 0
    result = json.loads(ran.stdout)
    assert result["test_videos"] >= 40
    assert result["test_accuracy"] >= 0.85
    assert result["mean_picture_accuracy"] < 0.6
    assert (tmp_path / "demo" / "checkpoints" / "demo" / "best_model.keras").is_file()


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="must be empty or an earlier demo"):
        run_demo(DemoConfig(output=str(tmp_path)), force=True)
    assert (tmp_path / "mine.txt").read_text() == "x"


def test_an_earlier_demo_is_replaced_with_force_only(tmp_path):
    (tmp_path / "violence-detection-demo").write_text("x")
    with pytest.raises(ConfigError, match="--force replaces an earlier demo"):
        run_demo(DemoConfig(output=str(tmp_path)))


def test_a_dry_run_draws_nothing(tmp_path):
    output = tmp_path / "demo"
    ran = CliRunner().invoke(main, ["demo", "--output", str(output), "--dry-run"])
    assert ran.exit_code == 0
    assert not output.exists()

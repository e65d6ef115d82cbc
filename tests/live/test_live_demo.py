"""`demo --live` as a user starts it, short: the demo, then a watch of drawn cameras."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from violence_detection.cli import main

# Temperature and threshold by the validation videos: five folds would be trained, too.
PROGRAM = """
from violence_detection.system import devices
devices.import_tensorflow()
from violence_detection.training import train
train_classifier, quick = train.train_classifier, {"calibrate_by": "validation"}
train.train_classifier = lambda config: train_classifier(config.with_settings(**quick))
from violence_detection.cli import main
main()
"""


@pytest.mark.slow
def test_the_demo_learns_motion_that_the_mean_image_does_not_have_and_watches(short_tmp):
    words = ["demo", "--output", str(short_tmp / "demo"), "--clips", "120", "--epochs", "20"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, "--live", "--for", "15", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"run", "report"} <= set(result)
    assert result["test_videos"] >= 24 and result["test_accuracy"] >= 0.85
    assert result["mean_picture_accuracy"] < 0.6
    assert (short_tmp / "demo" / "checkpoints" / "demo" / "best_model.keras").is_file()
    live = result["live"]
    assert live["cameras_up"] == ["door", "hall", "yard"]
    # No window is asked for: on a busy machine the judge is not ready in this time.
    assert 15 <= live["seconds"] < 40
    assert live["found"] <= live["fights"] and len(live["delays_s"]) <= live["found"]
    assert "page        open http://127.0.0.1:" in done.stderr
    assert "judge  down" not in done.stderr


def test_the_length_of_the_watch_needs_live():
    ran = CliRunner().invoke(main, ["demo", "--for", "60", "--dry-run"])
    assert ran.exit_code == 2 and "--for needs --live" in ran.stderr


def test_a_folder_that_is_too_deep_for_sockets_is_refused_before_anything_is_drawn(tmp_path):
    output = tmp_path / ("x" * 90)
    ran = CliRunner().invoke(main, ["demo", "--output", str(output), "--live"])
    assert ran.exit_code == 2 and "--output must have a shorter path" in ran.stderr
    assert not output.exists()

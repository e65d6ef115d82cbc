"""`mine` lists false alarms and labels nothing; a copied line makes a part that training uses."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.encoding import encode
from support.training import train_on_videos
from support.videos import draw_two_classes

from violence_detection import cli
from violence_detection.errors import ConfigError
from violence_detection.evaluation.footage.mining import MineStage
from violence_detection.evaluation.footage.mining_config import MineConfig

ALL = {"threshold": 0.0, "apart_s": 1.0}  # a drawn run is not sure of anything


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return draw_two_classes(tmp_path_factory.mktemp("dataset"), each=8)


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory) -> Path:
    """A run on the dataset; the tests of this file write to it."""
    return train_on_videos(videos, tmp_path_factory.mktemp("trained"), backbone="mobilenetv2")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Path:
    """Ten seconds of two cameras."""
    folder = tmp_path_factory.mktemp("quiet")
    for camera in ("hall", "yard"):
        encode(folder / camera / "1.mp4", frames=120, fps=12, size=(64, 48), g=24)
    return folder


@pytest.fixture
def mine(trained, quiet, tmp_path):
    """Mines the footage; keywords are settings of the command."""

    def run(*videos, force=True, dry_run=False, **settings):
        config = MineConfig(**{"output": str(tmp_path / "mined"), **ALL, **settings})
        arguments = [] if config.predictions else list(map(str, videos or [quiet]))
        stage = MineStage(str(trained), arguments, config, force=force)
        return stage.prepare() if dry_run else stage.run()

    return run


def invoke(*words: str):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


@pytest.mark.slow
def test_windows_are_listed_and_nothing_is_labelled(mine, videos, trained, tmp_path):
    before = sorted(videos.rglob("*"))
    result = mine(count=3, per_recording=2, group_pattern=r"(hall|yard)")
    assert sorted(videos.rglob("*")) == before
    assert result.videos == 2 and len(result.windows) == 3
    assert {window.recording for window in result.windows} == {"hall", "yard"}
    probabilities = [window.probability for window in result.windows]
    assert probabilities == sorted(probabilities, reverse=True)
    assert result.alarms == len(result.windows) + sum(result.left_out.values())
    with open(tmp_path / "mined" / "windows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label_command"] for row in rows] == [w.label_command for w in result.windows]
    page = (tmp_path / "mined" / "windows.html").read_text()
    assert page.count("<img") >= 3 and "a real fight in it would be learned as noFight" in page


@pytest.mark.slow
def test_the_table_is_one_for_label_table(mine, videos, tmp_path, trained):
    windows = mine(count=2, per_recording=2, show_frames=False).windows
    path = tmp_path / "mined" / "windows.csv"
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["new_label"] for row in rows] == ["", ""]
    assert f"--table {path} --excerpt" in path.with_suffix(".html").read_text()
    rows[0]["new_label"] = "noFight"
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    copy = shutil.copytree(videos, tmp_path / "videos")
    words = ("label", trained, "--table", path, "--excerpt", "--dataset-path", copy, "--json")
    result = invoke(*map(str, words))
    assert result.exit_code == 0, result.stderr
    (label,) = json.loads(result.stdout)["labels"]
    assert (label["label"], label["split"]) == ("noFight", "train")
    assert label["group"] == windows[0].recording


@pytest.mark.slow
def test_a_copied_line_becomes_a_training_clip(mine, videos, tmp_path, trained):
    window = mine(count=1, show_frames=False).windows[0]
    words = [*shlex.split(window.label_command)[1:], "--dataset-path", str(videos)]
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    labelled = json.loads(result.stdout)
    assert labelled["video"].startswith("judged/") and labelled["copied"]
    assert (labelled["label"], labelled["split"]) == ("noFight", "train")
    copy = videos / labelled["video"].split("@")[0]
    assert copy.stat().st_size < Path(window.path).stat().st_size
    again = mine(count=1, show_frames=False)
    assert again.left_out["labelled"] > 0
    assert (again.windows[0].path, again.windows[0].start_s) != (window.path, window.start_s)
    retrained = train_on_videos(videos, tmp_path / "again", backbone="mobilenetv2")
    with open(retrained / "training_videos.csv", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    row = rows[labelled["video"]]
    assert (row["label"], row["split"], row["group"]) == ("noFight", "train", window.recording)
    assert len({row["split"] for row in rows.values()}) == 3


@pytest.mark.slow
def test_predictions_are_read(mine, quiet, tmp_path):
    table = tmp_path / "windows.csv"
    video = quiet / "hall" / "1.mp4"
    lines = ["path,start_s,end_s,probability,segment,error"]
    lines += [f"{video},{start},{start + 1},0.{start + 1},," for start in range(4)]
    table.write_text("\n".join([*lines, "gone.mp4,,,,,no such file"]))
    windows = mine(predictions=str(table), threshold=0.3, apart_s=0.5).windows
    assert [(window.start_s, window.probability) for window in windows] == [(3, 0.4)]
    table.write_text("path,time\na,1")
    with pytest.raises(ConfigError, match="--predictions must have windows"):
        mine(predictions=str(table))
    table.write_text("<p>\na, page\n")
    with pytest.raises(ConfigError, match="must be a table of `predict --csv`.*line 2"):
        mine(predictions=str(table))


@pytest.mark.slow
def test_files_are_kept_without_force(mine, quiet, tmp_path):
    plan = mine(dry_run=True)
    assert len(plan.writes) == 2 and not plan.writes[0].exists()
    mine(quiet / "hall", show_frames=False)
    with pytest.raises(ConfigError, match="--force be given.*windows.csv"):
        mine(force=False)
    with pytest.raises(ConfigError, match="must be a file. Received: rtsp"):
        mine("rtsp://camera/1")


@pytest.mark.slow
def test_unreadable_videos_are_named(mine, trained, quiet, tmp_path):
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    result = invoke(
        *("mine", trained, quiet, tmp_path / "torn.mp4", "--output", tmp_path / "out"), "--json"
    )
    assert result.exit_code == 3, result.output
    values = json.loads(result.stdout)
    assert values["videos"] == 2 and "torn.mp4" in values["unreadable"][0]["path"]

"""A run is judged on altered videos by its own way from file to answer, and can be stopped."""

import contextlib
import csv
import json
import os
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from support.training import train_on_videos
from support.videos import draw_video

from violence_detection import cli
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError, VideoError
from violence_detection.evaluation.robustness import corrupted_features, study
from violence_detection.evaluation.robustness.config import RobustnessConfig
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL, Excerpt
from violence_detection.evaluation.robustness.corruptions import compress
from violence_detection.evaluation.robustness.study import Task, _PredictionFile
from violence_detection.features.cache import FeatureCache
from violence_detection.system import files

CONDITIONS = "darken,drop_frames(fps=4),mirror+noise"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Parts of two long videos and whole clips of two classes, and a run trained on them."""
    root = tmp_path_factory.mktemp("robust")
    rows = []
    for label, seed in (("fight", 0), ("noFight", 50)):
        for number in range(4):
            path = f"{label}/{number}.mp4"
            draw_video(root / "videos" / path, seed=seed + number, frames=24)
            rows.append({"path": path, "label": label, "group": path})
        long = f"{label}/long.mp4"
        draw_video(root / "videos" / long, seed=seed + 9, frames=48)
        for start_s in (0, 2):
            rows.append(
                {"path": long, "label": label, "group": long}
                | {"start_s": start_s, "end_s": start_s + 1.5}
            )
    with open(root / "videos" / "videos.csv", "w") as file:
        table = csv.DictWriter(file, ["path", "label", "group", "start_s", "end_s"])
        table.writeheader()
        table.writerows(rows)
    run = train_on_videos(root / "videos", root, epochs=2, backbone="mobilenetv2")
    return run, root


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


def judge(run, *, force=False, **settings):
    asked = {"split": "all", "conditions": CONDITIONS, "bootstrap": 100, **settings}
    config = RobustnessConfig(batch_size=8, **asked)
    return study.measure_robustness(str(run), config, force=force)


# -- the whole way


@pytest.mark.slow
def test_clean_and_control_are_what_the_features_say(run):
    """Whole videos and parts of long ones are read as extraction read them."""
    result = judge(run)
    folder = run / "evaluation" / "all"
    assert json.loads((folder / "robustness.json").read_text()) == result
    with open(folder / "robustness_predictions.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 * 5
    answers = {(row["path"], row["condition"]): row["probability"] for row in rows}
    done = CliRunner().invoke(cli.main, ["evaluate", str(run), "--split", "all", "--json"])
    assert done.exit_code == 0, done.stderr
    with open(folder / "predictions.csv") as file:
        for row in csv.DictReader(file):
            cached = pytest.approx(float(row["probability"]), abs=2e-3)
            assert float(answers[row["path"], CLEAN]) == cached
            assert float(answers[row["path"], CONTROL]) == cached
    assert result["control"]["accuracy_difference"] == 0.0
    assert [row["name"] for row in result["conditions"]] == [
        "darken",
        "drop_frames(fps=4)",
        "mirror+noise",
    ]
    assert result["conditions"][2]["condition"] == "mirror+noise(sigma=0.08)"
    assert all(row["videos"] == 12 for row in result["conditions"])
    left = {path.name for path in folder.iterdir()}
    assert {"robustness.csv", "robustness.png", "robustness_answers.jsonl"} <= left
    assert not any("partial" in name for name in left)


@pytest.mark.slow
def test_after_a_stop_only_what_is_missing_is_answered(run, monkeypatch):
    whole = judge(run)
    path = run / "evaluation" / "all" / "robustness_answers.jsonl"
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:40]) + '\n{"path": "fight/0.m')  # torn by a kill
    asked = []
    read = corrupted_features.extract_corrupted_features

    def noted(extractor, tasks, *rest, **more):
        asked.extend(tasks)
        return read(extractor, tasks, *rest, **more)

    monkeypatch.setattr(study, "features_under", noted)
    again = judge(run)
    assert len(asked) == 60 - 39
    assert again["conditions"] == whole["conditions"]
    more = judge(run, conditions=f"{CONDITIONS},crop")
    assert len(asked) == 60 - 39 + 12  # the new condition alone
    assert more["conditions"][:3] == whole["conditions"]
    with pytest.raises(
        ConfigError, match="another seed; repeat the command as it was, or use --force"
    ):
        judge(run, seed=7)
    assert judge(run, seed=7, force=True)["clean"]["videos"] == 12


@pytest.mark.slow
def test_videos_that_are_gone_or_others_are_listed_and_the_status_is_3(run, trained, tmp_path):
    videos = shutil.copytree(trained[1] / "videos", tmp_path / "videos")
    (videos / "fight" / "0.mp4").unlink()
    draw_video(videos / "noFight" / "1.mp4", seed=3, frames=30)
    words = f"robustness {run} --split all --conditions mirror --video-dir {videos}"
    done = CliRunner().invoke(cli.main, [*words.split(), "--json"])
    assert done.exit_code == 3, done.stderr
    result = json.loads(done.stdout)
    assert [(row["path"], row["reason"]) for row in result["failures"]] == [
        ("fight/0.mp4", "no such file"),
        ("noFight/1.mp4", "it has changed since its features were made"),
    ]
    assert (result["videos"], result["clean"]["videos"]) == (12, 10)
    done = CliRunner().invoke(cli.main, words.split())
    assert "re-encoded" in done.stdout and "failed      fight/0.mp4" in done.stdout


@pytest.mark.slow
def test_children_that_are_ended_leave_no_copy(run, caplog):
    """With a time that is too short for a video, but where the machine is busy meanwhile."""
    with contextlib.suppress(VideoError):
        judge(run, video_timeout=1e-4, conditions="blur")
    assert "it took longer than 0.0001 s (--video-timeout)" in caplog.text
    left = {path.name for path in (run / "evaluation" / "all").iterdir()}
    assert not any("partial" in name for name in left)


@pytest.mark.slow
def test_a_plan_writes_nothing(run):
    planned = study.plan(str(run), RobustnessConfig(split="all"))
    assert (planned["videos"], planned["not_there"]) == (12, 0)
    assert planned["conditions"][:3] == [CLEAN, CONTROL, "blur"]
    assert not (run / "evaluation").exists()


# -- where videos are


def entry_of(root, path):
    stat = (root / path).stat()
    return ManifestEntry(
        path=path,
        label=path.split("/")[0],
        group=path,
        split="test",
        size=stat.st_size,
        mtime=stat.st_mtime_ns,
        digest=files.sha256_of_file(root / path),
    )


def test_a_video_with_another_time_and_the_same_bytes_is_the_same(dataset_dir, features_dir):
    entry = entry_of(dataset_dir, "fight/0.mp4")
    os.utime(dataset_dir / "fight/0.mp4", ns=(1, 1))
    cache = FeatureCache.open(features_dir)
    found, failures = corrupted_features.unchanged_excerpts(cache, [entry], str(dataset_dir))
    assert found == {"fight/0.mp4": Excerpt(dataset_dir / "fight/0.mp4")}
    assert failures == []


def test_a_folder_that_is_gone_says_which_flag_helps(features_dir):
    cache = FeatureCache.open(features_dir)
    with pytest.raises(CacheError, match=r"--video-dir says where.*Received: /drawn"):
        corrupted_features.unchanged_excerpts(cache, cache.entries())


# -- what is kept


TASK = Task("a.mp4", Excerpt(None), "mirror")


def test_answers_are_read_back_to_the_bit(tmp_path):
    answer = np.array([0.1, 0.2, 0.7]) / 3
    _PredictionFile(tmp_path, {"seed": 1}, force=False).note(TASK, answer)
    kept = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    assert kept.has(TASK) and not kept.has(TASK._replace(condition="noise"))
    np.testing.assert_array_equal(kept.of("mirror", ["a.mp4", "b.mp4"])["a.mp4"], answer)


@pytest.mark.parametrize("torn", ['\n{"path": "b.m', "\n[1, 2]", "\n\0\0", "\nnull"])
def test_a_torn_line_costs_that_answer_alone(tmp_path, torn):
    kept = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    kept.note(TASK, np.array([0.25, 0.75]))
    with open(tmp_path / "robustness_answers.jsonl", "a") as file:
        file.write(torn)
    again = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    again.note(TASK._replace(key="c.mp4"), np.array([0.5, 0.5]))
    last = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    assert sorted(last.of("mirror", ["a.mp4", "b.mp4", "c.mp4"])) == ["a.mp4", "c.mp4"]


def test_answers_of_something_else_need_force(tmp_path):
    _PredictionFile(tmp_path, {"seed": 1}, force=False).note(TASK, np.array([0.5, 0.5]))
    with pytest.raises(
        ConfigError, match="another seed; .* or use --force. Received: another seed than in .*jsonl"
    ):
        _PredictionFile(tmp_path, {"seed": 2}, force=False)
    assert not _PredictionFile(tmp_path, {"seed": 2}, force=True).has(TASK)


# -- conditions


def test_all_leaves_out_what_needs_an_extra_and_by_name_it_is_refused(monkeypatch):
    monkeypatch.setattr(compress.importlib.util, "find_spec", lambda _: None)
    found, left_out = study._conditions(RobustnessConfig())
    assert "compress" not in found and "mirror" in found
    assert left_out == ["compress (pip install 'violence-detection[pyav]')"]
    with pytest.raises(ConfigError, match="corruptions/compress must have PyAV"):
        study._conditions(RobustnessConfig(conditions="compress"))


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("blur", ["blur"]),
        ("blur, mirror", ["blur", "mirror"]),
        (
            "compress(codec=mpeg4, bits_per_pixel=0.1),darken+noise",
            ["compress(bits_per_pixel=0.1, codec=mpeg4)", "darken+noise"],
        ),
    ],
)
def test_conditions_have_commas_in_between(text, listed):
    config = RobustnessConfig(conditions=text)
    assert config.listed == listed
    assert RobustnessConfig(conditions=config.conditions).listed == listed

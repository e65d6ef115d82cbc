"""A judgement ends up in the dataset, changes nothing else there, and is learned from."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.training import train_quickly
from support.videos import draw_video

from violence_detection import cli
from violence_detection.datasets import video_folder
from violence_detection.errors import ConfigError, DatasetError, VideoError
from violence_detection.evaluation import labelling
from violence_detection.evaluation.config import LabelConfig
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig

TINY = {"backbone": "mobilenetv2", "weights": "random", "frame_size": 32, "frames": 4}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Four seconds."""
    return draw_video(tmp_path_factory.mktemp("clip") / "cam.mp4", frames=48, seed=77)


@pytest.fixture
def root(tmp_path) -> Path:
    """A dataset of class folders."""
    for label, offset in (("normal", 0), ("violent", 50)):
        for number in range(2):
            path = tmp_path / "videos" / label / f"{number}.mp4"
            draw_video(path, seed=offset + number)
    return tmp_path / "videos"


@pytest.fixture
def judge(root, run_dir):
    """Gives a label; keywords are settings of the command."""

    def give(video, name="normal", *, plan=False, force=False, **settings):
        settings = {"by": "ann", "dataset_path": str(root), **settings}
        config = LabelConfig(**settings)
        return labelling.label_video(str(run_dir), str(video), name, config, plan=plan, force=force)

    return give


def table(root: Path, name="videos.csv") -> list[dict[str, str]]:
    with open(root / name, newline="") as file:
        return list(csv.DictReader(file))


def row_of(root: Path, path: str) -> dict[str, str]:
    (row,) = [row for row in table(root) if row["path"] == path]
    return row


def listed(root: Path) -> dict[str, tuple[str, str, str]]:
    return {
        video.key: (video.label, video.group, video.split)
        for video in video_folder.read_folder(root).videos
    }


# -- relation


@pytest.mark.parametrize("layout", ["classes", "splits", "table"])
def test_only_the_judged_video_changes(root, judge, layout):
    if layout == "splits":
        for split in ("train", "test"):
            for label in ("normal", "violent"):
                draw_video(root / split / label / "a.mp4", seed=ord(split[0]))
        for label in ("normal", "violent"):
            (root / label).rename(root / "test" / label / "more")
    if layout == "table":
        lines = ["label,path,camera,group", "violent,violent/0.mp4,7,r1"]
        lines.append("violent,violent/1.mp4,8,r1")
        (root / "videos.csv").write_text("\n".join([*lines, "normal,normal/0.mp4,,r2"]))
    before = listed(root)
    judged = next(key for key, (label, *_) in before.items() if label == "violent")
    result = judge(root / judged)
    after = listed(root)
    assert (result["was"], result["label"]) == ("violent", "normal")
    assert after.pop(judged) == ("normal", *before.pop(judged)[1:])
    assert after == before
    assert result["created"] is (layout != "table")
    if layout == "table":
        assert row_of(root, judged)["camera"] == "7"


def test_a_table_that_is_made_does_not_pretend_to_know_recordings(root, judge):
    judge(root / "violent/0.mp4")
    assert video_folder.read_folder(root).grouping == "none"


def test_who_and_when_are_in_the_row_and_the_reader_takes_them(root, judge):
    result = judge("violent/0.mp4")
    row = row_of(root, "violent/0.mp4")
    assert (row["judged_by"], row["judged_at"]) == ("ann", result["at"])
    assert not any("not read" in note for note in video_folder.read_folder(root).notes)


def test_the_history_keeps_every_label_that_was(root, judge):
    judge("violent/0.mp4", "normal")
    judge("violent/0.mp4", "violent", by="bob", force=True)
    rows = [
        (row["from_label"], row["from_judged_by"], row["to_label"], row["judged_by"])
        for row in table(root, "labels_history.csv")
    ]
    assert rows == [
        ("violent", "", "normal", "ann"),
        ("normal", "ann", "violent", "bob"),
    ]


def test_a_dataset_left_with_one_class_can_be_judged_on(root, judge):
    judge("violent/0.mp4")
    judge("violent/1.mp4")
    judge("violent/1.mp4", "violent")
    assert {label for label, *_ in listed(root).values()} == {"normal", "violent"}


def test_a_plan_writes_nothing(root, judge, clip):
    before = sorted(root.rglob("*"))
    assert judge(clip, plan=True)["copied"] is True
    assert sorted(root.rglob("*")) == before


# -- videos and parts from elsewhere


def test_a_video_from_elsewhere_is_copied_once(root, judge, clip):
    first = judge(clip, start_s=0.5, end_s=2)
    second = judge(clip, "violent", start_s=2, end_s=3.5)
    assert (first["copied"], second["copied"]) == (True, False)
    copies = list((root / "judged").iterdir())
    assert [copy.read_bytes() for copy in copies] == [clip.read_bytes()]
    assert {"judged/cam.mp4@0.5-2", "judged/cam.mp4@2-3.5"} <= set(listed(root))


def test_parts_of_a_file_are_one_recording(root, judge, clip):
    judge(clip, start_s=0.5, end_s=2)
    judge(clip, "violent", start_s=2, end_s=3.5)
    groups = {group for key, (_, group, _) in listed(root).items() if "@" in key}
    assert groups == {"judged/cam.mp4"}


def test_a_part_of_a_video_of_the_dataset_follows_its_recording_and_split(root, judge):
    lines = ["path,label,split,group", "violent/0.mp4,violent,test,r1"]
    (root / "videos.csv").write_text("\n".join([*lines, "normal/0.mp4,normal,train,r2"]))
    result = judge("violent/0.mp4", start_s=0.2, end_s=0.8)
    assert listed(root)["violent/0.mp4@0.2-0.8"] == ("normal", "r1", "test")
    assert result["overlaps"] == ["violent/0.mp4 (violent)"]


def test_another_video_of_the_same_name_gets_another(root, judge, clip, tmp_path):
    judge(clip)
    other = draw_video(tmp_path / "cam.mp4", seed=3)
    name = judge(other)["video"]
    assert name.startswith("judged/cam-") and (root / name).is_file()


def test_bytes_that_the_dataset_has_are_that_video(root, judge, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((root / "violent/1.mp4").read_bytes())
    result = judge(copy)
    assert (result["video"], result["copied"]) == ("violent/1.mp4", False)


def test_a_part_goes_by_the_name_that_reports_give_it(root, judge, clip):
    judge(clip, start_s=0.5, end_s=2)
    assert judge("judged/cam.mp4@0.5-2", "violent")["was"] == "normal"
    assert len(listed(root)) == 5


def test_the_recording_of_a_new_video_is_what_is_said_or_not_known(judge, clip):
    assert judge(clip, plan=True)["group"] == ""
    assert judge(clip, plan=True, group="cam 3")["group"] == "cam 3"


# -- the whole way


@pytest.mark.slow
def test_the_next_extraction_and_training_use_it(root, tmp_path, clip):
    from violence_detection.features.extract import extract_features

    for label, offset in (("normal", 10), ("violent", 60)):
        for number in range(2, 8):
            draw_video(root / label / f"{number}.mp4", seed=offset + number)
    config = ExtractConfig(cache_dir=str(tmp_path / "cache"), **TINY)
    features = extract_features(root, config).features
    run = train_quickly(features, tmp_path / "runs", epochs=1)["run"]
    said = CliRunner().invoke(
        cli.main, ["label", run, "violent/3.mp4", "normal", "--by", "ann", "--json"]
    )
    assert json.loads(said.stdout)["was"] == "violent"
    labelling.label_video(run, str(clip), "violent", LabelConfig(start_s=1.0, end_s=3.0))
    before = (features / "violent/3.mp4.npy").read_bytes()
    again = extract_features(root, config)
    assert (again.extracted, again.reused) == (1, 16)
    assert (features / "violent/3.mp4.npy").read_bytes() == before
    rows = {entry.path: entry for entry in FeatureCache.open(features).entries()}
    assert rows["violent/3.mp4"].label == "normal"
    assert rows["judged/cam.mp4@1-3"].group == "judged/cam.mp4"
    second = Path(train_quickly(features, tmp_path / "runs", run="b", epochs=1)["run"])
    learned = {row["path"]: row["label"] for row in table(second, "training_videos.csv")}
    assert learned["violent/3.mp4"] == "normal"
    assert learned["judged/cam.mp4@1-3"] == "violent"


# -- error


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("fight", {}, "LABEL must be one of the run's classes, normal, violent, or "),
        (" ", {"new_class": True}, "LABEL must be a name in UTF-8. Received: ' '"),
        ("normal", {"start_s": 1.0}, "--start-s and --end-s must be given together"),
        ("normal", {"start_s": 2.0, "end_s": 1.0}, "`start_s` must be < end_s. Rec"),
        (
            "normal",
            {"start_s": 0.0, "end_s": 9.0},
            "`end_s` must be within the video. ",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(root, judge, name, settings, message):
    before = sorted(root.rglob("*.*"))
    with pytest.raises(ConfigError, match=message):
        judge(root / "violent/0.mp4", name, **settings)
    after = [path for path in sorted(root.rglob("*.*")) if path.name != ".labels.lock"]
    assert after == before


def test_a_new_class_is_taken_where_it_is_meant(root, judge):
    judge("violent/0.mp4", "robbery", new_class=True)
    assert listed(root)["violent/0.mp4"][0] == "robbery"


def test_what_somebody_else_has_judged_needs_force(judge):
    judge("violent/0.mp4", by="bob")
    with pytest.raises(ConfigError, match=r"--force only. Received: .*normal by bob\)"):
        judge("violent/0.mp4", "violent")
    assert judge("violent/0.mp4", "violent", force=True)["was"] == "normal"


def test_a_video_that_cannot_be_read_is_refused(judge, tmp_path):
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"no video")
    with pytest.raises(VideoError, match="VIDEO must be readable. Received: .*torn"):
        judge(torn)
    with pytest.raises(VideoError, match="must be a file, or a video of .*not there"):
        judge(tmp_path / "gone.mp4")


def test_a_dataset_that_is_gone_is_refused(run_dir):
    features = LabelConfig()
    with pytest.raises(DatasetError, match="--dataset-path says where .*: /drawn"):
        labelling.label_video(str(run_dir), "a.mp4", "normal", features)


@pytest.mark.parametrize("name", ["by", "group"])
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(ConfigError, match=f"`{name}` must be a name in UTF-8"):
        LabelConfig(**{name: " "})

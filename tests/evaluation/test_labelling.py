"""A reviewer's label is written to the dataset, changes nothing else, and is used in training."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.encoding import encode
from support.features import draw_features
from support.training import train_quickly
from support.videos import draw_video

from violence_detection import cli
from violence_detection.datasets import video_folder
from violence_detection.errors import ConfigError, DatasetError, VideoError
from violence_detection.evaluation.config import LabelConfig
from violence_detection.evaluation.labels.labelling import LabelStage
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig

TINY = {"backbone": "mobilenetv2", "weights": "random", "frame_size": 32, "frames": 4}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A video of four seconds."""
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
def label(root, run_dir):
    """Writes a label; keywords are settings of the command."""

    def write(video, name="normal", *, dry_run=False, force=False, **settings):
        settings = {"reviewer": "ann", "dataset_path": str(root), **settings}
        config = LabelConfig(**settings)
        stage = LabelStage(str(run_dir), str(video), name, config, force=force)
        return stage.prepare() if dry_run else stage.run()

    return write


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
def test_only_the_labelled_video_changes(root, label, layout):
    if layout == "splits":
        for name in ("normal", "violent"):
            for split in ("train", "test"):
                draw_video(root / split / name / "a.mp4", seed=ord(split[0]))
            (root / name).rename(root / "test" / name / "more")
    if layout == "table":
        lines = ["label,path,camera,group", "violent,violent/0.mp4,7,r1"]
        lines.append("violent,violent/1.mp4,8,r1")
        (root / "videos.csv").write_text("\n".join([*lines, "normal,normal/0.mp4,,r2"]))
    before = listed(root)
    labelled = next(key for key, (name, *_) in before.items() if name == "violent")
    result = label(root / labelled)
    after = listed(root)
    assert (result.was, result.label) == ("violent", "normal")
    assert after.pop(labelled) == ("normal", *before.pop(labelled)[1:])
    assert after == before
    assert result.created is (layout != "table")
    if layout == "table":
        assert row_of(root, labelled)["camera"] == "7"


def test_a_new_table_invents_no_recordings(root, label):
    label(root / "violent/0.mp4")
    assert video_folder.read_folder(root).grouping == "none"


def test_reviewer_and_time_are_columns_that_the_reader_accepts(root, label):
    result = label("violent/0.mp4")
    row = row_of(root, "violent/0.mp4")
    assert (row["judged_by"], row["judged_at"]) == ("ann", result.at)
    assert not any("not read" in note for note in video_folder.read_folder(root).notes)


def test_the_history_keeps_every_earlier_label(root, label):
    label("violent/0.mp4", "normal")
    label("violent/0.mp4", "violent", reviewer="bob", force=True)
    rows = [
        (row["from_label"], row["from_judged_by"], row["to_label"], row["judged_by"])
        for row in table(root, "labels_history.csv")
    ]
    assert rows == [
        ("violent", "", "normal", "ann"),
        ("normal", "ann", "violent", "bob"),
    ]


def test_features_name_the_dataset_and_its_recordings(root, tmp_path):
    """As on the page of a cross-validation, which leaves no run."""
    features = draw_features(
        tmp_path / "space", counts=(4, 0, 0), dataset={"name": "drawn", "dir": str(root)}
    )
    cache = FeatureCache(features)
    names = [f"{label}/{number}.mp4" for label in ("normal", "violent") for number in range(2)]
    cache.write_manifest(
        dataclasses.replace(entry, path=name, group=f"camera {name[-5]}")
        for entry, name in zip(cache.entries(), names, strict=True)
    )
    config = LabelConfig(reviewer="ann")
    result = LabelStage(str(features), "violent/1.mp4", "normal", config).run()
    assert (result.label, result.was, result.created) == ("normal", "violent", True)
    assert row_of(root, "violent/1.mp4")["label"] == "normal"
    assert row_of(root, "normal/0.mp4")["group"] == "camera 0"
    with pytest.raises(ConfigError, match="a known class, normal, violent"):
        LabelStage(str(features), "violent/1.mp4", "calm", config).prepare()


def test_a_dataset_left_with_one_class_can_be_labelled(root, label):
    label("violent/0.mp4")
    label("violent/1.mp4")
    label("violent/1.mp4", "violent")
    assert {name for name, *_ in listed(root).values()} == {"normal", "violent"}


def test_a_dry_run_writes_nothing(root, label, clip):
    before = sorted(root.rglob("*"))
    plan = label(clip, dry_run=True)
    assert (plan.copied, plan.dry_run) == (True, True)
    assert sorted(root.rglob("*")) == before


# -- videos and parts of other folders


def test_a_video_of_another_folder_is_copied_once(root, label, clip):
    first = label(clip, start_s=0.5, end_s=2)
    second = label(clip, "violent", start_s=2, end_s=3.5)
    assert (first.copied, second.copied) == (True, False)
    copies = list((root / "judged").iterdir())
    assert [copy.read_bytes() for copy in copies] == [clip.read_bytes()]
    assert {"judged/cam.mp4@0.5-2", "judged/cam.mp4@2-3.5"} <= set(listed(root))


def test_parts_of_a_file_are_one_recording(root, label, clip):
    label(clip, start_s=0.5, end_s=2)
    label(clip, "violent", start_s=2, end_s=3.5)
    groups = {group for key, (_, group, _) in listed(root).items() if "@" in key}
    assert groups == {"judged/cam.mp4"}


def test_a_part_of_a_video_of_the_dataset_follows_its_recording_and_split(root, label):
    lines = ["path,label,split,group", "violent/0.mp4,violent,test,r1"]
    (root / "videos.csv").write_text("\n".join([*lines, "normal/0.mp4,normal,train,r2"]))
    result = label("violent/0.mp4", start_s=0.2, end_s=0.8)
    assert listed(root)["violent/0.mp4@0.2-0.8"] == ("normal", "r1", "test")
    assert result.overlaps == ["violent/0.mp4 (violent)"]


def test_another_video_of_the_same_name_gets_another_name(root, label, clip, tmp_path):
    label(clip)
    namesake = draw_video(tmp_path / "cam.mp4", seed=3)
    name = label(namesake).video
    assert name.startswith("judged/cam-") and (root / name).is_file()


def test_a_copy_of_a_video_of_the_dataset_is_that_video(root, label, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((root / "violent/1.mp4").read_bytes())
    result = label(copy)
    assert (result.video, result.copied) == ("violent/1.mp4", False)


def test_a_part_is_found_by_its_name_in_reports(root, label, clip):
    label(clip, start_s=0.5, end_s=2)
    assert label("judged/cam.mp4@0.5-2", "violent").was == "normal"
    assert len(listed(root)) == 5


def test_the_recording_of_a_new_video_is_given_or_unknown(label, clip):
    assert label(clip, dry_run=True).group == ""
    assert label(clip, dry_run=True, group="cam 3").group == "cam 3"


# -- pipeline


@pytest.mark.slow
def test_the_next_extraction_and_training_use_it(root, tmp_path, clip):
    from violence_detection.features.extraction.extract import extract_features

    for name, offset in (("normal", 10), ("violent", 60)):
        for number in range(2, 8):
            draw_video(root / name / f"{number}.mp4", seed=offset + number)
    config = ExtractConfig(cache_dir=str(tmp_path / "cache"), **TINY)
    features = extract_features(root, config).features
    run = train_quickly(features, tmp_path / "runs", epochs=1)["run"]
    done = CliRunner().invoke(
        cli.main, ["label", run, "violent/3.mp4", "normal", "--reviewer", "ann", "--json"]
    )
    assert json.loads(done.stdout)["was"] == "violent"
    LabelStage(run, str(clip), "violent", LabelConfig(start_s=1.0, end_s=3.0)).run()
    before = (features / "violent/3.mp4.npy").read_bytes()
    again = extract_features(root, config)
    assert (again.extracted, again.reused) == (1, 16)
    assert (features / "violent/3.mp4.npy").read_bytes() == before
    rows = {entry.path: entry for entry in FeatureCache.open(features).entries()}
    assert rows["violent/3.mp4"].label == "normal"
    assert rows["judged/cam.mp4@1-3"].group == "judged/cam.mp4"
    second = Path(train_quickly(features, tmp_path / "runs", run="b", epochs=1)["run"])
    labels = {row["path"]: row["label"] for row in table(second, "training_videos.csv")}
    assert labels["violent/3.mp4"] == "normal"
    assert labels["judged/cam.mp4@1-3"] == "violent"


# -- error


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("fight", {}, "LABEL must be a known class, normal, violent; --new-class"),
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
def test_invalid_labels_and_parts_are_refused(root, label, name, settings, message):
    before = sorted(root.rglob("*.*"))
    with pytest.raises(ConfigError, match=message):
        label(root / "violent/0.mp4", name, **settings)
    after = [path for path in sorted(root.rglob("*.*")) if path.name != ".labels.lock"]
    assert after == before


def test_a_new_class_is_accepted_with_its_option(root, label):
    label("violent/0.mp4", "robbery", new_class=True)
    assert listed(root)["violent/0.mp4"][0] == "robbery"


def test_replacing_the_label_of_another_reviewer_needs_force(label):
    label("violent/0.mp4", reviewer="bob")
    with pytest.raises(ConfigError, match=r"--force only. Received: .*normal by bob\)"):
        label("violent/0.mp4", "violent")
    assert label("violent/0.mp4", "violent", force=True).was == "normal"


def test_a_video_that_cannot_be_read_is_refused(label, tmp_path):
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"no video")
    with pytest.raises(VideoError, match="VIDEO must be readable. Received: .*torn"):
        label(torn)
    with pytest.raises(VideoError, match="must be a file, or a video of .*no such file"):
        label(tmp_path / "gone.mp4")


def test_a_missing_dataset_is_refused(run_dir):
    with pytest.raises(DatasetError, match="--dataset-path names its new place.*: /drawn"):
        LabelStage(str(run_dir), "a.mp4", "normal", LabelConfig()).prepare()


def test_an_excerpt_is_copied_and_its_part_labelled(root, label, tmp_path):
    camera = encode(tmp_path / "camera.mp4", frames=250, g=25, bf=2)
    planned = label(camera, start_s=6.0, end_s=8.0, excerpt=True, split="train", dry_run=True)
    result = label(camera, start_s=6.0, end_s=8.0, excerpt=True, split="train")
    assert (planned.video, planned.split) == (result.video, "train")
    row = row_of(root, result.video.split("@")[0])
    assert 1.9 < float(row["end_s"]) - float(row["start_s"]) < 2.1
    assert (root / row["path"]).stat().st_size < camera.stat().st_size / 2
    assert row["split"] == "train" and result.copied


def test_what_mp4_does_not_hold_is_copied_whole(root, label, tmp_path):
    camera = encode(tmp_path / "camera.webm", frames=75, codec="libvpx", g=25)
    result = label(camera, start_s=1.0, end_s=2.0, excerpt=True)
    assert result.video == "judged/camera.webm@1-2"
    assert (root / "judged/camera.webm").read_bytes() == camera.read_bytes()
    assert sorted(path.name for path in (root / "judged").iterdir()) == ["camera.webm"]


@pytest.mark.parametrize("name", ["reviewer", "group"])
def test_an_empty_name_is_refused(name):
    with pytest.raises(ConfigError, match=f"`{name}` must be a name in UTF-8"):
        LabelConfig(**{name: " "})


# -- many labels at once


@pytest.fixture
def sheet(root, run_dir, tmp_path):
    """Writes a table of labels and calls the command with it; further words are options."""

    def call(*rows, words=(), header="path;probability;start_s;end_s;new_label"):
        path = tmp_path / "label_next.csv"
        path.write_text("\n".join([header, *rows]), "utf-8-sig")  # as a spreadsheet saves it
        words = ("label", run_dir, "--table", path, "--dataset-path", root, *words)
        return CliRunner().invoke(cli.main, list(map(str, words)))

    return call


def test_a_table_labels_the_rows_that_are_filled_in(root, sheet, clip):
    rows = [
        "violent/0.mp4;0.9;;;normal",
        "violent/1.mp4;0.8;;;",
        f"{clip};0.7;1,5;0:00:02.5;violent",
    ]
    planned = json.loads(sheet(*rows, words=("--dry-run", "--json")).stdout)
    assert planned["dry_run"] and not (root / "videos.csv").exists()
    result = sheet(*rows, words=("--reviewer", "ann"))
    assert result.exit_code == 0, result.stderr
    assert "left out    1 row without a new_label" in result.stdout
    assert row_of(root, "violent/0.mp4")["label"] == "normal"
    assert row_of(root, "violent/1.mp4")["label"] == "violent"
    part = row_of(root, "judged/cam.mp4")
    assert (part["start_s"], part["end_s"], part["judged_by"]) == ("1.5", "2.5", "ann")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["violent/0.mp4;;;;normal", "gone.mp4;;;;normal"], "label_next.csv, line 3: VIDEO must"),
        (["violent/0.mp4;;;;fight"], "label_next.csv, line 2: LABEL must be a known class"),
        (
            ["violent/0.mp4;;x;2;normal"],
            "label_next.csv, line 2: start_s must be a number of seconds",
        ),
        (["violent/0.mp4;;;;"], "must have a label in the column new_label"),
        (
            ["violent/0.mp4;;;;normal", "violent/0.mp4;;;;violent"],
            "line 3: a video must have one label. Received: violent/0.mp4 (violent, and normal on "
            "line 2)",
        ),
    ],
)
def test_a_table_with_a_wrong_row_labels_nothing(root, sheet, rows, message):
    result = sheet(*rows)
    assert result.exit_code in (1, 2) and message in result.stderr
    assert not (root / "videos.csv").exists()


def test_a_table_without_its_columns_is_refused(sheet):
    result = sheet("a.mp4;violent", header="video;label")
    assert result.exit_code == 1
    assert "must have the columns path,new_label. Received: video,label" in result.stderr
    assert "rename video to path" in result.stderr


def test_a_label_is_given_once(run_dir):
    for words, message in (
        (["a.mp4"], "LABEL must be given, or --table"),
        (["a.mp4", "normal", "--table", "x.csv"], "must not be given with --table"),
    ):
        result = CliRunner().invoke(cli.main, ["label", str(run_dir), *words])
        assert result.exit_code == 2 and message in result.stderr

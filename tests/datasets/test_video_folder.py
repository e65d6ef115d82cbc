"""Every layout gives labels, recordings and splits; an invalid one gives a full error."""

import dataclasses
import logging
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st

from violence_detection import cli
from violence_detection.datasets.class_names import normal_class, spellings
from violence_detection.datasets.splitting.split_words import split_of_word
from violence_detection.datasets.video_files import EXTENSIONS, is_system_folder
from violence_detection.datasets.video_folder import VideoFolder, read_folder
from violence_detection.datasets.videos import Video
from violence_detection.errors import ConfigError, DatasetError

HEADER = "path,label[,split][,group][,start_s,end_s]"


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def with_table(root: Path, *lines: str, encoding="utf-8") -> Path:
    root.mkdir(exist_ok=True)
    (root / "videos.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    return root


def paths_of(folder: VideoFolder) -> list[str]:
    return [video.path for video in folder.videos]


def message_of(root: Path, kind=DatasetError, **options) -> str:
    with pytest.raises(kind) as raised:
        read_folder(root, **options)
    return str(raised.value)


# -- folders


UCF_CRIME = (
    "Abuse Arrest Arson Assault Burglary Explosion Fighting RoadAccidents Robbery Shooting "
    "Shoplifting Stealing Vandalism"
).split()


def test_ucf_crime_as_it_is_unpacked_has_14_classes(tmp_path):
    """Parts hold the class folders, and three folders the normal videos."""
    for number, name in enumerate(UCF_CRIME):
        touch(tmp_path, f"Anomaly-Videos-Part-{1 + number // 4}/{name}/{name}001_x264.mp4")
    normal = "Training-Normal-Videos-Part-1", "Testing_Normal_Videos_Anomaly", "NormalVideos"
    touch(tmp_path, *(f"{folder}/Normal_Videos{folder}_x264.mp4" for folder in normal))
    folder = read_folder(tmp_path)
    assert folder.labels == sorted([*UCF_CRIME, "Normal"])
    assert normal_class(folder.labels) == "Normal"
    assert sum(video.label == "Normal" for video in folder.videos) == 3
    assert any(line.startswith("One class, Normal: the videos of ") for line in folder.notes)


@pytest.mark.parametrize(
    "normal",
    ["NormalVideos", "Normal_Videos_event", "Training-Normal-Videos", "Testing_Normal_Videos"],
)
def test_one_normal_folder_of_ucf_crime_keeps_its_name(tmp_path, normal):
    touch(tmp_path, "Train/Abuse/1.mp4", f"Train/{normal}/2.mp4", f"Test/{normal}/3.mp4")
    folder = read_folder(tmp_path)
    assert folder.labels == ["Abuse", normal] and normal_class(folder.labels) == normal
    assert folder.notes == ()


def test_class_folders_give_the_label(tmp_path):
    folder = read_folder(touch(tmp_path, "fight/1.mp4", "noFight/1.mp4", "noFight/2.avi"))
    assert folder.videos == (
        Video("fight/1.mp4", "fight", "fight/1.mp4"),
        Video("noFight/1.mp4", "noFight", "noFight/1.mp4"),
        Video("noFight/2.avi", "noFight", "noFight/2.avi"),
    )
    assert folder.labels == ["fight", "noFight"]
    assert folder.grouping == "none"
    assert folder.notes == ()


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val", "VALIDATION"])
def test_split_folders_give_the_split(tmp_path, validation):
    touch(tmp_path, "train/a/1.mp4", f"{validation}/a/1.mp4", "test/b/1.mp4")
    placed = {video.path: (video.split, video.label) for video in read_folder(tmp_path).videos}
    assert placed == {
        "train/a/1.mp4": ("train", "a"),
        f"{validation}/a/1.mp4": ("validation", "a"),
        "test/b/1.mp4": ("test", "b"),
    }


def test_class_folders_may_be_nested(tmp_path):
    folder = read_folder(touch(tmp_path, "a/x/y/1.mp4", "a/1.mp4", "b/z/1.mp4"))
    assert [(video.path, video.label) for video in folder.videos] == [
        ("a/1.mp4", "a"),
        ("a/x/y/1.mp4", "a"),
        ("b/z/1.mp4", "b"),
    ]


def test_the_same_stem_in_two_folders_makes_two_videos(tmp_path):
    folder = read_folder(touch(tmp_path, "a/1.mp4", "a/1.avi", "a/x/1.mp4", "b/1.mp4"))
    assert len({video.key for video in folder.videos}) == 4


@pytest.mark.parametrize(
    "name",
    [
        "a b.mp4",
        "it's.mp4",
        'say "x".mp4',
        "ж.mp4",
        "暴力.mp4",
        "a,b;c.mp4",
        "a\nb.mp4",
    ],
)
def test_names_are_kept_as_they_are(tmp_path, name):
    folder = read_folder(touch(tmp_path, f"Straße 1/{name}", "b/1.mp4"))
    assert f"Straße 1/{name}" in paths_of(folder)
    assert folder.labels == ["Straße 1", "b"]


def test_every_extension_is_in_the_help():
    text = CliRunner().invoke(cli.main, ["extract-features", "--help"]).stdout
    assert {ending.lstrip(".") for ending in EXTENSIONS} <= set(re.findall(r"[\w-]+", text))


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_videos_are_recognised_by_extension_in_any_case(tmp_path, extension):
    folder = read_folder(touch(tmp_path, f"a/1{extension.upper()}", f"b/1{extension}"))
    assert len(folder.videos) == 2


def test_other_and_hidden_files_are_ignored_and_counted(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/1.mp4", "a/notes.txt", "b/Thumbs.db", "a/.hidden.mp4")
    touch(tmp_path, ".git/x.mp4", "a/._1.mp4", "readme", "train.csv")
    folder = read_folder(tmp_path)
    assert paths_of(folder) == ["a/1.mp4", "b/1.mp4"]
    assert sorted(folder.notes) == [
        "Ignored: 1 hidden folder.",
        "Ignored: 2 hidden files.",
        "Ignored: 4 files that are not videos (1 .csv, 1 .db, 1 .txt, 1 without an ending).",
        "Not read, because they are not videos.csv: train.csv.",
    ]


def test_videos_in_no_class_folder_are_left_out_and_counted(tmp_path):
    classes = read_folder(touch(tmp_path / "x", "a/1.mp4", "b/1.mp4", "loose.mp4"))
    splits = read_folder(touch(tmp_path / "y", "train/a/1.mp4", "test/b/1.mp4", "test/loose.mp4"))
    for folder, loose in ((classes, "loose.mp4"), (splits, "test/loose.mp4")):
        assert len(folder.videos) == 2
        assert folder.notes == (f"Left out, in no class folder: 1 video, e.g. {loose}.",)


def test_links_are_followed_and_loops_end(tmp_path):
    touch(tmp_path / "elsewhere", "1.mp4")
    root = touch(tmp_path / "root", "b/1.mp4")
    (root / "a").symlink_to(tmp_path / "elsewhere")
    (root / "b" / "up").symlink_to(root)
    (root / "b" / "self").symlink_to(root / "b")
    assert paths_of(read_folder(root)) == ["a/1.mp4", "b/1.mp4"]


def test_a_name_that_is_not_utf8_is_ignored_and_counted(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/1.mp4")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.mp4")).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    folder = read_folder(tmp_path)
    assert len(folder.videos) == 2
    assert folder.notes == ("Ignored: 1 video whose path is not UTF-8.",)


# -- videos.csv


def test_a_table_gives_everything(tmp_path):
    with_table(
        tmp_path,
        "path,label,split,group,start_s,end_s",
        "x/1.mp4,fight,train,rec1,0,2.5",
        "x/1.mp4,calm,valid,rec1,2.5,5",
        "2.mp4,calm,,,,",
    )
    assert read_folder(tmp_path).videos == (
        Video("2.mp4", "calm", "2.mp4"),
        Video("x/1.mp4", "fight", "rec1", "train", 0.0, 2.5),
        Video("x/1.mp4", "calm", "rec1", "validation", 2.5, 5.0),
    )


def test_the_parts_of_a_long_recording_have_their_own_keys():
    keys = [Video("1.mp4", "a", "g", "", s, s + 0.04).key for s in (0, 0.04, 40000, 40000.04)]
    assert keys == [
        "1.mp4@0-0.04",
        "1.mp4@0.04-0.08",
        "1.mp4@40000-40000.04",
        "1.mp4@40000.04-40000.08",
    ]


def test_a_table_of_path_and_label_is_enough(tmp_path):
    folder = read_folder(with_table(tmp_path, "label,path", "a,1.mp4", "b,./2.mp4"))
    assert folder.videos == (Video("1.mp4", "a", "1.mp4"), Video("2.mp4", "b", "2.mp4"))
    assert folder.grouping == "none"


def test_a_table_with_groups_says_where_they_came_from(tmp_path):
    folder = read_folder(with_table(tmp_path, "path,label,group", "1.mp4,a,r", "2.mp4,b,"))
    assert folder.grouping == "videos.csv"
    assert [video.group for video in folder.videos] == ["r", "2.mp4"]


def test_a_table_with_some_groups_counts_the_videos_without(tmp_path):
    lines = ("1.mp4,a,r,,", "2.mp4,b,,,", "3.mp4,b,,,", "4.mp4,b,,0,2")
    with_table(tmp_path, "path,label,group,start_s,end_s", *lines)
    folder = read_folder(tmp_path)
    assert (folder.grouping, folder.ungrouped) == ("videos.csv", 2)


def test_the_table_wins_over_the_folders(tmp_path):
    touch(tmp_path, "train/a/1.mp4", "train/a/2.mp4", "test/b/3.mp4")
    with_table(tmp_path, "path,label", "train/a/1.mp4,x", "train/a/2.mp4,y")
    folder = read_folder(tmp_path)
    assert [(video.label, video.split) for video in folder.videos] == [
        ("x", ""),
        ("y", ""),
    ]
    assert folder.notes == ("Not in videos.csv and left out: 1 video, e.g. test/b/3.mp4.",)


def test_a_byte_order_mark_quotes_and_windows_line_ends_are_read(tmp_path):
    text = 'path, label\r\n"a, ""b"".mp4", fight\r\n c.mp4 ,calm \r\n\r\n'
    (tmp_path / "videos.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    folder = read_folder(tmp_path)
    assert [(v.path, v.label) for v in folder.videos] == [
        ('a, "b".mp4', "fight"),
        ("c.mp4", "calm"),
    ]


def test_unread_columns_are_listed(tmp_path):
    folder = read_folder(with_table(tmp_path, "path,label,weather", "1.mp4,a,x", "2.mp4,b,y"))
    assert folder.notes == ("Columns of videos.csv that are not read: weather.",)


@pytest.mark.parametrize("header", ["path,label,", "path,label, ,"])
def test_a_column_without_a_name_is_no_unread_column(tmp_path, header):
    folder = read_folder(with_table(tmp_path, header, "1.mp4,a,,", "2.mp4,b,,"))
    assert folder.notes == folder.warnings == ()


def test_an_absolute_path_below_the_folder_is_accepted(tmp_path):
    folder = read_folder(with_table(tmp_path, "path,label", f"{tmp_path}/1.mp4,a", "2.mp4,b"))
    assert paths_of(folder) == ["1.mp4", "2.mp4"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "../1.mp4,a",
            "path must be of a file below the folder of videos.csv. Received: ../1.mp4",
        ),
        (
            "/1.mp4,a",
            "path must be of a file below the folder of videos.csv. Received: /1.mp4",
        ),
        (
            "a/../../1.mp4,a",
            "path must be of a file below the folder of videos.csv. Received: a/../",
        ),
        (
            ",a",
            "path must be of a file below the folder of videos.csv. Received: nothing",
        ),
        ("1.mp4,", "label must not be empty. Received: nothing"),
        ("1.mp4", "label must not be empty. Received: nothing"),
        ("1.mp4,a,tset", "split must be train, validation or test. Received: tset"),
        ("1.mp4,a,,,x,2", "start_s must be a number of seconds >= 0. Received: x"),
        ("1.mp4,a,,,-1,2", "start_s must be a number of seconds >= 0. Received: -1"),
        ("1.mp4,a,,,0,inf", "end_s must be a number of seconds >= 0. Received: inf"),
        (
            "1.mp4,a,,,0,",
            "start_s and end_s must be given together, start first. Received: 0.0, None",
        ),
        (
            "1.mp4,a,,,2,2",
            "start_s and end_s must be given together, start first. Received: 2.0, 2.0",
        ),
    ],
)
def test_an_invalid_row_is_named_by_its_line(tmp_path, line, message):
    with_table(tmp_path, "path,label,split,group,start_s,end_s", "0.mp4,b,,,,", line)
    assert message_of(tmp_path).startswith(f"videos.csv, line 3: {message}")


def test_lines_are_counted_with_the_empty_ones(tmp_path):
    with_table(tmp_path, "path,label", "", "0.mp4,a", "", "1.mp4,")
    assert message_of(tmp_path).startswith("videos.csv, line 5: label must not be empty")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("path,label,path", "1.mp4,a,2.mp4"), "must have each column once"),
        (("path,label", "a,b.mp4,x"), "3 cells for 2 columns"),
        (("path,label", "a" * 200_000 + ",x"), "field larger than field limit"),
    ],
)
def test_an_invalid_table_is_refused(tmp_path, lines, message):
    with_table(tmp_path, *lines)
    assert message in message_of(tmp_path)


def test_a_folder_that_cannot_be_listed_is_logged(tmp_path, monkeypatch, caplog):
    touch(tmp_path, "a/1.mp4", "b/1.mp4", "c/1.mp4")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    logging.getLogger("violence_detection").propagate = True
    assert read_folder(tmp_path).labels == ["a", "c"]
    assert f"cannot be listed: 1 folder, e.g. {tmp_path}/b" in caplog.text


def test_a_row_that_ends_before_its_path_is_refused(tmp_path):
    with_table(tmp_path, "label,path", "b,0.mp4", "a")
    assert message_of(tmp_path) == (
        "videos.csv, line 3: path must be of a file below the folder of videos.csv. "
        "Received: nothing"
    )


def test_a_video_named_twice_is_refused(tmp_path):
    with_table(tmp_path, "path,label", "1.mp4,a", "./1.mp4,b", "2.mp4,b")
    assert message_of(tmp_path) == (
        "videos.csv must name each video once. Received: 1.mp4 2 times (1 video repeated)"
    )


def test_a_table_without_its_columns_is_refused(tmp_path):
    with_table(tmp_path, "file,class", "1.mp4,a")
    assert message_of(tmp_path) == (
        f"videos.csv must have the columns {HEADER}. Received: file,class "
        "(rename file to path; rename class to label)"
    )


def test_a_table_without_rows_is_refused(tmp_path):
    with_table(tmp_path, "path,label")
    assert message_of(tmp_path) == (
        f"videos.csv must have a row for each video. Received: {tmp_path}/videos.csv (no rows)"
    )


def test_a_table_in_another_encoding_is_refused(tmp_path):
    with_table(tmp_path, "path,label", "ä.mp4,a", encoding="latin-1")
    assert message_of(tmp_path).startswith(
        "videos.csv must be a table in UTF-8; save it as CSV UTF-8, or convert it: iconv"
    )


# -- folders that cannot be used


def test_a_missing_folder_and_a_file_are_wrong_usage(tmp_path):
    touch(tmp_path, "file")
    must = "VIDEO_DIR must be a folder of videos. Received: "
    assert message_of(tmp_path / "x", ConfigError) == f"{must}{tmp_path}/x (it does not exist)"
    assert message_of(tmp_path / "file", ConfigError) == f"{must}{tmp_path}/file (a file)"


def test_an_empty_folder_is_refused_with_an_example(tmp_path):
    text = message_of(tmp_path)
    assert "such as violent/a.mp4 and nonviolent/b.mp4" in text
    assert f"Received: {tmp_path} (none)" in text


def test_videos_without_class_folders_are_refused(tmp_path):
    touch(tmp_path / "x", "1.mp4", "2.mp4")
    touch(tmp_path / "y", "train/1.mp4", "test/2.mp4")
    assert message_of(tmp_path / "x") == (
        "Videos must lie in class folders, or in a tree with a videos.csv. "
        f"Received: {tmp_path}/x (2 videos without a class folder). Move them into folders such "
        "as violent/ and nonviolent/, or list them in videos.csv (path,label)"
    )
    assert message_of(tmp_path / "y") == (
        f"Splits must hold class folders. Received: {tmp_path}/y (2 videos outside of them)"
    )


def test_one_class_is_refused(tmp_path):
    assert message_of(touch(tmp_path, "fight/1.mp4", "fight/2.mp4")) == (
        "There must be two classes or more, or one that is called normal. "
        f"Received: {tmp_path} (one class, fight, 2 videos)"
    )


def test_split_folders_and_class_folders_together_are_refused(tmp_path):
    assert message_of(touch(tmp_path, "train/a/1.mp4", "test/b/1.mp4", "fight/1.mp4")) == (
        "The folders must all be splits (train, validation, test) or all be classes. "
        "Received: test, train and fight"
    )


# -- recordings by pattern


def test_a_pattern_takes_the_recording_from_the_path(tmp_path):
    touch(tmp_path, "a/cam1_001.mp4", "a/cam1_002.mp4", "b/cam2_001.mp4", "b/other.mp4")
    by_group = read_folder(tmp_path, group_pattern=r"(cam\d+)_")
    by_match = read_folder(tmp_path, group_pattern=r"cam\d+")
    for folder in (by_group, by_match):
        assert [v.group for v in folder.videos] == [
            "cam1",
            "cam1",
            "cam2",
            "b/other.mp4",
        ]
        assert folder.grouping == "--group-pattern"
        assert folder.ungrouped == 1


def test_a_pattern_wins_over_the_table(tmp_path):
    with_table(tmp_path, "path,label,group", "x1.mp4,a,r", "x2.mp4,b,r")
    folder = read_folder(tmp_path, group_pattern=r"x(\d)")
    assert [video.group for video in folder.videos] == ["1", "2"]
    assert folder.notes == ()


def test_where_a_pattern_does_not_match_the_group_of_the_table_stays(tmp_path):
    rows = ("x1.mp4,a,r", "x2.mp4,b,r", "y1.mp4,a,s", "y2.mp4,b,")
    with_table(tmp_path, "path,label,group", *rows)
    folder = read_folder(tmp_path, group_pattern=r"x(\d)")
    assert [video.group for video in folder.videos] == ["1", "2", "s", "y2.mp4"]
    assert folder.ungrouped == 1


def test_a_pattern_that_is_no_expression_is_wrong_usage(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/1.mp4")
    message = message_of(tmp_path, ConfigError, group_pattern="(")
    assert message.startswith("--group-pattern must be a regular expression. Received: ( (")


# -- property

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"),
    min_size=1,
    max_size=9,
).filter(lambda name: not name.startswith("."))


@pytest.mark.slow
@given(names=st.sets(NAMES, min_size=2, max_size=4))
def test_every_class_name_is_kept_as_given(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("tree")
    labels = {name for name in names if not split_of_word(name)}
    assume(not spellings(labels | {"other"}) and not any(map(is_system_folder, labels)))
    touch(root, "other/1.mp4", *(f"{label}/1.mp4" for label in labels))
    assert set(read_folder(root).labels) == labels | {"other"}


def test_a_video_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Video("a", "b", "c").label = "d"


# -- classes and recordings in several spellings, and folders that are meant otherwise


def test_a_class_in_two_spellings_is_refused(tmp_path):
    touch(tmp_path, "Violent/1.mp4", "violent/2.mp4", "nonviolent/3.mp4")
    assert message_of(tmp_path).endswith("Received: 'Violent' and 'violent'")


def test_recordings_that_differ_by_case_or_blanks_are_one(tmp_path):
    rows = ("1.mp4,a,Cam 1", "2.mp4,b,cam1", "3.mp4,a,Cam 1", "4.mp4,b,cam2")
    folder = read_folder(with_table(tmp_path, "path,label,group", *rows))
    assert [video.group for video in folder.videos] == ["Cam 1", "Cam 1", "Cam 1", "cam2"]
    assert (
        "Recordings that differ by case or blanks alone count as one: 1 recording, e.g. Cam 1 and "
        "cam1."
    ) in folder.notes


def test_names_of_files_are_recordings_as_they_are(tmp_path):
    folder = read_folder(touch(tmp_path, "a/X.mp4", "a/x.mp4", "b/1.mp4"))
    assert len({video.group for video in folder.videos}) == 3


def test_numbered_pictures_are_refused_without_their_rate(tmp_path):
    touch(tmp_path, *(f"{label}/clip/f_{n:03d}.jpg" for label in "ab" for n in range(6)))
    assert message_of(tmp_path) == (
        "--frames-fps must give the rate of videos that are kept as numbered pictures. Received: "
        f"{tmp_path} (2 videos, e.g. a/clip of 6 pictures, and no --frames-fps)"
    )


def test_numbered_pictures_are_videos_of_their_class_split_and_recording(tmp_path):
    for split, video in (("train", "cam1_a"), ("test", "cam2_b")):
        touch(tmp_path, *(f"{split}/fight/{video}/{n:03d}.jpg" for n in range(6)))
        touch(tmp_path, *(f"{split}/calm/{v}_{n}.png" for v in "xy" for n in range(6)))
    folder = read_folder(tmp_path, frames_fps=25, group_pattern=r"(\w+?)(?:_\w)?$")
    assert [(v.path, v.label, v.split, v.group) for v in folder.videos][:3] == [
        ("test/calm/x@25fps", "calm", "test", "x"),
        ("test/calm/y@25fps", "calm", "test", "y"),
        ("test/fight/cam2_b@25fps", "fight", "test", "cam2"),
    ]


def test_pictures_in_the_class_folder_itself_are_named_as_not_read(tmp_path):
    touch(tmp_path, *(f"violent/{n:03d}.jpg" for n in range(6)), "calm/1.mp4")
    with pytest.raises(DatasetError) as raised:
        read_folder(tmp_path, frames_fps=25)
    assert "violent holds 1 video of numbered pictures, not read; violent: its pictures lie" in str(
        raised.value
    )
    touch(tmp_path, "violent/1.mp4")
    (warning,) = read_folder(tmp_path, frames_fps=25).warnings
    assert "1 video of numbered pictures (violent), e.g. violent: its pictures lie" in warning


def test_a_table_names_numbered_pictures_with_or_without_their_rate(tmp_path):
    touch(tmp_path, *(f"{video}/{n:03d}.jpg" for video in ("v1", "v2") for n in range(6)))
    (tmp_path / "videos.csv").write_text("path,label\nv1,a\nv2@12fps,b\n")
    at_25 = read_folder(tmp_path, frames_fps=25)
    assert [video.path for video in at_25.videos] == ["v1@25fps", "v2@12fps"]


def test_a_folder_too_many_is_named(tmp_path):
    touch(tmp_path, "RWF/train/Fight/1.mp4", "RWF/val/NonFight/2.mp4")
    assert f"is {tmp_path}/RWF meant, which holds train, val?" in message_of(tmp_path)


def test_a_class_of_which_nothing_is_read_is_named(tmp_path):
    touch(tmp_path, "calm/1.mp4", "fight/1.xyz", "fight/2.xyz")
    assert "fight holds 2 .xyz, not read" in message_of(tmp_path)


def test_folders_with_the_same_folders_inside_are_warned_of(tmp_path):
    touch(tmp_path, *(f"{n}/{label}/x.mp4" for n in (1, 2) for label in ("Fight", "NonFight")))
    (warning,) = read_folder(tmp_path).warnings
    assert warning.startswith("Every class folder (1, 2) holds Fight and NonFight")


def test_paths_of_another_system_are_read_with_a_note(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/2.mp4")
    rows = (r"D:\cctv\a\1.mp4;a;0,5;1,5", r"D:\cctv\b\2.mp4;b;0:00:01;0:01:02.5")
    folder = read_folder(with_table(tmp_path, "Path;Label;start_s;end_s", *rows))
    assert [(v.path, v.start_s, v.end_s) for v in folder.videos] == [
        ("a/1.mp4", 0.5, 1.5),
        ("b/2.mp4", 1.0, 62.5),
    ]
    assert any(r"D:\cctv\a\1.mp4 as a/1.mp4" in note for note in folder.notes)


def test_paths_of_which_none_is_there_are_refused_with_one_that_is(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/2.mp4")
    with_table(tmp_path, "path,label", "x/1.mp4,a", "x/2.mp4,b")
    assert message_of(tmp_path) == (
        "videos.csv must name videos of its folder. Received: 2 paths are not there, e.g. "
        "x/1.mp4; a/1.mp4 is: did you mean it?"
    )


def test_columns_that_may_be_meant_are_warned_of(tmp_path):
    table = with_table(tmp_path, "path,label,start_frame,recording", "1.mp4,a,0,r", "2.mp4,b,0,r")
    (warning,) = read_folder(table).warnings
    assert "start_frame (as start_s?), recording (as group?)" in warning

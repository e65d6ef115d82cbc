"""The check finds what extraction and training would fail on, and nothing in sound videos."""

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.videos import patterns, write_frames

from violence_detection import cli
from violence_detection.datasets.summaries import perceptual_hash
from violence_detection.features.checking import folder_findings, inspection
from violence_detection.features.checking.folder_check import check_folder
from violence_detection.features.checking.folder_findings import near_duplicates
from violence_detection.features.checking.inspection import inspect_video
from violence_detection.features.config import CheckConfig

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg on the PATH")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six sound videos of two classes, no two similar."""
    root = tmp_path / "videos"
    for number in range(6):
        label = ("calm", "fight")[number % 2]
        write_frames(root / label / f"{number}.avi", patterns(number))
    return root


def check(root: Path, **settings) -> dict:
    return check_folder(root, CheckConfig(**settings)).check.as_dict()


def paths(rows) -> list[str]:
    return [row["path"] for row in rows]


# -- nothing


@pytest.mark.slow
def test_nothing_is_found_in_sound_videos(folder):
    result = check(folder)
    assert result["findings"] == 0
    assert (result["videos"], result["readable"]) == (6, 6)
    assert result["per_class"] == {
        "calm": {"videos": 3, "readable": 3},
        "fight": {"videos": 3, "readable": 3},
    }
    kinds = "unreadable damaged short frozen black duplicates near_duplicates leaks"
    assert all(result[kind] == [] for kind in kinds.split())


def test_nothing_is_written(folder):
    before = sorted(folder.rglob("*"))
    check(folder)
    assert sorted(folder.rglob("*")) == before


# -- videos


def test_an_unreadable_video_is_listed_with_its_reason(folder):
    (folder / "calm" / "text.mp4").write_text("This is no video.")
    (folder / "fight" / "empty.mp4").touch()
    result = check(folder)
    assert result["unreadable"] == [
        {"path": "calm/text.mp4", "reason": "not a video that can be opened"},
        {"path": "fight/empty.mp4", "reason": "the file is empty"},
    ]
    assert (result["videos"], result["readable"], result["findings"]) == (8, 6, 2)
    assert result["per_class"]["calm"] == {"videos": 4, "readable": 3}


@pytest.mark.parametrize("limit", [10, 900])
def test_a_truncated_video_is_damaged_whether_it_is_skimmed_or_read(folder, monkeypatch, limit):
    monkeypatch.setattr(inspection, "_SHORT_FRAMES", limit)
    path = folder / "calm" / "0.avi"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    result = check(folder)
    assert paths(result["damaged"]) == ["calm/0.avi"]
    assert result["findings"] == 1


def test_short_frozen_and_black_videos_are_distinguished(folder):
    write_frames(folder / "calm" / "short.avi", patterns(50, count=4))
    write_frames(folder / "calm" / "frozen.avi", patterns(51, count=1) * 30)
    write_frames(folder / "calm" / "black.avi", [np.zeros((96, 128, 3), np.uint8)] * 30)
    write_frames(folder / "calm" / "one.avi", patterns(52, count=1))
    result = check(folder)
    assert paths(result["short"]) == ["calm/one.avi", "calm/short.avi"]
    assert result["short"][1]["reason"] == "4 frames, and 20 are sampled (--frames)"
    assert paths(result["frozen"]) == ["calm/black.avi", "calm/frozen.avi"]
    assert paths(result["black"]) == ["calm/black.avi"]
    assert paths(check(folder, frames=8)["short"]) == ["calm/one.avi"]


def test_a_still_camera_with_something_small_that_moves_is_not_frozen(folder):
    still = patterns(60, count=1)[0]
    frames = []
    for number in range(30):
        frame = still.copy()
        frame[40:52, 3 * number : 3 * number + 12] = 255
        frames.append(frame)
    write_frames(folder / "calm" / "still.avi", frames)
    assert check(folder)["frozen"] == []


def test_a_part_behind_the_end_of_its_file_is_unreadable(folder):
    rows = ("calm/0.avi,calm,0,1", "calm/0.avi,calm,2,9", "calm/0.avi,fight,3,9")
    more = ("fight/1.avi,fight,30,31", "fight/3.avi,fight,,")
    table = "\n".join(("path,label,start_s,end_s", *rows, *more)) + "\n"
    (folder / "videos.csv").write_text(table)
    result = check(folder)
    assert result["unreadable"] == [
        {
            "path": "calm/0.avi@3-9",
            "reason": "it begins at 3 s, and the file ends at 3.0 s",
        },
        {
            "path": "fight/1.avi@30-31",
            "reason": "it begins at 30 s, and the file ends at 3.0 s",
        },
    ]
    assert (result["videos"], result["readable"]) == (5, 3)
    assert result["damaged"] == [
        {
            "path": "calm/0.avi@2-9",
            "reason": "the file ends at 3.0 s, the part at 9 s",
        }
    ]


# -- videos together


def test_copies_and_near_duplicates_are_check(folder):
    shutil.copy(folder / "calm" / "0.avi", folder / "fight" / "copy.avi")
    noise = np.random.default_rng(1).integers(0, 9, (30, 96, 128, 3))
    louder = [cv2.add(f, n.astype(np.uint8)) for f, n in zip(patterns(1), noise, strict=True)]
    write_frames(folder / "calm" / "similar.avi", louder)
    result = check(folder)
    assert result["duplicates"] == [["calm/0.avi", "fight/copy.avi"]]
    pairs = [pair["paths"] for pair in result["near_duplicates"]]
    # A pair of the same bytes is in both lists, and counts as one problem.
    assert pairs == [["calm/0.avi", "fight/copy.avi"], ["calm/similar.avi", "fight/1.avi"]]
    assert result["leaks"] == []
    assert result["findings"] == 2
    text = run_check(folder).stdout
    assert text.count("fight/copy.avi") == 1 and "similar     calm/similar.avi, fight" in text
    assert check(folder, near_bits=0.0)["near_duplicates"] == [{"paths": pairs[0], "bits": 0.0}]


@needs_ffmpeg
def test_a_video_in_another_size_and_codec_is_a_near_duplicate(folder):
    target = folder / "fight" / "small.mp4"
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            folder / "calm" / "2.avi",
            "-vf",
            "scale=64:48",
            target,
        ],
        check=True,
    )
    pairs = [pair["paths"] for pair in check(folder)["near_duplicates"]]
    assert pairs == [["calm/2.avi", "fight/small.mp4"]]


def test_near_duplicates_within_a_recording_are_not_listed(folder):
    write_frames(folder / "fight" / "0.avi", [cv2.add(frame, 3) for frame in patterns(0)])
    assert len(check(folder)["near_duplicates"]) == 1
    assert check(folder, group_pattern=r"(\d)\.avi")["near_duplicates"] == []


def test_recordings_copies_and_near_duplicates_in_two_given_splits_are_leaks(folder):
    shutil.copy(folder / "calm" / "0.avi", folder / "fight" / "copy.avi")
    write_frames(folder / "calm" / "similar.avi", [cv2.add(frame, 3) for frame in patterns(1)])
    sides = {
        "calm/0.avi": ("train", "a"),
        "calm/2.avi": ("train", "r"),
        "calm/4.avi": ("test", "r"),
        "calm/similar.avi": ("validation", "b"),
        "fight/1.avi": ("train", "c"),
        "fight/3.avi": ("test", "d"),
        "fight/5.avi": ("train", "e"),
        "fight/copy.avi": ("test", "f"),
    }
    rows = [f"{p},{p.split('/')[0]},{s},{g}" for p, (s, g) in sides.items()]
    (folder / "videos.csv").write_text("\n".join(("path,label,split,group", *rows)) + "\n")
    assert check(folder)["leaks"] == [
        "recording r",
        "same bytes: calm/0.avi, fight/copy.avi",
        "near-duplicates: calm/similar.avi, fight/1.avi",
    ]


def test_pairs_are_found_across_the_blocks_that_they_are_searched_in(folder, monkeypatch):
    inspections = {f"{n}": inspect_video(folder / "calm" / f"{2 * (n % 3)}.avi") for n in range(9)}
    whole = near_duplicates(inspections, {}, max_bits=4.0)
    monkeypatch.setattr(perceptual_hash, "_CELLS", 1)
    assert near_duplicates(inspections, {}, max_bits=4.0) == whole
    assert len(whole) == 9


def test_parts_of_one_file_on_two_sides_are_a_leak(folder):
    rows = (
        "calm/0.avi,calm,train,a,0,2",
        "calm/0.avi,fight,test,b,1,3",
        "calm/2.avi,fight,train,c,,",
    )
    header = "path,label,split,group,start_s,end_s"
    (folder / "videos.csv").write_text("\n".join((header, *rows)) + "\n")
    assert check(folder)["leaks"] == ["same file: calm/0.avi"]


def test_of_very_many_pairs_the_most_similar_are_kept(folder, monkeypatch):
    monkeypatch.setattr(folder_findings, "_MAX_PAIRS", 5)
    monkeypatch.setattr(perceptual_hash, "_CELLS", 1)
    inspections = {f"{n:02d}": inspect_video(folder / "calm" / "0.avi") for n in range(20)}
    pairs = near_duplicates(inspections, {}, max_bits=4.0)
    assert [pair.paths for pair in pairs] == [("00", f"0{n}") for n in range(1, 6)]


# -- what training refuses, and what it would learn instead


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Twenty short clips, no two similar, ten of each of two sizes."""
    root = tmp_path_factory.mktemp("clips")
    for number in range(20):
        size = (96, 128) if number < 10 else (60, 80)
        write_frames(root / f"{number}.avi", patterns(number, count=12, size=size))
    return root


def lay(root: Path, clips: Path, labels, groups=None, splits=None) -> Path:
    """A dataset with a table: clip n has the n-th label, recording and split."""
    groups = groups or [f"r{number}" for number in range(len(labels))]
    splits = splits or [""] * len(labels)
    root.mkdir()
    rows = []
    for number, (label, group, split) in enumerate(zip(labels, groups, splits, strict=True)):
        shutil.copy(clips / f"{number}.avi", root / f"{number}.avi")
        rows.append(f"{number}.avi,{label},{group},{split}")
    (root / "videos.csv").write_text("\n".join(["path,label,group,split", *rows]) + "\n")
    return root


def test_a_normal_class_that_is_not_recognised_is_found_unless_it_is_given(tmp_path, clips):
    root = lay(tmp_path / "videos", clips, ["0", "1"] * 4)
    result = check(root)
    assert len(result["training"]) == 1
    assert "--normal-class, or call the class without violence nonviolent" in result["training"][0]
    assert result["findings"] == 1
    assert check(root, normal_class="0")["findings"] == 0


@pytest.mark.parametrize(
    ("groups", "splits", "reason"),
    [
        (["one"] * 8, None, "There must be readable videos for validation"),
        (None, ["test"] * 8, "There must be readable videos for train"),
        (None, ["train", "validation"] * 4, "The training videos must have every class"),
    ],
)
def test_a_split_that_training_refuses_is_found(tmp_path, clips, groups, splits, reason):
    root = lay(tmp_path / "videos", clips, ["calm", "fight"] * 4, groups, splits)
    (text,) = check(root)["training"]
    assert text.startswith(reason)
    assert "More recordings, or a split column in videos.csv, help." in text


def test_a_recording_with_videos_of_both_classes_is_counted_once(tmp_path, clips):
    root = lay(tmp_path / "videos", clips, ["calm", "fight"] * 4, list("aabbccdd"))
    summary = check(root)["summary"]
    assert (summary["recordings"], summary["all_recordings"]) == ({"calm": 4, "fight": 4}, 4)


def test_a_class_that_is_too_small_for_a_split_is_noted(tmp_path, clips):
    root = lay(tmp_path / "videos", clips, ["calm"] * 6 + ["fight"] * 2)
    result = check(root)
    assert result["splits"] == ["test has no videos of fight"]
    assert (result["training"], result["findings"]) == ([], 0)
    checked = run_check(root)
    assert checked.exit_code == 0
    assert "note        in the split, test has no videos of fight" in checked.stdout


def test_parts_that_contradict_each_other_are_found(folder):
    rows = ("calm/0.avi,calm,0,2", "calm/0.avi,fight,1.5,3", "fight/1.avi,fight,,")
    more = (
        "calm/2.avi,calm,0,1",
        "calm/2.avi,fight,1,2",
        "fight/3.avi,fight,,",
        "calm/4.avi,calm,,",
    )
    table = "\n".join(("path,label,start_s,end_s", *rows, *more)) + "\n"
    (folder / "videos.csv").write_text(table)
    assert check(folder)["contradictions"] == ["calm/0.avi@0-2 is calm, calm/0.avi@1.5-3 is fight"]


def test_rates_and_lengths_at_which_nothing_is_seen_are_found(folder):
    write_frames(folder / "calm" / "slow.avi", patterns(70, count=12), fps=1)
    write_frames(folder / "calm" / "fast.avi", patterns(71, count=40), fps=600)
    result = check(folder, frames=2)
    assert result["rate"] == [
        {"path": "calm/fast.avi", "reason": "600 frames per second is not plausible"},
        {"path": "calm/slow.avi", "reason": "at 1 frames per second motion cannot be seen"},
    ]
    assert paths(result["sparse"]) == ["calm/slow.avi"]
    assert result["sparse"][0]["reason"].startswith(
        "its 2 sampled frames are 6 s apart (0:12 long), and what is between them is not seen"
    )


def test_a_class_that_the_size_tells_is_found(tmp_path, clips):
    sized = lay(tmp_path / "sized", clips, ["calm"] * 10 + ["fight"] * 10)
    mixed = lay(tmp_path / "mixed", clips, ["calm", "fight"] * 10)
    texts = check(sized)["shortcuts"]
    assert texts[0].startswith("the width in pixels tells fight (80) from the rest (128) in 100%:")
    assert len(texts) == 2
    assert check(mixed)["shortcuts"] == []


def test_files_that_are_passed_over_in_class_folders_are_found(folder):
    for number in range(6):
        (folder / "fight" / f"ch{number}.xyz").write_bytes(b"DHAV\0")
    result = check(folder)
    assert result["folder"] == [
        "Passed over in the class folders, and may be videos: 6 .xyz (fight), e.g. "
        "fight/ch0.xyz: .xyz is not an ending of videos."
    ]
    assert result["findings"] == 1


# -- the text


def run_check(root: Path, columns: int = 100):
    return CliRunner().invoke(cli.main, ["check", str(root)], env={"COLUMNS": str(columns)})


def test_the_text_of_sound_videos_sums_up_what_is_there(folder):
    result = run_check(folder)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:6] == [
        "videos      6: 6 readable, 0:18 in all",
        "length      3.0 s to 3.0 s",
        "sizes       128x96 (6)",
        "rates       10 (6) frames per second",
        "class       calm: 3 of 3 readable",
        "class       fight: 3 of 3 readable",
    ]
    text = " ".join(result.stdout.split())
    assert "recordings Recordings are not known, so each video counts as its own" in text
    train = f"train --dataset-path {folder} --backbone mobilenet"
    assert f"No problems found. next violence-detection {train}" in text


def test_the_text_sums_up_cameras_and_times(folder):
    rows = [f"calm/{n}.avi,calm,yard,2024-05-0{n + 1}T21:00" for n in (0, 2)]
    rows += ["fight/1.avi,fight,gate,2024-06-01", "fight/3.avi,fight,yard,"]
    table = "\n".join(("path,label,Camera,recorded_at", *rows)) + "\n"
    (folder / "videos.csv").write_text(table)
    text = run_check(folder).stdout
    assert "cameras     2: yard (3), gate (1)" in text
    assert "recorded    2024-05-01T21:00:00 to 2024-06-01" in text


def test_the_text_of_problems_names_them_and_the_next_step(folder):
    (folder / "calm" / "text.mp4").write_text("This is no video.")
    result = run_check(folder)
    assert result.exit_code == 3
    assert "unreadable  calm/text.mp4: " in result.stdout
    assert "problems    1; mend them, and check again" in result.stdout
    assert f"next        violence-detection check {folder}" in result.stdout


def test_what_training_refuses_is_mended_before_extraction(tmp_path, clips):
    root = lay(tmp_path / "videos", clips, ["0", "1"] * 4)
    assert f"next        violence-detection check {root}" in run_check(root).stdout

"""The check finds what extraction would fail on, and nothing in sound videos."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.videos import draw_video

from violence_detection.datasets import perceptual_hash
from violence_detection.features import inspection
from violence_detection.features.config import CheckConfig
from violence_detection.features.inspection import check_folder, inspect_video, near_duplicates

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg on the PATH")


def write(path: Path, frames) -> Path:
    """A lossless-enough video of these frames, uint8 (H, W, 3) each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, size)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def patterns(seed: int, count: int = 30, size=(96, 128)) -> list[np.ndarray]:
    """Coarse patterns that slowly turn into one another; another seed, other patterns."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(30, 226, (2, 8, 9, 3)).astype(np.float32)
    steps = np.linspace(0, 1, count)
    coarse = [((1 - s) * ends[0] + s * ends[1]).astype(np.uint8) for s in steps]
    return [cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR) for image in coarse]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six sound videos of two classes, no two similar."""
    root = tmp_path / "videos"
    for number in range(6):
        label = ("calm", "fight")[number % 2]
        write(root / label / f"{number}.avi", patterns(number))
    return root


def check(root: Path, **settings) -> dict:
    return check_folder(root, CheckConfig(**settings))


def paths(rows) -> list[str]:
    return [row["path"] for row in rows]


# -- nothing


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
    assert "of 30 declared frames can be decoded" in result["damaged"][0]["reason"]
    assert result["findings"] == 1


def test_short_frozen_and_black_videos_are_distinguished(folder):
    write(folder / "calm" / "short.avi", patterns(50, count=4))
    write(folder / "calm" / "frozen.avi", patterns(51, count=1) * 30)
    write(folder / "calm" / "black.avi", [np.zeros((96, 128, 3), np.uint8)] * 30)
    write(folder / "calm" / "one.avi", patterns(52, count=1))
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
    write(folder / "calm" / "still.avi", frames)
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
    write(folder / "calm" / "similar.avi", louder)
    result = check(folder)
    assert result["duplicates"] == [["calm/0.avi", "fight/copy.avi"]]
    pairs = [pair["paths"] for pair in result["near_duplicates"]]
    assert pairs == [
        ["calm/0.avi", "fight/copy.avi"],
        ["calm/similar.avi", "fight/1.avi"],
    ]
    assert result["leaks"] == []
    assert [pair["bits"] for pair in check(folder, near_bits=0.0)["near_duplicates"]] == [0.0]


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
    shutil.copy(folder / "calm" / "0.avi", folder / "fight" / "0.avi")
    assert len(check(folder)["near_duplicates"]) == 1
    assert check(folder, group_pattern=r"(\d)\.avi")["near_duplicates"] == []


def test_recordings_copies_and_near_duplicates_in_two_given_splits_are_leaks(folder):
    shutil.copy(folder / "calm" / "0.avi", folder / "fight" / "copy.avi")
    write(folder / "calm" / "similar.avi", [cv2.add(frame, 3) for frame in patterns(1)])
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
    monkeypatch.setattr(inspection, "_MOST_PAIRS", 5)
    monkeypatch.setattr(perceptual_hash, "_CELLS", 1)
    inspections = {f"{n:02d}": inspect_video(folder / "calm" / "0.avi") for n in range(20)}
    pairs = near_duplicates(inspections, {}, max_bits=4.0)
    assert [pair["paths"] for pair in pairs] == [["00", f"0{n}"] for n in range(1, 6)]


# -- a single video


@pytest.mark.parametrize("limit", [10, 900])
def test_a_still_camera_with_one_short_event_is_not_frozen(folder, monkeypatch, limit):
    monkeypatch.setattr(inspection, "_SHORT_FRAMES", limit)
    still = patterns(61, count=1)[0]
    event = still.copy()
    event[20:70, 20:90] = 255
    write(folder / "calm" / "event.avi", [still] * 45 + [event] * 10 + [still] * 45)
    assert check(folder)["frozen"] == []


def test_a_long_video_is_inspected_by_seeking_with_the_same_result(tmp_path, monkeypatch):
    path = write(tmp_path / "a.avi", patterns(3, count=80))
    read = inspect_video(path)
    monkeypatch.setattr(inspection, "_SHORT_FRAMES", 10)
    monkeypatch.setattr(inspection, "_read_all", None)
    skimmed = inspect_video(path)
    assert (skimmed.frames, skimmed.duration_s) == (80, 8.0)
    assert np.abs(skimmed.thumbnails - read.thumbnails).max() < 6
    assert near_duplicates({"a": read, "b": skimmed}, {}, max_bits=4.0)


@pytest.mark.slow
def test_every_mutated_file_that_extraction_refuses_is_found(tmp_path, rng):
    from violence_detection.errors import VideoError
    from violence_detection.video.clip_reader import ClipReader

    reader = ClipReader(stream="rgb", frames=20, frame_size=32)
    sound = draw_video(tmp_path / "sound.mp4", frames=40).read_bytes()
    refused = 0
    for _ in range(40):
        content = np.frombuffer(sound, np.uint8).copy()
        places = rng.integers(0, len(content), 60)
        content[places] = rng.integers(0, 256, len(places))
        (tmp_path / "b.mp4").write_bytes(content.tobytes())
        try:
            clip = reader.read(tmp_path / "b.mp4")
        except VideoError:
            refused += 1
            with contextlib.suppress(VideoError):
                assert inspect_video(tmp_path / "b.mp4").damage
        else:
            assert inspect_video(tmp_path / "b.mp4").damage == clip.damage
    assert refused

"""Videos by their endings, and what is passed over, by ending and count."""

from pathlib import Path

import pytest

from violence_detection.datasets.video_files import find_files, frame_videos, unread_files

LABELS = ("violent", "nonviolent")


def lay(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"\0\1")
    return root


def unread_of(root: Path) -> list[tuple[str, str, str]]:
    found = find_files(root)
    label_of = {path: path.split("/")[0] for path in found.others if "/" in path}
    return [(file.path, file.label, file.kind) for file in unread_files(found, label_of)]


@pytest.mark.parametrize(
    "ending", "dav 264 h264 h265 hevc dv mod tod mpe qt divx rm wtv ivf nut vc1 mts webm".split()
)
def test_what_ffmpeg_reads_is_a_video_in_any_case(tmp_path, ending):
    lay(tmp_path, f"a/1.{ending}", f"a/2.{ending.upper()}")
    assert len(find_files(tmp_path).videos) == 2


def test_folders_of_systems_are_passed_over_and_counted(tmp_path):
    folders = ("a/@eaDir", "#recycle", "#snapshot", "lost+found", "$RECYCLE.BIN", "__MACOSX/a")
    lay(tmp_path, "a/1.mp4", *(f"{folder}/x.mp4" for folder in folders))
    lay(tmp_path, "System Volume Information/x.mp4", "a/.@__thumb/x.mp4")
    found = find_files(tmp_path)
    assert found.videos == ("a/1.mp4",)
    assert found.notes() == [
        "Ignored: 8 system folders (#recycle, #snapshot, $RECYCLE.BIN, .@__thumb, @eaDir)."
    ]


def test_what_this_program_leaves_is_not_reported(tmp_path):
    lay(tmp_path, "a/1.mp4", ".labels.lock", "labels_history.csv", "x.partial-1-2-3")
    assert find_files(tmp_path).notes() == []


def test_files_that_are_passed_over_are_counted_by_ending(tmp_path):
    lay(tmp_path, "a/1.mp4", *(f"a/{n}.xyz" for n in range(6)), "a/x.txt", "README")
    assert find_files(tmp_path).notes() == [
        "Ignored: 8 files that are not videos (6 .xyz, 1 .txt, 1 without an ending)."
    ]


def test_files_in_class_folders_that_may_be_videos_are_unread(tmp_path):
    lay(tmp_path, "violent/1.mp4", "violent/ch0.xyz", "violent/clip", "nonviolent/x.zip", "x.xyz")
    assert unread_of(tmp_path) == [
        ("nonviolent/x.zip", "nonviolent", ".zip"),
        ("violent/ch0.xyz", "violent", ".xyz"),
        ("violent/clip", "violent", "no ending"),
    ]


def test_thumbnails_texts_sounds_and_side_files_are_not_unread(tmp_path):
    lay(tmp_path, "violent/1.mp4", "violent/1.jpg", "violent/notes.TXT", "violent/1.wav")
    lay(tmp_path, "violent/1.xyz", "violent/1.mp4.meta", "violent/thumbs/1.jpg", "violent/a.srt")
    (tmp_path / "violent" / "README").write_text("Fights.")
    assert unread_of(tmp_path) == []


def test_numbered_pictures_are_the_frames_of_a_video(tmp_path):
    lay(tmp_path, *(f"violent/clip/frame_{n:05d}.jpg" for n in range(1, 9)))
    lay(tmp_path, *(f"violent/other/{n}.png" for n in range(7, 15)))
    lay(tmp_path, *(f"violent/few/{n}.jpg" for n in range(3)))
    assert unread_of(tmp_path) == [
        ("violent/clip", "violent", "frames"),
        ("violent/other", "violent", "frames"),
    ]
    found = find_files(tmp_path)
    reasons = [file.reason for file in unread_files(found, dict.fromkeys(found.others, "violent"))]
    assert reasons == ["these are 8 frames, which --frames-fps RATE reads as a video"] * 2


def test_numbered_pictures_are_videos_at_a_rate(tmp_path):
    lay(tmp_path, *(f"violent/clip/frame_{n:05d}.jpg" for n in range(1, 9)), "violent/a.mp4")
    lay(tmp_path, *(f"calm/{video}_{n}.PNG" for video in ("v1", "v2") for n in range(6)))
    lay(tmp_path, "calm/cover.png", "calm/v3_1.png")
    found = find_files(tmp_path, 12.5)
    assert found.videos == (
        "violent/a.mp4",
        "calm/v1@12.5fps",
        "calm/v2@12.5fps",
        "violent/clip@12.5fps",
    )
    assert found.others == ("calm/cover.png", "calm/v3_1.png")
    assert found.notes() == [
        "Read at 12.5 frames per second: 3 videos of 20 numbered pictures.",
        "Ignored: 2 files that are not videos (2 .png).",
    ]


def test_thumbnails_of_videos_in_a_folder_of_their_own_are_no_frames(tmp_path):
    lay(tmp_path, *(f"violent/fi{n:03d}.mp4" for n in range(8)))
    lay(tmp_path, *(f"violent/thumbs/fi{n:03d}.jpg" for n in range(8)))
    assert frame_videos(find_files(tmp_path)) == {}

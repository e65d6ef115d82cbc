"""Clips hold the packets of the camera, also after a kill, and play in browsers."""

import os
import signal
import subprocess
import sys

import pytest
from support.packets import FPS, DrawnStream, brightness_in, times_in

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.live.recording import clips
from violence_detection.live.recording.clips import ClipWriter


@pytest.fixture(scope="module")
def drawn() -> DrawnStream:
    return DrawnStream()


def write(path, drawn, packets=None, **options) -> ClipWriter:
    writer = ClipWriter(path, drawn.header, drawn.time_base, **options)
    for packet in drawn.packets if packets is None else packets:
        writer.write(packet)
    return writer


def boxes_of(path) -> list[bytes]:
    """The types of the boxes at the top of an MP4 file."""
    data, boxes, place = path.read_bytes(), [], 0
    while place < len(data):
        boxes.append(data[place + 4 : place + 8])
        place += int.from_bytes(data[place : place + 4], "big")
    return boxes


def test_a_clip_is_every_packet_with_its_time(tmp_path, drawn):
    path = tmp_path / "door" / "a.mp4"
    writer = write(path, drawn)
    assert not path.exists() and writer.part.exists()
    clip = writer.finish()
    assert times_in(path) == [round(number / FPS, 3) for number in range(40)]
    assert (clip.frames, clip.duration_s, clip.codec) == (40, 4.0, "h264")
    assert clip.bytes == path.stat().st_size and len(clip.sha256) == 64
    assert (writer.first_s, writer.last_s) == (100.0, 103.9)
    assert boxes_of(path)[:2] == [b"ftyp", b"moov"], "the index is at the front"
    assert [each.name for each in path.parent.iterdir()] == ["a.mp4"]


def test_a_clip_begins_with_a_key_frame(tmp_path, drawn):
    writer = write(tmp_path / "a.mp4", drawn, drawn.packets[3:])
    assert (writer.left_out, writer.first_s) == (7, 101.0)
    assert brightness_in(writer.finish().path)[0] == pytest.approx(40, abs=3)


@pytest.mark.parametrize("camera_s", [3600.0, -30.0, 0.0])
def test_a_step_of_the_cameras_clock_is_no_time_in_the_clip(tmp_path, drawn, camera_s):
    packets = drawn.packets + drawn.later(4.0, camera_s=4.0 + camera_s)
    clip = write(tmp_path / "a.mp4", drawn, packets).finish()
    assert times_in(clip.path) == pytest.approx([number / FPS for number in range(80)], abs=0.002)


def test_another_connection_goes_on_by_arrival(tmp_path, drawn):
    packets = drawn.packets + drawn.later(7.0, camera_s=-50.0)
    times = times_in(write(tmp_path / "a.mp4", drawn, packets).finish().path)
    assert times[39:41] == pytest.approx([3.9, 7.0], abs=0.002)


def test_frames_in_another_order_keep_their_times(tmp_path):
    drawn = DrawnStream(options={"bf": "2", "b_strategy": "0"})
    assert any(packet.pts != packet.dts for packet in drawn.packets)
    clip = write(tmp_path / "a.mp4", drawn).finish()
    times, shown = times_in(clip.path), brightness_in(clip.path)
    assert len(times) == 40 and shown == sorted(shown)
    assert [after - before for before, after in zip(times, times[1:], strict=False)] == (
        pytest.approx([1 / FPS] * 39, abs=0.002)
    )


@pytest.mark.parametrize("codec", ["libx265", "mjpeg"])
def test_other_codecs_of_cameras_are_copied(tmp_path, codec):
    drawn = DrawnStream(codec=codec, frames=12)
    clip = write(tmp_path / "a.mp4", drawn).finish()
    assert len(times_in(clip.path)) == 12 and clip.codec in ("hevc", "mjpeg")


@pytest.mark.slow
def test_wherever_a_file_is_torn_its_whole_packets_are_kept(tmp_path, drawn):
    writer = ClipWriter(tmp_path / "whole.mp4", drawn.header, drawn.time_base)
    sizes = []
    for packet in drawn.packets:
        writer.write(packet)
        sizes.append(writer.part.stat().st_size)
    data = writer.part.read_bytes()
    writer.close()
    for cut in range(sizes[2], sizes[-1], 97):
        part = tmp_path / f"torn{cut}.mp4.part"
        part.write_bytes(data[:cut])
        clip = clips.finish_part(part)
        # The muxer holds one packet back.
        assert clip.frames == sum(size <= cut for size in sizes[1:]) and not part.exists()
        shown = brightness_in(clip.path)
        assert shown == pytest.approx([20 + 2 * n for n in range(clip.frames)], abs=4)


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"no video" * 100])
def test_a_part_without_a_packet_is_deleted(tmp_path, content):
    part = tmp_path / "a.mp4.part"
    part.write_bytes(content)
    with pytest.raises(VideoError, match="must have a packet"):
        clips.finish_part(part)
    assert list(tmp_path.iterdir()) == []


_WRITER = """
import os, pickle, sys
from pathlib import Path
from violence_detection.live.recording.clips import ClipWriter
header, time_base, packets = pickle.load(sys.stdin.buffer)
writer = ClipWriter(Path(sys.argv[1]), header, time_base)
for packet in packets[:25]:
    writer.write(packet)
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_every_packet_before_a_kill_is_in_the_clip(tmp_path, drawn):
    import pickle

    path = tmp_path / "a.mp4"
    content = pickle.dumps((drawn.header, drawn.time_base, drawn.packets))
    command = [sys.executable, "-c", _WRITER, str(path)]
    assert subprocess.run(command, input=content).returncode == -signal.SIGKILL
    clip = clips.finish_part(tmp_path / "a.mp4.part")
    assert 24 <= len(times_in(clip.path)) == clip.frames <= 25


def test_the_size_of_a_clip_is_bounded(tmp_path, drawn):
    writer = write(tmp_path / "a.mp4", drawn, max_bytes=2000)
    assert writer.is_full and writer.left_out > 0
    assert writer.finish().bytes < 2000 + 5000


def test_written_packets_are_on_the_disk_once_a_second(tmp_path, drawn, monkeypatch):
    synced, now = [], [0.0]
    monkeypatch.setattr(os, "fsync", synced.append)
    writer = ClipWriter(tmp_path / "a.mp4", drawn.header, drawn.time_base, now_s=lambda: now[0])
    for number, packet in enumerate(drawn.packets):
        now[0] = number / FPS
        writer.write(packet)
    assert len(synced) == 3
    writer.close()


def test_a_folder_that_cannot_be_written_is_said(tmp_path, drawn):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ViolenceDetectionError, match="Cannot write .*: there is a file"):
        ClipWriter(tmp_path / "file" / "a.mp4", drawn.header, drawn.time_base)


def test_on_a_full_disk_what_was_written_stays_and_is_finished_later(small_disk, drawn):
    with open(small_disk / "other", "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    with open(small_disk / "other", "rb+") as file:
        file.truncate((small_disk / "other").stat().st_size - 2 * 4096)
    writer = ClipWriter(small_disk / "a.mp4", drawn.header, drawn.time_base)
    with pytest.raises(ViolenceDetectionError, match="the disk is full"):
        for packet in DrawnStream(frames=120, options={"crf": "1"}).packets:
            writer.write(packet)
    with pytest.raises(ViolenceDetectionError, match="the disk is full"):
        writer.finish()
    assert writer.part.exists()
    (small_disk / "other").unlink()
    clip = clips.finish_part(writer.part)
    assert clip.frames == len(brightness_in(clip.path)) > 5


def test_paths_of_clips_are_in_utc():
    path = clips.clip_path("door", "01M8NP73E5PGM1E8AGEYEK68FS", 1_792_888_200_000)
    assert path == "clips/door/2026/10/25/003000Z-01M8NP73E5PGM1E8AGEYEK68FS.mp4"

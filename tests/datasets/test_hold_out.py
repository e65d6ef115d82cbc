"""A held-out fold is in the future, of other cameras, or one recording, and never divides one."""

import dataclasses
from datetime import datetime, timedelta

import numpy as np
import pytest

from violence_detection.datasets import camera_and_time
from violence_detection.datasets.splitting import folds, hold_out
from violence_detection.datasets.table_files import iso_times
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError

START = datetime(2024, 5, 1, 12)


def draw_entries(count: int = 24, cameras: int = 3, shuffle: bool = False) -> list[ManifestEntry]:
    """Two videos a recording and a recording a day, of both classes and of all cameras."""
    entries = [
        ManifestEntry(
            f"{number:02d}.mp4",
            ("calm", "fight")[number // 2 % 2],
            f"r{number // 2}",
            "train",
            camera=f"c{number // 2 % cameras}",
            recorded_at=(START + timedelta(days=number // 2, hours=number % 2)).isoformat(),
        )
        for number in range(count)
    ]
    if shuffle:
        order = np.random.default_rng(1).permutation(count)
        entries = [entries[row] for row in order]
    return entries


def held_out(entries, count=3, fraction=0.0, **settings) -> list[dict[str, list[ManifestEntry]]]:
    """For each fold its videos by split."""
    parts = folds.evaluation_folds(
        entries, count, seed=1, grouped=True, validation_fraction=fraction, **settings
    )
    names = ("test", "train", "validation", "")
    return [{name: [e for e in part if e.split == name] for name in names} for part in parts]


def times(entries) -> list[str]:
    return [entry.recorded_at for entry in entries]


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_by_time_a_fold_is_later_than_all_that_its_model_knows(fraction):
    parts = held_out(draw_entries(shuffle=True), by="time", fraction=fraction)
    assert len(parts) == 3
    tested = [path for part in parts for path in sorted(times(part["test"]))]
    assert tested == sorted(tested) and len(tested) == 18  # the first block is for training only
    for part in parts:
        known = times([*part["train"], *part["validation"]])
        assert max(known) < min(times(part["test"]))
        assert all(time > max(times(part["test"])) for time in times(part[""]))
        groups = {entry.group for entry in part["test"]}
        assert not groups & {entry.group for entry in (*part["train"], *part["validation"])}
        assert bool(part["validation"]) == bool(fraction)
        if fraction:
            assert max(times(part["train"])) < min(times(part["validation"]))


def test_by_time_a_recording_that_goes_on_into_a_fold_is_not_trained_on():
    entries = draw_entries()
    # The second video of the first recording was taken after all others.
    late = (START + timedelta(days=99)).isoformat()
    entries[1] = ManifestEntry("01.mp4", "calm", "r0", "train", recorded_at=late)
    for part in held_out(entries, by="time"):
        assert "r0" not in {entry.group for entry in (*part["train"], *part["test"])}
        assert {entry.path for entry in part[""]} >= {"00.mp4", "01.mp4"}


def test_by_time_needs_times_and_every_class_before_each_fold():
    with pytest.raises(ConfigError, match="folds=12, and 12 "):
        held_out(draw_entries(), 12, by="time")
    entries = sorted(draw_entries(), key=lambda entry: entry.label)
    ordered = [
        ManifestEntry(e.path, e.label, e.group, "", recorded_at=f"2024-05-{day + 1:02d}")
        for day, e in enumerate(entries)
    ]
    with pytest.raises(ConfigError, match="none of fight before fold 1, which begins on 2024-05-0"):
        held_out(ordered, by="time")


@pytest.mark.parametrize(
    ("labels", "days", "fraction", "rows"),
    [
        ("cfcfcfcfcf", "0011223344", 0.2, [8, 9]),
        ("cfcfcfcfcf", "0011223344", 0.3, [8, 9]),  # 0.2 and 0.4 are as near: the fewer
        ("cfcfcccfcc", "0011223344", 0.2, [6, 7, 8, 9]),  # the last fight is on day 3
        ("cfcfcccccc", "0011223344", 0.2, [8, 9]),  # with one, most videos would validate
        ("cfcfcfcfcf", "0000000000", 0.2, []),
        ("cccccccccf", "0123456789", 0.2, []),  # without one in training
    ],
)
def test_the_latest_recordings_validate(labels, days, fraction, rows):
    moments = [START + timedelta(days=int(day)) for day in days]
    groups = np.array([f"{label}{day}" for label, day in zip(labels, days, strict=True)])
    assert (
        hold_out.latest_recordings(np.array(list(labels)), groups, moments, fraction).tolist()
        == rows
    )


def test_a_recording_that_begins_early_does_not_validate():
    moments = [START + timedelta(days=day) for day in (0, 0, 1, 1, 2, 9)]
    groups = np.array(["a", "b", "c", "d", "e", "a"])
    rows = hold_out.latest_recordings(np.array(list("cfcfff")), groups, moments, 0.4)
    assert rows.tolist() == [2, 3, 4]


def test_by_time_one_day_before_a_fold_leaves_none_to_validate_with():
    entries = draw_entries(8)
    entries = [
        dataclasses.replace(entry, recorded_at=f"2024-05-0{1 + number // 4}")
        for number, entry in enumerate(entries)
    ]
    with pytest.raises(ConfigError, match="recordings that begin later than others"):
        held_out(entries, 1, by="time", fraction=0.3)


@pytest.mark.parametrize(("cameras", "count"), [(3, 3), (7, 4)])
def test_by_camera_no_camera_is_on_both_sides(cameras, count):
    entries = draw_entries(48, cameras=cameras)
    parts = held_out(entries, count, by="camera")
    assert len(parts) == count
    assert sorted(e.path for part in parts for e in part["test"]) == sorted(e.path for e in entries)
    for part in parts:
        cameras_of = {name: {e.camera for e in part[name]} for name in ("test", "train")}
        assert not cameras_of["test"] & cameras_of["train"]


def test_with_few_cameras_each_is_held_out_alone():
    parts = held_out(draw_entries(cameras=3), 5, by="camera")
    assert [{e.camera for e in part["test"]} for part in parts] == [{"c0"}, {"c1"}, {"c2"}]


def test_cameras_that_share_a_recording_are_held_out_together():
    groups, cameras = np.array(["a", "a", "b", "c"]), np.array(["x", "y", "y", "z"])
    assert hold_out.joined_cameras(groups, cameras).tolist() == ["x and y"] * 3 + ["z"]


def test_one_camera_or_a_class_of_one_camera_cannot_be_held_out():
    with pytest.raises(
        ConfigError, match="two cameras or more that share no recording. Received: c0"
    ):
        held_out(draw_entries(cameras=1), by="camera")
    with pytest.raises(ConfigError, match="two cameras or more.*calm, of c0 alone"):
        held_out(draw_entries(cameras=2), by="camera")


def test_one_recording_at_a_time_each_is_held_out_once():
    entries = draw_entries()
    parts = held_out(entries, by="one_recording")
    assert [{e.group for e in part["test"]} for part in parts] == [
        {name} for name in sorted({entry.group for entry in entries})
    ]
    assert all(len(part["test"]) == 2 and len(part["train"]) == 22 for part in parts)
    with pytest.raises(ConfigError, match="two recordings or more.*fight, of r1 alone"):
        held_out(entries[:4] + entries[4:6], by="one_recording")


@pytest.mark.parametrize(
    ("text", "iso", "hour"),
    [
        ("2024-05-31", "2024-05-31", None),
        (" 2024-05-31 21:40 ", "2024-05-31T21:40:00", 21),
        ("20240531T214000", "2024-05-31T21:40:00", 21),
        ("2024-05-31T23:40:00+02:00", "2024-05-31T23:40:00+02:00", 23),
        ("31.5.2024", "", None),
        ("", "", None),
    ],
)
def test_a_time_is_read_in_iso_8601(text, iso, hour):
    assert iso_times.iso_time(text) == iso
    if iso:
        assert iso_times.hour_of_day(iso) == hour


def test_times_with_and_without_an_offset_have_an_order():
    texts = ["2024-05-31T23:40:00+02:00", "2024-05-31", "2024-05-31T22:00:00"]
    assert sorted(texts, key=iso_times.instant) == [texts[1], texts[0], texts[2]]


def test_camera_and_time_are_found_in_paths():
    entries = [
        ManifestEntry("cam1/2024-05-31_21-40-00.mp4", "calm", "a", ""),
        ManifestEntry("cam2/x20240601.mp4@1-2", "fight", "b", "", camera="gate"),
    ]
    read = camera_and_time.from_paths(
        entries, camera_pattern=r"(cam\d)/", time_pattern=r"20\d\d[\d_-]+"
    )
    assert [(e.camera, e.recorded_at) for e in read] == [
        ("cam1", "2024-05-31T21:40:00"),
        ("cam2", "2024-06-01"),
    ]
    with pytest.raises(ConfigError, match=r"must match year, month and day.*'1' in cam1"):
        camera_and_time.from_paths(entries, time_pattern=r"cam(\d)")
    with pytest.raises(ConfigError, match="--camera-pattern must match the videos' paths"):
        camera_and_time.from_paths(entries, camera_pattern="door")

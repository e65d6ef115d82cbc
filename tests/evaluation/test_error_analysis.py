"""Errors by recording, resolution, brightness and duration; and the worst mistakes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.datasets.summaries.summary_cache import AvailableSummaries
from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.evaluation.mistakes import error_analysis
from violence_detection.evaluation.predictions import PredictionRow


def entries_of(groups, durations=None) -> list[ManifestEntry]:
    durations = durations or [2.0] * len(groups)
    return [
        ManifestEntry(f"{n}.mp4", "normal", group, "", duration_s=duration)
        for n, (group, duration) in enumerate(zip(groups, durations, strict=True))
    ]


def summaries_of(sizes, levels, rows=None, missing_reason="") -> AvailableSummaries:
    images = np.zeros((len(sizes), 16, 16, 3), np.float32)
    images[:] = np.array(levels, np.float32)[:, None, None, None] / 255
    summaries = VideoSummaries(
        np.array(sizes, np.int32),
        images,
        np.zeros((len(sizes), 8)),
        np.zeros((len(sizes), 8), np.uint64),
    )
    rows = np.arange(len(sizes)) if rows is None else np.array(rows)
    return AvailableSummaries(rows, summaries, missing_reason)


def errors_of(entries, violent, alarm, summaries="they are gone"):
    violent, alarm = np.array(violent, bool), np.array(alarm, bool)
    return error_analysis.errors_by_condition(entries, violent, alarm, violent == alarm, summaries)


# -- golden


def test_cameras_and_hours_are_tables_where_the_dataset_gives_them():
    facts = [("yard", "2024-05-31T21:40:00"), ("gate", "2024-05-31T23:59:00"), ("", "2024-05-31")]
    entries = [
        replace(entry, camera=camera, recorded_at=time)
        for entry, (camera, time) in zip(entries_of("abc"), facts, strict=True)
    ]
    tables = errors_of(entries, [0, 0, 0], [1, 0, 1]).errors_by
    counts = {name: [(row.name, row.videos, row.errors) for row in tables[name]] for name in tables}
    assert counts["camera"] == [("yard", 1, 1), ("gate", 1, 0)]
    assert counts["hour"] == [("21:00 to 24:00", 2, 1)]
    assert tables["hour"][0].is_few
    assert not {"camera", "hour"} & set(errors_of(entries_of("abc"), [0] * 3, [1] * 3).errors_by)


def test_kinds_are_those_of_the_table_else_folders_inside_the_class_folder():
    paths = ["normal/street/0.mp4", "normal/street/1.mp4", "normal/bar/2.mp4", "normal/3.mp4"]
    entries = [
        replace(entry, path=path) for entry, path in zip(entries_of("abcd"), paths, strict=True)
    ]
    rows = errors_of(entries, [0] * 4, [1, 0, 0, 0]).errors_by["kind"]
    assert [(row.name, row.videos, row.errors) for row in rows] == [("street", 2, 1), ("bar", 1, 0)]
    named = [replace(entry, kind=kind) for entry, kind in zip(entries, "xxyz", strict=True)]
    assert {row.name for row in errors_of(named, [0] * 4, [0] * 4).errors_by["kind"]} == set("xyz")
    assert "kind" not in errors_of(entries[:2], [0] * 2, [0] * 2).errors_by


def test_motion_is_in_thirds_of_the_known_videos():
    summaries = summaries_of([(64, 64)] * 6, [100] * 6, rows=[0, 1, 2, 3, 4, 5])
    energies = np.repeat(np.array([[0.5], [0.1], [0.2], [0.3], [0.4], [0.6]]), 8, axis=1)
    summaries = replace(summaries, summaries=replace(summaries.summaries, energies=energies))
    alarm = [1, 0, 0, 0, 0, 1, 1]
    rows = errors_of(entries_of("abcdefg"), [0] * 7, alarm, summaries).errors_by["motion"]
    assert [(row.name, row.videos, row.errors) for row in rows] == [
        ("least motion", 2, 0),
        ("medium motion", 2, 0),
        ("most motion", 2, 2),
    ]


def test_errors_by_recording_come_worst_first():
    errors = errors_of(entries_of("aabbb"), [0, 1, 1, 1, 0], [0, 1, 0, 1, 1])
    rows = errors.errors_by["recording"]
    counts = [(row.name, row.videos, row.errors, row.misses, row.false_alarms) for row in rows]
    assert counts == [("b", 3, 2, 1, 1), ("a", 2, 0, 0, 0)]
    # Wilson's formula for 2 of 3.
    assert rows[0].ci == pytest.approx([0.2077, 0.9385], abs=1e-4)


def test_bins_include_their_upper_end_and_are_sorted():
    sizes = [(320, 240), (241, 500), (720, 1280), (4000, 2000)]
    summaries = summaries_of(sizes, [40, 41, 100, 255])
    entries = entries_of("abcd", [1.5, 1.6, 60.0, 61.0])
    tables = errors_of(entries, [0] * 4, [1, 0, 0, 0], summaries).errors_by
    names = {condition: [row.name for row in rows] for condition, rows in tables.items()}
    assert names["resolution"] == [
        *("up to 240 px", "240 to 360 px", "480 to 720 px", "over 1080 px"),
    ]
    assert names["brightness"] == ["up to 40", "40 to 70", "70 to 100", "over 160"]
    assert names["duration"] == ["up to 1.5 s", "1.5 to 3 s", "12 to 60 s", "over 60 s"]
    assert [row.errors for row in tables["resolution"]] == [1, 0, 0, 0]


def test_the_worst_mistakes_are_the_most_confident():
    rows = [
        PredictionRow(path, label, "", probability, predicted, label == predicted)
        for path, label, predicted, probability in (
            ("a", "fight", "calm", 0.4),
            ("b", "fight", "calm", 0.1),
            ("c", "calm", "fight", 0.7),
            ("d", "calm", "fight", 0.9),
            ("e", "calm", "calm", 0.1),
            ("f", "fight", "fall", 0.9),
        )
    ]
    assert error_analysis.worst_mistakes(rows, "calm", violent=True, count=5) == [1, 0]
    assert error_analysis.worst_mistakes(rows, "calm", violent=False, count=1) == [3]


# -- property


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans())))
def test_every_error_is_counted_once(videos):
    groups, violent, alarm = (
        (list(column) for column in zip(*videos, strict=True)) if videos else ([], [], [])
    )
    tables = errors_of(entries_of(groups), violent, alarm).errors_by
    assert tables.keys() == {"recording", "duration"}
    for rows in tables.values():
        assert sum(row.videos for row in rows) == len(videos)
        assert sum(row.errors for row in rows) == sum(row.misses + row.false_alarms for row in rows)


# -- missing videos


def test_without_the_videos_a_line_gives_the_reason():
    errors = errors_of(entries_of("a"), [0], [1])
    assert errors.errors_by.keys() == {"recording", "duration"}
    assert errors.errors_left_out == [
        "Errors by resolution, brightness and motion lack some videos: they are gone."
    ]


def test_videos_without_summary_are_in_no_bin():
    summaries = summaries_of([(64, 48)], [90], rows=[1], missing_reason="one is gone")
    errors = errors_of(entries_of("ab"), [0, 0], [1, 0], summaries)
    assert [row.videos for row in errors.errors_by["brightness"]] == [1]
    assert errors.errors_left_out[0].endswith("lack some videos: one is gone.")

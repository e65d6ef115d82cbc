"""Errors are counted where they are: by recording, size, light and duration; and ranked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.summary_cache import AvailableSummaries
from violence_detection.datasets.video_summary import VideoSummaries
from violence_detection.evaluation import error_analysis


def entries_of(groups, durations=None) -> list[ManifestEntry]:
    durations = durations or [2.0] * len(groups)
    return [
        ManifestEntry(f"{n}.mp4", "normal", group, "", duration_s=duration)
        for n, (group, duration) in enumerate(zip(groups, durations, strict=True))
    ]


def glances_of(sizes, levels, rows=None, left_out="") -> AvailableSummaries:
    pictures = np.zeros((len(sizes), 16, 16, 3), np.float32)
    pictures[:] = np.array(levels, np.float32)[:, None, None, None] / 255
    seen = VideoSummaries(
        np.array(sizes, np.int32),
        pictures,
        np.zeros((len(sizes), 8)),
        np.zeros((len(sizes), 8), np.uint64),
    )
    rows = np.arange(len(sizes)) if rows is None else np.array(rows)
    return AvailableSummaries(rows, seen, left_out)


def broken_down(entries, violent, alarm, seen="they are gone"):
    violent, alarm = np.array(violent, bool), np.array(alarm, bool)
    return error_analysis.errors_by_condition(entries, violent, alarm, violent == alarm, seen)


# -- golden


def test_errors_by_recording_come_worst_first():
    found = broken_down(entries_of("aabbb"), [0, 1, 1, 1, 0], [0, 1, 0, 1, 1])
    rows = found["errors_by"]["recording"]
    told = [
        (row["name"], row["videos"], row["errors"], row["misses"], row["false_alarms"])
        for row in rows
    ]
    assert told == [("b", 3, 2, 1, 1), ("a", 2, 0, 0, 0)]
    # Wilson for 2 of 3, by his formula.
    assert rows[0]["ci"] == pytest.approx([0.2077, 0.9385], abs=1e-4)


def test_bins_hold_their_upper_end_and_come_by_size():
    sizes = [(320, 240), (241, 500), (720, 1280), (4000, 2000)]
    seen = glances_of(sizes, [40, 41, 100, 255])
    entries = entries_of("abcd", [1.5, 1.6, 60.0, 61.0])
    found = broken_down(entries, [0] * 4, [1, 0, 0, 0], seen)["errors_by"]
    names = {what: [row["name"] for row in rows] for what, rows in found.items()}
    assert names["resolution"] == [
        *("up to 240 px", "240 to 360 px", "480 to 720 px", "over 1080 px"),
    ]
    assert names["brightness"] == ["up to 40", "40 to 70", "70 to 100", "over 160"]
    assert names["duration"] == ["up to 1.5 s", "1.5 to 3 s", "12 to 60 s", "over 60 s"]
    assert [row["errors"] for row in found["resolution"]] == [1, 0, 0, 0]


def test_the_worst_are_the_surest():
    rows = [
        {"path": path, "label": label, "predicted": said, "probability": probability}
        for path, label, said, probability in (
            ("a", "fight", "calm", 0.4),
            ("b", "fight", "calm", 0.1),
            ("c", "calm", "fight", 0.7),
            ("d", "calm", "fight", 0.9),
            ("e", "calm", "calm", 0.1),
            ("f", "fight", "fall", 0.9),
        )
    ]
    assert error_analysis.worst_mistakes(rows, "calm", violent=True, most=5) == [1, 0]
    assert error_analysis.worst_mistakes(rows, "calm", violent=False, most=1) == [3]


# -- property


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans())))
def test_every_error_is_counted_once(videos):
    groups, violent, alarm = (
        (list(column) for column in zip(*videos, strict=True)) if (videos) else ([], [], [])
    )
    found = broken_down(entries_of(groups), violent, alarm)["errors_by"]
    for rows in found.values():
        assert sum(row["videos"] for row in rows) == len(videos)
        assert sum(row["errors"] for row in rows) == sum(
            row["misses"] + row["false_alarms"] for row in rows
        )


# -- what cannot be told


def test_without_the_videos_it_is_said():
    found = broken_down(entries_of("a"), [0], [1])
    assert found["errors_by"].keys() == {"recording", "duration"}
    assert found["errors_left_out"] == [
        "Errors by resolution and brightness lack videos: they are gone."
    ]


def test_videos_that_were_not_seen_are_in_no_bin():
    seen = glances_of([(64, 48)], [90], rows=[1], left_out="one is gone")
    found = broken_down(entries_of("ab"), [0, 0], [1, 0], seen)
    assert [row["videos"] for row in found["errors_by"]["brightness"]] == [1]
    assert found["errors_left_out"][0].endswith("lack videos: one is gone.")

"""The start of a video by the clock: from its name, or from the tags of its container."""

from datetime import datetime

import av
import pytest
from support.videos import draw_video

from violence_detection.inference.wall_clock import (
    iso_time,
    start_from_container,
    start_from_name,
    start_from_tags,
)

START = datetime(2024, 5, 31, 22, 15, 0)


@pytest.mark.parametrize(
    "name",
    [
        "cam1_20240531_221500.mp4",
        "2024-05-31T22-15-00.mkv",
        "ch01_2024.05.31-22.15.00.avi",
        "NVR_20240531221500_20240531222500.dav",
    ],
)
def test_the_first_date_and_time_in_a_name_are_the_start(name):
    assert start_from_name(name) == START


@pytest.mark.parametrize(
    "name", ["2024-13-31 221500.mp4", "VID-20240531-WA0001.mp4", "fi053_1714529012.mp4", "a.mp4"]
)
def test_a_name_without_a_date_and_time_has_no_start(name):
    assert start_from_name(name) is None


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"creation_time": "2024-05-31T20:15:00.000000Z"}, "2024-05-31T20:15:00+00:00"),
        (
            {"com.apple.quicktime.creationdate": "2024-05-31T22:15:00+0200"},
            "2024-05-31T22:15:00+02:00",
        ),
        ({"date": "2024-05-31 22:15:00"}, "2024-05-31T22:15:00"),
    ],
)
def test_tags_have_the_creation_time(tags, text):
    expected = datetime.fromisoformat(text)
    found = start_from_tags(tags)
    assert found == expected and (found.tzinfo is None) == (expected.tzinfo is None)


@pytest.mark.parametrize(
    "tags", [{}, {"date": "2024"}, {"creation_time": "1970-01-01T00:00:00Z"}, {"date": "soon"}]
)
def test_a_year_an_unset_clock_and_a_text_are_no_start(tags):
    assert start_from_tags(tags) is None


def test_the_container_is_read(tmp_path):
    path = draw_video(tmp_path / "a.mp4")
    assert start_from_container(path) is None
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as copy:
        copy.metadata["creation_time"] = "2024-05-31T20:15:00Z"
        (stream,) = source.streams
        target = copy.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = target
                copy.mux(packet)
    assert start_from_container(tmp_path / "b.mp4") == datetime.fromisoformat(
        "2024-05-31T20:15:00+00:00"
    )
    (tmp_path / "c.mp4").write_text("no video")
    assert start_from_container(tmp_path / "c.mp4") is None


def test_a_time_of_the_video_is_written_in_iso_8601():
    assert iso_time(START, 61.5) == "2024-05-31T22:16:01.500"

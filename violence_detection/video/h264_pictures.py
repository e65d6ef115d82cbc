"""Pictures of an H.264 file as they go over a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av


class Picture(NamedTuple):
    """An access unit: its time of showing, its time of sending, and its NAL units."""

    shown_s: float
    due_s: float
    units: list[bytes]


def pictures(path: Path) -> Iterator[Picture]:
    """The pictures of an H.264 file, from 0 s; SPS and PPS come before each key frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        to_annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        first_s = None
        for packet in container.demux(stream):
            for filtered in to_annex_b.filter(packet) if packet.size else ():
                shown_s = float(filtered.pts * filtered.time_base)
                due_s = float(filtered.dts * filtered.time_base)
                first_s = shown_s if first_s is None else first_s
                parts = bytes(filtered).replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
                yield Picture(shown_s - first_s, due_s - first_s, [part for part in parts if part])


def frame_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(1 / container.streams.video[0].average_rate)

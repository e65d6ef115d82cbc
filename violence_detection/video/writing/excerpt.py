"""Excerpts: a part of a video as a file of its own, whose packets are copied as they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.errors import VideoError
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding import container

if TYPE_CHECKING:
    import av

LEAD_OUT_S = 1.0  # after the part: images of its last frames may need frames that follow it
_LONGEST_GROUP_S = 30.0  # from one key frame to the next, searched for before the start of a file
_FRAMES, _SIDE_PX = 8, 32  # compared with those of the video


def excerpt_start_s(path: Path, start_s: float) -> float:
    """The time in a video at which an excerpt must begin to show `start_s`: that of a key frame.

    Args:
        path: The video.
        start_s: Seconds from its start.

    Raises:
        VideoError: If it has no key frame before that time, or cannot be read.
    """
    import av

    try:
        for from_s in (start_s, start_s - _LONGEST_GROUP_S, 0.0):
            with container.open_container(path) as file:
                best_s = None
                for packet, time_s in _packets(file, path, max(from_s, 0.0)):
                    if time_s > start_s:
                        break
                    best_s = time_s if packet.is_keyframe else best_s
                if best_s is not None:
                    return best_s
    except (av.FFmpegError, IndexError) as error:
        raise VideoError(f"its packets cannot be read: {error}") from error
    raise VideoError(f"it has no key frame before {start_s:g} s")


def write_excerpt(path: Path, target: Path, first_s: float, end_s: float) -> None:
    """Writes an excerpt as MP4, without sound.

    Args:
        path: The video.
        target: The file.
        first_s: As `excerpt_start_s` gives it.
        end_s: The end of the part; a second more is written.

    Raises:
        VideoError: If the video cannot be read, or MP4 does not hold its codec.
    """
    import av

    try:
        with (
            container.open_container(path) as file,
            av.open(f"file:{target.absolute()}", "w", format="mp4") as output,
        ):
            copied, origin = None, 0
            for packet, time_s in _packets(file, path, first_s):
                if copied is None:
                    if not packet.is_keyframe or time_s < first_s - 1e-6:
                        continue
                    copied = output.add_stream_from_template(packet.stream, opaque=True)
                    origin = packet.pts
                if time_s > end_s + LEAD_OUT_S:
                    break
                packet.pts -= origin
                packet.dts = None if packet.dts is None else packet.dts - origin
                packet.stream = copied
                output.mux(packet)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise VideoError(f"a part of it cannot be copied: {error}") from error


def shows_the_same(
    path: Path, start_s: float, end_s: float, excerpt: Path, first_s: float, last_s: float
) -> bool:
    """True if a part of an excerpt has the images of a part of its video.

    Raises:
        VideoError: If one of them cannot be read.
    """
    reader = ClipReader(stream="rgb", frames=_FRAMES, frame_size=_SIDE_PX)
    part, copy = reader.read(path, start_s, end_s), reader.read(excerpt, first_s, last_s)
    return part.frames == copy.frames and np.array_equal(part.images, copy.images)


def _packets(
    file: "av.container.InputContainer", path: Path, from_s: float
) -> Iterator[tuple["av.Packet", float]]:
    """The packets of the video stream from a key frame before `from_s` on, each with the time at
    which it is shown, in seconds from the start of the file."""
    stream = file.streams.video[container.read_container(path).stream]
    start = file.start_time or 0
    if from_s > 0:
        file.seek(int(from_s * 1_000_000) + start, backward=True)
    for packet in file.demux(stream):
        if packet.size and packet.pts is not None:
            yield packet, float(packet.pts * packet.time_base) - start / 1_000_000

"""Single frames of a long video, without decoding all that lies between them.

Frames are numbered by the times of the packets, which are read without being decoded. To reach a
frame, the decoder seeks to a key frame before it and decodes forwards from there. Every frame on
the way must have the time of its packet: otherwise the video is decoded from its start instead.
"""

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.video import video_file
from violence_detection.video.decoding.decoder import Decoder, open_video, read_packets

# Seeking is worth it if it decodes at most this fraction of the frames.
_MAX_DECODED_FRACTION = 0.5
# A seek aims at a frame this far before the wanted one, and further if the decoder still ends up
# behind it: seeking goes by time, and rates vary.
_AHEAD_FRAMES = (2, 34)
_OPENCV_STEP_BACK_FRAMES = 16  # how far OpenCV goes back before it looks for a key frame
_SAME_TIME_S = 1e-4
_COMPARED_FRAMES = 8  # at the start, whose times must be those of the packets
# Codecs in which a packet is one frame that is shown. In MPEG-1 and 2 it may be half a frame, and
# VP8 has frames that are not shown.
_CODECS = frozenset(
    "avc1 h264 x264 hevc hev1 hvc1 mp4v fmp4 xvid divx dx50 mjpg vp90 vp09 av01".split()
)


class Unreachable(Exception):
    """A frame does not have the time of its packet."""


@dataclass(frozen=True)
class FrameTimes:
    """The times at which the frames of a video are shown.

    Attributes:
        times_s: Seconds, float64 (frames,), ascending.
        key_frames: Indices of the key frames, int64, ascending; the first is 0.
    """

    times_s: np.ndarray
    key_frames: np.ndarray

    def __len__(self) -> int:
        return len(self.times_s)

    def is_cheaper(self, wanted: Collection[int]) -> bool:
        """True if reaching these frames is clearly cheaper than decoding from the start."""
        decoded, position = 0, -1
        for index in sorted(wanted):
            decoded += index - max(position, self._decoding_start(index) - 1)
            position = index
        return decoded <= _MAX_DECODED_FRACTION * (position + 1)

    def visit(self, video: Decoder, wanted: Iterable[int]) -> Iterator[int]:
        """Grabs frames one after the other; yields the index of each when it can be retrieved.

        Args:
            video: A video that was just opened.
            wanted: Indices of frames, ascending.

        Raises:
            Unreachable: If a frame does not have the time of its packet.
        """
        position, frames = -1, iter(video)
        for index in wanted:
            if self._decoding_start(index) > position + 1:
                position, frames = self._seek_before(video, index)
            while position < index:
                position += 1
                self._check(position, next(frames, None))
            yield index

    def _decoding_start(self, index: int) -> int:
        """The key frame from which a frame is decoded after a seek."""
        before = max(0, index - _AHEAD_FRAMES[0] - _OPENCV_STEP_BACK_FRAMES)
        return int(self.key_frames[np.searchsorted(self.key_frames, before, side="right") - 1])

    def _seek_before(self, video: Decoder, index: int) -> tuple[int, Iterator[tuple[int, float]]]:
        """Grab the wanted frame or one a little before it; its index, and the frames after it."""
        for ahead in _AHEAD_FRAMES:
            video.seek(self.times_s[max(0, index - ahead)])
            frames = iter(video)
            frame = next(frames, None)
            if frame is None:
                continue
            position = int(np.searchsorted(self.times_s, frame[1] - _SAME_TIME_S))
            if position <= index:
                self._check(position, frame)
                return position, frames
        raise Unreachable

    def _check(self, index: int, frame: tuple[int, float] | None) -> None:
        if frame is None or abs(self.times_s[index] - frame[1]) > _SAME_TIME_S:
            raise Unreachable


def read_timeline(path: Path) -> FrameTimes | None:
    """The timeline of a video; None if its packets do not tell when each frame is shown.

    Raises:
        VideoError: If the video cannot be read.
    """
    state = video_file.state_of(path)
    return _read_timeline(path, state.size, state.mtime_ns)


def _is_transport_stream(path: Path) -> bool:
    """True for MPEG-TS: packets of 188 bytes, or of 192 with a time of 4 bytes before each."""
    with open(path, "rb") as file:
        start = file.read(400)
    return any(
        start[first : first + 2 * step : step] == b"GG" for first, step in ((0, 188), (4, 192))
    )


@functools.lru_cache(maxsize=2)  # the parts of a long file are read one after the other
def _read_timeline(path: Path, size: int, mtime_ns: int) -> FrameTimes | None:
    with open_video(path) as video:
        if video.codec not in _CODECS:
            return None
        # In MPEG-TS a seek leads to a byte, not to a key frame. A decoder of H.264 then gives no
        # frame before a key frame; other decoders give damaged ones.
        if _is_transport_stream(path) and video.codec not in ("h264", "avc1"):
            return None
        first_s = [time_s for _, time_s in itertools.islice(video, _COMPARED_FRAMES)]
    times_s, is_key = read_packets(path)
    order = np.argsort(times_s, kind="stable")
    times_s, key_frames = times_s[order], np.flatnonzero(is_key[order])
    # In AVI, packets have the times of decoding, not of showing. An edit list in MP4 hides packets
    # at the start.
    starts_alike = len(first_s) and np.allclose(
        times_s[: len(first_s)], first_s, rtol=0, atol=_SAME_TIME_S
    )
    are_distinct = np.diff(times_s).min(initial=1) > _SAME_TIME_S
    if not (starts_alike and are_distinct and key_frames.size and key_frames[0] == 0):
        return None
    return FrameTimes(times_s, key_frames)

"""Single frames of a long video, without decoding what lies between them.

Frames are numbered by the times of the packets, which are read without being decoded. To reach a
frame, the decoder goes to a key frame before it and decodes forwards from there, and every frame
on the way must have the time that the packets give it.
"""

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.video.decoder import Decoder, open_video, read_packets

_CHEAPER = 0.5  # of the frames at the most, that are decoded for those that are wanted
_AHEAD = (2, 34)  # frames that are aimed at before the wanted one: rates vary
_STEP_BACK = 16  # frames that OpenCV goes back before it looks for a key frame
_SAME_S = 1e-4
_COMPARED = 8  # frames at the start, whose times must be those of the packets
# A packet of theirs is one frame that is shown. In MPEG-1 and 2 it may be half of one, and VP8
# has frames that are not shown.
_CODECS = frozenset(
    "avc1 h264 x264 hevc hev1 hvc1 mp4v fmp4 xvid divx dx50 mjpg vp90 vp09 av01".split()
)


class Unreachable(Exception):
    """A frame is not where the packets say."""


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown.

    Attributes:
        times_s: Seconds, float64 (frames,), ascending.
        keys: Numbers of the key frames, int64, ascending; the first is 0.
    """

    times_s: np.ndarray
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.times_s)

    def pays(self, wanted: Collection[int]) -> bool:
        """Whether reaching some frames is clearly cheaper than decoding from the start on."""
        cost, at = 0, -1
        for index in sorted(wanted):
            cost += index - max(at, self._start(index) - 1)
            at = index
        return cost <= _CHEAPER * (at + 1)

    def visit(self, video: Decoder, wanted: Iterable[int]) -> Iterator[int]:
        """Grab some frames; the number of each, when it can be retrieved.

        Args:
            video: Just opened.
            wanted: Numbers, ascending.

        Raises:
            Unreachable: If a frame is not where the packets say.
        """
        at, frames = -1, iter(video)
        for index in wanted:
            if self._start(index) > at + 1:
                at, frames = self._go_near(video, index)
            while at < index:
                at += 1
                self._check(at, next(frames, None))
            yield index

    def _start(self, index: int) -> int:
        """Where decoding begins, to reach a frame: at a key frame."""
        before = max(0, index - _AHEAD[0] - _STEP_BACK)
        return int(self.keys[np.searchsorted(self.keys, before, side="right") - 1])

    def _go_near(self, video: Decoder, index: int) -> tuple[int, Iterator[tuple[int, float]]]:
        """Grab a frame at or a little before the wanted one; its number, and those after it."""
        for ahead in _AHEAD:
            video.seek(self.times_s[max(0, index - ahead)])
            frames = iter(video)
            frame = next(frames, None)
            if frame is None:
                continue
            at = int(np.searchsorted(self.times_s, frame[1] - _SAME_S))
            if at <= index:
                self._check(at, frame)
                return at, frames
        raise Unreachable

    def _check(self, index: int, frame: tuple[int, float] | None) -> None:
        if frame is None or abs(self.times_s[index] - frame[1]) > _SAME_S:
            raise Unreachable


def read_timeline(path: Path) -> Timeline | None:
    """The timeline of a video; None where its packets do not tell it.

    Raises:
        VideoError: If it cannot be read.
    """
    stat = path.stat()
    return _timeline(path, stat.st_size, stat.st_mtime_ns)


def _is_transport_stream(path: Path) -> bool:
    """Whether packets of 188 bytes follow each other, each alone or behind a time of four."""
    with open(path, "rb") as file:
        start = file.read(400)
    return any(
        start[first : first + 2 * step : step] == b"GG" for first, step in ((0, 188), (4, 192))
    )


@functools.lru_cache(maxsize=2)  # the parts of a long file follow each other
def _timeline(path: Path, size: int, mtime_ns: int) -> Timeline | None:
    with open_video(path) as video:
        if video.codec not in _CODECS:
            return None
        # In MPEG-TS seeking leads to a byte, not to a key frame. A decoder of H.264 gives no
        # frame before it is sure of it; others do.
        if _is_transport_stream(path) and video.codec not in ("h264", "avc1"):
            return None
        first_s = [time_s for _, time_s in itertools.islice(video, _COMPARED)]
    times_s, is_key = read_packets(path)
    order = np.argsort(times_s, kind="stable")
    times_s, keys = times_s[order], np.flatnonzero(is_key[order])
    # In AVI, packets have the times of decoding; edits leave frames out at the start.
    begins = len(first_s) and np.allclose(times_s[: len(first_s)], first_s, rtol=0, atol=_SAME_S)
    apart = np.diff(times_s).min(initial=1) > _SAME_S
    if not (begins and apart and keys.size and keys[0] == 0):
        return None
    return Timeline(times_s, keys)

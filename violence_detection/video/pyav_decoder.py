"""A video file read through PyAV (an extra), where OpenCV has no decoder for its codec.

Times are those that OpenCV gives, and frames too, byte for byte, of all that it reads but three:
interlaced video (PyAV converts each field by itself), 4:2:0 of more than 8 bits (chroma is placed
otherwise) and MPEG-4 part 2 (rounding).
"""

import importlib.metadata
import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from violence_detection import units
from violence_detection.errors import VideoError

if TYPE_CHECKING:
    import av

INSTALL = "pip install 'violence-detection[pyav]'"
_OLDEST = 17  # version
_MOST_FAILED = 64  # packets in a row
_ITU601 = 5  # OpenCV takes every video for it, whatever is declared
_TURNS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    -90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


def missing() -> str:
    """How to install it; nothing where it is."""
    if importlib.util.find_spec("av"):
        version = importlib.metadata.version("av")
        if int(version.partition(".")[0]) >= _OLDEST:
            return ""
    return INSTALL


class PyAVDecoder:
    """An opened video, with what `decoder.Decoder` has; it must be closed.

    Attributes:
        codec: As OpenCV names it.
        fps: Frames per second; 0.0 where the container does not say.
        declared_frames: As the container says, or its duration; 0 where neither does.
    """

    def __init__(self, path: Path, *, codec: str, max_pixels: int, fallback_fps: float) -> None:
        """
        Args:
            path: The file.
            codec: As OpenCV names it.
            max_pixels: Of a frame.
            fallback_fps: For frames without times, where the rate is not known either.

        Raises:
            VideoError: If it is no video, PyAV has no decoder for it either, or its frames
                are declared larger than `max_pixels`.
        """
        import av

        self.codec = codec
        self._error = av.FFmpegError
        self._fallback_fps = fallback_fps
        try:
            self._container = av.open(str(path), metadata_errors="ignore")
        except av.FFmpegError as error:
            raise VideoError("not a video that can be opened") from error
        try:
            self._read_header(max_pixels)
        except BaseException:
            self.close()
            raise
        self._reformatter = av.video.reformatter.VideoReformatter()

    def _read_header(self, max_pixels: int) -> None:
        from av.container import Flags

        # Times that PyAV makes up would not be OpenCV's.
        self._container.flags &= ~Flags.gen_pts.value
        if not self._container.streams.video:
            raise VideoError("not a video that can be opened")
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None:
            raise VideoError("no frame of it can be decoded")
        self._stream.codec_context.thread_count = 1
        self._size = self._stream.codec_context.width, self._stream.codec_context.height
        if math.prod(self._size) > max_pixels:
            width, height = self._size
            raise VideoError(f"its frames are declared as {width}x{height}, over the limit")
        self._start = self._stream.start_time or 0
        self._time_base = float(self._stream.time_base)
        fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self.fps = fps if 0 < fps <= 1000 else 0.0
        declared = self._stream.frames or math.floor(self._duration_s() * fps + 0.5)
        self.declared_frames = max(0, declared)

    def _duration_s(self) -> float:
        if self._container.duration:
            return self._container.duration / 1_000_000
        return (self._stream.duration or 0) * self._time_base

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[tuple[int, float]]:
        before_s = -math.inf
        for index, frame in enumerate(self._frames()):
            self._frame = frame
            time_s = self._time_s()
            if time_s <= before_s:  # no timestamps, or broken ones
                time_s = before_s + units.frames_to_s(1, self.fps or self._fallback_fps)
            yield index, time_s
            before_s = time_s

    def retrieve(self) -> np.ndarray:
        """The grabbed frame, uint8 (H, W, 3) BGR, upright."""
        width, height = self._size
        try:
            frame = self._reformatter.reformat(
                self._frame,
                width=width,
                height=height,
                format="bgr24",
                src_colorspace=_ITU601,
                interpolation="BICUBIC",
                threads=1,
            ).to_ndarray()
        except self._error as error:
            raise VideoError("a frame of it can be read but not decoded") from error
        turn = _TURNS.get(self._frame.rotation)
        return frame if turn is None else cv2.rotate(frame, turn)

    def seek(self, time_s: float) -> None:
        """Go to a key frame before a time; iterating again goes on from there."""
        target = self._start + round(time_s / self._time_base)
        try:
            self._container.seek(target, stream=self._stream)
        except self._error as error:
            raise VideoError("a place in it cannot be reached") from error

    def frame_near(self, index: int) -> np.ndarray | None:
        """The frame at about `index`, reached by seeking; None where it cannot be."""
        try:
            self.seek(units.frames_to_s(index, self.fps))
            for _, time_s in self:
                if time_s >= units.frames_to_s(index - 0.5, self.fps):
                    return self.retrieve()
        except VideoError:
            return None
        return None

    def _frames(self) -> Iterator["av.VideoFrame"]:
        """Frames as they are shown; a packet that cannot be decoded is left out."""
        failed = 0
        for packet in self._packets():
            try:
                frames = self._stream.codec_context.decode(packet)
            except self._error:
                failed += 1
                if failed == _MOST_FAILED:
                    return
                continue
            if frames:
                failed = 0
            yield from frames

    def _packets(self) -> Iterator["av.Packet | None"]:
        """Packets to the end, or to where the file can be read."""
        try:
            yield from self._container.demux(self._stream)
        except self._error:
            yield None  # for the frames that the decoder holds

    def _time_s(self) -> float:
        # As OpenCV has it: 0 is no timestamp, and its times are in ms, which rounds them.
        stamp = self._frame.pts or self._frame.dts
        if stamp is None:
            return 0.0
        return (stamp - self._start) * self._time_base * 1000 / 1000

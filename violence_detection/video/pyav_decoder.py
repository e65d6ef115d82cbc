"""Decodes a video file with PyAV (an extra), if OpenCV has no decoder for its codec.

Times and frames are byte for byte those of OpenCV, with three exceptions: interlaced video (PyAV
converts each field separately), 4:2:0 with more than 8 bits (chroma is positioned differently) and
MPEG-4 part 2 (rounding).
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
_MIN_VERSION = 17
_MAX_FAILED_PACKETS = 64  # in a row; as in `decoder.Decoder`
_ITU601 = 5  # the colour space that OpenCV uses for every video, whatever is declared
_ROTATIONS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    -90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


def missing() -> str:
    """The command that installs PyAV; empty if it is installed."""
    if importlib.util.find_spec("av"):
        version = importlib.metadata.version("av")
        if int(version.partition(".")[0]) >= _MIN_VERSION:
            return ""
    return INSTALL


class PyAVDecoder:
    """An opened video with the interface of `decoder.Decoder`; it must be closed.

    Attributes:
        codec: OpenCV's name of the codec.
        fps: Frames per second; 0.0 if the container does not tell.
        declared_frames: Number of frames by the container, or by its duration; 0 if it tells
            neither.
    """

    def __init__(self, path: Path, *, codec: str, max_pixels: int, fallback_fps: float) -> None:
        """
        Args:
            path: The file.
            codec: OpenCV's name of the codec.
            max_pixels: The largest number of pixels of a frame.
            fallback_fps: The rate for frames without timestamps, if the video's is unknown.

        Raises:
            VideoError: If it is not a video, PyAV has no decoder for it either, or its declared
                frames have more than `max_pixels`.
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

        # Timestamps that FFmpeg generates here would differ from those of OpenCV.
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
            if time_s <= before_s:  # the timestamp is missing or broken
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
        rotation = _ROTATIONS.get(self._frame.rotation)
        return frame if rotation is None else cv2.rotate(frame, rotation)

    def seek(self, time_s: float) -> None:
        """Seek to a key frame before a time; iterating again continues from there."""
        target = self._start + round(time_s / self._time_base)
        try:
            self._container.seek(target, stream=self._stream)
        except self._error as error:
            raise VideoError(f"it cannot be read from {time_s:.1f} s on") from error

    def frame_near(self, index: int) -> np.ndarray | None:
        """The frame at about `index`, by seeking; None if it cannot be reached."""
        try:
            self.seek(units.frames_to_s(index, self.fps))
            for _, time_s in self:
                if time_s >= units.frames_to_s(index - 0.5, self.fps):
                    return self.retrieve()
        except VideoError:
            return None
        return None

    def _frames(self) -> Iterator["av.VideoFrame"]:
        """Frames in the order of showing; packets that cannot be decoded are skipped."""
        failed = 0
        for packet in self._packets():
            try:
                frames = self._stream.codec_context.decode(packet)
            except self._error:
                failed += 1
                if failed == _MAX_FAILED_PACKETS:
                    return
                continue
            if frames:
                failed = 0
            yield from frames

    def _packets(self) -> Iterator["av.Packet | None"]:
        """Packets up to the end, or up to the last that can be read."""
        try:
            yield from self._container.demux(self._stream)
        except self._error:
            yield None  # makes the decoder give the frames that it still has

    def _time_s(self) -> float:
        # As in OpenCV, a timestamp of 0 is missing, and times are rounded as milliseconds are.
        stamp = self._frame.pts or self._frame.dts
        if stamp is None:
            return 0.0
        return (stamp - self._start) * self._time_base * 1000 / 1000

"""Decodes a video file with PyAV, if OpenCV has no decoder for its codec, or reads another stream.

Times and frames are byte for byte those of OpenCV, with three exceptions: interlaced video (PyAV
converts each field separately), 4:2:0 with more than 8 bits (chroma is positioned differently) and
MPEG-4 part 2 (rounding).
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from violence_detection import units
from violence_detection.errors import VideoError
from violence_detection.video.decoding.container import Container, open_container

if TYPE_CHECKING:
    import av

_MAX_FAILED_PACKETS = 64  # in a row; as in `decoder.Decoder`
_ITU601 = 5  # the colour space that OpenCV uses for every video, whatever is declared
_ROTATIONS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    -90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


def count_between(times_s: Iterable[float], start_s: float, end_s: float) -> int:
    """The number of times from `start_s` to before `end_s`."""
    return sum(start_s <= time_s < end_s for time_s in times_s)


class Reformatter:
    """Converts decoded frames of PyAV to the images that OpenCV gives of them."""

    def __init__(self) -> None:
        import av

        self._error = av.FFmpegError
        self._reformatter = av.video.reformatter.VideoReformatter()

    def to_bgr(self, frame: "av.VideoFrame", size: tuple[int, int]) -> np.ndarray:
        """The image of a frame, uint8 (H, W, 3) BGR, upright.

        Args:
            frame: A decoded frame.
            size: Width and height of the image, before it is turned upright.

        Raises:
            VideoError: If it cannot be converted.
        """
        width, height = size
        try:
            image = self._reformatter.reformat(
                frame,
                width=width,
                height=height,
                format="bgr24",
                src_colorspace=_ITU601,
                interpolation="BICUBIC",
                threads=1,
            ).to_ndarray()
        except self._error as error:
            raise VideoError("a frame of it can be read but not decoded") from error
        rotation = _ROTATIONS.get(frame.rotation)
        return image if rotation is None else cv2.rotate(image, rotation)


class PyAVDecoder:
    """An opened video with the interface of `decoder.Decoder`; it must be closed.

    Attributes:
        codec: OpenCV's name of the codec.
        fps: Frames per second; 0.0 if the container does not tell.
        declared_frames: Number of frames by the container, or by its duration, without hidden
            ones; 0 if it tells neither.
        start_s: The time at which the video stream begins.
        note: What is to be said of the file, although it is read: its video streams.
        is_suspect: A frame that was decoded so far is corrupt.
        gaps: Empty; see `frame_series_decoder.FrameSeriesDecoder`.
    """

    gaps = ""

    def __init__(
        self,
        path: Path,
        container: Container,
        *,
        codec: str,
        max_pixels: int,
        fallback_fps: float,
    ) -> None:
        """
        Args:
            path: The file.
            container: Its header, which names the stream.
            codec: OpenCV's name of the codec.
            max_pixels: The largest number of pixels of a frame.
            fallback_fps: The rate for frames without timestamps, if the video's is unknown.

        Raises:
            VideoError: If it is not a video, PyAV has no decoder for it either, or its declared
                frames have more than `max_pixels`.
        """
        import av

        self.codec = codec
        self.start_s, self.note = container.start_s, container.note
        self._path, self._header = path, container
        self._corrupt_s: list[float] = []  # times of corrupt frames, and of those after a failure
        self._failed = False  # a packet since the last frame
        self._error = av.FFmpegError
        self._fallback_fps = fallback_fps
        try:
            self._container = open_container(path)
        except av.FFmpegError as error:
            raise VideoError("not a video that can be opened") from error
        try:
            self._read_header(max_pixels)
        except BaseException:
            self.close()
            raise
        self._reformatter = Reformatter()

    def _read_header(self, max_pixels: int) -> None:
        from av.container import Flags

        # Timestamps that FFmpeg generates here would differ from those of OpenCV.
        self._container.flags &= ~Flags.gen_pts.value
        if self._header.stream >= len(self._container.streams.video):
            raise VideoError("not a video that can be opened")
        self._stream = self._container.streams.video[self._header.stream]
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
        self.declared_frames = self._header.shown_frames(max(0, declared), self.fps)

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
            at_s = self.start_s + time_s
            # A packet that fails after the last frame is the end of a cut file.
            if frame.is_corrupt or self._failed:
                self._corrupt_s.append(at_s)
            self._failed = False
            yield index, at_s
            before_s = time_s

    @property
    def is_suspect(self) -> bool:
        return bool(self._corrupt_s)

    def corrupt_frames(self, start_s: float = -math.inf, end_s: float = math.inf) -> int:
        """The number of frames so far that are corrupt, or follow one that cannot be decoded.

        Args:
            start_s, end_s: Only frames from `start_s` to before `end_s` count.
        """
        return count_between(self._corrupt_s, start_s, end_s)

    def is_whole(self, frames: int) -> bool:
        """True if a file with fewer frames than declared is complete all the same.

        Args:
            frames: The frames that were decoded, up to its end.
        """
        return self._header.is_whole(self._path, frames, trusts_packets=False)

    def retrieve(self) -> np.ndarray:
        """The grabbed frame, uint8 (H, W, 3) BGR, upright."""
        return self._reformatter.to_bgr(self._frame, self._size)

    def seek(self, time_s: float) -> None:
        """Seek to a key frame before a time; iterating again continues from there."""
        target = self._start + round((time_s - self.start_s) / self._time_base)
        try:
            self._container.seek(target, stream=self._stream)
        except self._error as error:
            raise VideoError(f"it cannot be read from {time_s:.1f} s on") from error

    def frame_near(self, index: int) -> np.ndarray | None:
        """The frame at about `index`, by seeking; None if it cannot be reached."""
        try:
            self.seek(self.start_s + units.frames_to_s(index, self.fps))
            for _, time_s in self:
                if time_s - self.start_s >= units.frames_to_s(index - 0.5, self.fps):
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
                self._failed = True
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
        except (self._error, IndexError):  # IndexError: see `container.read_extent`
            yield None  # makes the decoder give the frames that it still has

    def _time_s(self) -> float:
        # As in OpenCV, a timestamp of 0 is missing, and times are rounded as milliseconds are.
        stamp = self._frame.pts or self._frame.dts
        if stamp is None:
            return 0.0
        return (stamp - self._start) * self._time_base * 1000 / 1000

"""Clips with privacy masks or blurred people: packets are decoded, frames changed, encoded again.

The packets are in memory only, so that no other picture reaches the disk.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.recording.clips import (
    MAX_BYTES,
    PartWriter,
    Timestamps,
    open_output,
    written,
)
from violence_detection.live.recording.people_blur import SECOND_FRAMES, PeopleBlur
from violence_detection.live.recording.privacy_masks import Polygon, covered_pixels
from violence_detection.video.live_source import LivePacket
from violence_detection.video.writing.stream_header import header_stream, rotation_in
from violence_detection.video.writing.video_writer import choose_codec

_UNIT = Fraction(1, 90_000)
_KEY_EVERY = 50  # frames
_QUALITY = {
    "libx264": {"crf": "23", "preset": "veryfast", "tune": "zerolatency"},
    "libvpx-vp9": {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "8"},
}
_BLACK = (16, 128, 128)  # Y, U and V
_BLURRED_PX = 640  # the longer side of blurred frames, at most: they are held for a second


class MaskedClipWriter(PartWriter):
    """Writes the frames of packets into `<path>.part`, upright, with masks.

    Attributes:
        undecoded: Number of packets that could not be decoded.
    """

    def __init__(
        self,
        path: Path,
        header: bytes,
        time_base: tuple[int, int],
        masks: Sequence[Polygon],
        *,
        blurs_people: bool = False,
        max_bytes: int = MAX_BYTES,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            header: The camera's stream, as `LiveSource.header` gives it.
            time_base: Seconds of one unit of the packets' timestamps, as a fraction.
            masks: Polygons that become black; points are shares of width and height of the
                upright frame.
            blurs_people: People are made hard to recognise, too; a second of frames is held.

        Raises:
            ViolenceDetectionError: If it cannot be written, or PyAV has no encoder.
        """
        codec = choose_codec()
        super().__init__(path, max_bytes=max_bytes, now_s=now_s)
        self.undecoded = 0
        self._codec, self._masks = codec, tuple(masks)
        self._time_base = Fraction(*time_base)
        self._timestamps = Timestamps(self._time_base)
        self._mask = np.zeros((0, 0), bool)
        self._limit_px = _BLURRED_PX if blurs_people else 0
        self._blur = PeopleBlur() if blurs_people else None
        self._held: list[tuple[int, np.ndarray]] = []  # timestamps and frames to be blurred
        self._encoder: av.VideoStream | None = None
        self._first_pts, self._last_pts = 0, -1
        with self._opening(), header_stream(header) as stream:
            self._decoder = av.CodecContext.create(stream.codec_context.name, "r")
            self._decoder.extradata = stream.codec_context.extradata
            self._rotation = rotation_in(stream)  # where the packets do not tell
            self._output = open_output(self._file)

    def write(self, packet: LivePacket) -> None:
        """Writes the frames that a packet completes.

        Raises:
            ViolenceDetectionError: If they cannot be written: the disk is full. What was written
                stays.
        """
        if self.is_full or (self.first_s is None and not packet.is_key):
            self.left_out += 1
            return
        # `av.Packet(data)` would lack the room behind the bytes that decoders read.
        encoded = av.Packet(len(packet.data))
        encoded.update(packet.data)
        encoded.pts, encoded.dts = self._timestamps.next(packet)
        encoded.time_base = self._time_base
        with written(self.path):
            for frame in self._frames(encoded):
                self._encode(frame)
            self._note(packet.arrived_s)

    def close(self) -> None:
        if self._encoder is not None:
            with contextlib.suppress(ViolenceDetectionError), written(self.path):
                for frame in self._frames(None):
                    self._encode(frame)
                while self._held:
                    self._encode_blurred()
                self._output.mux(self._encoder.encode())
        super().close()

    def _frames(self, packet: av.Packet | None) -> Iterator[av.VideoFrame]:
        try:
            yield from self._decoder.decode(packet)
        except av.FFmpegError:
            self.undecoded += 1

    def _encode(self, frame: av.VideoFrame) -> None:
        """Encodes a frame, or holds it until a second of them can be blurred."""
        if frame.pts is None:
            return
        if self._encoder is None:
            self._turns = (frame.rotation or self._rotation) // 90 % 4
            self._size = _limited(frame.width, frame.height, self._limit_px)
            self._encoder = self._open_encoder(*self._size[:: -1 if self._turns % 2 else 1])
            self._first_pts = int(frame.pts * self._time_base / _UNIT)
        pts = int(frame.pts * self._time_base / _UNIT) - self._first_pts
        if pts <= self._last_pts:
            return
        self._last_pts = pts
        if self._blur is None:
            planes = frame.reformat(*self._size, "yuv420p").to_ndarray()
            self._mux(pts, _turned(planes, self._turns))
            return
        image = frame.reformat(*self._size, "bgr24").to_ndarray()
        self._held.append((pts, np.ascontiguousarray(np.rot90(image, self._turns))))
        if len(self._held) >= 2 * SECOND_FRAMES:
            self._encode_blurred()

    def _encode_blurred(self) -> None:
        """Encodes the first part of the frames that are held; what follows it is known."""
        part, self._held = self._held[:SECOND_FRAMES], self._held[SECOND_FRAMES:]
        following = [image for _, image in self._held[:SECOND_FRAMES]]
        images = self._blur.blurred([image for _, image in part], following)
        for (pts, _), image in zip(part, images, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            self._mux(pts, frame.reformat(format="yuv420p").to_ndarray())

    def _mux(self, pts: int, planes: np.ndarray) -> None:
        masked = av.VideoFrame.from_ndarray(self._masked(planes), format="yuv420p")
        masked.pts, masked.time_base = pts, _UNIT
        self._output.mux(self._encoder.encode(masked))

    def _open_encoder(self, width: int, height: int) -> av.VideoStream:
        stream = self._output.add_stream(self._codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = _QUALITY[self._codec] | {"g": str(_KEY_EVERY)}
        stream.codec_context.time_base = stream.time_base = _UNIT
        stream.codec_context.thread_count = 1
        self._mask = planes_mask(self._masks, width, height)
        return stream

    def _masked(self, planes: np.ndarray) -> np.ndarray:
        height = planes.shape[0] * 2 // 3
        luma, chroma = self._mask[:height], self._mask[height:]
        planes[:height][luma] = _BLACK[0]
        planes[height:][chroma] = _BLACK[1]
        return planes


def _limited(width: int, height: int, limit_px: int) -> tuple[int, int]:
    """Even width and height of a frame that is at most so wide or high; 0 sets no limit."""
    share = min(1.0, limit_px / max(width, height)) if limit_px else 1.0
    return max(2, round(width * share) & ~1), max(2, round(height * share) & ~1)


def _turned(planes: np.ndarray, turns: int) -> np.ndarray:
    """A frame in YUV 4:2:0, uint8 (3/2 height, width), turned left by 90 degrees so many times."""
    if turns == 0:
        return planes
    rows, width = planes.shape
    height = rows * 2 // 3
    luma = np.rot90(planes[:height], turns)
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    turned = [np.rot90(plane, turns).ravel() for plane in chroma]
    return np.concatenate([luma, np.concatenate(turned).reshape(-1, luma.shape[1])])


def planes_mask(masks: Sequence[Polygon], width: int, height: int) -> np.ndarray:
    """Pixels of a frame in YUV 4:2:0 that masks cover, bool (3/2 height, width).

    A pixel that a mask touches is covered, and so is a colour that it shares with one.
    """
    covered = covered_pixels(masks, width, height)
    blocks = covered.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))
    # The planes of U and V lie one after the other, as rows of the frame's width.
    chroma = np.concatenate([blocks.ravel(), blocks.ravel()]).reshape(height // 2, width)
    return np.concatenate([covered, chroma])

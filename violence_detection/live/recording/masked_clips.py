"""Clips with privacy masks: packets are decoded, parts of the frames blackened, and encoded again.

The packets are in memory only, so that no unmasked picture reaches the disk.
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
from violence_detection.live.recording.privacy_masks import Polygon, covered_pixels
from violence_detection.video.live_source import LivePacket
from violence_detection.video.stream_header import header_stream
from violence_detection.video.video_writer import choose_codec

_UNIT = Fraction(1, 90_000)
_KEY_EVERY = 50  # frames
_QUALITY = {
    "libx264": {"crf": "23", "preset": "veryfast", "tune": "zerolatency"},
    "libvpx-vp9": {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "8"},
}
_BLACK = (16, 128, 128)  # Y, U and V


class MaskedClipWriter(PartWriter):
    """Writes the frames of packets into `<path>.part`, with masks.

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
        max_bytes: int = MAX_BYTES,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            header: The camera's stream, as `LiveSource.header` gives it.
            time_base: Seconds of one unit of the packets' timestamps, as a fraction.
            masks: Polygons that become black; points are shares of width and height.

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
        self._encoder: av.VideoStream | None = None
        self._first_pts, self._last_pts = 0, -1
        with self._opening(), header_stream(header) as stream:
            self._decoder = av.CodecContext.create(stream.codec_context.name, "r")
            self._decoder.extradata = stream.codec_context.extradata
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
                self._output.mux(self._encoder.encode())
        super().close()

    def _frames(self, packet: av.Packet | None) -> Iterator[av.VideoFrame]:
        try:
            yield from self._decoder.decode(packet)
        except av.FFmpegError:
            self.undecoded += 1

    def _encode(self, frame: av.VideoFrame) -> None:
        if frame.pts is None:
            return
        if self._encoder is None:
            self._encoder = self._open_encoder(frame.width & ~1, frame.height & ~1)
            self._first_pts = int(frame.pts * self._time_base / _UNIT)
        width, height = self._encoder.width, self._encoder.height
        planes = frame.reformat(width, height, "yuv420p").to_ndarray()
        masked = av.VideoFrame.from_ndarray(self._masked(planes), format="yuv420p")
        pts = int(frame.pts * self._time_base / _UNIT) - self._first_pts
        if pts <= self._last_pts:
            return
        masked.pts, masked.time_base, self._last_pts = pts, _UNIT, pts
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


def planes_mask(masks: Sequence[Polygon], width: int, height: int) -> np.ndarray:
    """Pixels of a frame in YUV 4:2:0 that masks cover, bool (3/2 height, width).

    A pixel that a mask touches is covered, and so is a colour that it shares with one.
    """
    covered = covered_pixels(masks, width, height)
    blocks = covered.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))
    # The planes of U and V lie one after the other, as rows of the frame's width.
    both = np.concatenate([blocks.ravel(), blocks.ravel()]).reshape(height // 2, width)
    return np.concatenate([covered, both])

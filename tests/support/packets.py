"""Packets of drawn streams, as a camera sends them."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from violence_detection.video.live_source import LivePacket
from violence_detection.video.writing.stream_header import stream_header

FPS = 10


class DrawnStream:
    """Packets of a drawn H.264 stream, as bytes with start codes, as RTSP gives them; of a turned
    one as an MP4 file gives them, whose header alone tells the rotation.

    Attributes:
        header: From `stream_header`.
        time_base: Seconds of a unit of timestamps, as a fraction.
        packets: One every 1/`FPS` s from arrival second 100 on; frame i has brightness 20 + 2 i,
            and a bright square that moves on its left half.
    """

    def __init__(
        self,
        *,
        frames: int = 40,
        gop: int = 10,
        size=(128, 96),
        codec="libx264",
        options=None,
        rotation: int = 0,
    ) -> None:
        encoded = io.BytesIO()
        width, height = size
        container = "mp4" if rotation else "matroska" if codec == "mjpeg" else "mpegts"
        with av.open(encoded, "w", format=container) as output:
            stream = output.add_stream(codec, rate=FPS)
            if rotation:
                stream.set_display_rotation(rotation)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if codec == "libx264":
                stream.options = {"g": str(gop), "bf": "0", "sc_threshold": "0"} | (options or {})
            for index in range(frames):
                image = np.full((height, width, 3), 20 + 2 * (index % 100), np.uint8)
                left = 8 + index // 2 % 20
                image[height // 3 : height // 3 + 24, left : left + 32] = 240
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            output.mux(stream.encode())
        encoded.seek(0)
        with av.open(encoded) as source:
            stream = source.streams.video[0]
            self.header = stream_header(stream)
            self.time_base = (stream.time_base.numerator, stream.time_base.denominator)
            self.packets = [
                LivePacket(
                    bytes(packet),
                    packet.pts,
                    packet.dts,
                    packet.is_keyframe,
                    False,
                    100.0 + number / FPS,
                )
                for number, packet in enumerate(source.demux(stream))
                if packet.size
            ]

    def later(self, seconds: float, *, camera_s: float | None = None) -> list[LivePacket]:
        """The packets again, arriving `seconds` later; the camera's clock goes on by `camera_s`."""
        unit_s = Fraction(*self.time_base)
        step = round((seconds if camera_s is None else camera_s) / unit_s)
        return [
            LivePacket(
                packet.data,
                packet.pts + step,
                packet.dts + step,
                packet.is_key,
                False,
                packet.arrived_s + seconds,
            )
            for packet in self.packets
        ]


def times_in(path: Path) -> list[float]:
    """Times of the frames of a file, decoded one by one."""
    with av.open(str(path)) as container:
        return [round(float(frame.time), 3) for frame in container.decode(video=0)]


def brightness_in(path: Path) -> list[int]:
    """Mean brightness of the lower right corner of each frame."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [round(float(frame[-16:, -16:].mean())) for frame in frames]

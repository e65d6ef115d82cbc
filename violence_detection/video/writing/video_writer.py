"""Writes MP4 files that browsers play, with the sound of another file, by PyAV."""

import contextlib
import errno
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.errors import ViolenceDetectionError
from violence_detection.video.decoding.container import open_container

if TYPE_CHECKING:
    import av

# H.264 and VP9. x264 is GPL, so a PyAV that was built without GPL libraries lacks it.
_CODECS = {
    "libx264": {"crf": "23", "preset": "veryfast"},  # 23 is the default quality
    "libvpx-vp9": {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "8"},
}
_COPIED_SOUND = ("aac", "mp3", "mp3float")  # in an MP4 file, browsers play these
_MAX_DENOMINATOR = 65535  # of a frame rate


def choose_codec() -> str:
    """The first encoder of `_CODECS` that this machine's PyAV has.

    Raises:
        ViolenceDetectionError: If it has none of them.
    """
    import av

    for codec in _CODECS:
        if codec in av.codecs_available:
            return codec
    raise ViolenceDetectionError(
        f"PyAV must have one of the encoders {', '.join(_CODECS)} to write a video. Received: PyAV "
        f"{av.__version__}, built without them; pip install --force-reinstall av"
    )


class VideoWriter:
    """Writes frames, all of the same even size, until it is closed.

    The sound is copied where browsers play it in MP4, else encoded as AAC.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int],
        fps: float,
        sound: Path,
        sound_from_s: float = 0.0,
        codec: str = "",
    ) -> None:
        """
        Args:
            path: The file.
            size: Width and height of the frames.
            fps: Frames per second.
            sound: A file whose first sound track is added, if it has one.
            sound_from_s: The time of that file at which the first frame is shown.
            codec: Name of an encoder; empty for `choose_codec`.

        Raises:
            OSError: If the file cannot be written.
            ViolenceDetectionError: See `choose_codec`.
        """
        import av

        codec = codec or choose_codec()
        self._frame_of = av.VideoFrame.from_ndarray
        options = {"movflags": "+faststart"}
        self._output = av.open(f"file:{path.absolute()}", "w", format="mp4", options=options)
        self._rate = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
        self._video = self._output.add_stream(codec, rate=self._rate)
        self._video.width, self._video.height = size
        self._video.pix_fmt = "yuv420p"
        self._video.options = _CODECS[codec]
        self._video.codec_context.thread_count = 2
        self._count = 0
        self._sound = _Sound(self._output, sound, sound_from_s)

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame, uint8 (H, W, 3) BGR."""
        image = self._frame_of(frame, format="bgr24")
        image.pts = self._count
        image.time_base = 1 / self._rate
        self._output.mux(self._video.encode(image))
        self._count += 1
        self._sound.copy_to(float(self._count / self._rate))

    def close(self) -> None:
        self._output.mux(self._video.encode())
        self._sound.copy_to(float(self._count / self._rate))
        self._sound.close()
        self._output.close()


class _Sound:
    """The first sound track of a file, copied or encoded while the frames are written."""

    def __init__(self, output: "av.container.OutputContainer", path: Path, from_s: float) -> None:
        import av

        self._error, self._output = av.FFmpegError, output
        self._input, self._packets, self._waiting = None, iter(()), None
        self._track = None
        with contextlib.suppress(av.FFmpegError):
            self._input = open_container(path)
        if self._input is None or not self._input.streams.audio:
            return
        stream = self._input.streams.audio[0]
        codec = stream.codec_context
        if codec is None:  # FFmpeg has no decoder for it
            return
        # AAC from MPEG-TS lacks a header that MP4 needs, so it is encoded again.
        is_complete = codec.name == "mp3float" or bool(codec.extradata)
        self._is_copied = is_complete and codec.name in _COPIED_SOUND
        if self._is_copied:
            self._track = output.add_stream_from_template(stream)
        else:
            rate = codec.sample_rate or 44100
            self._track = output.add_stream("aac", rate=min(rate, 48000))
        self._start_s = from_s + float(self._input.start_time or 0) / 1_000_000
        self._packets = self._input.demux(stream)

    def copy_to(self, time_s: float) -> None:
        """Write the sound up to a time. Damaged sound ends where the damage begins."""
        while self._track is not None:
            try:
                packet = self._waiting or next(self._packets, None)
                self._waiting = None
                if packet is None:
                    return
                if packet.pts is not None:
                    at_s = float(packet.pts * packet.time_base) - self._start_s
                    if at_s > time_s:
                        self._waiting = packet
                        return
                    if at_s >= 0:
                        self._write(packet)
            except self._error as error:
                if isinstance(error, OSError) and error.errno in (
                    errno.ENOSPC,
                    errno.EDQUOT,
                    errno.EFBIG,
                ):
                    raise  # the disk is full
                self._track = None

    def _write(self, packet) -> None:
        if self._is_copied:
            shift = round(self._start_s / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = self._track
            self._output.mux(packet)
            return
        for frame in packet.decode():
            frame.pts = None
            self._output.mux(self._track.encode(frame))

    def close(self) -> None:
        if self._track is not None and not self._is_copied:
            self._output.mux(self._track.encode())
        if self._input is not None:
            self._input.close()

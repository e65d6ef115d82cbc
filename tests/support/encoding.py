"""Videos as cameras and phones write them, encoded by PyAV: B-frames, long groups, any rate."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from violence_detection.video.decoding.codec_trials import same_priority


def encode(
    path: Path,
    *,
    frames: int = 60,
    size=(96, 64),
    fps: int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Iterable[int] | None = None,
    sound: str | None = None,
    sound_s: float | None = None,
    **options,
) -> Path:
    """A clip in which every frame looks different, and neighbours alike.

    Args:
        times: When each frame is shown, in units of 1 / fps s; default: one after the other.
        sound: Codec of a tone beside it.
        sound_s: Its length in seconds; default: a little less than that of the frames.
        options: Of the encoder, as FFmpeg names them (`_` for `-`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    down, across = np.mgrid[:height, :width]
    # Without bitexact, Matroska gets a random number.
    options_of_file = {"fflags": "+bitexact"}
    with (
        same_priority(),
        av.open(str(path), "w", options=options_of_file) as container,
    ):
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, fps)
        stream.options = {name.replace("_", "-"): str(value) for name, value in options.items()}
        track = container.add_stream(sound, rate=44100) if sound else None
        for index, time in zip(range(frames), times or range(frames), strict=False):
            grey = (across * 2 + down + 5 * index) % 256
            colours = np.stack([grey, np.roll(grey, index, 1), 255 - grey], 2)
            frame = av.VideoFrame.from_ndarray(colours.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track:
            # FLV and MPEG-PS declare the length of whichever is longer.
            container.mux(track.encode(_tone(sound_s or 0.9 * frames / fps)))
            container.mux(track.encode(None))
    return path


def _tone(duration_s: float) -> av.AudioFrame:
    times_s = np.arange(0, duration_s, 1 / 44100, dtype=np.float32)
    wave = np.sin(2 * np.pi * 440 * times_s)[None] / 4
    tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    tone.sample_rate = 44100
    return tone


def with_sound(path: Path, *, seconds: float, codec="aac", fps=12) -> Path:
    """A drawn video of 64x48 with a tone."""
    with av.open(str(path), "w") as file:
        picture = file.add_stream("mpeg4", rate=fps)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = file.add_stream(codec, rate=44100)
        for index in range(round(seconds * fps)):
            frame = np.full((48, 64, 3), 40 + 2 * index, np.uint8)
            file.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        file.mux(picture.encode())
        tone = np.sin(np.arange(round(seconds * 44100)) * 0.05).astype(np.float32)
        for start in range(0, len(tone), 1024):
            part = tone[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, start
            file.mux(sound.encode(frame))
        file.mux(sound.encode())
    return path


def trim(source: Path, path: Path, *, from_frame: int) -> Path:
    """A copy without encoding that is shown from a frame on: an edit list hides those before."""
    options = {"avoid_negative_ts": "disabled"}
    with (
        av.open(str(source)) as original,
        av.open(str(path), "w", container_options=options) as copy,
    ):
        stream = original.streams.video[0]
        track = copy.add_stream_from_template(stream)
        ticks = round(from_frame / stream.average_rate / stream.time_base)
        for packet in original.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
                packet.stream = track
                copy.mux(packet)
    return path


def encode_several(path: Path, sizes: Iterable[tuple[int, int]], *, frames: int = 20) -> Path:
    """A file with a video stream of each size (width, height): a bright square that moves."""
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("libx264", rate=25) for _ in sizes]
        for stream, (width, height) in zip(streams, sizes, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            for stream in streams:
                image = np.full((stream.height, stream.width, 3), 60, np.uint8)
                image[10:30, 5 + index : 25 + index] = 200
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        for stream in streams:
            file.mux(stream.encode(None))
    return path


def lose_packets(path: Path, *, every: int) -> Path:
    """Take packets out of an MPEG-TS file, as a bad line does: one of `every`, after the first."""
    data = path.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    kept = (packet for number, packet in enumerate(packets) if number < 20 or number % every)
    path.write_bytes(b"".join(kept))
    return path

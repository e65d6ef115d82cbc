"""Videos that are not as they should be: mutants of many codecs and containers, drawn by a seed,
and files that declare, or unfold to, far more than they hold."""

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import av
import numpy as np

from support.encoding import encode
from support.videos import draw_video

FRAMES, FPS = 24, 25
_HEADER = 512  # bytes, of which most are a header's where files are this small


class Mutant(NamedTuple):
    """One spoiled file.

    Attributes:
        name: With the extension that it is read under.
        source: Name of the sound clip that it was.
        kind: What was done to it.
    """

    name: str
    source: str
    kind: str
    content: bytes


def mutants(sources: Mapping[str, bytes], *, seed: int, count: int) -> Iterator[Mutant]:
    """The first `count` mutants of a seed; every source and every kind in turn.

    Each is drawn by a generator of its own: `mutant` makes any of them again alone.
    """
    for number in range(count):
        yield mutant(sources, seed=seed, number=number)


def mutant(sources: Mapping[str, bytes], *, seed: int, number: int) -> Mutant:
    """One of `mutants`, by its number."""
    rng = np.random.default_rng([seed, number])
    source = list(sources)[number % len(sources)]
    kind = list(KINDS)[number % len(KINDS)]
    others = [content for name, content in sources.items() if name != source]
    other = np.frombuffer(others[rng.integers(len(others))], np.uint8)
    content = KINDS[kind](np.frombuffer(sources[source], np.uint8), other, rng)
    suffix = PurePosixPath(source).suffix
    if kind == "wrong extension":
        suffix = _other_suffix(suffix, sources, rng)
    return Mutant(f"{number:03}{suffix}", source, kind, content.tobytes())


def _other_suffix(suffix: str, sources: Mapping[str, bytes], rng) -> str:
    return rng.choice(sorted({PurePosixPath(name).suffix for name in sources} - {suffix}))


# -- kinds: uint8 (n,) of the source and of another file, and a generator, to uint8


def _flipped(content: np.ndarray, count: int, rng, first=0, end=None) -> np.ndarray:
    """`count` bytes between `first` and `end` become other ones."""
    content = content.copy()
    places = np.arange(first, len(content) if end is None else end)
    places = rng.choice(places, min(count, len(places)), replace=False)
    content[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
    return content


def _stretch(content: np.ndarray, rng) -> tuple[int, int]:
    """Start and end of a piece of up to a quarter."""
    length = int(rng.integers(1, len(content) // 4))
    start = int(rng.integers(0, len(content) - length))
    return start, start + length


def _few_bytes(content, other, rng):
    return _flipped(content, int(rng.integers(1, 9)), rng)


def _many_bytes(content, other, rng):
    return _flipped(content, int(len(content) * rng.uniform(0.01, 0.1)), rng)


def _bytes_of_the_header(content, other, rng):
    return _flipped(content, int(rng.integers(1, 17)), rng, end=_HEADER)


def _bytes_of_the_end(content, other, rng):
    """Where MP4 and AVI have their index."""
    return _flipped(content, int(rng.integers(1, 17)), rng, len(content) - _HEADER)


def _bytes_of_the_payload(content, other, rng):
    first, end = len(content) // 4, 3 * len(content) // 4
    return _flipped(content, int(rng.integers(1, 65)), rng, first, end)


def _size_field(content, other, rng):
    content, place = content.copy(), rng.integers(0, 64)
    values = np.setdiff1d([0, 1, 0x7F, 0x80, 0xFF], content[place])
    content[place] = rng.choice(values)
    return content


def _cut(content, other, rng):
    return content[: int(len(content) * rng.uniform(0.02, 0.98))]


def _piece_removed(content, other, rng):
    start, end = _stretch(content, rng)
    return np.concatenate([content[:start], content[end:]])


def _piece_doubled(content, other, rng):
    start, end = _stretch(content, rng)
    return np.concatenate([content[:end], content[start:]])


def _spliced(content, other, rng):
    """Of the same codec or of another."""
    at = rng.uniform(0.1, 0.9)
    return np.concatenate([content[: int(at * len(content))], other[int(at * len(other)) :]])


def _wrong_header(content, other, rng):
    length = int(rng.integers(4, 65))
    return np.concatenate([other[:length], content[length:]])


def _zeros(content, other, rng):
    content, (start, end) = content.copy(), _stretch(content, rng)
    content[start:end] = 0
    return content


def _noise(content, other, rng):
    return rng.integers(0, 256, len(content), dtype=np.uint8)


def _unchanged(content, other, rng):
    return content


KINDS: dict[str, Callable] = {
    "few bytes": _few_bytes,
    "many bytes": _many_bytes,
    "bytes of the header": _bytes_of_the_header,
    "bytes of the end": _bytes_of_the_end,
    "bytes of the payload": _bytes_of_the_payload,
    "size field": _size_field,
    "cut": _cut,
    "piece removed": _piece_removed,
    "piece doubled": _piece_doubled,
    "spliced": _spliced,
    "wrong header": _wrong_header,
    "wrong extension": _unchanged,
    "zeros": _zeros,
    "noise": _noise,
}


# -- sound clips


def draw_sources(folder: Path) -> dict[str, bytes]:
    """A clip of each kind of file, by name; nearly always the same to the bit."""
    for name, codec in _BY_OPENCV.items():
        draw_video(folder / name, frames=FRAMES, fps=FPS, codec=codec)
    for name, settings in _BY_PYAV.items():
        encode(folder / name, frames=FRAMES, fps=FPS, size=(64, 48), **settings)
    names = [*_BY_OPENCV, *_BY_PYAV]
    return {name: (folder / name).read_bytes() for name in names}


_BY_OPENCV = {"mpeg4.mp4": "mp4v", "mjpeg.avi": "MJPG", "xvid.avi": "XVID"}
_H264 = {"x264_params": "mbtree=0"}  # with it, one clip in thirty has other bytes
_BY_PYAV = {
    "h264.mp4": _H264 | {"bf": 3, "g": 12},
    "h264.mkv": _H264 | {"bf": 2},
    "h264.ts": _H264,
    "h264.flv": _H264 | {"sound": "aac"},
    "hevc.mp4": {"codec": "libx265", "x265_params": "log-level=none:pools=1"},
    "av1.mp4": {"codec": "libsvtav1", "preset": 11, "svtav1_params": "lp=1"},
    "vp8.webm": {"codec": "libvpx", "deadline": "realtime"},
    "vp9.webm": {"codec": "libvpx-vp9", "deadline": "realtime"},
    "mpeg2.mpg": {"codec": "mpeg2video", "sound": "mp2"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "ffv1.mkv": {"codec": "ffv1"},
    "wmv.asf": {"codec": "wmv2"},
}


# -- more than is there


def with_size_in_boxes(content: bytes, width: int, height: int) -> bytes:
    """An MP4 of MPEG-4 whose track header and sample description declare another size."""
    changed = bytearray(content)
    header = content.index(b"tkhd") + 4
    struct.pack_into(">II", changed, header + 76, width << 16, height << 16)
    entry = content.index(b"mp4v", content.index(b"stsd")) + 4
    struct.pack_into(">HH", changed, entry + 24, width, height)
    return bytes(changed)


def with_size_in_headers(content: bytes, width: int, height: int) -> bytes:
    """An AVI whose main header and stream format declare another size."""
    changed = bytearray(content)
    struct.pack_into("<II", changed, content.index(b"avih") + 40, width, height)
    struct.pack_into("<II", changed, content.index(b"strf") + 12, width, height)
    return bytes(changed)


def with_size_in_asf(content: bytes, width: int, height: int) -> bytes:
    """An ASF of 64x48 that declares another size, which the frames of WMV do not have in them."""
    size = struct.pack("<II", 64, 48)
    assert content.count(size) == 2
    return content.replace(size, struct.pack("<II", width, height))


def with_size_in_key_frame(content: bytes, width: int, height: int) -> bytes:
    """A WebM of VP8 whose key frame is of another size than the container declares."""
    changed = bytearray(content)
    struct.pack_into("<HH", changed, content.index(b"\x9d\x01\x2a") + 3, width, height)
    return bytes(changed)


def with_samples(content: bytes, count: int) -> bytes:
    """An MP4 that declares `count` frames of one byte in its first chunk."""
    changed = bytearray(content)
    struct.pack_into(">II", changed, content.index(b"stsz") + 8, 1, count)
    struct.pack_into(">III", changed, content.index(b"stsc") + 12, 1, count, 1)
    return bytes(changed)


def draw_unfolding(path: Path, size: tuple[int, int]) -> Path:
    """H.264 of one flat colour, of a few kB a frame, for which 16 frames have to be kept."""
    picture = av.VideoFrame(*size, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([90]) * plane.buffer_size)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = size
        stream.codec_context.thread_count = 1
        parameters = "ref=16:bframes=0:mbtree=0:rc-lookahead=0"
        stream.options = {"preset": "ultrafast", "x264-params": parameters}
        for index in range(18):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path

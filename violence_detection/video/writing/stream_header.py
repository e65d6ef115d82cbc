"""The header of a stream, from which packets can be written or decoded without the stream."""

import contextlib
import io
import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

_ROTATION = "rotation"  # the name of a note in the header
# From the name of the box in which MP4 keeps a matrix: version and flags, times of 32 or 64 bits,
# the track's number, layer and volume.
_MATRIX_PLACES = {0: 4 + 4 + 20 + 16, 1: 4 + 4 + 32 + 16}


def stream_header(stream: "av.VideoStream") -> bytes:
    """The codec, its parameters, size and rotation of a stream, from which a clip of it is written.

    It is a file in the NUT format, which keeps the parameters as they are, with an empty packet. It
    has no place for a rotation, which is a note in it.
    """
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as output:
        copied = output.add_stream_from_template(stream, opaque=True)
        copied.metadata[_ROTATION] = str(_rotation_of(stream))
        packet = av.Packet(b"\0")
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe = stream.time_base, True
        packet.stream = copied
        output.mux(packet)
    return buffer.getvalue()


@contextlib.contextmanager
def header_stream(header: bytes) -> Iterator["av.VideoStream"]:
    """The stream that a header of `stream_header` describes; for its rotation see `rotation_in`."""
    import av

    with av.open(io.BytesIO(header), format="nut") as container:
        yield container.streams.video[0]


def rotation_in(stream: "av.VideoStream") -> int:
    """Degrees by which frames of a stream of `header_stream` are turned to be upright, to the left;
    0, 90, 180 or 270."""
    return int(stream.metadata.get(_ROTATION, 0))


def _rotation_of(stream: "av.VideoStream") -> int:
    """The rotation that the container of an opened stream asks for.

    PyAV tells it with decoded frames only, so it is read from the MP4 header of a copy. A codec
    that MP4 does not hold has none.
    """
    import av

    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="mp4", options={"movflags": "empty_moov"}) as output:
            output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
    except (av.FFmpegError, ValueError):
        return 0
    header = buffer.getvalue()
    place = header.find(b"tkhd")
    if place < 0:
        return 0
    cosine, sine = struct.unpack_from(">ii", header, place + _MATRIX_PLACES[header[place + 4]])
    return round(-math.degrees(math.atan2(sine, cosine)) / 90) % 4 * 90

"""The header of a stream, from which packets can be written or decoded without the stream."""

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


def stream_header(stream: "av.VideoStream") -> bytes:
    """The codec, its parameters and the size of a stream, from which a clip of it is written.

    It is a file in the NUT format, which keeps the parameters as they are, with an empty packet.
    """
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as output:
        copied = output.add_stream_from_template(stream, opaque=True)
        packet = av.Packet(b"\0")
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe = stream.time_base, True
        packet.stream = copied
        output.mux(packet)
    return buffer.getvalue()


@contextlib.contextmanager
def header_stream(header: bytes) -> Iterator["av.VideoStream"]:
    """The stream that a header of `stream_header` describes."""
    import av

    with av.open(io.BytesIO(header), format="nut") as container:
        yield container.streams.video[0]

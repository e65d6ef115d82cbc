"""Chunks of a camera's images on their way from a capture to the judge, over a Unix socket."""

import socket
import struct
from pathlib import Path

from violence_detection.errors import VideoError
from violence_detection.live.processes.process_messages import MAX_IMAGE_BYTES, CameraChunk

_SIZES = struct.Struct(">II")  # bytes of the header, bytes of the images
_MAX_HEADER_BYTES = 2**20


def connect(address: Path, *, timeout_s: float) -> socket.socket:
    """A connection to a judge; sending takes at most `timeout_s` seconds.

    Raises:
        OSError: If no judge takes connections there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(str(address))
    except OSError:
        connection.close()
        raise
    return connection


def send_chunk(connection: socket.socket, chunk: CameraChunk) -> None:
    """Sends a chunk whole.

    Raises:
        OSError: If it cannot be sent in time. Then a part of it may have been sent, so that the
            connection cannot be used any more.
    """
    header = chunk.header()
    connection.sendall(_SIZES.pack(len(header), len(chunk.images)) + header)
    connection.sendall(chunk.images)


def receive_chunk(connection: socket.socket) -> CameraChunk | None:
    """The next chunk; None where the capture has closed the connection.

    Raises:
        OSError: If the connection fails.
        VideoError: If what comes is no chunk.
    """
    sizes = _receive(connection, _SIZES.size)
    if not sizes:
        return None
    header_bytes, image_bytes = _SIZES.unpack(sizes)
    if header_bytes > _MAX_HEADER_BYTES or image_bytes > MAX_IMAGE_BYTES:
        raise VideoError(
            f"A chunk must have at most {_MAX_HEADER_BYTES} + {MAX_IMAGE_BYTES} bytes. Received: "
            f"{header_bytes} + {image_bytes}"
        )
    header, images = _receive(connection, header_bytes), _receive(connection, image_bytes)
    return CameraChunk.from_parts(bytes(header), images)


def _receive(connection: socket.socket, size: int) -> bytearray:
    """So many bytes; none at all where the connection ends before the first or in between."""
    content, count = bytearray(size), 0
    while count < size:
        received = connection.recv_into(memoryview(content)[count:])
        if not received:
            return bytearray()
        count += received
    return content

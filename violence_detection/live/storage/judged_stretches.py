"""Windows of a camera as bytes: what the event store keeps of each minute."""

import struct
import zlib
from collections.abc import Iterable

from violence_detection.live.storage.event_records import JudgedStretch

# Each start as a difference from the one before: most are the stride, so that they shrink.
_ROW = struct.Struct("<qIf")


def pack_stretches(stretches: Iterable[JudgedStretch]) -> bytes:
    """Bytes of stretches, in their order.

    Raises:
        struct.error: If one ends before it starts, or is longer than 49 days.
    """
    rows, before = [], 0
    for start_ms, end_ms, probability in stretches:
        rows.append(_ROW.pack(start_ms - before, end_ms - start_ms, probability))
        before = start_ms
    return zlib.compress(b"".join(rows))


def unpack_stretches(content: bytes) -> tuple[JudgedStretch, ...]:
    """The stretches of bytes of `pack_stretches`.

    Raises:
        zlib.error, struct.error: If they are not.
    """
    stretches, start_ms = [], 0
    for step_ms, length_ms, probability in _ROW.iter_unpack(zlib.decompress(content)):
        start_ms += step_ms
        stretches.append(JudgedStretch(start_ms, start_ms + length_ms, probability))
    return tuple(stretches)


def float32(probability: float) -> float:
    """A probability as the store keeps it, so that a live policy and its replay see the same."""
    return struct.unpack("<f", struct.pack("<f", probability))[0]

"""ULIDs: ids of 26 characters that sort by the time at which they were made."""

import secrets
import threading
from collections.abc import Callable

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80
LENGTH = 26


class UlidMaker:
    """Makes ULIDs of which each is larger than the one before, also after the clock stepped back.

    An id of the same millisecond, or of an earlier one, is the last id plus a random step.
    """

    def __init__(self, now_ms: Callable[[], int], last: str = "") -> None:
        """
        Args:
            now_ms: UTC in milliseconds.
            last: The largest id that was made before; empty if there is none.
        """
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._last = _number(last)

    def new(self) -> str:
        with self._lock:
            value = (self._now_ms() << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
            if value >> _RANDOM_BITS <= self._last >> _RANDOM_BITS:
                value = self._last + 1 + secrets.randbits(32)
            self._last = value
            return _text(value)


def time_ms(ulid: str) -> int:
    """The UTC milliseconds in a ULID.

    Raises:
        ValueError: If it is not one.
    """
    if len(ulid) != LENGTH or ulid[0] > "7":
        raise ValueError(f"A ULID must have {LENGTH} characters. Received: {ulid[:40]!r}")
    return _number(ulid) >> _RANDOM_BITS


def lowest(time_ms: int) -> str:
    """The smallest ULID of a time, UTC in milliseconds: those of earlier times are smaller."""
    return _text(max(0, time_ms) << _RANDOM_BITS)


def _number(ulid: str) -> int:
    value = 0
    for character in ulid:
        value = value * 32 + _ALPHABET.index(character)
    return value


def _text(value: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(LENGTH)))

"""Limits of `export --fit`: what a file may weigh, take and lose."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from violence_detection.errors import ConfigError

# The measures of a file, and the side of the limit that fits.
MEASURES = {"mb": "<=", "zipped_mb": "<=", "ms": "<=", "auc": ">="}
_LIMIT = re.compile(r"(\w+)\s*(<=|>=)\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)", re.ASCII)


class Limit(NamedTuple):
    """A limit on a measure: `mb`, `zipped_mb` (10^6 bytes), `ms` (a clip on one thread) or `auc`
    (that of the file minus that of the run)."""

    measure: str
    value: float

    def __str__(self) -> str:
        return f"{self.measure}{MEASURES[self.measure]}{self.value:g}"

    def excess(self, measured: float | None) -> float:
        """By how much a value breaks the limit, as a fraction of it; 0 or less where it fits.
        A value that is not known fits no limit."""
        if measured is None:
            return float("inf")
        over = measured - self.value if MEASURES[self.measure] == "<=" else self.value - measured
        return over / max(abs(self.value), 1e-9)


def parse_limits(text: str) -> list[Limit]:
    """The limits of a text such as `mb<=4, ms<=60, auc>=-0.01`.

    Raises:
        ConfigError: If it is not one.
    """
    limits = []
    for part in text.split(","):
        match = _LIMIT.fullmatch(part.strip())
        if not match or MEASURES.get(match[1]) != match[2]:
            raise ConfigError(
                "`fit` must be limits such as 'mb<=4, ms<=60, auc>=-0.01', of mb, zipped_mb, ms "
                f"and auc, the difference from the run. Received: {text}"
            )
        limits.append(Limit(match[1], float(match[3])))
    if len({limit.measure for limit in limits}) < len(limits):
        raise ConfigError(f"`fit` must limit each measure once. Received: {text}")
    return limits


def canonical(text: str) -> str:
    """The canonical text of limits; see `parse_limits`."""
    return ", ".join(map(str, parse_limits(text)))


def unmet(limits: list[Limit], measured: Mapping[str, float | None]) -> list[Limit]:
    """The limits that a file breaks, by its measures."""
    return [limit for limit in limits if limit.excess(measured[limit.measure]) > 0]

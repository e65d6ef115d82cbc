"""Operating points as they are asked for: what a threshold is to reach."""

import re
from dataclasses import dataclass
from typing import Self

from violence_detection.errors import ConfigError

DEFAULT = "balanced_accuracy"
MAXIMISED = ("best_f1", "balanced_accuracy")
RATES = ("recall", "false_positive_rate")
FALSE_ALARMS_PER_HOUR = "false_alarms_per_hour"
_MOST_PER_HOUR = 3600.0
_MUST = (
    "`operating_point` must be best_f1, balanced_accuracy, recall=SHARE, "
    "false_positive_rate=SHARE or false_alarms_per_hour=NUMBER"
)


@dataclass(frozen=True)
class OperatingPoint:
    """One operating point.

    Attributes:
        kind: One of the names above.
        goal: What is to be reached: a share in (0, 1), or alarms per hour; None for what is to
            be best.
    """

    kind: str
    goal: float | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """From `recall=0.9` and the like.

        Raises:
            ConfigError: If it is none, or its number is out of range.
        """
        kind, equals, number = (part.strip() for part in text.partition("="))
        if kind in MAXIMISED and not equals:
            return cls(kind)
        if kind not in (*RATES, FALSE_ALARMS_PER_HOUR) or not equals:
            raise ConfigError(f"{_MUST}. Received: {text}")
        is_number = re.fullmatch(r"\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+", number, re.ASCII)
        goal = float(number) if is_number else 0.0
        high = 1.0 if kind in RATES else _MOST_PER_HOUR
        if not 0 < goal < high:
            raise ConfigError(
                f"`operating_point` {kind} must be a number > 0 and < {high:g}. Received: {text}"
            )
        return cls(kind, goal)

    def __str__(self) -> str:
        return self.kind if self.goal is None else f"{self.kind}={self.goal!r}"


def canonical(text: str) -> str:
    """The one way to write an operating point.

    Raises:
        ConfigError: If it is none.
    """
    return str(OperatingPoint.of(text))

"""Operating points: the criterion that a threshold must meet, as written in a setting."""

import re
from dataclasses import dataclass
from typing import Self

from violence_detection.errors import ConfigError

DEFAULT = "balanced_accuracy"
MAXIMISED = ("best_f1", "balanced_accuracy")
RATES = ("recall", "false_positive_rate")
FALSE_ALARMS_PER_HOUR = "false_alarms_per_hour"
_MAX_PER_HOUR = 3600.0
_FORM = (
    "`operating_point` must be best_f1, balanced_accuracy, recall=FRACTION, "
    "false_positive_rate=FRACTION or false_alarms_per_hour=NUMBER"
)


@dataclass(frozen=True)
class OperatingPoint:
    """A criterion for the choice of a threshold.

    Attributes:
        kind: The name of a rate: one of `MAXIMISED`, `RATES`, or `FALSE_ALARMS_PER_HOUR`.
        goal: The value to reach: a fraction in (0, 1), or alarms per hour; None for a rate that is
            maximised.
    """

    kind: str
    goal: float | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The operating point written as `best_f1` or `recall=0.9`.

        Raises:
            ConfigError: If `text` does not have this form, or its number is out of range.
        """
        kind, equals, number = (part.strip() for part in text.partition("="))
        if kind in MAXIMISED and not equals:
            return cls(kind)
        if kind not in (*RATES, FALSE_ALARMS_PER_HOUR) or not equals:
            raise ConfigError(f"{_FORM}. Received: {text}")
        is_number = re.fullmatch(r"\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+", number, re.ASCII)
        goal = float(number) if is_number else 0.0
        high = 1.0 if kind in RATES else _MAX_PER_HOUR
        if not 0 < goal < high:
            raise ConfigError(
                f"`operating_point` {kind} must be a number > 0 and < {high:g}. Received: {text}"
            )
        return cls(kind, goal)

    def __str__(self) -> str:
        return self.kind if self.goal is None else f"{self.kind}={self.goal!r}"


def canonical(text: str) -> str:
    """The canonical text of an operating point.

    Raises:
        ConfigError: If `text` is not an operating point.
    """
    return str(OperatingPoint.from_text(text))

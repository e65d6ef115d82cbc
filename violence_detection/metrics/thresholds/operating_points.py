"""Operating points: the criterion that a threshold must meet (`--operating-point`), and the
threshold that `threshold_selection` chose for it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

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


@dataclass(frozen=True)
class ChosenOperatingPoint:
    """A threshold that was chosen for an operating point, and the rates that it achieves.

    An interval is [low, high] at 95%, or None where it is not defined.

    Attributes:
        asked: The text of the `OperatingPoint`.
        threshold: On the probability of violence, in [0, 1].
        reason: The reason for the threshold, in words.
        interval: Interval of the threshold, chosen again in each resample; None if it was not
            chosen.
        achieved: Rates by name: recall, false_positive_rate, precision, f1 and balanced_accuracy
            on validation, in [0, 1]; with normal footage also false_alarms_per_hour, in alarms
            per hour.
        achieved_ci: The interval of each.
        chosen_on: The videos that the threshold was chosen on, in words; `from` in JSON.
        videos, recordings: Numbers of validation videos and of their recordings.
        hours: Hours of normal footage; None if the threshold was not chosen on it.
    """

    asked: str
    threshold: float
    reason: str
    interval: Sequence[float] | None
    achieved: Mapping[str, float]
    achieved_ci: Mapping[str, Sequence[float] | None]
    chosen_on: str
    videos: int
    recordings: int
    hours: float | None = None

    @property
    def is_chosen(self) -> bool:
        """False if the threshold is 0.5 because there was nothing to choose it on."""
        return self.interval is not None or self.hours is not None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; keys of a later version are left out.

        Raises:
            ConfigError: If a key is missing.
        """
        names = cls.__dataclass_fields__.keys()
        row = {"chosen_on" if name == "from" else name: value for name, value in values.items()}
        row = {name: value for name, value in row.items() if name in names}
        try:
            return cls(**row)
        except TypeError as error:
            raise ConfigError(
                "A chosen operating point must hold the keys that training and evaluation write. "
                f"Received: {', '.join(values)}"
            ) from error

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the record: `chosen_on` is `from`, and `hours` is absent if it is None."""
        return {
            "from" if name == "chosen_on" else name: value
            for name, value in vars(self).items()
            if name != "hours" or value is not None
        }


def canonical(text: str) -> str:
    """The canonical text of an operating point.

    Raises:
        ConfigError: If `text` is not an operating point.
    """
    return str(OperatingPoint.from_text(text))

"""Thresholds of single classes: the class that is predicted, and the score that alarms go by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from violence_detection.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np


def canonical(text: str) -> str:
    """The canonical text of `NAME=P,NAME=P`; see `ClassThresholds.from_text`."""
    return ",".join(f"{name}={value:g}" for name, value in _parse(text).items())


def _parse(text: str) -> dict[str, float]:
    values = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, separator, number = part.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not separator or not name.strip() or not 0 < value < 1 or name.strip() in values:
            raise ConfigError(
                "`class_threshold` must be NAME=P,NAME=P with each class once and P between 0 and "
                f"1. Received: {text}"
            )
        values[name.strip()] = value
    return values


@dataclass(frozen=True)
class ClassThresholds:
    """The threshold of violence, and classes that have one of their own.

    A class with a threshold of its own is predicted where its probability reaches it, and never
    below; its probability then counts for no other class. The other classes of violence are
    predicted where their probabilities together reach the threshold of violence. Of several the
    likeliest is predicted.

    Attributes:
        classes: Names, the normal class first.
        threshold: Of violence, on the score.
        own: Threshold by name, for the classes that have one.
    """

    classes: Sequence[str]
    threshold: float
    own: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None, classes: Sequence[str], threshold: float) -> Self:
        """The thresholds of `NAME=P,NAME=P`; None is no threshold of a class.

        Raises:
            ConfigError: If a name is no class of violence, or there are two classes only.
        """
        own = _parse(text or "")
        unknown = [name for name in own if name not in classes[1:]]
        if own and (unknown or len(classes) < 3):
            rule = f"among {', '.join(classes[1:])}"
            if len(classes) < 3:
                rule = "of a run with more than two classes; here --threshold says the same"
            raise ConfigError(
                f"The names in `class_threshold` must be {rule}. Received: "
                f"{', '.join(unknown or own)}"
            )
        return cls(classes, threshold, own)

    def decide(self, probability: "np.ndarray") -> "np.ndarray":
        """The predicted class of each row, int64 (N,).

        Args:
            probability: Probability of each class, float (N, K), the normal class first.
        """
        import numpy as np

        from violence_detection.models.outputs.classes import decide

        if not self.own:
            return decide(probability, self.threshold)
        violent = probability[:, 1:]
        allowed = violent >= self._limits()
        together = np.where(self._has_own(), 0.0, violent).sum(axis=1)
        allowed &= self._has_own() | (together >= self.threshold)[:, None]
        best = np.where(allowed, violent, -1.0).argmax(axis=1)
        return np.where(allowed.any(axis=1), 1 + best, 0)

    def score(self, probability: "np.ndarray") -> "np.ndarray":
        """The score of each row, float (...,) in [0, 1]: `threshold` or more where `decide` says
        violence.

        Without a threshold of a class it is the probability of violence. The probability of a
        class with a threshold of its own is stretched so that this threshold becomes that of
        violence; the score is the largest of these and the others' sum.

        Args:
            probability: Probability of each class, float (..., K), the normal class first.
        """
        import numpy as np

        from violence_detection.models.outputs.classes import violence_score

        if not self.own:
            return violence_score(probability)
        violent, limits = probability[..., 1:], self._limits()
        below = violent / np.maximum(limits, 1e-12) * self.threshold
        above = self.threshold + (violent - limits) / (1 - limits) * (1 - self.threshold)
        stretched = np.where(violent >= limits, above, np.nextafter(below, 0))
        together = np.where(self._has_own(), 0.0, violent).sum(axis=-1)
        own = np.where(self._has_own(), stretched, 0.0).max(axis=-1)
        return np.clip(np.maximum(together, own), 0.0, 1.0)

    def _has_own(self) -> "np.ndarray":
        """bool (K - 1,), for the classes of violence."""
        import numpy as np

        return np.array([name in self.own for name in self.classes[1:]])

    def _limits(self) -> "np.ndarray":
        """float64 (K - 1,); 0 for a class without a threshold of its own."""
        import numpy as np

        return np.array([self.own.get(name, 0.0) for name in self.classes[1:]])

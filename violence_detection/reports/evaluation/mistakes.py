"""The worst mistakes of an evaluation, as the report shows them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from violence_detection.models.neighbours.near_clip import NearClip

SCORE, ONE_CLASS_SCORE = "probability of violence", "score of the unusual"
NEAR_MISS = 0.1  # of probability: closer to the threshold, another video could have gone either way


@dataclass(frozen=True)
class ShownClip:
    """A training clip that is near to a mistake.

    Attributes:
        clip: Its key, class, recording and distance.
        image: A JPEG image of it, as a data URI; empty where the video cannot be shown.
    """

    clip: NearClip
    image: str = ""


@dataclass(frozen=True)
class Mistake:
    """A video that was predicted wrongly.

    Attributes:
        path: Key of the video in the manifest.
        label: Its class.
        group: Its recording.
        probability: The probability of violence, in [0, 1].
        predicted: The predicted class.
        attention: T weights over time that sum to 1; None for a head without attention.
        frames: JPEG images from start to end, as data URIs.
        missing_reason: The reason why there are no frames; empty if there are some.
        nearest: The nearest training clips, the nearest first; empty where they are not known.
        is_novel: True for a video that is unlike anything that the run was trained on.
    """

    path: str
    label: str
    group: str
    probability: float
    predicted: str
    attention: Sequence[float] | None = None
    frames: Sequence[str] = ()
    missing_reason: str = ""
    nearest: Sequence[ShownClip] = ()
    is_novel: bool = False

    def label_command(self, folder: str, label: str | None = None) -> str:
        """The command that gives the video the class that was predicted.

        Args:
            folder: The run or the features, as a command names them.
            label: The dataset's name of the class; None for the name that was predicted, empty
                where the dataset has none, which gives no command.
        """
        label = self.predicted if label is None else label
        if not label:
            return ""
        return shlex.join(["violence-detection", "label", folder, self.path, label])

    def is_near(self, threshold: float) -> bool:
        """True if the probability is within 0.1 of the threshold."""
        return abs(self.probability - threshold) < NEAR_MISS


@dataclass(frozen=True)
class MistakeSheet:
    """The most confident misses and false alarms.

    Attributes:
        misses: Violent videos without an alarm, the lowest probability first.
        false_alarms: Normal videos with an alarm, the highest probability first.
        blurred: Whether people in the frames were made hard to recognise.
    """

    misses: Sequence[Mistake] = ()
    false_alarms: Sequence[Mistake] = ()
    blurred: bool = False

    @property
    def all(self) -> list[Mistake]:
        return [*self.misses, *self.false_alarms]

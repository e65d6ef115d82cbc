"""The rules by which settings of a training follow from its dataset; no files, no TensorFlow."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from violence_detection.units import counted

MEASURED = "measured here"  # on the clips of docs/experiments.md
RULE = "a rule"
UNKNOWN = "not known"
GIVEN = "given"

MEASURED_VIDEOS = 2000  # datasets below are like the one that was measured
_LARGE_VIDEOS = 10_000
_BALANCED = 0.35  # smallest fraction of a class, of two
_FEWEST_STEPS, _MOST_STEPS = 300, 500  # of an epoch
_DEFAULT_BATCH, _LARGEST_BATCH = 32, 512
_RARE = 0.1  # fraction of a class from which on a batch of 32 has three videos of it


@dataclass(frozen=True)
class DatasetFacts:
    """The dataset as the rules need it.

    Attributes:
        counts: Videos of each class, the normal class first.
        train: Training videos of each class, in the same order.
        recordings: Number of recordings.
        recordings_known: True if the recording of every video is known.
        views: Further views of each video in the features.
        class_weights: Weight of each class with `use_class_weights`, by name.
    """

    counts: Mapping[str, int]
    train: Mapping[str, int]
    recordings: int
    recordings_known: bool
    views: int
    class_weights: Mapping[str, float]

    @property
    def videos(self) -> int:
        return sum(self.counts.values())

    @property
    def train_videos(self) -> int:
        return sum(self.train.values())

    @property
    def balance(self) -> dict[str, float]:
        """Fraction of each class among the training videos."""
        return {name: count / max(1, self.train_videos) for name, count in self.train.items()}

    @property
    def is_balanced(self) -> bool:
        # Of K classes, as much of an equal share as of two.
        return min(self.balance.values()) >= _BALANCED * 2 / len(self.counts)

    def to_json(self) -> dict[str, Any]:
        return {
            "videos": self.videos,
            "recordings": self.recordings,
            "classes": dict(self.counts),
            "balance": {name: round(value, 4) for name, value in self.balance.items()},
            "training_videos": self.train_videos,
            "recordings_known": self.recordings_known,
        }


@dataclass(frozen=True)
class Advice:
    """A setting of `train`, its reason, and the source of the reason.

    Attributes:
        source: `MEASURED`, `RULE`, `UNKNOWN` or `GIVEN`.
    """

    name: str
    value: Any
    reason: str
    source: str


def advise(facts: DatasetFacts, *, gpus: int) -> list[Advice]:
    """The advised settings of a training.

    Args:
        facts: The dataset.
        gpus: Number of GPUs of this machine.
    """
    return [
        _batch_size(facts),
        _learning_rate(facts),
        *_epochs(facts),
        *_imbalance(facts),
        _recording_weights(facts),
        _augmentation(facts),
        *_devices(facts, gpus),
    ]


def with_given(advised: Iterable[Advice], given: Mapping[str, Any]) -> list[Advice]:
    """The advised settings, in which what is given holds; further given settings come last."""
    values = dict(given)
    result = []
    for advice in advised:
        if advice.name in values:
            value = values.pop(advice.name)
            reason = f"the advice is {advice.value}: {advice.reason}"
            if value == advice.value:
                reason = f"as advised: {advice.reason}"
            advice = Advice(advice.name, value, reason, GIVEN)
        result.append(advice)
    return [*result, *(Advice(name, value, "no rule", GIVEN) for name, value in values.items())]


def batch_size_for(videos: int) -> int:
    """The batch size with which an epoch has 300 to 500 steps, where there are so many videos.

    32 for fewer. Powers of two come first, then multiples of 16; 512 at most.

    >>> batch_size_for(21_845)
    64
    """
    if videos <= _DEFAULT_BATCH * _MOST_STEPS:
        return _DEFAULT_BATCH
    powers = [2**k for k in range(5, 10)]
    for size in (*powers, *range(_DEFAULT_BATCH, _LARGEST_BATCH, 16)):
        if _FEWEST_STEPS <= math.ceil(videos / size) <= _MOST_STEPS:
            return size
    return _LARGEST_BATCH


def _batch_size(facts: DatasetFacts) -> Advice:
    videos = facts.train_videos
    size = batch_size_for(videos)
    steps = math.ceil(videos / size)
    text = f"{counted(videos, 'training video')} give {counted(steps, 'step')} an epoch"
    if size == _DEFAULT_BATCH and steps < _FEWEST_STEPS:
        if facts.videos < MEASURED_VIDEOS:
            return Advice("batch_size", size, f"{text}; 64 was no better on few videos", MEASURED)
        return Advice("batch_size", size, f"{text}; smaller batches are slower", RULE)
    return Advice("batch_size", size, f"{text}; 300 to 500 are usual", RULE)


def _learning_rate(facts: DatasetFacts) -> Advice:
    name, videos = "learning_rate", facts.videos
    if videos < MEASURED_VIDEOS:
        return Advice(
            name, 2e-4, f"of few videos ({videos}), 5e-4 overfits: 1 to 2 points worse", MEASURED
        )
    if videos >= _LARGE_VIDEOS and facts.is_balanced:
        return Advice(name, 5e-4, f"{videos} videos in balanced classes allow a higher rate", RULE)
    reason = "2e-4 is safe; between few videos and large balanced sets nothing was measured: tune"
    return Advice(name, 2e-4, reason, UNKNOWN)


def _epochs(facts: DatasetFacts) -> list[Advice]:
    if facts.videos < _LARGE_VIDEOS:
        source = MEASURED if facts.videos < MEASURED_VIDEOS else UNKNOWN
        return [
            Advice("epochs", 60, "a training that is no longer better ends earlier", source),
            Advice(
                "early_stopping_patience",
                15,
                "few validation recordings are noisy: epochs differ by chance",
                source,
            ),
        ]
    return [
        Advice("epochs", 40, "each epoch has hundreds of steps", RULE),
        Advice("early_stopping_patience", 8, "many validation videos tell epochs apart", RULE),
    ]


def _imbalance(facts: DatasetFacts) -> list[Advice]:
    shares = ", ".join(f"{name} {value:.0%}" for name, value in facts.balance.items())
    weights = ", ".join(f"{name} {value:.2f}" for name, value in facts.class_weights.items())
    rarest = min(facts.balance.values())
    loss = "focal(alpha=auto, gamma=2.0)"
    if len(facts.counts) == 2:
        alpha = "alpha is 0.5, because the class weights balance already"
    else:
        alpha = "alpha makes a model that knows nothing answer 50% violence"
    sampling = Advice("sampling", "natural", "each video once; the weights balance", RULE)
    if rarest < _RARE:
        sampling = Advice(
            "sampling",
            "sqrt",
            f"the rarest class has {rarest:.0%}: a batch of 32 has hardly any of it",
            RULE,
        )
    return [
        Advice("use_class_weights", True, f"{shares}: weights {weights}", RULE),
        Advice("loss", loss, f"{alpha}; cross-entropy was as good on balanced classes", MEASURED),
        sampling,
    ]


def _recording_weights(facts: DatasetFacts) -> Advice:
    if not facts.recordings_known:
        return Advice("recording_weights", "natural", "recordings are not known", RULE)
    reason = "clips of one recording are not independent; no stream was worse with it"
    return Advice("recording_weights", "sqrt", reason, MEASURED)


def _augmentation(facts: DatasetFacts) -> Advice:
    if facts.views:
        text = f"the features have {counted(facts.views, 'further view')}; +0.1 to +1.0 points"
        return Advice("augment", "views", text, MEASURED)
    reason = "mixup gained nothing; views (extract-features --views 1) +0.1 to +1.0 points"
    return Advice("augment", "none", reason, MEASURED)


def _devices(facts: DatasetFacts, gpus: int) -> list[Advice]:
    if not gpus:
        return [
            Advice("mixed_precision", False, "without a GPU a step gains nothing by it", RULE),
            Advice("xla", False, "on a CPU, compiling takes longer than it saves", RULE),
        ]
    large = facts.videos >= MEASURED_VIDEOS
    reason = "half the transfer and faster products" if large else "an epoch takes a second anyway"
    return [
        Advice("mixed_precision", large, reason, RULE),
        Advice("xla", large, "train times both and takes the faster" if large else reason, RULE),
    ]

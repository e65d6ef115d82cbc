"""Names of outputs, tolerances, and the message of a missing extra, shared by the formats."""

import importlib.util
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from violence_detection.system.requirements import install_command

PROBABILITY, PROBABILITIES = "probability", "probabilities"  # outputs of a model
ANOMALY_SCORE = "anomaly_score"  # where the run has anomaly outputs
FEATURES, FRAMES, FPS = "features", "frames", "fps"  # its inputs

ClipFunction = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


class Tolerance(NamedTuple):
    """The largest difference allowed between the predictions of a file and of its source model.

    Attributes:
        difference: The largest difference of a probability, on every clip.
        agreement: The least fraction of clips with the same decision.
    """

    difference: float
    agreement: float = 0.0


EXACT = Tolerance(1e-3)
COARSE = Tolerance(1.0, agreement=0.98)  # int8 changes decisions near the threshold


def missing_extra(extra: str, *modules: str) -> str:
    """The extra to install if one of `modules` is not installed, and how; else empty."""
    if all(map(importlib.util.find_spec, modules)):
        return ""
    return f"the extra `{extra}`: {install_command(extra)}"

"""What the formats share: how far answers may be off, and who is told what to install."""

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

PROBABILITY, PROBABILITIES = "probability", "probabilities"  # what a model gives

ClipFunction = Callable[[np.ndarray], dict[str, np.ndarray]]


class Tolerance(NamedTuple):
    """How far an exported model's answers may be from those of the model that it was made of.

    Attributes:
        difference: Of a probability, on every clip.
        agreement: Share of clips with the same decision, at least.
    """

    difference: float
    agreement: float = 0.0


EXACT = Tolerance(1e-3)
COARSE = Tolerance(1.0, agreement=0.98)  # eight bits move what lies near the threshold


def missing_extra(extra: str, *modules: str) -> str:
    """The extra that brings `modules`, where one of them is not there; else nothing."""
    if all(map(importlib.util.find_spec, modules)):
        return ""
    return f"the extra `{extra}`: pip install 'violence-detection[{extra}]'"

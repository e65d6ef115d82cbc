"""A training clip that is near to another clip."""

from typing import NamedTuple


class NearClip(NamedTuple):
    """A training clip that is near to another clip.

    Attributes:
        path, label, group: Its key in the dataset, its class and its recording.
        distance: Euclidean, of standardised statistics; as a multiple of the limit of novelty
            where the run has one.
    """

    path: str
    label: str
    group: str
    distance: float

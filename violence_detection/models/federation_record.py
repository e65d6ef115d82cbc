"""The sites that a run was trained over, as its record has them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class TrainedSite:
    """A site of a federation; its videos and recordings are named nowhere.

    Attributes:
        site: Its number.
        name: Its name; empty if it gave none.
        videos: Number of its videos by split.
        by_class: Number of its training videos by class.
        recordings: Number of its recordings.
        videos_digest: Digest of the contents of its videos, by which it tells itself.
        rounds: Rounds of training that it took part in.
    """

    site: int
    name: str
    videos: Mapping[str, int]
    by_class: Mapping[str, int]
    recordings: int
    videos_digest: str
    rounds: int


@dataclass(frozen=True)
class FederationRecord:
    """The record of a training over sites.

    Attributes:
        algorithm: How the weights of the sites are joined.
        rounds: Rounds of training.
        local_epochs: Epochs of a site in a round.
        sites: In the order of their numbers.
    """

    algorithm: str
    rounds: int
    local_epochs: int
    sites: tuple[TrainedSite, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; keys of a newer version are left out.

        Raises:
            KeyError, TypeError: If a key is missing.
        """
        names = [field.name for field in dataclasses.fields(TrainedSite)]
        sites = [TrainedSite(**{name: site[name] for name in names}) for site in values["sites"]]
        return cls(values["algorithm"], values["rounds"], values["local_epochs"], tuple(sites))

    def to_json(self) -> dict[str, Any]:
        """The entry `federation` of the run's record."""
        return dataclasses.asdict(self)

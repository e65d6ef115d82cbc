"""The record of a round: the sites that took part, their figures, and who was left out and why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

TABLE_COLUMNS = (
    *("round", "kind", "site", "name", "videos", "loss"),
    *("validation_videos", "val_loss", "val_accuracy", "val_auc", "seconds", "left_out"),
)


@dataclass(frozen=True)
class FederatedSite:
    """A site that took part in round 0.

    Attributes:
        number: From 1, in the order of the sites' ids.
        id: By which its updates are told from those of others.
        name: As the site gave it; empty for none.
        videos_digest: SHA-256 of its videos.
        videos: Number of videos by split.
        by_class: Number of training videos of each class.
        recordings: Number of recordings of its training videos; one of two classes counts twice.
        window_s: Median duration of its training videos.
    """

    number: int
    id: str
    name: str
    videos_digest: str
    videos: Mapping[str, int]
    by_class: Mapping[str, int]
    recordings: int
    window_s: float

    @property
    def label(self) -> str:
        """`site 2`, or `site 2 (name)`."""
        return f"site {self.number} ({self.name})" if self.name else f"site {self.number}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**values)


@dataclass(frozen=True)
class SiteRound:
    """A site in a round.

    Attributes:
        site: Its number.
        name: Empty for none.
        videos: Its training videos, by which its weights count.
        loss: Mean training loss; None in rounds without training.
        validation: `videos`, `loss`, `accuracy` and `auc` of the weights that the round began with;
            empty where the site has no validation videos.
        seconds: How long it trained; 0 in rounds without training.
    """

    site: int
    name: str
    videos: int
    loss: float | None = None
    validation: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class LeftOut:
    """An update that had no part in a round, or a site that sent none.

    Attributes:
        what: The file, or the site.
        reason: In words.
    """

    what: str
    reason: str


@dataclass(frozen=True)
class RoundRecord:
    """A round that is closed.

    Attributes:
        round: Its number, from 0.
        kind: `statistics`, `weights` or `scores`.
        sites: Those that took part.
        left_out: Updates and sites without a part.
        seconds: How long the coordinator's part took.
    """

    round: int
    kind: str
    sites: Sequence[SiteRound]
    left_out: Sequence[LeftOut] = ()
    seconds: float = 0.0

    def mean(self, name: str) -> float | None:
        """The mean of `loss` over the sites by training videos, or of `val_loss`, `val_accuracy`
        or `val_auc` by validation videos; None where no site has it."""
        if name == "loss":
            pairs = [(row.loss, row.videos) for row in self.sites]
        else:
            key = name.removeprefix("val_")
            pairs = [
                (row.validation[key], row.validation["videos"])
                for row in self.sites
                if row.validation
            ]
        pairs = [(value, weight) for value, weight in pairs if value is not None]
        if not pairs:
            return None
        return sum(value * weight for value, weight in pairs) / sum(w for _, w in pairs)

    def table_rows(self) -> list[dict[str, Any]]:
        """A row for each site and for each thing left out, see `TABLE_COLUMNS`."""
        common = {"round": self.round, "kind": self.kind}
        rows = [
            common
            | {
                "site": row.site,
                "name": row.name,
                "videos": row.videos,
                "loss": row.loss,
                "validation_videos": row.validation.get("videos"),
                "val_loss": row.validation.get("loss"),
                "val_accuracy": row.validation.get("accuracy"),
                "val_auc": row.validation.get("auc"),
                "seconds": row.seconds,
            }
            for row in self.sites
        ]
        return rows + [
            common | {"name": item.what, "left_out": item.reason} for item in self.left_out
        ]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            values["round"],
            values["kind"],
            [SiteRound(**row) for row in values["sites"]],
            [LeftOut(**row) for row in values["left_out"]],
            values["seconds"],
        )

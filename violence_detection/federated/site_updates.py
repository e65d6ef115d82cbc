"""The updates of a round: which count, and the reason why each other one is left out."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.federated import update_file
from violence_detection.federated.config import is_site_name
from violence_detection.federated.federation import Federation
from violence_detection.federated.round_record import FederatedSite, LeftOut, SiteRound
from violence_detection.federated.update_file import BadUpdateError

_MOST_TEXT = 200


@dataclass(frozen=True)
class SiteUpdate:
    """An update of the present round whose facts are as they should be.

    Attributes:
        path: The file.
        site: The id of its site.
        name: Of the site; empty for none.
        facts: All facts; those that are not named here are checked by whoever reads them.
    """

    path: Path
    site: str
    name: str
    facts: Mapping[str, Any]

    def read_arrays(
        self, expected: Mapping[str, tuple[str, tuple[int, ...]]]
    ) -> dict[str, np.ndarray]:
        """See `update_file.decode_arrays`.

        Raises:
            BadUpdateError: If the file or an array is not as expected.
        """
        content = update_file.read(self.path)
        if update_file.decode_facts(content) != self.facts:
            raise BadUpdateError("it changed while it was read")
        return update_file.decode_arrays(content, expected)


def sorted_updates(
    paths: Sequence[Path], federation: Federation, left_out: list[LeftOut]
) -> list[SiteUpdate]:
    """The updates of the present round, in the order of the sites' ids and of the files' names.

    Args:
        paths: The files.
        federation: As the round began.
        left_out: Gets every other file, with the reason.
    """
    updates = []
    for path in sorted(paths):
        with leaving_out(left_out, path.name):
            updates.append(_read(path, federation))
    return sorted(updates, key=lambda update: update.site)


@contextlib.contextmanager
def leaving_out(left_out: list[LeftOut], what: str) -> Iterator[None]:
    """Context manager: a bad update is added to `left_out` and ends the block."""
    try:
        yield
    except BadUpdateError as error:
        left_out.append(LeftOut(what, str(error)))


def usable(
    updates: Sequence[SiteUpdate],
    left_out: list[LeftOut],
    read: Callable[[SiteUpdate], Any],
) -> list[tuple[SiteUpdate, Any]]:
    """The first update of each site that `read` can read, with the result; the others are left
    out."""
    pairs: dict[str, tuple[SiteUpdate, Any]] = {}
    for update in updates:
        with leaving_out(left_out, update.path.name):
            if update.site in pairs:
                raise BadUpdateError(f"its site has sent {pairs[update.site][0].path.name} too")
            pairs[update.site] = (update, read(update))
    return list(pairs.values())


def check_site(update: SiteUpdate, sites: Mapping[str, FederatedSite]) -> None:
    """Checks that an update is of a site of round 0, with the videos that it had then.

    Raises:
        BadUpdateError: If not.
    """
    site = sites.get(update.site)
    if site is None:
        raise BadUpdateError("its site had no part in round 0")
    if update.facts.get("videos_digest") != site.videos_digest:
        raise BadUpdateError(f"the videos of {site.label} have changed since round 0")


def site_round(update: SiteUpdate, site: FederatedSite) -> SiteRound:
    """The figures of a site in a round.

    Raises:
        BadUpdateError: If one is no number, or not finite.
    """
    facts = update.facts
    validation = facts.get("validation")
    if not isinstance(validation, dict):
        raise BadUpdateError("it has no validation figures")
    figures: dict[str, float | None] = {}
    if validation:
        figures = {
            "videos": int(_number(validation.get("videos"), 1, 1e7)),
            "loss": _number(validation.get("loss"), 0, 1e6),
            "accuracy": _number(validation.get("accuracy"), 0, 1),
            "auc": None if validation.get("auc") is None else _number(validation.get("auc"), 0, 1),
        }
    return SiteRound(
        site.number,
        site.name,
        site.videos["train"],
        _number(facts["loss"], 0, 1e6) if "loss" in facts else None,
        figures,
        _number(facts.get("seconds", 0.0), 0, 1e9),
    )


def _number(value: Any, low: float, high: float) -> float:
    if type(value) not in (int, float) or not low <= value <= high:
        raise BadUpdateError("a figure of it is no number in its range")
    return float(value)


def _read(path: Path, federation: Federation) -> SiteUpdate:
    facts = update_file.decode_facts(update_file.read(path))
    if facts.get("federation") != federation.id:
        raise BadUpdateError("it is of another federation")
    if facts.get("round") != federation.round or facts.get("kind") != federation.kind:
        text = str(facts.get("round"))[:10]
        raise BadUpdateError(f"it is of round {text}, and this is round {federation.round}")
    if facts.get("model_digest") != federation.model_digest:
        raise BadUpdateError("it was not made from the model of this round")
    site, name = facts.get("site"), facts.get("name")
    if not isinstance(site, str) or not 1 <= len(site) <= _MOST_TEXT or not site.isalnum():
        raise BadUpdateError("it does not say which site it is of")
    if name != "" and not (isinstance(name, str) and is_site_name(name)):
        raise BadUpdateError("the name of its site is not usable")
    return SiteUpdate(path, site, name, facts)

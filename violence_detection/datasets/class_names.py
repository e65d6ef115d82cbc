"""Names of classes: the normal class by its name, and one name in two spellings."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from violence_detection.errors import ConfigError, DatasetError

# The class of what a detector of normal videos alone finds: unusual, and not necessarily violent.
UNUSUAL = "unusual"

_NORMAL_WORDS = frozenset(
    "calm harmless negative neutral none nothing peaceful safe background noevent".split()
)

# UCF-Crime has Normal_Videos_event, Testing_Normal_Videos_Anomaly, Normal_Videos_for_Event_…
_NORMAL_VIDEOS = re.compile(
    r"(?:train|training|test|testing|val|validation)?(?:videos?|clips?)?normals?"
    r"(?:videos?|clips?|events?|for|recognition|anomaly|behaviou?rs?|activity|activities|actions?"
    r"|scenes?|footage|part|class|\d)*"
)

_VIOLENT_STEMS = (
    "violen fight aggress assault attack abus abnormal anomal crime incident threat event"
).split()

_NEGATED = re.compile(r"(?:non|not|no)(.+)")


def is_one_class(classes: Sequence[str]) -> bool:
    """True for the classes of a detector of normal videos alone: the normal one, and `unusual`."""
    return list(classes[1:]) == [UNUSUAL]


def normal_class(labels: Iterable[str], asked: str | None = None) -> str:
    """The normal class: `asked`, else the label that is recognised by its name.

    Case and punctuation do not count, nor do digits before it: `nonviolent`, `Non_Violence`,
    `0_noFight`, `Normal_Videos_event`.

    Args:
        labels: All labels of a dataset.
        asked: Name given by the user.

    Raises:
        ConfigError: If `asked` is not a label, or not exactly one label is recognised.
    """
    labels = sorted(set(labels))
    if asked is not None:
        if asked not in labels:
            raise ConfigError(
                f"--normal-class must be one of {', '.join(labels)}. Received: {asked}"
            )
        return asked
    words = {label: plain_name(label).lstrip("0123456789") for label in labels}
    recognised = [label for label in labels if _is_normal(words[label], words.values())]
    if len(recognised) != 1:
        which = f"recognised: {', '.join(recognised)}" if recognised else "none is recognised"
        raise ConfigError(
            "Exactly one class must be recognised as the normal class; name it with "
            "--normal-class, or call the class without violence nonviolent. Received: "
            f"{', '.join(labels)} ({which})"
        )
    return recognised[0]


def plain_name(label: str) -> str:
    """A label for comparisons: without case and punctuation."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", label).casefold())


def spellings(labels: Iterable[str]) -> list[list[str]]:
    """The labels that differ from another by case, blanks or punctuation alone, each with those."""
    by_name = defaultdict(set)
    for label in labels:
        by_name[plain_name(label) or label].add(label)
    return [sorted(names) for names in by_name.values() if len(names) > 1]


def check_spellings(labels: Iterable[str]) -> None:
    """Checks that no class has two spellings: a model would learn to tell them apart.

    Raises:
        DatasetError: If two labels differ by case, blanks or punctuation alone.
    """
    if same := spellings(labels):
        listed = "; ".join(" and ".join(map(repr, names)) for names in same)
        raise DatasetError(
            "Classes must differ by more than case, blanks and punctuation; give each one "
            f"spelling, or one folder. Received: {listed}"
        )


def _is_normal(plain: str, others: Iterable[str]) -> bool:
    if plain in _NORMAL_WORDS or _NORMAL_VIDEOS.fullmatch(plain):
        return True
    negated = _NEGATED.fullmatch(plain)
    if not negated:
        return False
    rest = negated[1]
    if rest in _NORMAL_WORDS or _NORMAL_VIDEOS.fullmatch(rest):
        return False
    return rest in others or any(rest.startswith(stem) for stem in _VIOLENT_STEMS)

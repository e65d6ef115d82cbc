"""Which of some classes is the one in which nothing happens, told by its name."""

import re
from collections.abc import Iterable

from violence_detection.errors import ConfigError

_NORMAL_WORDS = frozenset(
    "normal normals normalvideos calm harmless negative neutral none nothing peaceful safe "
    "background noevent".split()
)
_VIOLENT_STEMS = (
    "violen fight aggress assault attack abus abnormal anomal crime incident threat event"
).split()
_NEGATED = re.compile(r"(?:non|not|no)(.+)")


def normal_class(labels: Iterable[str], asked: str | None = None) -> str:
    """The class in which nothing happens: `asked`, else recognised by its name.

    Case and punctuation do not count: `nonviolent`, `Non_Violence`, `noFight`, `normal`.

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
    words = {label: plain(label) for label in labels}
    recognised = [label for label in labels if _is_normal(words[label], words.values())]
    if len(recognised) != 1:
        raise ConfigError(
            "Exactly one class must be recognised as the normal one; name it with "
            f"--normal-class. Received: {', '.join(labels)}"
        )
    return recognised[0]


def plain(label: str) -> str:
    """A label as it is compared with others: case and punctuation do not count."""
    return re.sub(r"[\W_]+", "", label.casefold())


def _is_normal(plain: str, others: Iterable[str]) -> bool:
    if plain in _NORMAL_WORDS:
        return True
    negated = _NEGATED.fullmatch(plain)
    if not negated:
        return False
    rest = negated[1]
    if rest in _NORMAL_WORDS:
        return False
    return rest in others or any(rest.startswith(stem) for stem in _VIOLENT_STEMS)

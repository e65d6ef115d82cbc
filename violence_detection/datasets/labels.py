"""Class labels: the normal class recognised by its name, and names mapped between datasets."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError

_NORMAL_WORDS = frozenset(
    "normal normals normalvideos calm harmless negative neutral none nothing peaceful safe "
    "background noevent".split()
)


_VIOLENT_STEMS = (
    "violen fight aggress assault attack abus abnormal anomal crime incident threat event"
).split()


_NEGATED = re.compile(r"(?:non|not|no)(.+)")


def normal_class(labels: Iterable[str], asked: str | None = None) -> str:
    """The normal class: `asked`, else the label that is recognised by its name.

    Case and punctuation do not count: `nonviolent`, `Non_Violence`, `noFight`, `normal`.

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
    words = {label: plain_name(label) for label in labels}
    recognised = [label for label in labels if _is_normal(words[label], words.values())]
    if len(recognised) != 1:
        raise ConfigError(
            "Exactly one class must be recognised as the normal class; name it with "
            f"--normal-class. Received: {', '.join(labels)}"
        )
    return recognised[0]


def plain_name(label: str) -> str:
    """A label for comparisons: without case and punctuation."""
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


def label_mapping(classes: Sequence[str], labels: Iterable[str]) -> dict[str, str]:
    """The class of a run for each label of a dataset.

    A label is the class of the same name, case and punctuation aside. If some labels have none,
    and both run and dataset have two classes, the normal class is mapped to the normal class and
    the violent class to the violent class.

    Args:
        classes: Classes of the run, the normal class first.
        labels: Labels of the videos.

    Raises:
        CacheError: If a label has no class.
    """
    labels = sorted(set(labels))
    names = {plain_name(name): name for name in classes}
    mapping = {label: names.get(plain_name(label)) for label in labels}
    if not all(mapping.values()) and len(classes) == 2 and len(labels) == 2:
        mapping = _map_two_classes(classes, labels)
    unmapped = [label for label in labels if not mapping[label]]
    if unmapped or len(set(mapping.values())) < len(labels):
        raise CacheError(
            f"Labels must be among the run's classes, {', '.join(classes)}, or be two of which "
            f"one is recognised as the normal class. Received: {', '.join(unmapped or labels)}"
        )
    return mapping


def _map_two_classes(classes: Sequence[str], labels: Sequence[str]) -> dict[str, str | None]:
    try:
        normal = normal_class(labels)
    except ConfigError:
        return dict.fromkeys(labels)
    return {label: classes[0] if label == normal else classes[1] for label in labels}


def with_class_names(
    entries: Sequence[ManifestEntry], classes: Sequence[str]
) -> list[ManifestEntry]:
    """The entries with the class names of a run as labels; see `label_mapping`.

    Raises:
        CacheError: If a label has no class.
    """
    mapping = label_mapping(classes, (entry.label for entry in entries))
    return [dataclasses.replace(entry, label=mapping[entry.label]) for entry in entries]


def renamed_labels(classes: Sequence[str], entries: Iterable[ManifestEntry]) -> dict[str, str]:
    """The class of a run for each label that has another name there."""
    mapping = label_mapping(classes, (entry.label for entry in entries))
    return {label: name for label, name in mapping.items() if label != name}


def classes_of(entries: list[ManifestEntry], asked: str | None = None) -> list[str]:
    """Names of the classes, the normal class first.

    Raises:
        CacheError: If there are fewer than two.
        ConfigError: If `asked` is not among them, or the normal class is not recognised.
    """
    labels = sorted({entry.label for entry in entries})
    if len(labels) < 2:
        raise CacheError(
            f"There must be readable videos of two classes. Received: {', '.join(labels)}"
        )
    normal = normal_class(labels, asked)
    return [normal, *(label for label in labels if label != normal)]

"""Classes of one dataset in the words of another: `fight` here is `violent` there."""

import dataclasses
from collections.abc import Iterable, Sequence

from violence_detection.errors import CacheError, ConfigError
from violence_detection.manifest import Entry
from violence_detection.normal import normal_class, plain


def mapping(classes: Sequence[str], labels: Iterable[str]) -> dict[str, str]:
    """What each label is called by a run.

    Labels are classes of the same name, case and punctuation aside. Where that leaves some over,
    and there are two of either, the normal one is the normal one and the other the other.

    Args:
        classes: Of the run, the normal one first.
        labels: Of the videos.

    Raises:
        CacheError: If a label is none of the classes.
    """
    labels = sorted(set(labels))
    called = {plain(name): name for name in classes}
    found = {label: called.get(plain(label)) for label in labels}
    if not all(found.values()) and len(classes) == 2 and len(labels) == 2:
        found = _of_two(classes, labels)
    over = [label for label in labels if not found[label]]
    if over or len(set(found.values())) < len(labels):
        raise CacheError(
            f"Labels must be among the run's classes, {', '.join(classes)}, or be two of which "
            f"one is recognised as the normal one. Received: {', '.join(over or labels)}"
        )
    return found


def _of_two(classes: Sequence[str], labels: Sequence[str]) -> dict[str, str | None]:
    try:
        normal = normal_class(labels)
    except ConfigError:
        return dict.fromkeys(labels)
    return {label: classes[0] if label == normal else classes[1] for label in labels}


def renamed(entries: Sequence[Entry], classes: Sequence[str]) -> list[Entry]:
    """The videos, their labels in the run's words.

    Raises:
        CacheError: If a label is none of its classes.
    """
    called = mapping(classes, (entry.label for entry in entries))
    return [dataclasses.replace(entry, label=called[entry.label]) for entry in entries]


def changed(classes: Sequence[str], entries: Iterable[Entry]) -> dict[str, str]:
    """The labels that have another name in the run, and which."""
    called = mapping(classes, (entry.label for entry in entries))
    return {label: name for label, name in called.items() if label != name}

"""Class labels mapped between datasets, and the classes of cached videos."""

import dataclasses
from collections.abc import Iterable, Sequence

from violence_detection.datasets.class_names import (
    UNUSUAL,
    check_spellings,
    is_one_class,
    normal_class,
    plain_name,
)
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError


def label_mapping(classes: Sequence[str], labels: Iterable[str]) -> dict[str, str]:
    """The class of a run for each label of a dataset.

    A label is the class of the same name, case and punctuation aside. If some labels have none,
    and both run and dataset have two classes, the normal class is mapped to the normal class and
    the violent class to the violent class. Of a run that was trained on normal videos alone the
    second class is `unusual`, to which all labels but the normal one are mapped.

    Args:
        classes: Classes of the run, the normal class first.
        labels: Labels of the videos.

    Raises:
        CacheError: If a label has no class.
    """
    labels = sorted(set(labels))
    if is_one_class(classes) and not set(labels) <= set(classes):
        return _map_to_unusual(classes[0], labels)
    names = {plain_name(name): name for name in classes}
    mapping = {
        label: label if label in classes else names.get(plain_name(label)) for label in labels
    }
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


def _map_to_unusual(normal: str, labels: Sequence[str]) -> dict[str, str]:
    own = normal
    if normal not in labels:
        try:
            own = normal_class(labels)
        except ConfigError as error:
            raise CacheError(str(error)) from error
    return {label: normal if label == own else UNUSUAL for label in labels}


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
        DatasetError: If a class has two spellings.
    """
    labels = sorted({entry.label for entry in entries})
    if len(labels) < 2:
        raise CacheError(
            "There must be readable videos of two classes (train --one-class learns from normal "
            f"videos alone). Received: {', '.join(labels) or 'none'}"
        )
    check_spellings(labels)
    normal = normal_class(labels, asked)
    return [normal, *(label for label in labels if label != normal)]


def is_violent_label(label: str, classes: Sequence[str]) -> bool:
    """True for a label of another class than the normal one, the first of the classes."""
    return label != classes[0]


def normal_entries(
    entries: Sequence[ManifestEntry], asked: str | None = None
) -> tuple[list[ManifestEntry], list[str]]:
    """The videos of the normal class, and the classes of a detector that learns from these alone:
    the normal one, and `unusual`.

    Raises:
        ConfigError: If `asked` is not among the labels, or the normal class is not recognised.
    """
    normal = normal_class({entry.label for entry in entries}, asked)
    return [entry for entry in entries if entry.label == normal], [normal, UNUSUAL]

"""Labels of another dataset are understood, or refused by name."""

import pytest

from violence_detection.datasets.labels import label_mapping, renamed_labels, with_class_names
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError


@pytest.mark.parametrize(
    ("classes", "labels", "called"),
    [
        (("nonviolent", "violent"), ("nonviolent", "violent"), {}),
        (("nonviolent", "violent"), ("violent",), {}),
        (
            ("nonviolent", "violent"),
            ("Fight", "noFight"),
            {"Fight": "violent", "noFight": "nonviolent"},
        ),
        (
            ("normal", "violent"),
            ("Violent", "nonviolent"),
            {"Violent": "violent", "nonviolent": "normal"},
        ),
        (
            ("calm", "kick", "punch"),
            ("Punch", "kick", "calm"),
            {"Punch": "punch"},
        ),
    ],
)
def test_labels_get_the_names_of_the_run(classes, labels, called):
    found = label_mapping(classes, labels)
    assert found == {label: called.get(label, label) for label in labels}
    entries = [ManifestEntry(path=x, label=x, group=x, split="test") for x in labels]
    assert renamed_labels(classes, entries) == called
    renamed = with_class_names(entries, classes)
    assert [one.label for one in renamed] == [called.get(x, x) for x in labels]


@pytest.mark.parametrize(
    ("classes", "labels", "over"),
    [
        (("calm", "violent"), ("calm", "robbery", "violent"), "Received: robbery"),
        (("calm", "kick", "punch"), ("calm", "fight"), "Received: fight"),
        (("calm", "violent"), ("this", "that"), "Received: that, this"),
        (("calm", "violent"), ("noFight",), "Received: noFight"),
        (("calm", "violent"), ("violent", "Violent"), "Received: Violent, violent"),
    ],
)
def test_what_cannot_be_understood_is_named(classes, labels, over):
    with pytest.raises(CacheError, match="must be among the run's classes, calm") as it:
        label_mapping(classes, labels)
    assert str(it.value).endswith(over)

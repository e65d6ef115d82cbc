"""The normal class is recognised, and labels of another dataset are mapped or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.datasets.class_names import check_spellings, normal_class
from violence_detection.datasets.labels import label_mapping, renamed_labels, with_class_names
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError, DatasetError


@pytest.mark.parametrize(
    ("classes", "labels", "names"),
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
def test_labels_get_the_names_of_the_run(classes, labels, names):
    assert label_mapping(classes, labels) == {label: names.get(label, label) for label in labels}
    entries = [ManifestEntry(path=x, label=x, group=x, split="test") for x in labels]
    assert renamed_labels(classes, entries) == names
    renamed = with_class_names(entries, classes)
    assert [entry.label for entry in renamed] == [names.get(x, x) for x in labels]


@pytest.mark.parametrize(
    ("classes", "labels", "received"),
    [
        (("calm", "violent"), ("calm", "robbery", "violent"), "Received: robbery"),
        (("calm", "kick", "punch"), ("calm", "fight"), "Received: fight"),
        (("calm", "violent"), ("this", "that"), "Received: that, this"),
        (("calm", "violent"), ("noFight",), "Received: noFight"),
        (("calm", "violent"), ("violent", "Violent"), "Received: Violent, violent"),
    ],
)
def test_a_label_without_a_class_is_refused_by_name(classes, labels, received):
    with pytest.raises(CacheError, match="must be among the run's classes, calm") as raised:
        label_mapping(classes, labels)
    assert str(raised.value).endswith(received)


# -- the normal class


@pytest.mark.parametrize(
    ("normal", "violent"),
    [
        ("nonviolent", "violent"),
        ("Non_Violence", "Violence"),
        ("NonViolence", "Violence"),
        ("non-violence", "violence"),
        ("noFight", "fight"),
        ("no fight", "fight"),
        ("NOT_FIGHTING", "Fighting"),
        ("NonFight", "Fight"),
        ("normal", "abnormal"),
        ("Normal", "Anomaly"),
        ("Normal_Videos", "Assault"),
        ("negative", "positive"),
        ("none", "violent"),
        ("no-incident", "incident"),
        ("No Fall", "Fall"),  # the negation of the other class
        ("normal", "not normal"),
        ("safe", "dangerous"),
    ],
)
def test_the_normal_class_is_recognised_by_its_name(normal, violent):
    assert normal_class([violent, normal]) == normal


@pytest.mark.parametrize(
    "labels", [("a", "b"), ("normal", "noFight"), ("fight", "Nottingham"), ("0", "1")]
)
def test_an_ambiguous_normal_class_is_an_error(labels):
    with pytest.raises(ConfigError) as raised:
        normal_class(labels)
    assert str(raised.value).startswith(
        "Exactly one class must be recognised as the normal class; name it with --normal-class, or "
        f"call the class without violence nonviolent. Received: {', '.join(sorted(labels))} ("
    )


def test_the_normal_class_can_be_named():
    assert normal_class(["a", "normal"], asked="a") == "a"
    with pytest.raises(ConfigError, match="^--normal-class must be one of a, b. Received: A$"):
        normal_class(["a", "b"], asked="A")


@given(st.permutations(["normal", "fight", "robbery", "arson"]))
def test_the_normal_class_does_not_depend_on_the_order(labels):
    assert normal_class(labels) == "normal"


@pytest.mark.parametrize(
    "normal",
    [
        "Normal_Videos_event",
        "Testing_Normal_Videos_Anomaly",
        "Training_Normal_Videos_Anomaly",
        "Normal_Videos_for_Event_Recognition",
        "Training-Normal-Videos-Part-1",
        "NormalVideos",
        "normal_behaviour",
        "0_Normal",
    ],
)
def test_the_normal_class_of_ucf_crime_is_recognised(normal):
    crimes = (
        "Abuse Arrest Arson Assault Burglary Explosion Fighting RoadAccidents Robbery Shooting "
        "Shoplifting Stealing Vandalism"
    )
    assert normal_class([*crimes.split(), normal]) == normal


@pytest.mark.parametrize("label", ["Abnormal_Videos", "not normal", "normality", "paranormal"])
def test_names_that_hold_normal_are_not_the_normal_class(label):
    assert normal_class([label, "nonviolent"]) == "nonviolent"


@pytest.mark.parametrize(
    ("first", "second"),
    [("Violent", "violent"), ("Violence ", "violence"), ("no-fight", "No Fight"), ("a_b", "ab")],
)
def test_a_class_in_two_spellings_is_refused_with_both(first, second):
    with pytest.raises(DatasetError, match="more than case, blanks and punctuation") as raised:
        check_spellings(["normal", first, second])
    assert repr(first) in str(raised.value)
    assert repr(second) in str(raised.value)


def test_names_of_punctuation_alone_are_no_spellings_of_each_other():
    check_spellings(["!", "?", "+", "normal", "1", "2"])


def test_a_run_with_a_class_in_two_spellings_keeps_both():
    classes = ["nonviolent", "Violent", "violent"]
    assert label_mapping(classes, classes) == {name: name for name in classes}

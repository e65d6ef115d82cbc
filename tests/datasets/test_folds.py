"""Folds keep recordings together, have a fraction of every class, and depend on the seed alone."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.features import draw_features

from violence_detection.datasets.splitting import folds
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache

# Videos of a recording, by class: a few recordings of every size and mixture.
RECORDINGS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(any), min_size=2, max_size=14
)
SEEDS = st.integers(0, 2**31 - 1)


def entries_of(recordings) -> list[ManifestEntry]:
    """Normal and violent videos of each recording."""
    return [
        ManifestEntry(f"{label}/{number}_{video}.mp4", label, f"rec{number}", split="")
        for number, counts in enumerate(recordings)
        for label, count in zip(("normal", "violent"), counts, strict=True)
        for video in range(count)
    ]


def columns(entries) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([entry.label for entry in entries]),
        np.array([entry.group for entry in entries]),
    )


def parts_of(entries, count, **settings) -> list[list[ManifestEntry]]:
    usual = {"seed": 0, "grouped": True, "validation_fraction": 0.2}
    return folds.evaluation_folds(entries, count, **usual | settings)


def sides(part) -> dict[str, set[str]]:
    """Recordings by split."""
    groups = {"train": set(), "validation": set(), "test": set()}
    for entry in part:
        groups[entry.split].add(entry.group)
    return groups


# -- golden


def test_folds_of_equal_recordings_are_equal():
    """Ten recordings of two normal videos and a violent one: each of five folds has two of them."""
    entries = entries_of([(2, 1)] * 10)
    for rows in folds.draw_folds(*columns(entries), 5, seed=3):
        held = Counter(entries[row].label for row in rows)
        assert held == {"normal": 4, "violent": 2}


def test_the_folds_are_those_of_scikit_learn():
    from sklearn.model_selection import StratifiedGroupKFold

    labels, groups = columns(entries_of([(3, 1), (0, 2), (1, 1), (2, 0), (1, 4)] * 3))
    kept = StratifiedGroupKFold(4, shuffle=True, random_state=11)
    wanted = [rows.tolist() for _, rows in kept.split(labels, labels, groups)]
    rows_of_folds = folds.draw_folds(labels, groups, 4, seed=11)
    assert [rows.tolist() for rows in rows_of_folds] == wanted


# -- property


@pytest.mark.slow
@given(RECORDINGS, st.integers(2, 5), SEEDS, st.sampled_from([0.0, 0.15, 0.5]))
def test_no_recording_is_on_two_sides(recordings, count, seed, fraction):
    entries = entries_of(recordings)
    try:
        parts = parts_of(entries, count, seed=seed, validation_fraction=fraction)
    except ConfigError:
        assume(False)
    for part in parts:
        groups = sides(part)
        assert groups["test"] and groups["train"]
        assert not groups["test"] & (groups["train"] | groups["validation"])
        assert not groups["train"] & groups["validation"]
        assert bool(groups["validation"]) == bool(fraction)
        learned = {entry.label for entry in part if entry.split == "train"}
        assert learned == {entry.label for entry in entries}
    held = [entry.path for part in parts for entry in part if entry.split == "test"]
    assert sorted(held) == sorted(entry.path for entry in entries)


@settings(max_examples=20)
@given(RECORDINGS, st.integers(2, 5), SEEDS, st.booleans())
def test_the_seed_alone_decides(recordings, count, seed, grouped):
    labels, groups = columns(entries_of(recordings))
    drawn = []
    for _ in range(2):
        np.random.random(3)
        try:
            rows_of_folds = folds.draw_folds(labels, groups, count, seed=seed, grouped=grouped)
        except ConfigError as error:
            drawn.append(str(error))
        else:
            drawn.append([rows.tolist() for rows in rows_of_folds])
    assert drawn[0] == drawn[1]


@pytest.mark.slow
@given(st.integers(10, 60), st.integers(10, 60), st.integers(2, 5), SEEDS)
def test_random_folds_have_their_fraction_of_each_class(normal, violent, count, seed):
    entries = entries_of([(normal, violent)])
    parts = parts_of(entries, count, seed=seed, grouped=False, validation_fraction=0.0)
    for part in parts:
        held = Counter(entry.label for entry in part if entry.split == "test")
        assert abs(held["normal"] - normal / count) <= 1
        assert abs(held["violent"] - violent / count) <= 1


# -- relation


def test_another_seed_draws_other_folds():
    labels, groups = columns(entries_of([(2, 1), (1, 2)] * 8))
    drawn = [folds.draw_folds(labels, groups, 4, seed=seed) for seed in (0, 1)]
    assert [rows.tolist() for rows in drawn[0]] != [rows.tolist() for rows in drawn[1]]


def test_random_folds_have_recordings_on_both_sides():
    part, *_ = parts_of(entries_of([(5, 5)] * 6), 3, grouped=False)
    groups = sides(part)
    assert groups["test"] & (groups["train"] | groups["validation"])


def test_nothing_but_the_split_of_an_entry_changes():
    entries = entries_of([(2, 1)] * 10)
    part, *_ = parts_of(entries, 5)
    assert [dataclasses.replace(entry, split="") for entry in part] == entries


def test_recordings_are_known_where_the_dataset_names_all(tmp_path):
    for grouping, ungrouped, complete in (
        ("videos.csv", 0, True),
        ("videos.csv", 3, False),
        ("none", 9, False),
    ):
        cache = FeatureCache(draw_features(tmp_path, grouping=grouping, ungrouped=ungrouped))
        assert dataset.has_all_recordings(cache) is complete


# -- hostile


def test_more_folds_than_recordings_are_refused():
    with pytest.raises(ConfigError) as raised:
        parts_of(entries_of([(3, 0)] * 9 + [(0, 3)] * 4), 5)
    assert str(raised.value) == (
        "`folds` must be at most the recordings of each class. Received: folds=5, and 9 of "
        "normal, 4 of violent"
    )


def test_more_random_folds_than_videos_are_refused():
    with pytest.raises(ConfigError, match="the videos of each class.*2 of violent"):
        parts_of(entries_of([(9, 2)]), 3, grouped=False)


@pytest.mark.parametrize("grouped", [True, False])
def test_folds_without_recordings_to_validate_with_are_refused(grouped):
    """Of two recordings of each class one is held out, and the other must be trained on."""
    entries = entries_of([(4, 0), (4, 0), (0, 4), (0, 4)][:: 1 if grouped else 2])
    with pytest.raises(ConfigError, match="recordings to spare for validation"):
        parts_of(entries, 2, grouped=grouped)
    assert parts_of(entries, 2, grouped=grouped, validation_fraction=0.0)


def test_no_videos_are_refused():
    with pytest.raises(ConfigError, match="and none"):
        parts_of([], 2)


def test_a_share_of_the_recordings_keeps_both_classes_and_is_in_every_larger_share():
    entries = [
        ManifestEntry(f"{label}/{n}.mp4", label, f"{label} {n // 2}", "train")
        for label in ("normal", "violent")
        for n in range(12)
    ]
    entries.append(ManifestEntry("test.mp4", "violent", "held out", "test"))
    kept = {}
    for share in (0.05, 0.25, 0.5, 0.75, 1.0):
        rows = folds.with_fewer_recordings(entries, share, seed=3)
        assert rows[-1] == entries[-1]
        kept[share] = {entry.group for entry in rows if entry.split == "train"}
        assert {entry.label for entry in rows if entry.split == "train"} == {"normal", "violent"}
    assert [len(groups) for groups in kept.values()] == [2, 4, 6, 10, 12]
    for small, large in zip(kept.values(), [*kept.values()][1:], strict=False):
        assert small < large

"""A recording is in one split, both classes are in each split, and a drawn split stays."""

import dataclasses
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from violence_detection.datasets.splitting import splits
from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError


def recordings(*sizes: int, label: str = "a", split: str = "") -> list[Video]:
    """Videos of one class, `sizes[i]` of recording i."""
    return [
        Video(f"{label}{group}-{number}.mp4", label, f"{label}{group}", split)
        for group, size in enumerate(sizes)
        for number in range(size)
    ]


def assign(videos, *, kept=None, leads=None, validation=0.15, test=0.15, seed=42) -> dict[str, str]:
    return splits.assign_splits(
        videos,
        leads=leads or {},
        kept=kept or {},
        validation_fraction=validation,
        test_fraction=test,
        seed=seed,
    )


def sides(videos, assigned) -> dict[str, set[str]]:
    splits_of = defaultdict(set)
    for video in videos:
        splits_of[video.group].add(assigned[video.key])
    return splits_of


TWO_CLASSES = recordings(*[3] * 20, label="a") + recordings(*[5] * 20, label="b")
SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=12)
DATASETS = st.builds(
    lambda a, b: recordings(*a, label="a") + recordings(*b, label="b"), SIZES, SIZES
)
FEW = settings(max_examples=25, deadline=None)
FRACTION = st.sampled_from([0.0, 0.1, 0.15, 0.3])


# -- golden


def test_the_fractions_are_those_asked_for():
    # 100 single videos a class: 70/15/15 can be met exactly.
    videos = recordings(*[1] * 100, label="a") + recordings(*[1] * 100, label="b")
    assigned = assign(videos)
    counts = Counter((assigned[video.key], video.label) for video in videos)
    for label in "ab":
        assert [counts[split, label] for split in SPLITS] == [70, 15, 15]


def test_recordings_of_equal_size_meet_the_shares_too():
    counts = Counter(assign(TWO_CLASSES).values())
    assert [counts[split] for split in SPLITS] == [112, 24, 24]


# -- property


@FEW
@given(DATASETS, FRACTION, FRACTION, st.integers(0, 99))
def test_no_recording_is_ever_on_two_sides(videos, validation, test, seed):
    assigned = assign(videos, validation=validation, test=test, seed=seed)
    assert set(assigned) == {video.key for video in videos}
    assert all(len(names) == 1 for names in sides(videos, assigned).values())


@pytest.mark.slow
@FEW
@given(DATASETS.filter(lambda videos: all(n >= 3 for n in groups_a_class(videos))))
def test_each_part_has_both_classes_where_each_has_three_recordings(videos):
    assigned = assign(videos)
    assert {(assigned[v.key], v.label) for v in videos} == {(s, c) for s in SPLITS for c in "ab"}


def groups_a_class(videos) -> list[int]:
    return [len({v.group for v in videos if v.label == label}) for label in "ab"]


@FEW
@given(DATASETS)
def test_training_has_every_class(videos):
    assigned = assign(videos)
    assert {v.label for v in videos if assigned[v.key] == "train"} == {"a", "b"}


@pytest.mark.slow
@FEW
@given(DATASETS, DATASETS)
def test_videos_added_later_move_none(videos, more):
    first = assign(videos)
    together = list({video.key: video for video in [*videos, *more]}.values())
    later = assign(together, kept=first)
    assert {video.key: later[video.key] for video in videos} == first
    assert all(len(names) == 1 for names in sides(together, later).values())


# -- relation


def test_the_order_of_the_videos_does_not_matter():
    assert assign(TWO_CLASSES[::-1]) == assign(TWO_CLASSES)


def test_the_draw_depends_on_the_seed():
    assert assign(TWO_CLASSES, seed=1) == assign(TWO_CLASSES, seed=1)
    assert assign(TWO_CLASSES, seed=1) != assign(TWO_CLASSES, seed=2)


@pytest.mark.parametrize(
    ("validation", "test", "wanted"),
    [
        (0.0, 0.0, {"train"}),
        (0.0, 0.2, {"train", "test"}),
        (0.2, 0.0, {"train", "validation"}),
    ],
)
def test_a_fraction_of_zero_draws_no_such_part(validation, test, wanted):
    assert set(assign(TWO_CLASSES, validation=validation, test=test).values()) == wanted


def test_a_recording_with_both_classes_stays_whole():
    videos = [dataclasses.replace(v, group=f"r{n // 4}") for n, v in enumerate(TWO_CLASSES)]
    assert all(len(names) == 1 for names in sides(videos, assign(videos)).values())


def test_two_recordings_train_first_and_validate_next():
    videos = recordings(1, 1, label="a") + recordings(1, 1, label="b")
    assigned = assign(videos)
    assert {(assigned[v.key], v.label) for v in videos} == {
        (split, label) for split in ("train", "validation") for label in "ab"
    }


def test_a_new_video_follows_its_recording():
    first = assign(TWO_CLASSES)
    new = dataclasses.replace(TWO_CLASSES[0], path="new.mp4")
    assert assign([*TWO_CLASSES, new], kept=first)["new.mp4"] == first[TWO_CLASSES[0].key]


def test_a_new_video_follows_a_recording_whose_videos_are_gone():
    videos = recordings(1, 1, 1, label="a") + recordings(2, 2, 2, label="b")
    for split in SPLITS:
        assert assign(videos, leads={"b1": split})["b1-0.mp4"] == split


def test_a_new_recording_joins_the_part_that_lacks_most():
    videos = recordings(*[1] * 8, label="a") + recordings(*[1] * 8, label="b")
    kept = {video.key: "train" for video in videos}
    kept |= dict.fromkeys(["a0-0.mp4", "b0-0.mp4", "b1-0.mp4"], "validation")
    kept |= dict.fromkeys(["b2-0.mp4"], "test")
    new = recordings(*[1] * 9, label="a")[-1]
    assert assign([*videos, new], kept=kept)[new.key] == "test"


def test_a_recording_found_on_two_sides_moves_to_where_most_of_it_is():
    videos = recordings(3, 3, 3, label="a") + recordings(3, 3, 3, label="b")
    kept = {v.key: "train" for v in videos} | {
        "a0-0.mp4": "test",
        "b1-1.mp4": "validation",
    }
    assert set(assign(videos, kept=kept).values()) == {"train"}


# -- given splits


def test_a_given_split_is_honoured():
    videos = [
        dataclasses.replace(video, split=SPLITS[number % 3])
        for number, video in enumerate(recordings(*[1] * 9))
    ]
    assert assign(videos) == {video.key: video.split for video in videos}


def test_a_given_split_replaces_a_drawn_split():
    videos = recordings(1, 1, 1, split="test")
    assert set(assign(videos, kept=dict.fromkeys(assign(videos), "train")).values()) == {"test"}


def test_where_train_and_test_are_given_only_validation_is_drawn_from_train():
    test = recordings(*[2] * 6, label="c", split="test")
    train = [dataclasses.replace(video, split="train") for video in TWO_CLASSES]
    assigned = assign([*train, *test])
    assert {assigned[video.key] for video in test} == {"test"}
    assert Counter(assigned[video.key] for video in train) == {
        "train": 136,
        "validation": 24,
    }
    assert all(len(names) == 1 for names in sides(train, assigned).values())


def test_a_video_given_as_train_leaves_the_split_of_an_earlier_draw():
    train = [dataclasses.replace(video, split="train") for video in TWO_CLASSES]
    test = recordings(*[2] * 6, label="c", split="test")
    kept = dict.fromkeys((video.key for video in TWO_CLASSES), "test")
    leads = {video.group: "test" for video in TWO_CLASSES}
    assigned = assign([*train, *test], kept=kept, leads=leads)
    assert {assigned[video.key] for video in train} == {"train", "validation"}
    kept = assigned | {TWO_CLASSES[0].key: "validation"}
    again = assign([*train, *test], kept=kept)
    assert {again[video.key] for video in train} == {"train", "validation"}


def test_three_given_splits_stay_as_they_are():
    videos = [
        *recordings(3, 3, label="a", split="train"),
        *recordings(3, 3, label="b", split="validation"),
    ]
    assert assign(videos) == {video.key: video.split for video in videos}


def test_videos_without_a_split_are_drawn_around_given_splits():
    test = recordings(*[1] * 10, label="c", split="test")
    assigned = assign([*TWO_CLASSES, *test])
    assert {assigned[video.key] for video in test} == {"test"}
    assert {assigned[video.key] for video in TWO_CLASSES} == {"train", "validation"}


def test_a_video_without_a_split_follows_a_recording_that_has_one():
    videos = recordings(4, 4, 4, 4, 4)
    videos[0] = dataclasses.replace(videos[0], split="test")
    assigned = assign(videos)
    assert {assigned[video.key] for video in videos[:4]} == {"test"}


def test_the_drawn_videos_of_a_recording_follow_its_given_split():
    videos = recordings(4, 4, 4)
    kept = dict.fromkeys((video.key for video in videos), "train")
    videos[0] = dataclasses.replace(videos[0], split="test")
    assert {assign(videos, kept=kept)[video.key] for video in videos[:4]} == {"test"}


# -- the file


def test_the_file_has_the_assigned_splits(tmp_path):
    videos = [*TWO_CLASSES, Video('a, "b"\n.mp4', "a", "x y", "test")]
    assigned = assign(videos)
    splits.write_splits_csv(tmp_path / "splits.csv", videos, assigned)
    rows = splits.read_splits_csv(tmp_path / "splits.csv")
    assert {row["path"]: row["split"] for row in rows} == assigned
    text = (tmp_path / "splits.csv").read_text()
    assert text.startswith('path,label,group,split,source\n"a, ""b""\n.mp4",a,x y,test,given')
    assert rows[1]["path"] == "a0-0.mp4"


def test_a_missing_file_has_no_rows(tmp_path):
    assert splits.read_splits_csv(tmp_path / "splits.csv") == []


def test_rows_of_videos_that_are_gone_are_kept(tmp_path):
    path, assigned = tmp_path / "splits.csv", assign(TWO_CLASSES)
    splits.write_splits_csv(path, TWO_CLASSES, assigned)
    gone = [row for row in splits.read_splits_csv(path) if row["label"] == "b"]
    splits.write_splits_csv(path, TWO_CLASSES[:60], assigned, gone)
    assert {row["path"]: row["split"] for row in splits.read_splits_csv(path)} == assigned


def test_a_file_with_another_word_for_a_split_is_refused(tmp_path):
    path = tmp_path / "splits.csv"
    path.write_text("path,label,group,split,source\na.mp4,a,a,vali,drawn\n")
    with pytest.raises(CacheError, match=r"must be one of train.*Received: vali \(a\.mp4"):
        splits.read_splits_csv(path)


def test_classes_that_a_split_lacks_are_listed():
    videos = recordings(1, 1, 1, label="a") + recordings(1, label="b")
    assigned = dict(zip([v.key for v in videos], [*SPLITS, "train"], strict=True))
    assert splits.missing_classes(videos, assigned) == [
        "validation has no videos of b",
        "test has no videos of b",
    ]
    all_train = dict.fromkeys(assigned, "train")
    assert splits.missing_classes(videos, all_train)[1] == "test has no videos"


def test_leaks_are_recordings_in_two_splits():
    rows = [("a", "train"), ("a", "test"), ("b", "train"), ("b", ""), ("c", "test")]
    assert splits.leaked_recordings({"group": group, "split": split} for group, split in rows) == [
        "a"
    ]

"""A training's refusal of a dataset is known from its videos alone."""

import pytest

from violence_detection.datasets.config import SplitConfig
from violence_detection.datasets.training_readiness import (
    check_splits,
    check_trainable,
    lacking_classes,
    obstacles,
    planned_split,
)
from violence_detection.datasets.videos import Video, contradictions
from violence_detection.errors import CacheError, ConfigError

SPLIT = SplitConfig()


def videos_of(labels: str, *, groups=None, splits=None) -> list[Video]:
    """A video for each word."""
    words = labels.split()
    groups = groups or [f"r{number}" for number in range(len(words))]
    splits = splits or [""] * len(words)
    return [
        Video(f"{number}.mp4", label, group, split)
        for number, (label, group, split) in enumerate(zip(words, groups, splits, strict=True))
    ]


def test_nothing_is_refused_of_enough_recordings():
    videos = videos_of("calm fight " * 6)
    assert obstacles(videos, SPLIT) == []
    assert lacking_classes(videos, SPLIT) == []
    check_trainable(videos, planned_split(videos, SPLIT))


def test_every_obstacle_is_named_in_the_words_of_the_training():
    videos = videos_of("a b " * 4, groups=["one"] * 8)
    normal, split = obstacles(videos, SPLIT)
    with pytest.raises(ConfigError) as raised:
        check_trainable(videos_of("a b " * 6), planned_split(videos_of("a b " * 6), SPLIT))
    assert normal == str(raised.value)
    assert split.startswith("There must be readable videos for validation. Received: 8 train")
    assert obstacles(videos, SPLIT, normal_class="a") == [split]


def test_the_split_of_an_earlier_extraction_counts():
    videos = videos_of("calm fight " * 6)
    assert obstacles(videos, SPLIT, kept={video.key: "test" for video in videos})


def test_a_dataset_that_gives_splits_needs_no_test_split():
    videos = videos_of("calm fight " * 4, splits=["train", "train", "validation", "validation"] * 2)
    assert lacking_classes(videos, SPLIT) == []


def test_a_class_without_training_videos_is_refused():
    videos = videos_of("calm fight calm fight", splits=["train", "validation"] * 2)
    with pytest.raises(CacheError, match="must have every class. Received: none of fight"):
        check_trainable(videos, planned_split(videos, SPLIT))
    with pytest.raises(CacheError, match="for train"):
        check_splits([], ["calm", "fight"])


def test_parts_that_overlap_with_another_label_contradict_each_other():
    first = Video("a.mp4", "calm", "a", "", 0.0, 2.0)
    second = Video("a.mp4", "fight", "a", "", 1.0, 3.0)
    touching = Video("a.mp4", "calm", "a", "", 3.0, 4.0)
    whole = Video("b.mp4", "calm", "b")
    part = Video("b.mp4", "fight", "b", "", 5.0, 6.0)
    other = Video("c.mp4", "fight", "c", "", 0.0, 2.0)
    assert contradictions([part, touching, second, whole, first, other]) == [
        (first, second),
        (whole, part),
    ]

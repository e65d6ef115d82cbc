"""Numbers of videos and recordings in each split."""

from violence_detection.datasets.splitting.split_counts import count_splits

VIDEOS = [
    ("normal", "a", "test"),
    ("normal", "b", "train"),
    ("violent", "c", "train"),
    ("violent", "c", "train"),
    ("violent", "d", ""),
]


def test_videos_and_recordings_are_counted_by_split():
    train, test = count_splits(VIDEOS)
    assert str(train) == "3 videos of 2 recordings (1 normal, 2 violent)"
    assert (test.split, test.videos, test.by_class) == ("test", 1, {"normal": 1})
    assert count_splits([]) == []

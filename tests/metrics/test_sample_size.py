"""The limits of sample sizes, and the wider of two intervals."""

from violence_detection.metrics.intervals import wilson_interval
from violence_detection.metrics.sample_size import MIN_VIDEOS_OF_CLASS, widest_interval


def test_fewer_videos_of_a_class_cannot_be_told_from_tossing_a_coin():
    fewer = MIN_VIDEOS_OF_CLASS - 1
    assert wilson_interval(fewer, fewer)[0] < 0.5 < wilson_interval(fewer + 1, fewer + 1)[0]


def test_the_widest_interval_holds_all():
    assert widest_interval([1.0, 1.0], None, [0.8, 0.9]) == [0.8, 1.0]
    assert widest_interval(None, None) is None

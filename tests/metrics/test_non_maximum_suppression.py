"""Windows are kept by probability, and none near to a kept one or of a full recording."""

import numpy as np

from violence_detection.metrics.non_maximum_suppression import suppress_non_maxima


def test_windows_are_kept_from_the_highest_probability_on():
    probability = np.array([0.6, 0.99, 0.9, 0.8, 0.7, 0.95])
    spans_s = np.array([[50, 52], [10, 12], [11, 13], [20, 22], [11, 13], [0, 2]], float)
    videos = ["a", "a", "a", "a", "b", "c"]

    def kept(**changes):
        limits = {"count": 9, "per_recording": 9, "apart_s": 5.0} | changes
        return suppress_non_maxima(
            probability, spans_s, videos, ["r", "r", "r", "r", "r", "s"], **limits
        )

    assert kept() == ((1, 5, 3, 4, 0), 1, 0, 0)  # the third overlaps the highest by 1 s
    assert kept(apart_s=8.5).rows == (1, 5, 4, 0)
    assert kept(apart_s=0.0).near == 1  # overlaps stay near
    assert kept(per_recording=2) == ((1, 5, 3), 1, 2, 0)
    assert kept(count=2) == ((1, 5), 1, 0, 3)


def test_without_windows_none_is_kept():
    empty = suppress_non_maxima(
        np.array([]), np.empty((0, 2)), [], [], count=1, per_recording=1, apart_s=0.0
    )
    assert empty == ((), 0, 0, 0)

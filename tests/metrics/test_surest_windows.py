"""The surest windows are taken first, and none near to a surer one or of a full recording."""

import numpy as np

from violence_detection.metrics.surest_windows import surest_apart


def test_windows_are_taken_from_the_surest_on():
    probability = np.array([0.6, 0.99, 0.9, 0.8, 0.7, 0.95])
    spans_s = np.array([[50, 52], [10, 12], [11, 13], [20, 22], [11, 13], [0, 2]], float)
    videos = ["a", "a", "a", "a", "b", "c"]

    def taken(**changes):
        limits = {"count": 9, "per_recording": 9, "apart_s": 5.0} | changes
        return surest_apart(probability, spans_s, videos, ["r", "r", "r", "r", "r", "s"], **limits)

    assert taken() == ((1, 5, 3, 4, 0), 1, 0, 0)  # the third lies 1 s within the surest
    assert taken(apart_s=8.5).rows == (1, 5, 4, 0)
    assert taken(apart_s=0.0).near == 1  # overlaps stay near
    assert taken(per_recording=2) == ((1, 5, 3), 1, 2, 0)
    assert taken(count=2) == ((1, 5), 1, 0, 3)


def test_without_windows_none_is_taken():
    empty = surest_apart(
        np.array([]), np.empty((0, 2)), [], [], count=1, per_recording=1, apart_s=0.0
    )
    assert empty == ((), 0, 0, 0)

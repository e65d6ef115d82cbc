"""Clips to label next come in turn by uncertainty and by novelty, one of each place."""

import numpy as np

from violence_detection.metrics.label_suggestions import NOVEL, UNSURE, suggest_labels

PROBABILITY = np.array([0.02, 0.45, 0.98, 0.35, 0.6, 0.999])


def rows(*arguments, **settings) -> list[tuple[int, str]]:
    return [tuple(suggestion) for suggestion in suggest_labels(*arguments, **settings)]


def test_the_nearest_to_the_threshold_come_first():
    assert [row for row, _ in rows(PROBABILITY, None, 0.5, count=3)] == [1, 4, 3]
    assert [row for row, _ in rows(PROBABILITY, None, 0.97, count=2)] == [2, 4]


def test_they_alternate_with_the_most_novel():
    novelty = np.array([0.5, 3.0, 1.0, 0.9, 0.1, 1.5])
    assert rows(PROBABILITY, novelty, 0.5, count=4) == [
        (1, UNSURE),  # also the most novel, but named once
        (5, NOVEL),
        (4, UNSURE),
        (3, UNSURE),
    ]


def test_one_clip_of_a_place_is_enough_and_the_count_is_kept():
    chosen = rows(PROBABILITY, None, 0.5, count=10, place_of=lambda row: row // 2)
    assert [row for row, _ in chosen] == [1, 4, 3]
    assert rows(PROBABILITY[:0], None, 0.5, count=10) == []

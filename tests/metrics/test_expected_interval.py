"""The expected width of an interval over recordings."""

import numpy as np
import pytest

from violence_detection.metrics.expected_interval import expected_half_width


def test_it_is_that_of_drawn_recordings(rng):
    """Errors drawn with a correlation inside recordings, by a beta-binomial: its rho is
    1 / (a + b + 1)."""
    recordings, size, accuracy, rho = 30, 6, 0.8, 0.15
    total = 1 / rho - 1
    p = rng.beta(accuracy * total, (1 - accuracy) * total, (20_000, recordings))
    means = (rng.binomial(size, p) / size).mean(1)
    expected = expected_half_width(180, recordings, accuracy=accuracy, correlation=rho)
    assert 1.96 * np.std(means) == pytest.approx(expected, rel=0.03)


def test_recordings_narrow_it_more_than_clips():
    base = expected_half_width(240, 40)
    assert expected_half_width(960, 160) == pytest.approx(base / 2)
    assert base * 0.75 < expected_half_width(960, 40) < base
    assert expected_half_width(40, 40) == pytest.approx(1.96 * (0.85 * 0.15 / 40) ** 0.5)

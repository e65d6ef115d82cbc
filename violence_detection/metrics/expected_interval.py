"""The width that the interval of an accuracy will have with so many videos and recordings."""

import math

# Clips of one recording are alike. Fitted to intervals over recordings of the 239 clips in
# docs/benchmarks.md: 0.02 to 0.15, by backbone and stream; the largest promises least.
CORRELATION = 0.15
_Z = 1.96


def expected_half_width(
    videos: int, recordings: int, *, accuracy: float = 0.85, correlation: float = CORRELATION
) -> float:
    """Half the width of a 95% interval of the accuracy, in [0, 1].

    The variance of a proportion times the design effect of clusters of equal size,
    1 + (m - 1) rho with m videos a recording (Kish, Survey Sampling, 1965).

    Args:
        videos: N, in all recordings together.
        recordings: Their number, 1 or more.
        accuracy: The accuracy that is expected.
        correlation: rho, of the errors of two videos of one recording.
    """
    effect = 1 + (videos / recordings - 1) * correlation
    variance = accuracy * (1 - accuracy) / videos * max(effect, 1.0)
    return min(_Z * math.sqrt(variance), 1.0)

"""A power law fitted to the errors of a classifier at several amounts of training data."""

from dataclasses import dataclass
from typing import Self

import numpy as np

_EXPONENTS = np.linspace(0.1, 2.0, 39)


@dataclass(frozen=True)
class PowerLaw:
    """``error(n) = a + b n^-c`` for R series of errors; a, b >= 0.

    Attributes:
        a: The error that more data of this kind does not remove, float64 (R,).
        b: Scale of the error that it does, float64 (R,).
        c: Speed of the fall, one of 39 values from 0.1 to 2, float64 (R,).

    Reference:
        Hestness et al., Deep learning scaling is predictable, empirically, 2017,
        https://arxiv.org/abs/1712.00409
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    @classmethod
    def fit(cls, sizes: np.ndarray, errors: np.ndarray) -> Self:
        """The least squares over a, b and c of each series.

        Args:
            sizes: Amounts of data, > 0, float (S,), S >= 2.
            errors: Errors of R series, float (R, S). A series with NaN gives NaN.
        """
        sizes, errors = np.asarray(sizes, np.float64), np.asarray(errors, np.float64)
        mean = errors.mean(1)
        best = np.full(len(errors), np.inf)
        fitted = np.full((3, len(errors)), np.nan)
        for c in _EXPONENTS:
            x = sizes**-c
            deviations = x - x.mean()
            b = (errors @ deviations) / (deviations @ deviations)
            a = mean - b * x.mean()
            # At the edges of what is allowed, the other parameter has its own least squares.
            b = np.where(a < 0, errors @ x / (x @ x), b)
            a = np.where(a < 0, 0.0, a)
            a, b = np.where(b < 0, mean, a), np.maximum(b, 0.0)
            squares = np.square(errors - a[:, None] - b[:, None] * x).sum(1)
            better = squares < best - 1e-15
            best = np.where(better, squares, best)
            fitted = np.where(better, [a, b, np.full(len(errors), c)], fitted)
        return cls(*fitted)

    def at(self, size: float) -> np.ndarray:
        """The error of each series at an amount of data, float64 (R,)."""
        return self.a + self.b * size**-self.c

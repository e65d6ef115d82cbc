"""The constants that a classifier standardises its inputs by, from the moments of several parts.

The parts may be on different machines: each gives count, sum and sum of squared deviations of
every input, and the constants of all parts together follow without any video.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from violence_detection.models.classifier import every_example

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Moments:
    """Sums over the rows of an input of F values.

    Attributes:
        count: Number of rows.
        total: Sum of each value, float64 (F,).
        squares: Sum of the squared deviations from the mean of these rows, float64 (F,).
    """

    count: int
    total: np.ndarray
    squares: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The moments of the rows of all parts; of one part, that part to the bit.

        ``squares = sum_k squares_k + count_k (mean_k - mean)^2``, which loses no digits where the
        mean is large beside the deviation, as sums of squares do.

        Reference:
            Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983
        """
        count = sum(part.count for part in parts)
        total = np.sum([part.total for part in parts], axis=0)
        mean = total / count
        between = [part.count * np.square(part.total / part.count - mean) for part in parts]
        squares = np.sum([part.squares for part in parts], axis=0) + np.sum(between, axis=0)
        return cls(count, total, squares)

    def constants(self) -> "Constants":
        """Mean and variance as the heads standardise by them."""
        from violence_detection.models.heads._layers import floored_variance

        variance = floored_variance(self.squares / self.count)
        return Constants((self.total / self.count).astype(np.float32), variance.astype(np.float32))


@dataclass(frozen=True)
class Constants:
    """Mean and variance that an input is standardised by, float32 (F,) each."""

    mean: np.ndarray
    variance: np.ndarray


def moments_of(model: "keras.Model", features: np.ndarray) -> dict[str, Moments]:
    """The moments of the input of each standardising layer, by the layer's name.

    Args:
        model: A classifier. No layer before a standardising layer has weights.
        features: float16 (N, T, D); as in `build_classifier`, at most 2048 are read, evenly
            spaced, and the counts are those of what was read.
    """
    import keras

    from violence_detection.models.heads._layers import CLIPS_AT_ONCE

    examples = every_example(features)
    moments = {}
    for layer in standardising_layers(model):
        before = keras.Model(model.input, layer.input)

        def blocks(before=before):
            for start in range(0, len(examples), CLIPS_AT_ONCE):
                block = before(examples[start : start + CLIPS_AT_ONCE].astype(np.float32))
                block = keras.ops.convert_to_numpy(block)
                yield block.reshape(-1, block.shape[-1])

        count, total, squares = 0, 0.0, 0.0
        for rows in blocks():
            count, total = count + len(rows), total + rows.sum(0, dtype=np.float64)
        for rows in blocks():
            squares = squares + np.square(rows - total / count).sum(0, dtype=np.float64)
        moments[layer.name] = Moments(count, total, squares)
    return moments


def set_constants(model: "keras.Model", constants: Mapping[str, Constants]) -> None:
    """Replaces the constants of the standardising layers of a model.

    Args:
        model: A classifier.
        constants: By the layer's name, for each such layer.
    """
    for layer in standardising_layers(model):
        chosen = constants[layer.name]
        layer.input_mean, layer.input_variance = chosen.mean, chosen.variance
        layer.build(layer.input.shape)


def constants_of(model: "keras.Model") -> dict[str, Constants]:
    """The constants of the standardising layers of a model, by the layer's name."""
    return {
        layer.name: Constants(
            *(
                np.asarray(getattr(layer, name), np.float32).reshape(-1)
                for name in ("mean", "variance")
            )
        )
        for layer in standardising_layers(model)
    }


def standardising_layers(model: "keras.Model") -> list["keras.layers.Normalization"]:
    """The standardising layers of a classifier, in the order in which the model has them."""
    import keras

    return [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]

"""Layers of several heads, registered with Keras so that a saved model holds no code."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
from keras import ops

_PACKAGE = "violence_detection"
CLIPS_AT_ONCE = 64


@keras.saving.register_keras_serializable(package=_PACKAGE)
class AttentionPooling(keras.layers.Layer):
    """The weighted mean over time, with learned weights.

    ``score[t] = v . tanh(W h[t] + b)``, ``weight = softmax(score)``,
    ``output = sum_t weight[t] h[t]``. Scores and weights are float32 whatever the precision.

    Args:
        units: Units of the hidden layer of the scores.

    Input: (B, T, D), and a mask (B, T) or None. Output: (B, D), or with
    `return_weights=True` also the float32 weights (B, T).

    Reference:
        Bahdanau, Cho and Bengio, 2014, https://arxiv.org/abs/1409.0473 (additive attention)
    """

    def __init__(self, units: int = 64, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.supports_masking = True
        # The precision of the layer: a model may be loaded under another global precision.
        self.hidden = keras.layers.Dense(
            units, activation="tanh", dtype=self.dtype_policy, name="hidden"
        )
        self.score = keras.layers.Dense(1, use_bias=False, dtype="float32", name="score")

    def build(self, input_shape) -> None:
        self.hidden.build(input_shape)
        self.score.build((*input_shape[:-1], self.units))

    def call(self, inputs, mask=None, return_weights: bool = False):
        scores = ops.cast(ops.squeeze(self.score(self.hidden(inputs)), -1), "float32")
        if mask is not None:
            scores = ops.where(mask, scores, -1e9)
        # Keras warns about a softmax over one step.
        one_step = scores.shape[-1] == 1
        weights = ops.ones_like(scores) if one_step else ops.softmax(scores, axis=-1)
        pooled = ops.einsum("bt,btd->bd", ops.cast(weights, inputs.dtype), inputs)
        return (pooled, weights) if return_weights else pooled

    def compute_mask(self, inputs, mask=None) -> None:
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class TemporalChange(keras.layers.Layer):
    """The change of each feature from frame to frame, ``|x[t] - x[t-1]|``.

    The first change stands twice. (B, T, D) -> (B, T, D), zeros for T = 1.
    """

    def call(self, inputs):
        if inputs.shape[1] == 1:
            return ops.zeros_like(inputs)
        change = ops.abs(inputs[:, 1:] - inputs[:, :-1])
        return ops.concatenate([change[:, :1], change], axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package=_PACKAGE)
class TemporalStatistics(keras.layers.Layer):
    """Mean, deviation and mean absolute difference over time: (B, T, D) -> float32 (B, 3 D).

    Args:
        second_difference: Also the mean of ``|x[t + 1] - 2 x[t] + x[t - 1]|``, which is larger
            for jerky than for steady motion; then (B, 4 D). With too few frames a difference is 0.
    """

    def __init__(self, second_difference: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.second_difference = second_difference

    def call(self, inputs):
        inputs = ops.cast(inputs, "float32")
        mean = ops.mean(inputs, axis=1)
        deviation = ops.sqrt(ops.mean(ops.square(inputs - mean[:, None]), axis=1) + 1e-12)
        pooled = [mean, deviation]
        for _ in range(2 if self.second_difference else 1):
            few = inputs.shape[1] < 2
            inputs = ops.zeros_like(inputs) if few else inputs[:, 1:] - inputs[:, :-1]
            pooled.append(ops.mean(ops.abs(inputs), axis=1))
        return ops.concatenate(pooled, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], (3 + self.second_difference) * input_shape[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "second_difference": self.second_difference}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class SinePositions(keras.layers.Layer):
    """Adds a code of its position to each frame, which attention alone ignores.

    ``code[t, 2i] = sin(t / 10000^(2i / D))``, ``code[t, 2i + 1] = cos(t / 10000^(2i / D))``.
    (B, T, D) -> (B, T, D).

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762 (section 3.5)
    """

    def call(self, inputs):
        _, frames, size = inputs.shape
        exponent = np.arange(size) // 2 * 2 / size
        angle = np.arange(frames)[:, None] / 10_000**exponent
        code = np.where(np.arange(size) % 2, np.cos(angle), np.sin(angle))
        # An array, not a tensor: the layer may be called in several graphs.
        return inputs + code.astype(keras.backend.standardize_dtype(inputs.dtype))

    def compute_output_shape(self, input_shape):
        return input_shape


def statistics_of(clips: np.ndarray) -> np.ndarray:
    """`TemporalStatistics` of float16 (N, T, D) as an array, float32 (N, 3 D)."""
    return np.concatenate(list(_in_blocks(clips, TemporalStatistics(dtype="float32"))))


def _in_blocks(clips: np.ndarray, layer: keras.layers.Layer | None) -> Iterator[np.ndarray]:
    """Blocks of clips in float32, or of a layer's output for them.

    All clips at once would take hundreds of megabytes, and TensorFlow never returns its part.
    """
    for start in range(0, len(clips), CLIPS_AT_ONCE):
        block = clips[start : start + CLIPS_AT_ONCE].astype(np.float32)
        if block.ndim == 4:  # segments, one after the other
            block = block.reshape(len(block), -1, block.shape[-1])
        yield block if layer is None else ops.convert_to_numpy(layer(block))


def standardise(
    examples: np.ndarray, name: str, of: keras.layers.Layer | None = None
) -> keras.layers.Layer:
    """A layer that scales each feature to mean 0 and variance 1 over `examples`.

    The variance has a floor of a thousandth of the mean variance, so that a feature that hardly
    varies is not blown up.

    Args:
        examples: float16 (N, T, D).
        name: Name of the layer.
        of: Standardise the output of this layer for the examples instead.
    """

    def mean_of(function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        total = count = 0
        for block in _in_blocks(examples, of):
            flat = function(block.reshape(-1, block.shape[-1]))
            total, count = total + flat.sum(0, dtype=np.float64), count + len(flat)
        return total / count

    mean = mean_of(lambda flat: flat)
    variance = floored_variance(mean_of(lambda flat: np.square(flat - mean)))
    return keras.layers.Normalization(
        mean=mean.astype(np.float32),
        variance=variance.astype(np.float32),
        dtype="float32",
        name=name,
    )


def floored_variance(variance: np.ndarray) -> np.ndarray:
    """The variances (F,) with the floor of `standardise`."""
    return np.maximum(variance, 1e-3 * variance.mean() + 1e-12)

"""Error of a variational autoencoder of a clip's statistics."""

from typing import Annotated

import keras
from keras import ops

from violence_detection.models.outputs._anomaly import Anomaly, Border, standardised_statistics
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range

_LOG_VARIANCE_LIMIT = 10.0


@keras.saving.register_keras_serializable(package="violence_detection")
class Sampling(keras.layers.Layer):
    """A draw from N(mean, noise² exp(log variance)) in training, else the mean; float32.

    Input: mean and log variance (B, 2 L). Output: (B, L).
    """

    def __init__(self, noise: float = 1.0, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.noise = noise
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training: bool = False):
        inputs = ops.cast(inputs, "float32")
        size = inputs.shape[-1] // 2
        mean = inputs[:, :size]
        if not (training and self.noise):
            return mean
        drawn = keras.random.normal(ops.shape(mean), dtype="float32", seed=self.seed_generator)
        return mean + self.noise * ops.exp(0.5 * limited(inputs[:, size:])) * drawn

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1] // 2)

    def get_config(self) -> dict:
        return {**super().get_config(), "noise": self.noise}


def limited(log_variance):
    """A log variance within limits whose exponential is finite."""
    return ops.clip(log_variance, -_LOG_VARIANCE_LIMIT, _LOG_VARIANCE_LIMIT)


@keras.saving.register_keras_serializable(package="violence_detection")
class Divergence(keras.layers.Layer):
    """The KL divergence of N(mean, exp(log variance)) from N(0, 1), over all dimensions.

    Input: mean and log variance (B, 2 L). Output: float32 (B, 1).
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        size = inputs.shape[-1] // 2
        mean, log_variance = inputs[:, :size], limited(inputs[:, size:])
        terms = ops.square(mean) + ops.exp(log_variance) - 1 - log_variance
        return 0.5 * ops.sum(terms, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1)


@keras.saving.register_keras_serializable(package="violence_detection")
class MeanSquare(keras.layers.Layer):
    """The mean square of the difference of two tensors, over all but the batch: float32 (B, 1)."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, first, second):
        square = ops.square(ops.cast(first, "float32") - ops.cast(second, "float32"))
        return ops.reshape(ops.mean(square, axis=tuple(range(1, square.ndim))), (-1, 1))

    def compute_output_shape(self, first_shape, second_shape):
        return (first_shape[0], 1)


class Vae(Anomaly):
    """The output that scores a clip by how badly its statistics are reconstructed.

    Reference:
        Kingma and Welling, 2013, https://arxiv.org/abs/1312.6114
    """

    name = "vae"

    def __init__(self, weight: float, units: int, size: int, kl: float, noise: float) -> None:
        self.weight, self._units, self._size, self._kl = weight, units, size, kl
        self._noise = noise

    def build(self, encoded: Encoded, others) -> keras.KerasTensor:
        """float32 (B, 4): the columns of `Border`, and the KL divergence from N(0, 1)."""
        statistics = standardised_statistics(encoded, self.name)
        hidden = keras.layers.Dense(self._units, activation="relu", name="vae_encoder")(statistics)
        latent = keras.layers.Dense(2 * self._size, dtype="float32", name="vae_latent")(hidden)
        hidden = Sampling(self._noise, name="vae_sampling")(latent)
        hidden = keras.layers.Dense(self._units, activation="relu", name="vae_decoder")(hidden)
        decoded = keras.layers.Dense(statistics.shape[-1], dtype="float32", name="vae_decoded")
        error = MeanSquare(name="vae_error")(statistics, decoded(hidden))
        columns = [Border(name="vae_border")(error), Divergence(name="vae_divergence")(latent)]
        return keras.layers.Concatenate(dtype="float32", name="vae")(columns)

    def loss(self, targets, outputs, state):
        return outputs[:, 0] + self._kl * outputs[:, 3] / self._size


def build(
    *,
    count: int,
    weight: Annotated[float, Range(0, 1000)] = 1.0,
    units: Annotated[int, Range(1, 8192)] = 256,
    size: Annotated[int, Range(1, 8192)] = 64,
    kl: Annotated[float, Range(0, 100)] = 0.01,
    noise: Annotated[float, Range(0, 10)] = 1.0,
) -> Vae:
    """The output of a variational autoencoder.

    Args:
        count: Not used: the score is the same for every number of classes.
        weight: Factor of the loss.
        units: Units of the hidden layers.
        size: Dimensions of the code.
        kl: Factor of the KL divergence over `size`.
        noise: Factor of the noise that is drawn in training.
    """
    return Vae(weight, units, size, kl, noise)

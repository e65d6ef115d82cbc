"""Several classifiers as one model: the mean of their probabilities, or of their logits."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from violence_detection.errors import ConfigError


@keras.saving.register_keras_serializable(package="violence_detection")
class MeanProbability(keras.layers.Layer):
    """The logits of the mean of the members' probabilities, float32.

    ``p = mean_m sigmoid(z_m)``, ``output = log p - log (1 - p)`` for one output, else
    ``output = log mean_m softmax(z_m)``, computed in logarithms, so that probabilities near 0 and 1
    stay finite.

    Input: a list of M times (B, K). Output: float32 (B, K).
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        logits = ops.cast(ops.stack(inputs), "float32")
        if logits.shape[-1] == 1:
            # The number of members cancels in the difference.
            violent = ops.logsumexp(ops.log_sigmoid(logits), axis=0)
            return violent - ops.logsumexp(ops.log_sigmoid(-logits), axis=0)
        mean = ops.logsumexp(ops.log_softmax(logits, axis=-1), axis=0)
        return mean - ops.log(ops.cast(logits.shape[0], "float32"))

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable(package="violence_detection")
class MeanLogit(keras.layers.Layer):
    """The mean of the members' logits, each divided by its member's temperature, float32.

    Input: a list of M times (B, K). Output: float32 (B, K).
    """

    def __init__(self, temperatures: Sequence[float], **kwargs) -> None:
        """
        Args:
            temperatures: Those of the M members.
        """
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.temperatures = [float(temperature) for temperature in temperatures]

    def call(self, inputs):
        scaled = [
            ops.cast(logits, "float32") / temperature
            for logits, temperature in zip(inputs, self.temperatures, strict=True)
        ]
        return sum(scaled[1:], scaled[0]) / len(scaled)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return super().get_config() | {"temperatures": self.temperatures}


@keras.saving.register_keras_serializable(package="violence_detection")
class SharedLogits(keras.layers.Layer):
    """The logits of all classes, of a logit v of violence that the violent classes c share:
    ``[log (1 - p), log p + log softmax(c[1:])]`` with ``p = sigmoid(v)``, float32.

    Inputs: (B, 1) and (B, K). Output: (B, K).
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        violence, classes = inputs
        shares = ops.log_softmax(classes[:, 1:], axis=-1)
        return ops.concatenate(
            [ops.log_sigmoid(-violence), ops.log_sigmoid(violence) + shares], axis=-1
        )

    def compute_output_shape(self, input_shape):
        return input_shape[1]


@keras.saving.register_keras_serializable(package="violence_detection")
class FeatureColumns(keras.layers.Layer):
    """Some of the features of each frame: (B, T, D) to (B, T, end - start)."""

    def __init__(self, start: int, end: int, **kwargs) -> None:
        """
        Args:
            start, end: The first feature, and that behind the last.
        """
        super().__init__(**kwargs)
        self.start, self.end = start, end

    def call(self, inputs):
        return inputs[:, :, self.start : self.end]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.end - self.start)

    def get_config(self):
        return super().get_config() | {"start": self.start, "end": self.end}


def of_classes(model: keras.Model) -> keras.Model:
    """A model of several outputs as one of the logits of its classes, (B, 1) or (B, K).

    Args:
        model: With the output `classes` or `violence`; one of `classes` alone is itself.

    Raises:
        ConfigError: If it has neither.
    """
    outputs = model.output
    if not isinstance(outputs, dict):
        return model
    violence, classes = outputs.get("violence"), outputs.get("classes")
    if violence is None and classes is None:
        raise ConfigError(
            "Runs of an ensemble must have the output `classes` or `violence`: other scores have "
            f"no common scale. Received: outputs={'+'.join(outputs)}"
        )
    if violence is None:
        logits = classes
    elif classes is None or classes.shape[-1] == 1:
        logits = violence
    else:
        logits = SharedLogits(name="shared_logits")([violence, classes])
    return keras.Model(model.input, logits, name=model.name)


def build_of_spaces(members: Sequence[keras.Model], temperatures: Sequence[float]) -> keras.Model:
    """A model from the features of several spaces, side by side, to the members' mean logits.

    Args:
        members: From features (B, T, D) of its space to logits (B, K) or to several outputs, in
            the order of the spaces.
        temperatures: That of each member.
    """
    frames = members[0].input_shape[1]
    members = [of_classes(member) for member in members]
    ends = np.cumsum([member.input_shape[-1] for member in members]).tolist()
    features = keras.Input((frames, ends[-1]), dtype="float32", name="features")
    logits = []
    for number, (member, end) in enumerate(zip(members, ends, strict=True), start=1):
        columns = FeatureColumns(end - member.input_shape[-1], end, name=f"columns_{number}")
        whole = _on_columns(member, columns, (frames, ends[-1]), name=f"member_{number}")
        logits.append(whole(features))
    mean = MeanLogit(temperatures, name="mean_logit")(logits)
    return keras.Model(features, mean, name="ensemble_of_spaces")


def _on_columns(
    member: keras.Model, columns: FeatureColumns, shape: tuple[int, int], *, name: str
) -> keras.Model:
    """A member as a model of all features, (T, D), of which it takes its columns.

    Its layers stand directly in the model, where attention weights and export find them.
    """
    features = keras.Input(shape, dtype="float32", name=f"{name}_features")
    own = columns(features)

    def call(layer, *arguments, **keywords):
        return layer(*(own if value is features else value for value in arguments), **keywords)

    output = keras.models.clone_model(
        member,
        input_tensors=features,
        clone_function=lambda layer: layer,
        call_function=call,
        recursive=False,
    ).output
    return keras.Model(features, output, name=name)


def build(members: Sequence[keras.Model]) -> keras.Model:
    """A model from features (B, T, D) to the logits (B, K) of the members' mean probability.

    Args:
        members: From features (B, T, D) to logits (B, K) or to several outputs.
    """
    members = [of_classes(member) for member in members]
    features = keras.Input(members[0].input_shape[1:], dtype="float32", name="features")
    # New names: all members have the name of their head.
    logits = [
        keras.Model(member.input, member.output, name=f"member_{number}")(features)
        for number, member in enumerate(members, start=1)
    ]
    return keras.Model(features, MeanProbability(name="mean_probability")(logits), name="ensemble")

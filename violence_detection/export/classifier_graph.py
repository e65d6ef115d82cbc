"""A classifier as it leaves the house: in float32, of Keras' own layers alone, and with
probabilities for an answer."""

from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.export.formats._format import PROBABILITIES, PROBABILITY
from violence_detection.system import devices

if TYPE_CHECKING:
    import keras

_OWN = "violence_detection"
_UNROLLED_STEPS = 64  # of more, converters take minutes


def build_classifier(
    trained: "keras.Model", *, temperature: float, unrolled: bool
) -> "keras.Model":
    """A model of the same answers that needs nothing of this program.

    Layers of this program are taken apart into what they call; dropout is left out; constants
    are in the graph, not beside it.

    Args:
        trained: From features (B, T, D) to logits.
        temperature: That the logits are divided by.
        unrolled: Whether recurrences of few steps go into the graph step after step: some
            runtimes are many times slower in a loop, others know a loop of an LSTM when they
            see one.

    Returns:
        From `features`, float32 (B, T, D), to `probability`, that of violence, float32 (B, 1), in
        [0, 1]; with several classes also `probabilities`, (B, K), in their order.
    """
    import keras

    shape = trained.input_shape[1:]
    features = keras.Input(shape, dtype="float32", name="features")
    with devices.dtype_policy("float32"):
        logits = call_with_keras_layers(to_float32(trained, unrolled=unrolled), features)
        answers = probability_outputs(logits, temperature=temperature)
    return keras.Model(features, answers, name="classifier")


def probability_outputs(
    logits: "keras.KerasTensor", *, temperature: float
) -> dict[str, "keras.KerasTensor"]:
    """Answers by name of logits (B, 1) or (B, K) that are divided by a temperature."""
    import keras

    cooled = keras.layers.Rescaling(1 / temperature, name="temperature")(logits)
    if logits.shape[-1] == 1:
        named = keras.layers.Activation("sigmoid", name=PROBABILITY)
        return {PROBABILITY: named(cooled)}
    by_class = keras.layers.Softmax(name=PROBABILITIES)(cooled)
    violent = keras.layers.Rescaling(-1.0, 1.0, name=PROBABILITY)(by_class[:, :1])
    return {PROBABILITY: violent, PROBABILITIES: by_class}


def to_float32(trained: "keras.Model", *, unrolled: bool = False) -> "keras.Model":
    """The same network and weights in float32; nothing in it asks for cuDNN."""
    few = unrolled and (trained.input_shape[1] or 0) <= _UNROLLED_STEPS
    config = _plain(trained.get_config(), unrolled=few)
    with devices.dtype_policy("float32"):
        model = type(trained).from_config(config)
    model.set_weights(trained.get_weights())
    return model


def _plain(config: Any, *, unrolled: bool) -> Any:
    """A config in which every layer is float32, and every recurrence plain."""
    if isinstance(config, list | tuple):
        return type(config)(_plain(one, unrolled=unrolled) for one in config)
    if not isinstance(config, dict):
        return config
    found = {name: _plain(one, unrolled=unrolled) for name, one in config.items()}
    if isinstance(config.get("dtype"), dict):  # a layer's policy; an input's is a word
        found["dtype"] = "float32"
    if "use_cudnn" in config:
        found |= {"use_cudnn": False, "unroll": unrolled}
    return found


def call_with_keras_layers(model: "keras.Model", inputs: "keras.KerasTensor") -> Any:
    """What a model gives for `inputs`, through Keras' own layers alone."""
    import keras

    return keras.models.clone_model(
        model,
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=_called,
        recursive=False,
    ).output


def _called(layer: Any, *arguments: Any, **words: Any) -> Any:
    import keras

    arguments = tuple(map(_constant, arguments))
    layers = keras.layers
    dropouts = (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D)
    if isinstance(layer, dropouts):
        return arguments[0]
    if isinstance(layer, layers.Normalization):
        return _standardised(layer, arguments[0])
    if isinstance(layer, keras.Model):  # its layers keep their names to themselves
        inputs = keras.Input(layer.input_shape[1:], dtype="float32")
        return keras.Model(inputs, call_with_keras_layers(layer, inputs), name=layer.name)(
            *arguments
        )
    if type(layer).__module__.startswith(_OWN):
        return layer.call(*arguments)
    if getattr(layer, "activation", None) is keras.activations.gelu:
        return _gelu(layer, arguments[0])
    return layer(*arguments, **words)


def _constant(value: Any) -> Any:
    """An argument; a tensor with numbers in it, which would become an input of an exported graph,
    as an array."""
    return value.numpy() if hasattr(value, "numpy") else value


def _standardised(layer: Any, values: Any) -> Any:
    """(x - mean) / deviation as one scale and shift; Normalization keeps its constants in
    tensors, which become inputs of an exported graph."""
    import keras

    scale = 1 / np.maximum(np.sqrt(np.array(layer.variance, np.float64)), 1e-7)
    shift = -np.array(layer.mean, np.float64) * scale
    scale, shift = (one.reshape(-1).astype(np.float32).tolist() for one in (scale, shift))
    return keras.layers.Rescaling(scale, shift, name=layer.name)(values)


def _gelu(layer: Any, values: Any) -> Any:
    """GELU by the error function, which all converters know; TensorFlow has the complementary
    one, which that to ONNX does not."""
    import keras

    linear = type(layer).from_config(layer.get_config() | {"activation": "linear"})
    hidden = linear(values)
    linear.set_weights(layer.get_weights())
    return 0.5 * hidden * (1 + keras.ops.erf(hidden * 0.5**0.5))

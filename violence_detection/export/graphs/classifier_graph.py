"""The classifier for export: float32, Keras' own layers alone, probabilities as outputs."""

from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.export.formats._format import ANOMALY_SCORE, PROBABILITIES, PROBABILITY
from violence_detection.models.output_set import CLASSES, OutputSet
from violence_detection.system import devices

if TYPE_CHECKING:
    import keras

_OWN_MODULES = "violence_detection"
_MAX_UNROLLED_STEPS = 64  # of more, converters take minutes


def build_plain_classifier(
    trained: "keras.Model", *, temperature: float, unrolled: bool
) -> "keras.Model":
    """Builds a model with the same predictions that does not need this program.

    Layers of this program are replaced by the Keras layers that they call; dropout is left out;
    constants are part of the graph.

    Args:
        trained: From features (B, T, D) to logits, or to a dict of outputs.
        temperature: Divides the logits.
        unrolled: Unrolls recurrences of few steps: some runtimes are many times slower in a
            loop; others recognise the loop of an LSTM and optimise it.

    Returns:
        From `features`, float32 (B, T, D), to `probability`, that of violence, float32 (B, 1), in
        [0, 1]; with several classes also `probabilities`, (B, K), in their order; with anomaly
        outputs also `anomaly_score`, (B, 1), their mean.
    """
    import keras

    shape = trained.input_shape[1:]
    features = keras.Input(shape, dtype="float32", name="features")
    with devices.dtype_policy("float32"):
        _use_up_names()
        raw = call_with_keras_layers(to_float32(trained, unrolled=unrolled), features)
        if isinstance(raw, dict):
            outputs = _outputs_of_several(OutputSet.of_model(trained), raw, temperature)
        else:
            outputs = probability_outputs(raw, temperature=temperature)
    return keras.Model(features, outputs, name="classifier")


def probability_outputs(
    logits: "keras.KerasTensor", *, temperature: float
) -> dict[str, "keras.KerasTensor"]:
    """The outputs by name of logits (B, 1) or (B, K), divided by a temperature."""
    import keras

    tempered = keras.layers.Rescaling(1 / temperature, name="temperature")(logits)
    if logits.shape[-1] == 1:
        sigmoid = keras.layers.Activation("sigmoid", name=PROBABILITY)
        return {PROBABILITY: sigmoid(tempered)}
    by_class = keras.layers.Softmax(name=PROBABILITIES)(tempered)
    violent = keras.layers.Rescaling(-1.0, 1.0, name=PROBABILITY)(by_class[:, :1])
    return {PROBABILITY: violent, PROBABILITIES: by_class}


def _outputs_of_several(
    outputs: OutputSet, raw: "dict[str, keras.KerasTensor]", temperature: float
) -> "dict[str, keras.KerasTensor]":
    """The outputs by name of a model with several outputs, as `OutputPredictions` has them."""
    from keras import ops

    by_name = {output.name: output for output in outputs.outputs}
    anomalies = [
        output.score_layers(raw[name])
        for name, output in by_name.items()
        if output.kind == "anomaly"
    ]
    anomaly = None
    if anomalies:
        anomaly = anomalies[0]
        for score in anomalies[1:]:
            anomaly = anomaly + score
        anomaly = anomaly / len(anomalies)
    violence = [name for name, output in by_name.items() if output.kind == "violence"]
    if violence and outputs.count == 2:
        graph = probability_outputs(raw[violence[0]], temperature=temperature)
    elif violence:
        shares = ops.softmax(raw[CLASSES][:, 1:])
        score = by_name[violence[0]].score_layers(raw[violence[0]])
        graph = _tempered(ops.concatenate([1 - score, score * shares], axis=-1), temperature)
    elif CLASSES in raw:
        graph = probability_outputs(raw[CLASSES], temperature=temperature)
    else:
        graph = _tempered(ops.concatenate([1 - anomaly, anomaly], axis=-1), temperature)
        graph = {PROBABILITY: graph[PROBABILITIES][:, 1:]}
    return graph if anomaly is None else {**graph, ANOMALY_SCORE: anomaly}


def _tempered(
    probabilities: "keras.KerasTensor", temperature: float
) -> "dict[str, keras.KerasTensor]":
    """The outputs by name of probabilities (B, K), whose logarithms are divided by a
    temperature."""
    from keras import ops

    powers = ops.power(ops.maximum(probabilities, 1e-30), 1 / temperature)
    by_class = powers / ops.matmul(powers, np.ones((powers.shape[-1], 1), np.float32))
    return {PROBABILITY: 1 - by_class[:, :1], PROBABILITIES: by_class}


def _use_up_names() -> None:
    """Uses the names up that Keras would give to the first operation of a kind.

    Layers of this program are called `sum` and `mean`; Keras refuses a model with a layer and an
    operation of the same name.
    """
    import keras

    for operation in (keras.ops.sum, keras.ops.mean, keras.ops.max):
        operation(keras.Input((2,)))


def to_float32(trained: "keras.Model", *, unrolled: bool = False) -> "keras.Model":
    """The same network and weights in float32, without cuDNN."""
    has_few_steps = (trained.input_shape[1] or 0) <= _MAX_UNROLLED_STEPS
    config = _to_float32_config(trained.get_config(), unrolled=unrolled and has_few_steps)
    with devices.dtype_policy("float32"):
        model = type(trained).from_config(config)
    model.set_weights(trained.get_weights())
    return model


def _to_float32_config(config: Any, *, unrolled: bool) -> Any:
    """The config of a model with every layer in float32 and every recurrence without cuDNN."""
    if isinstance(config, list | tuple):
        return type(config)(_to_float32_config(item, unrolled=unrolled) for item in config)
    if not isinstance(config, dict):
        return config
    changed = {name: _to_float32_config(value, unrolled=unrolled) for name, value in config.items()}
    if isinstance(config.get("dtype"), dict):  # the policy of a layer; that of an input is a str
        changed["dtype"] = "float32"
    if "use_cudnn" in config:
        changed |= {"use_cudnn": False, "unroll": unrolled}
    return changed


def call_with_keras_layers(model: "keras.Model", inputs: "keras.KerasTensor") -> Any:
    """The output of a model for `inputs`, computed by Keras' own layers alone."""
    import keras

    return keras.models.clone_model(
        model,
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=_call_layer,
        recursive=False,
    ).output


def _call_layer(layer: Any, *arguments: Any, **keywords: Any) -> Any:
    """Calls a layer, or the Keras layers that replace it."""
    import keras

    arguments = tuple(map(_as_constant, arguments))
    layers = keras.layers
    dropouts = (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D)
    if isinstance(layer, dropouts):
        return arguments[0]
    if isinstance(layer, layers.Normalization):
        return _standardise(layer, arguments[0])
    if isinstance(layer, keras.Model):  # a model inside, since its layers' names may be taken
        inputs = keras.Input(layer.input_shape[1:], dtype="float32")
        return keras.Model(inputs, call_with_keras_layers(layer, inputs), name=layer.name)(
            *arguments
        )
    if type(layer).__module__.startswith(_OWN_MODULES):
        # Weights would become inputs of the exported graph, as tensors do.
        return getattr(layer, "call_with_constants", layer.call)(*arguments)
    if getattr(layer, "activation", None) is keras.activations.gelu:
        return _gelu(layer, arguments[0])
    return layer(*arguments, **keywords)


def _as_constant(value: Any) -> Any:
    """The argument; a tensor with values as an array, since it would become an input of the
    exported graph."""
    return value.numpy() if hasattr(value, "numpy") else value


def _standardise(layer: Any, values: Any) -> Any:
    """Computes (x - mean) / deviation as a scale and an offset.

    Normalization keeps its constants in tensors, which become inputs of an exported graph.
    """
    import keras

    scale = 1 / np.maximum(np.sqrt(np.array(layer.variance, np.float64)), 1e-7)
    shift = -np.array(layer.mean, np.float64) * scale
    scale, shift = (term.reshape(-1).astype(np.float32).tolist() for term in (scale, shift))
    return keras.layers.Rescaling(scale, shift, name=layer.name)(values)


def _gelu(layer: Any, values: Any) -> Any:
    """Computes GELU by the error function.

    TensorFlow uses the complementary error function, which tf2onnx cannot convert.
    """
    import keras

    linear = type(layer).from_config(layer.get_config() | {"activation": "linear"})
    hidden = linear(values)
    linear.set_weights(layer.get_weights())
    return 0.5 * hidden * (1 + keras.ops.erf(hidden * 0.5**0.5))

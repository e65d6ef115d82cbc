"""Classifiers of bags: videos in N segments of T frames, of which only the whole is labelled.

A head encodes each segment as it encodes a clip; the outputs see the segments in order, and their
maximum. The model takes any number of segments, so that a trained one predicts single windows too.
"""

import keras
import numpy as np
from keras import ops

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.models.outputs._output import Encoded

_PACKAGE = "violence_detection"
_OUTPUTS = ("classes", "mil", "violence")  # those that read a sequence or a vector of any origin


@keras.saving.register_keras_serializable(package=_PACKAGE)
class SegmentsAsClips(keras.layers.Layer):
    """The segments of all bags one after the other: (B, N, T, D) -> (B N, T, D)."""

    def call(self, inputs):
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[2:])


@keras.saving.register_keras_serializable(package=_PACKAGE)
class ClipsAsSegments(keras.layers.Layer):
    """The vectors of all segments by bag: (B N, H) and the bags (B, N, ...) -> (B, N, H)."""

    def call(self, vectors, bags):
        return ops.reshape(vectors, (-1, ops.shape(bags)[1], vectors.shape[-1]))

    def compute_output_shape(self, vectors_shape, bags_shape):
        return (bags_shape[0], bags_shape[1], vectors_shape[-1])


def is_bags(features: np.ndarray) -> bool:
    """True for features of bags, (V, N, T, D), and not of clips."""
    return len(features.shape) == 4


def check_outputs(names: list[str]) -> None:
    """Checks that outputs can be learned from bags of segments.

    Raises:
        ConfigError: If an output cannot be had of bags.
    """
    others = [name for name in names if name not in _OUTPUTS]
    if others:
        raise ConfigError(
            f"`outputs` must be of {', '.join(_OUTPUTS)} for features in segments. Received: "
            f"{', '.join(others)}"
        )


def encode_bags(head: str, examples: np.ndarray, *, recurrence: str) -> Encoded:
    """The encoding of bags (B, N, T, D): a head's, of each segment.

    Args:
        head: Spec of a part in `models/heads`.
        examples: Segments that set the constants of the standardisation, float16 (M, T, D).
        recurrence: See `classifier.build_classifier`.
    """
    of_clip = registry.load("heads", head, examples=examples, recurrence=recurrence)
    vectors = [of_clip.context]
    if of_clip.statistics is not None:
        vectors.append(of_clip.statistics)
    encoder = keras.Model(of_clip.features, vectors, name="segment_encoder")
    bags = keras.Input((None, *examples.shape[1:]), dtype="float32", name="features")
    clips = SegmentsAsClips(dtype="float32", name="segments_as_clips")(bags)
    encoded = encoder(clips)
    sequences = [
        ClipsAsSegments(dtype="float32", name=f"segments_{number}")(vector, bags)
        for number, vector in enumerate(encoded if isinstance(encoded, list) else [encoded])
    ]
    pooled = [
        keras.layers.GlobalMaxPooling1D(dtype="float32", name=f"highest_{number}")(sequence)
        for number, sequence in enumerate(sequences)
    ]
    sequence = sequences[0]
    if len(sequences) > 1:
        sequence = keras.layers.Concatenate(dtype="float32", name="segments")(sequences)
    return Encoded(
        of_clip.name,
        bags,
        pooled[0],
        sequence,
        pooled[1] if len(pooled) > 1 else None,
        of_clip.dropout,
    )


def segment_clips(features: np.ndarray, most: int) -> np.ndarray:
    """Segments of evenly spaced videos as clips, float16 (M, T, D), M <= about `most`.

    Args:
        features: float16 (V, N, T, D).
        most: Segments wanted at most; all segments of at least one video are taken.
    """
    videos, segments = features.shape[:2]
    chosen = features[:: max(1, -(-videos * segments // most))]
    return chosen.reshape(-1, *chosen.shape[2:])


def window_model(model: keras.Model) -> keras.Model:
    """A model of bags as one of clips (B, T, D): each is a bag of one segment. Weights are
    shared."""
    _, _, *shape = model.input_shape
    clips = keras.Input(tuple(shape), dtype="float32", name="features")
    bags = keras.layers.Reshape((1, *shape), dtype="float32", name="one_segment")(clips)
    # The layers are called anew, since those of a model inside keep shapes of unknown length,
    # which exporters do not take.
    return keras.Model(clips, model.call(bags), name=model.name)


def highest_segments(
    outputs: "np.ndarray | dict[str, np.ndarray]", scores: np.ndarray, segments: int
) -> "np.ndarray | dict[str, np.ndarray]":
    """The outputs of the segment of each bag with the highest score.

    Args:
        outputs: Of all segments, (V N, ...), or a dict of such arrays.
        scores: Of all segments, (V N,).
        segments: N.
    """
    highest = scores.reshape(-1, segments).argmax(1)
    rows = np.arange(len(highest)) * segments + highest
    if isinstance(outputs, dict):
        return {name: values[rows] for name, values in outputs.items()}
    return outputs[rows]

"""The outputs of a classifier: their layers, their targets, and what they say together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.models.outputs._output import Encoded, Output
from violence_detection.models.outputs._presets import PRESETS

if TYPE_CHECKING:
    import keras

CLASSES = "classes"  # the output of a run that names none
_CLIPS_FOR_CONSTANTS = 4096


@dataclass(frozen=True)
class OutputPredictions:
    """The answers of a classifier on N clips.

    Attributes:
        probability: Of each class, float64 (N, K), the normal class first; with anomaly outputs
            alone K = 2, and the second is the anomaly score.
        class_probability: The softmax of the output `classes`, float64 (N, K), not calibrated;
            None without that output, and where it is the only one.
        anomaly_scores: The score of each anomaly output by its name, float64 (N,) in [0, 1].
    """

    probability: np.ndarray
    class_probability: np.ndarray | None
    anomaly_scores: Mapping[str, np.ndarray]

    @property
    def anomaly_score(self) -> np.ndarray | None:
        """The mean of the anomaly scores, float64 (N,); None without anomaly outputs."""
        if not self.anomaly_scores:
            return None
        return np.mean(list(self.anomaly_scores.values()), axis=0)

    def mean_over_views(self, views: int) -> Self:
        """The answers on N / views clips, of which each is the mean over its views in a row."""

        def mean(values: np.ndarray) -> np.ndarray:
            return values.reshape(-1, views, *values.shape[1:]).mean(1)

        by_class = self.class_probability
        return type(self)(
            mean(self.probability),
            None if by_class is None else mean(by_class),
            {name: mean(scores) for name, scores in self.anomaly_scores.items()},
        )


class OutputSet:
    """The outputs of a classifier.

    Attributes:
        outputs: In the order of their layers; one of the kind `violence` is the last.
        count: K, the number of classes.
    """

    def __init__(self, outputs: Sequence[Output], count: int) -> None:
        self.outputs, self.count = tuple(outputs), count

    @classmethod
    def of_spec(cls, spec: str, classes: int) -> Self:
        """The outputs that `--outputs` names.

        Args:
            spec: A preset, or specs of parts in `models/outputs`, joined by `+`.
            classes: K.

        Raises:
            ConfigError: If a part does not take its arguments, or the outputs do not go together.
        """
        parts = registry.parse(PRESETS.get(spec, spec))
        names = [part.name for part in parts]
        if len(set(names)) < len(names):
            raise ConfigError(f"`outputs` must name each output once. Received: outputs={spec}")
        outputs = [registry.load("outputs", str(part), count=classes) for part in parts]
        if not any(output.weight for output in outputs):
            raise ConfigError(
                f"`outputs` must have a weight above 0, or nothing is learned. Received: "
                f"outputs={spec}"
            )
        if classes > 2 and CLASSES not in names:
            raise ConfigError(
                f"`outputs` must have `classes` for more than two classes. Received: outputs={spec}"
                f" with {classes} classes"
            )
        return cls(sorted(outputs, key=lambda output: output.kind == "violence"), classes)

    @classmethod
    def of_model(cls, model: "keras.Model") -> Self:
        """The outputs of a trained model, for what it predicts; their settings are defaults."""
        by_name = model.output if isinstance(model.output, dict) else {CLASSES: model.output}
        logits = by_name[CLASSES].shape[-1] if CLASSES in by_name else 1
        count = 2 if logits == 1 else logits
        outputs = [registry.load("outputs", name, count=count) for name in by_name]
        return cls(sorted(outputs, key=lambda output: output.kind == "violence"), count)

    @property
    def names(self) -> list[str]:
        return [output.name for output in self.outputs]

    @property
    def is_plain(self) -> bool:
        """True if `classes` stands alone: the model then gives logits, and not a dict."""
        return self.names == [CLASSES]

    # -- layers and their constants

    def build(self, encoded: Encoded) -> "keras.KerasTensor | dict[str, keras.KerasTensor]":
        """The layers of all outputs: logits if `is_plain`, else what each gives, by name."""
        if self.is_plain:
            return self.outputs[0].build(encoded, {})
        built, evidence = {}, {}
        for output in self.outputs:
            built[output.name] = output.build(encoded, evidence)
            evidence[output.name] = output.evidence(built[output.name])
        return built

    def prepare(self, model: "keras.Model", features: np.ndarray, labels: np.ndarray) -> None:
        """Sets the constants of all outputs before the first step, from normal training clips.

        Args:
            model: The classifier.
            features: Training clips, float16 (N, T, D); of those of the normal class up to 4096
                are used, evenly spaced.
            labels: int (N,).
        """
        if not self.is_plain:
            clips = _normal_clips(features, labels)
            for output in self.outputs:
                output.prepare(model, clips)

    def calibrate(self, model: "keras.Model", features: np.ndarray, labels: np.ndarray) -> None:
        """Sets the constants of the scores anew, for the kept model; see `prepare`."""
        if self.has_anomaly:
            clips = _normal_clips(features, labels)
            for output in self.outputs:
                output.calibrate(model, clips)

    # -- training

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The targets of all outputs side by side, float32 (N, C).

        C is the sum of `widths`; where that is 0 a column of zeros stands in, because a batch
        without columns ends TensorFlow's process.

        Args:
            labels: int (N,), in [0, K).
        """
        columns = [output.targets(labels) for output in self.outputs]
        if not sum(self.widths):
            columns.append(np.zeros((len(labels), 1), np.float32))
        return np.concatenate(columns, axis=1)

    @property
    def widths(self) -> list[int]:
        """Columns of the targets of each output."""
        return [output.targets(np.zeros(1, np.int64)).shape[1] for output in self.outputs]

    # -- predictions

    @property
    def has_anomaly(self) -> bool:
        return any(output.kind == "anomaly" for output in self.outputs)

    def output_predictions(
        self, outputs: "np.ndarray | Mapping[str, np.ndarray]"
    ) -> OutputPredictions:
        """The answers of a model's outputs, at temperature 1.

        Args:
            outputs: From `run_model`, of N clips.
        """
        by_name = outputs if isinstance(outputs, Mapping) else {CLASSES: outputs}
        scores = {output.name: output.score(by_name[output.name]) for output in self.outputs}
        anomalies = {
            output.name: scores[output.name] for output in self.outputs if output.kind == "anomaly"
        }
        by_class = None
        if CLASSES in by_name:
            classes = next(output for output in self.outputs if output.name == CLASSES)
            by_class = classes.predictions(by_name[CLASSES])
            if len(by_name) == 1:
                return OutputPredictions(by_class, None, {})
        violence = next((o.name for o in self.outputs if o.kind == "violence"), None)
        if violence is not None:
            probability = _shared(scores[violence], by_class)
        elif by_class is not None:
            probability = by_class
        else:
            probability = _shared(np.mean(list(anomalies.values()), axis=0), None)
        return OutputPredictions(probability, by_class, anomalies)

    def predictions(self, outputs: "np.ndarray | Mapping[str, np.ndarray]") -> np.ndarray:
        """The probability of each class, float64 (N, K); see `output_predictions`."""
        return self.output_predictions(outputs).probability


def _shared(violence: np.ndarray, by_class: np.ndarray | None) -> np.ndarray:
    """The probability of each class, float64 (N, K): that of violence shared by the violent
    classes as their softmax says."""
    if by_class is None or by_class.shape[1] == 2:
        return np.stack([1 - violence, violence], axis=1)
    violent = by_class[:, 1:]
    shares = violent / np.maximum(violent.sum(1, keepdims=True), np.finfo(np.float64).tiny)
    return np.concatenate([1 - violence[:, None], violence[:, None] * shares], axis=1)


def _normal_clips(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(np.asarray(labels) == 0)
    return features[rows[:: -(-len(rows) // _CLIPS_FOR_CONSTANTS)]]

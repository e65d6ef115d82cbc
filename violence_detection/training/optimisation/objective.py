"""The loss of a batch: the weighted losses of its outputs, and the running numbers they need."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from violence_detection.models.output_set import CLASSES, OutputSet

_KEPT = 0.9  # of a running mean of a loss in a step
_SMALLEST_LOSS = 1e-6


class Objective:
    """The loss of the outputs of a classifier.

    A row's loss is the sum over the outputs of weight times loss. With dynamic weights, the weight
    of an output is its own over the running mean of its loss, scaled so that the weights add up to
    the sum of the outputs' own.

    The numbers that change from step to step are one vector, the state: running means of the
    losses and the number of steps, for dynamic weights; then the state of each output. A training
    step moves it once, by sums over the rows of all replicas, so that several devices have the
    state of one. The loss of `classes` is the run's (`--loss`); a further term of a row's loss,
    such as a teacher's, belongs into `rows`.

    Attributes:
        outputs: The outputs.
        classes_loss: The loss of `classes`.
        names: Their names; empty where `classes` stands alone, whose loss is then the whole.
        variables: The state, which a resumed training restores; empty without a state.
    """

    def __init__(
        self, outputs: OutputSet, classes_loss: keras.losses.Loss, *, dynamic: bool = False
    ) -> None:
        """
        Args:
            outputs: The outputs.
            classes_loss: On targets and logits of `classes`; gives a value per row.
            dynamic: Weigh each output by the inverse of the running mean of its loss.
        """
        self.outputs, self.classes_loss = outputs, classes_loss
        self.names: list[str] = [] if outputs.is_plain else outputs.names
        self._dynamic = dynamic and len(self.names) > 1
        self._bases = np.array([output.weight for output in outputs.outputs], np.float32)
        widths = np.cumsum([0, *outputs.widths])
        self._columns = dict(
            zip(outputs.names, map(slice, widths[:-1].tolist(), widths[1:].tolist()), strict=True)
        )
        self._width = int(widths[-1])
        first = [0.0] * (len(self.names) + 1) if self._dynamic else []
        self._places: dict[str, slice] = {}
        for output in outputs.outputs:
            self._places[output.name] = slice(len(first), len(first) + len(output.state))
            first += output.state
        self._state = tf.Variable(first, trainable=False, dtype="float32") if first else None
        self.variables = [] if self._state is None else [self._state]

    def state(self) -> tf.Tensor:
        """The state, float32 (S,)."""
        return tf.zeros((0,)) if self._state is None else self._state.read_value()

    @property
    def result_names(self) -> list[str]:
        """Names of what `results` gives: `loss_<output>`, `weight_<output>`."""
        return [f"{kind}_{name}" for kind in ("loss", "weight") for name in self.names]

    @property
    def observed_length(self) -> int:
        """Length of what `of_batch` observes."""
        return len(self.names) + sum(output.observed for output in self.outputs.outputs)

    def rows(
        self, targets: tf.Tensor, outputs: tf.Tensor | Mapping[str, tf.Tensor], state: tf.Tensor
    ) -> list[tf.Tensor]:
        """The loss of each output for each row, (B,) each, not weighted.

        Args:
            targets: (B, C), see `OutputSet.targets`; further columns are for the loss of `classes`.
            outputs: Of the classifier.
            state: (S,).
        """
        if not self.names:
            return [self.classes_loss(targets, outputs)]
        losses, further = [], targets[:, self._width :]
        for output in self.outputs.outputs:
            own, given = targets[:, self._columns[output.name]], outputs[output.name]
            if output.name == CLASSES:
                if further.shape[-1]:
                    own = tf.concat([own, further], axis=-1)
                losses.append(self.classes_loss(own, given))
            else:
                losses.append(output.loss(own, given, state[self._places[output.name]]))
        return losses

    @tf.autograph.experimental.do_not_convert  # no control flow depends on a tensor
    def of_batch(
        self,
        targets: tf.Tensor,
        outputs: tf.Tensor | Mapping[str, tf.Tensor],
        weights: tf.Tensor,
        state: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and sums over its rows to move the state by.

        Args:
            targets, outputs, state: See `rows`.
            weights: Of each row, (B,).
        """
        rows = self.rows(targets, outputs, state)
        if not self.names:
            loss = tf.reduce_sum(rows[0] * weights)
            return (loss if self._bases[0] == 1 else loss * self._bases[0]), tf.zeros((0,))
        losses = tf.stack([tf.reduce_sum(row * weights) for row in rows])
        observed = [losses]
        for output in self.outputs.outputs:
            if output.observed:
                own = targets[:, self._columns[output.name]]
                sums = output.observe(own, outputs[output.name])
                observed.append(tf.reduce_sum(sums * weights[:, None], axis=0))
        return tf.reduce_sum(losses * self.weights(state)), tf.concat(observed, 0)

    def weights(self, state: tf.Tensor) -> tf.Tensor:
        """The weight of each output, float32 (n,)."""
        if not self._dynamic:
            return tf.constant(self._bases)
        means, steps = state[: len(self.names)], state[len(self.names)]
        # Before the first step there is no mean.
        inverse = self._bases / tf.maximum(means, _SMALLEST_LOSS)
        scaled = inverse * (float(self._bases.sum()) / tf.reduce_sum(inverse))
        return tf.where(steps > 0, scaled, self._bases)

    @tf.autograph.experimental.do_not_convert  # no control flow depends on a tensor
    def results(self, observed: tf.Tensor, state: tf.Tensor) -> dict[str, tf.Tensor]:
        """The losses of a step and their weights, by `result_names`.

        Args:
            observed: Reduced over all replicas.
            state: That of the step.
        """
        count = len(self.names)
        values = [*tf.unstack(observed[:count]), *tf.unstack(self.weights(state))] if count else []
        return dict(zip(self.result_names, values, strict=True))

    @tf.autograph.experimental.do_not_convert  # no control flow depends on a tensor
    def move(self, observed: tf.Tensor, state: tf.Tensor, finite: tf.Tensor) -> None:
        """Moves the state after a step, unless the step was skipped.

        Args:
            observed: From `of_batch`, reduced over all replicas.
            state: That of the step.
            finite: False for a skipped step.
        """
        if self._state is None:
            return
        count, parts = len(self.names), []
        if self._dynamic:
            means, steps = state[:count], state[count]
            moved = tf.where(
                steps > 0, _KEPT * means + (1 - _KEPT) * observed[:count], observed[:count]
            )
            parts += [moved, [steps + 1]]
        place = count
        for output in self.outputs.outputs:
            if output.state:
                sums = observed[place : place + output.observed]
                parts.append(output.move(state[self._places[output.name]], sums))
                place += output.observed
        self._state.assign(tf.where(finite, tf.concat(parts, 0), state))

    def validation_losses(
        self, targets: np.ndarray, outputs: np.ndarray | Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """The loss of each row by the outputs' own weights, and the mean loss of each output.

        The weights do not change during a training, so that its epochs compare.

        Returns:
            float32 (N,), and the means by `val_loss_<output>`.
        """
        rows = [np.array(row) for row in self.rows(targets, outputs, self.state())]
        if not self.names:
            return (rows[0] if self._bases[0] == 1 else rows[0] * self._bases[0]), {}
        total = np.sum([base * row for base, row in zip(self._bases, rows, strict=True)], axis=0)
        means = [float(row.mean()) for row in rows]
        by_output = {f"val_loss_{name}": mean for name, mean in zip(self.names, means, strict=True)}
        return total.astype(np.float32), by_output


def of_logits(loss: Any, classes: int = 2) -> Objective:
    """The objective of a classifier whose only output is `classes`.

    Args:
        loss: On targets and logits; gives a value per row.
        classes: K.
    """
    return Objective(OutputSet.of_spec(CLASSES, classes), loss)

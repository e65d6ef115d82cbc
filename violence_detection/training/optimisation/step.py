"""The training step over all devices, correct where `fit` under a strategy is silently wrong.

The order matters: gradients are summed over the replicas first, then checked for being finite,
then clipped, then applied. The loss is divided by the videos of the whole batch, not of a
replica's part. One device and many use the same code.
"""

import functools
import math
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from violence_detection.errors import TrainingError
from violence_detection.training.optimisation.objective import Objective
from violence_detection.training.optimisation.weight_averaging import Average, NoAverage
from violence_detection.training.saving.training_state import StepState

AT_ONCE = 8  # steps

_RESULTS = ("loss", "gradient_norm", "finite")
_FIRST_SCALE, _LARGEST_SCALE = 2.0**15, 2.0**24
_GROWTH_STEPS = 2000


class TrainingStep:
    """Forward, backward and update of one global batch.

    Args:
        classifier: Built in the strategy's scope.
        objective: The loss of a batch.
        optimizer: Built in the strategy's scope; its learning rate is set at every step.
        strategy: The default strategy for one device, else a strategy over several.
        schedule: The learning rate at a step.
        global_clipnorm: Largest global norm of the gradients; 0 does not clip.
        xla: Compile each replica's forward and backward.
        pieces: Each replica processes its part of a batch in so many equal pieces and adds up
            their gradients.
        sam_rho: Distance uphill of the weights at which the gradient is taken (sharpness-aware
            minimisation); 0 takes it at the weights.
        average: Gets the weights after each applied step.

    Attributes:
        xla: True if the forward and backward pass are compiled.
        steps: Steps done, those skipped for non-finite gradients included.
        scale: Loss scale in float16, else 1.

    Reference:
        Foret et al., 2020, https://arxiv.org/abs/2010.01412 (sharpness-aware minimisation)
    """

    def __init__(
        self,
        classifier: keras.Model,
        *,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        schedule: Callable[[float], float],
        global_clipnorm: float,
        xla: bool,
        pieces: int = 1,
        sam_rho: float = 0.0,
        average: Average | None = None,
    ) -> None:
        self.classifier, self.objective, self.optimizer = classifier, objective, optimizer
        self.strategy, self.schedule, self.global_clipnorm = strategy, schedule, global_clipnorm
        self.pieces, self.sam_rho = pieces, sam_rho
        self.average = average or NoAverage()
        self.steps = 0
        self._scaled = keras.config.dtype_policy().compute_dtype == "float16"
        # Variables of the graph: reading them in Python would make the devices wait at every step.
        self._scale = tf.Variable(
            _FIRST_SCALE if self._scaled else 1.0, trainable=False, dtype="float32"
        )
        self._sound_steps = tf.Variable(0, trainable=False, dtype="int32")
        self.xla = xla
        self._forward_backward = tf.function(self._replica_gradients, jit_compile=xla)
        # A graph of its own: Keras never releases the graph in which an optimizer is applied.
        self._applied = tf.function(self._apply)
        self._one_step = tf.function(self._train_step)
        # Each fold and member has a graph of its own. TensorFlow would take the sixth for a graph
        # that is traced again and again, and warn: by `partial` it does not know them as one.
        self._some_steps = tf.function(functools.partial(self._train_steps))

    def __call__(self, batch: tuple) -> dict[str, tf.Tensor]:
        """Trains on one batch of features (B, T, D), in float16 or float32, targets (B, K) and
        weights (B,).

        Returns:
            loss, gradient_norm (before clipping), finite (1.0, or 0.0 for a skipped step), and
            `Objective.results`: float32 scalars that the devices may still be computing.
        """
        (rate,) = self._next_rates(1)
        self.optimizer.learning_rate.assign(rate)
        return self._one_step(batch)

    def run(self, batches: Iterator[tuple], steps: int) -> dict[str, tf.Tensor]:
        """Trains on the next batches without returning to Python in between.

        Args:
            batches: An iterator of a dataset, or of a dataset distributed over the replicas.
            steps: At most `AT_ONCE`.

        Returns:
            The same results as a call, for each step, (steps,).
        """
        rates = np.zeros(AT_ONCE, np.float32)
        rates[:steps] = self._next_rates(steps)
        results = self._some_steps(batches, rates, np.int32(steps))
        return {name: values[:steps] for name, values in results.items()}

    def _next_rates(self, steps: int) -> list[float]:
        # The schedule at the middle of the step is 0 neither at the first nor at the last.
        rates = [self.schedule(self.steps + step + 0.5) for step in range(steps)]
        self.steps += steps
        return rates

    @property
    def scale(self) -> float:
        return float(self._scale.numpy())

    def state(self) -> StepState:
        """The state that a resumed training restores besides the variables."""
        return StepState(self.steps, self.scale, int(self._sound_steps.numpy()))

    def restore(self, state: StepState) -> None:
        self.steps = state.steps
        self._scale.assign(state.scale)
        self._sound_steps.assign(state.sound_steps)

    def check_finite(self, finite: np.ndarray, epoch: int) -> None:
        """Checks that not too many steps of an epoch were skipped.

        In float32 no step may be skipped. In float16 some are, because the loss scale is adapted
        by overflows; but not all steps of an epoch.

        Args:
            finite: 1.0 for each step of the epoch, or 0.0 if it was skipped.
            epoch: From 1, for the message.

        Raises:
            TrainingError: If too many steps were skipped.
        """
        applied = int(finite.sum())
        if applied < (1 if self.scale > 1 else len(finite)):
            raise TrainingError(
                "The loss and its gradients must stay finite. Received: "
                f"{len(finite) - applied} of {len(finite)} batches not finite, in epoch {epoch}; "
                "a lower --learning-rate helps"
            )

    # -- in the graph, over all replicas

    def _train_steps(self, batches, rates, steps):
        # Arrays of one length always: another length would be traced anew.
        names = (*_RESULTS, *self.objective.result_names)
        results = {name: tf.TensorArray(tf.float32, AT_ONCE) for name in names}
        for number in tf.range(steps):
            # Each step needs the weights of the one before: parallel iterations only cost memory.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            self.optimizer.learning_rate.assign(rates[number])
            result = self._train_step(next(batches))
            results = {name: array.write(number, result[name]) for name, array in results.items()}
        return {name: array.stack() for name, array in results.items()}

    def _train_step(self, batch):
        state = self.objective.state()
        loss, observed, gradients, norm = self._reduced_gradients(batch, state)
        finite = tf.math.is_finite(norm) & tf.math.is_finite(loss)
        if self.sam_rho:
            gradients, norm = self._gradients_uphill(batch, state, gradients, norm)
            finite &= tf.math.is_finite(norm)
        if self.global_clipnorm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.global_clipnorm, use_norm=norm)
        # Outside of the replicas, apply() does not reduce a second time.
        tf.cond(finite, lambda: self._applied(gradients), lambda: tf.constant(False))
        if self._scaled:
            self._rescale(finite)
        self.objective.move(observed, state, finite)
        return {
            "loss": loss,
            "gradient_norm": norm,
            "finite": tf.cast(finite, tf.float32),
            **self.objective.results(observed, state),
        }

    def _reduced_gradients(self, batch, state):
        """Loss, what the objective observes, gradients and their global norm over the batch."""
        losses, observed, gradients = self.strategy.run(
            self._forward_backward, args=(*batch, self._scale.read_value(), state)
        )
        loss, observed, *gradients = self._sums([losses, observed, *gradients])
        gradients = [gradient / self._scale for gradient in gradients]
        return loss, observed, gradients, tf.linalg.global_norm(gradients)

    def _sums(self, values):
        """The sum of each value over the replicas."""
        if self.strategy.num_replicas_in_sync == 1:
            return values
        # One operation for all values: between machines, each operation waits for the network.
        packed = self.strategy.run(_packed, args=values)
        packed = self.strategy.reduce(tf.distribute.ReduceOp.SUM, packed, axis=None)
        weights = self.classifier.trainable_variables
        shapes = [(), (self.objective.observed_length,), *[tuple(w.shape) for w in weights]]
        sums = tf.split(packed, [math.prod(shape) for shape in shapes])
        return [tf.reshape(value, shape) for value, shape in zip(sums, shapes, strict=True)]

    def _gradients_uphill(self, batch, state, gradients, norm):
        """Gradients at the distance rho from the weights, where the loss grows fastest."""
        weights = self.classifier.trainable_variables
        kept = [tf.identity(weight.value) for weight in weights]
        distance = tf.math.divide_no_nan(self.sam_rho, norm)
        # A step that is not finite is skipped: the weights must stay finite meanwhile.
        distance = tf.where(tf.math.is_finite(norm), distance, 0.0)
        for weight, value, gradient in zip(weights, kept, gradients, strict=True):
            gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
            weight.assign(value + tf.cast(distance * gradient, value.dtype))
        _, _, gradients, norm = self._reduced_gradients(batch, state)
        for weight, value in zip(weights, kept, strict=True):
            weight.assign(value)
        return gradients, norm

    def _apply(self, gradients):
        self.optimizer.apply(gradients, self.classifier.trainable_variables)
        self.average.after_step()
        return tf.constant(True)

    def _rescale(self, finite):
        """Halves the loss scale after an overflow, doubles it after 2000 steps without one."""
        sound = tf.where(finite, self._sound_steps + 1, 0)
        grown = tf.where(sound % _GROWTH_STEPS == 0, self._scale * 2, self._scale)
        scale = tf.where(finite, grown, self._scale / 2)
        self._sound_steps.assign(sound)
        self._scale.assign(tf.clip_by_value(scale, 1.0, _LARGEST_SCALE))

    # -- in the graph, on one replica

    def _replica_gradients(self, features, targets, weights, scale, state):
        """Loss, observed sums and scaled gradients of a replica's part of a batch, piece after
        piece."""
        if self.pieces == 1:
            return self._piece_gradients(features, targets, weights, scale, state)
        pieces = [
            tf.reshape(tensor, (self.pieces, -1, *tensor.shape[1:]))
            for tensor in (features, targets, weights)
        ]
        loss, observed = tf.zeros(()), tf.zeros((self.objective.observed_length,))
        gradients = [tf.zeros(variable.shape) for variable in self.classifier.trainable_variables]
        for piece in tf.range(self.pieces):
            # In parallel the pieces would take the memory of the whole part.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            piece_loss, piece_observed, added = self._piece_gradients(
                *[part[piece] for part in pieces], scale, state
            )
            loss += piece_loss
            observed += piece_observed
            # Grappler would merge this sum with those inside the gradients and, where it counts
            # more memory than the machine has, accumulate it in a temporary variable. It creates
            # that variable once more after the last piece, never destroys it, and the next run
            # ends with AlreadyExistsError. No sum is merged across a snapshot, which costs no copy.
            added = [tf.raw_ops.Snapshot(input=gradient) for gradient in added]
            gradients = [a + b for a, b in zip(gradients, added, strict=True)]
        return loss, observed, gradients

    def _piece_gradients(self, features, targets, weights, scale, state):
        features = tf.cast(features, tf.float32)
        variables = [variable.value for variable in self.classifier.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = self.classifier(features, training=True)
            loss, observed = self.objective.of_batch(targets, outputs, weights, state)
            scaled = loss * scale
        # With one frame the attention is constant, and its weights have no gradient.
        gradients = tape.gradient(
            scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return loss, observed, [tf.cast(gradient, tf.float32) for gradient in gradients]


def _packed(*values: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.reshape(value, (-1,)) for value in values], 0)


def separate_dropout(
    classifier: keras.Model, strategy: tf.distribute.Strategy, first_replica: int = 0
) -> None:
    """Gives each replica dropout masks of its own; as Keras builds them, all draw the same mask.

    The seed of replica r is the seed of replica 0 plus r, so that a resumed training needs the
    seed of replica 0 only.

    Args:
        classifier: Built in the strategy's scope.
        strategy: The strategy over the replicas.
        first_replica: Number of this machine's first replica among those of all machines.
    """
    for variable in classifier.variables:
        if "seed_generator" not in variable.path:
            continue
        first = variable.numpy()
        for replica, local in enumerate(
            strategy.experimental_local_results(variable.value), first_replica
        ):
            local.assign(first + np.array([replica, 0], first.dtype))

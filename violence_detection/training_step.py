"""One training step over all devices, right where `fit` under a strategy is silently wrong.

The order is what matters: each replica's gradients are reduced first, then checked for being
finite, then clipped, then applied; and the loss is divided by the videos of the whole batch,
not of a replica's share. One device and many go the same way.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

_FIRST_SCALE = 2.0**15
_GROWTH_STEPS = 2000


class TrainingStep:
    """Forward, backward and update of one global batch.

    Args:
        classifier: Built in the strategy's scope.
        loss: Gives a value per example, (B,).
        optimizer: Built in the strategy's scope; its learning rate is set at every step.
        strategy: The default strategy for one device.
        schedule: Learning rate at a step.
        clip_norm: Largest global norm of the gradients; 0 does not clip.
        xla: Compile each replica's forward and backward.

    Attributes:
        steps: Steps done, those skipped for non-finite gradients included.
        scale: Loss scale in float16, else 1.
    """

    def __init__(
        self,
        classifier: keras.Model,
        *,
        loss: keras.losses.Loss,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        schedule: Callable[[float], float],
        clip_norm: float,
        xla: bool,
    ) -> None:
        self.classifier, self.loss, self.optimizer = classifier, loss, optimizer
        self.strategy, self.schedule, self.clip_norm = strategy, schedule, clip_norm
        self.steps = 0
        self._scaled = keras.config.dtype_policy().compute_dtype == "float16"
        self.scale = _FIRST_SCALE if self._scaled else 1.0
        self._sound_steps = 0
        self._forward_backward = tf.function(self._replica_gradients, jit_compile=xla)
        self._global_step = tf.function(self._reduce_and_apply)

    def __call__(self, batch: tuple) -> dict[str, float]:
        """Learn from one batch of features (B, T, D), targets (B, K) and weights (B,).

        Returns:
            loss, gradient_norm (before clipping), finite (1.0, or 0.0 for a skipped step).
        """
        # The schedule at the middle of the step is 0 neither at the first nor at the last.
        self.optimizer.learning_rate.assign(self.schedule(self.steps + 0.5))
        loss, norm, finite = self._global_step(
            batch, tf.constant(self.scale, tf.float32)
        )
        self.steps += 1
        finite = bool(finite)
        if self._scaled:
            self._rescale(finite)
        return {
            "loss": float(loss),
            "gradient_norm": float(norm),
            "finite": float(finite),
        }

    def state(self) -> dict[str, float]:
        """What a resumed training needs besides the variables."""
        return {
            "steps": self.steps,
            "scale": self.scale,
            "sound_steps": self._sound_steps,
        }

    def restore(self, state: dict[str, float]) -> None:
        self.steps, self.scale = int(state["steps"]), float(state["scale"])
        self._sound_steps = int(state["sound_steps"])

    def _rescale(self, finite: bool) -> None:
        """Halve the loss scale after an overflow, double it after 2000 sound steps."""
        self._sound_steps = self._sound_steps + 1 if finite else 0
        if not finite:
            self.scale = max(1.0, self.scale / 2)
        elif self._sound_steps % _GROWTH_STEPS == 0:
            self.scale = min(2.0**24, self.scale * 2)

    def _reduce_and_apply(self, batch, scale):
        losses, gradients = self.strategy.run(
            self._forward_backward, args=(*batch, scale)
        )
        add = tf.distribute.ReduceOp.SUM
        loss = self.strategy.reduce(add, losses, axis=None)
        gradients = [
            self.strategy.reduce(add, one, axis=None) / scale for one in gradients
        ]
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm) & tf.math.is_finite(loss)
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self.clip_norm, use_norm=norm
            )
        # Outside of the replicas, apply() does not reduce a second time.
        tf.cond(finite, lambda: self._apply(gradients), lambda: tf.constant(False))
        return loss, norm, finite

    def _apply(self, gradients):
        self.optimizer.apply(gradients, self.classifier.trainable_variables)
        return tf.constant(True)

    def _replica_gradients(self, features, targets, weights, scale):
        variables = [variable.value for variable in self.classifier.trainable_variables]
        with tf.GradientTape() as tape:
            logits = self.classifier(features, training=True)
            loss = tf.reduce_sum(self.loss(targets, logits) * weights)
            scaled = loss * scale
        gradients = tape.gradient(scaled, variables)
        return loss, [tf.cast(gradient, tf.float32) for gradient in gradients]


def separate_dropout(classifier: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Let each replica draw dropout masks of its own; as built, all draw the same one.

    The seed of replica r is that of the first plus r, so the first one's is all that a
    resumed training needs.
    """
    for variable in classifier.variables:
        if "seed_generator" not in variable.path:
            continue
        first = variable.numpy()
        for replica, local in enumerate(
            strategy.experimental_local_results(variable.value)
        ):
            local.assign(first + np.array([replica, 0], first.dtype))


def steps_per_epoch(videos: int, batch_size: int) -> int:
    return math.ceil(videos / batch_size)

"""The loss of a classifier that has a teacher."""

import keras
from keras import ops


class DistillationLoss(keras.losses.Loss):
    """``a T^2 KL(teacher || classifier) + (1 - a) loss on labels``, one value per example.

    Both distributions are softened by the temperature T; T^2 keeps the size of the gradients.
    Targets without the teacher's columns, as in validation, have the loss on labels alone.

    Args:
        of_labels: Gives a value per example.
        temperature: T.
        weight: a.

    Call: y_true (B, 2 C) or (B, C), y_pred logits (B, C), where C is 1 for two classes, else K;
    float32 (B,).

    Reference:
        Hinton et al., 2015, https://arxiv.org/abs/1503.02531
    """

    def __init__(self, of_labels: keras.losses.Loss, *, temperature: float, weight: float) -> None:
        super().__init__(name="taught", reduction="none", dtype="float32")
        self.of_labels, self.temperature, self.weight = of_labels, temperature, weight

    def call(self, y_true, y_pred):
        width = y_pred.shape[-1]
        if y_true.shape[-1] == width:
            return self.of_labels(y_true, y_pred)
        labels, soft = y_true[:, :width], ops.cast(y_true[:, width:], "float32")
        logits = ops.cast(y_pred, "float32") / self.temperature
        if width == 1:
            soft = ops.concatenate([1 - soft, soft], axis=-1)
            log_p = ops.concatenate([-ops.softplus(logits), -ops.softplus(-logits)], axis=-1)
        else:
            log_p = ops.log_softmax(logits, axis=-1)
        divergence = ops.sum(soft * (ops.log(ops.maximum(soft, 1e-7)) - log_p), axis=-1)
        of_labels = self.of_labels(labels, y_pred)
        return self.weight * self.temperature**2 * divergence + (1 - self.weight) * of_labels

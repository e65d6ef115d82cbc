"""Losses on logits, one part a file.

A part must define `build(*, label_smoothing: float, class_fractions: list[float], ...) ->
keras.losses.Loss`. Every further argument needs a default and a type, because a spec may set it.

Args of every `build`:
    label_smoothing: Fraction of a label's weight that is spread over the classes.
    class_fractions: Fraction of each class in the drawn videos, the normal class first.

The loss takes y_true and logits, float (B, 1) for two classes, else (B, K), and returns float32
(B,): it must have `reduction="none"`.
"""

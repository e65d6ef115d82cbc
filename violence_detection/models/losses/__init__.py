"""Losses on logits. A part has `build`, which returns a keras.losses.Loss."""

"""Losses on logits. A part has `build`, which gives a keras.losses.Loss."""

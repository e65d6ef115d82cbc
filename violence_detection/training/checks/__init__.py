"""Checks of a training, before hours are spent and after it."""

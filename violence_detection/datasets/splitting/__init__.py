"""Splits and folds of videos, whole recordings together."""

"""Datasets of videos: labels, recordings, splits, folds, near-duplicates."""

"""Ablation: one option of a training switched at a time."""

"""Replay of kept scores, and thresholds from a camera's own quiet hours."""

"""Violence detection in two stages: features of videos once, then classifiers in minutes."""

__version__ = "0.1.0"

"""The choice of thresholds, and what they cost."""

"""Stage two: from cached features to a run."""

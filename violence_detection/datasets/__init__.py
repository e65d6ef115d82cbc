"""Which videos there are: labels, recordings, splits, folds, near-duplicates."""

"""The classifier, its outputs, and the run (trained model) on disk."""

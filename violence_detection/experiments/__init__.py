"""Studies of many trainings: cross-validation, tuning, cross-dataset evaluation, the demo."""

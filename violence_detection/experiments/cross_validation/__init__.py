"""Cross-validation: folds, their trainings, predictions and scores."""

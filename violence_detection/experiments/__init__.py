"""What trains many times: cross-validation, tuning, tests across datasets, the demo."""

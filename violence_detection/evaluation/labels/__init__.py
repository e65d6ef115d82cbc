"""Labels of reviewers, written into a dataset."""

"""Evaluation of a run: metrics, diagnostics, comparison of runs, robustness, labelling."""

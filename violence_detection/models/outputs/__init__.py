"""Outputs: the prediction tasks of a classifier, one file each."""

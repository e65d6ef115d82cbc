"""Outputs: the answers of a classifier, one file each."""

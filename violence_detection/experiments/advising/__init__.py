"""Advice on the settings of a training, from its dataset."""

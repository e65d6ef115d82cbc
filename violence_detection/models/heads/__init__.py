"""Classifiers on the features of a clip. A part has `build`."""

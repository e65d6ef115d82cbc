"""Heads, which encode the features of a clip. A part has `build`."""

"""Streams: they make the images of a clip for the backbone. A part has `RECIPE` and `build`."""

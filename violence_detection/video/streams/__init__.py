"""Streams: what the backbone sees of a clip. A part has `RECIPE` and `build`."""

"""What the backbone sees of a clip. A part has RESIZE and `build`."""

"""Stage one: from images to cached feature arrays."""

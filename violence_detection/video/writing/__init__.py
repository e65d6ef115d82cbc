"""Video files that are written."""

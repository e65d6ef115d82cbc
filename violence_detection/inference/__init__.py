"""A run on video: windows, probabilities, segments."""

"""A run on video: windows, probabilities, segments, and the policies of alerts and messages."""

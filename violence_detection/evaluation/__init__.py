"""What a run is worth, and where it fails."""

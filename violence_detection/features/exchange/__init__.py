"""Features from and for other programs."""

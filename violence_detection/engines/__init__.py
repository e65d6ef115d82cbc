"""What runs a backbone. A part has `build`, which gives a function from pictures to features."""

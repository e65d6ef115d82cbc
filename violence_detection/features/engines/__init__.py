"""What runs a backbone. A part has ON_GPU, `missing`, `rank`, `gains`, `policy`, and `build`, which
gives a function from pictures to features."""

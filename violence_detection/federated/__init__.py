"""Training over sites that keep their features: only sums, counts and weights leave a site."""

"""Files that a model leaves the house in. A part has FILE, TOLERANCES (by precision), UNROLLED,
`missing`, `write` and `load`."""

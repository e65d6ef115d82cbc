"""File formats of exported models. A part has FILE, TOLERANCES (by precision), UNROLLED, `missing`,
`write` and `load`."""

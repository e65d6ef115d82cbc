"""Heads encode the features of a clip.

A part must define `build(*, examples: np.ndarray, recurrence: str, ...) -> Encoded`; see
`_output.Encoded`. Every further argument needs a default and a type, because a spec may set it.

Args of every `build`:
    examples: Training clips, float16 (N, T, D), which give the shape of the input and the mean
        and variance of the standardisation.
    recurrence: How a recurrence is computed: `cudnn`, `loop` or `unrolled`; a head without a
        recurrence ignores it.
"""

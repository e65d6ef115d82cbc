"""File formats of exported models, one part a file.

A part must define:
    FILE: Name of the file or folder that it writes, a str.
    TOLERANCES: dict[str, Tolerance], the precisions that it can write and the largest difference
        that each may have from the model; see `_format.Tolerance`.
    NEEDS_TENSORFLOW: True if its file is run by TensorFlow.
    UNROLLED: True if a recurrence must be unrolled before it is written.
    missing() -> str: The extra to install; empty if nothing is missing.
    ANY_SIZE: True if an input may have a size that is known only when the file is run.
    write(model, path, *, precision, examples) -> None: Writes a Keras model from arrays to a dict
        of arrays; `examples` are arrays for a model of one input, to calibrate a precision with.
    load(path, threads=1) -> ClipFunction: The written file as a function from arrays by name to
        arrays by name, which are those of the model's inputs and outputs.
"""

"""Outputs are the prediction tasks of a classifier, one file each.

A part must define:
    name: The name of the task, a str.
    build(*, count: int) -> Output: The output of `count` classes, the normal class first.

`_output.Output` lists what an output must have: `name`, `build(encoded)`, `targets(labels)`,
`predictions(outputs)` and `score(predictions)`.
"""

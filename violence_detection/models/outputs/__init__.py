"""Outputs are the questions that a classifier answers about a clip, one file each.

A part must define `build(*, count: int, weight: float = ..., ...) -> Output`; see `_output.Output`.
Every further argument needs a default and a type, because a spec may set it.

Args of every `build`:
    count: K, the number of classes, the normal class first.
    weight: Factor of the output's loss.
"""

"""Corruptions of a video by light, lenses, cameras and networks, one part a file.

A part has `build(**severity)`, which returns a `ClipChange`, or where more than single frames
changes, another function from `VideoFrames` and a random generator to `VideoFrames` (see
`_corruption`). A part streams the frames, draws from the generator only, does not change its input
frames, and keeps the duration of the video. The docstring of `build` names the source of the
default severity: the middle severity, 3 of 5, of ImageNet-C where it has the corruption, for images
of 224 pixels.

`robustness` corrupts the videos of a split with them; `extract-features --view-kinds` makes views
of training clips by those that are a `ClipChange`.

A part that needs an extra has `missing()`: the command that installs it, or "" if it is installed.

Reference:
    Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
    perturbations, 2019, https://arxiv.org/abs/1903.12261
"""

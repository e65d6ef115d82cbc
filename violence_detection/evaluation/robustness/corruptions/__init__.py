"""What bad light, lenses, cameras and networks do to a video. A part has `build(**severity)`, which
gives a function of `VideoFrames` and a generator to other `VideoFrames` (see `_corruption`).

A part takes frames one after the other and holds none, draws from the generator alone, never
changes the frames that it is given, and keeps how long the video lasts. Its default severity has
its source in its docstring; the middle one, 3 of 5, of ImageNet-C where that has the corruption,
which is of pictures of 224 pixels.

A part that needs an extra has `missing()`: how to install it, or nothing where it is.

Reference:
    Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
    perturbations, 2019, https://arxiv.org/abs/1903.12261
"""

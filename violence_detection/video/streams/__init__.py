"""Streams make the images of a clip for the backbone.

A part must define:
    RECIPE: How an image is made, a str; it is part of the feature space, so that features of
        another recipe are never mixed.
    build(*, frame_size: int, focus: bool = False, ...) -> Stream: The stream for images of
        frame_size x frame_size pixels; with `focus`, frames are cropped to the region of motion.

`_stream.Stream` says what the stream must do, and `_stream.InGraph` the same for export.
"""

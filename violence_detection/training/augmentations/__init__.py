"""Augmentations: random changes of a training batch. A part has `build(*, clips, views, ...)`,
which returns a function of a `Batch` and a generator to another `Batch` (see `_batch`).

Args of every `build`:
    clips: The training clips, float16 (N, T, D), indexed by rows.
    views: The same clips in each further cached view, for a part with `READS_VIEWS = True`. Such
        a part must come first in a spec, because it replaces clips.

Of videos in segments a part changes each segment as a clip of its own; one that changes targets
says `MIXES = True`, and is refused there.

A part draws from the generator alone, never changes the arrays that it gets, and keeps their
shapes and dtypes. Every part has `p`, and with p=0 does nothing.
"""

"""Changes of a training batch, drawn anew each time. A part has `build(*, clips, views, ...)`,
which gives a function of a `Batch` and a generator to another `Batch` (see `_batch`).

Args of every `build`:
    clips: The training clips, float16 (N, T, D), indexed by rows.
    views: The same clips in each further view that is cached, where a part has
        `READS_VIEWS = True`; such a part comes first in a spec, because it takes a clip anew.

A part draws from the generator alone, never changes the arrays that it is given, and keeps their
shapes and dtypes. Every part has `p`, and with p=0 does nothing.
"""

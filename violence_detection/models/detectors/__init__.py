"""Detectors of unusual clips that are fitted to normal clips in one step, one file each.

A part must define:
    name: The name of the detector, a str.
    build(*, clips: np.ndarray) -> keras.Model: The detector of normal clips, float16 (N, T, D):
        from features (B, T, D) to an error, float32 (B, 1), larger for more unusual clips.

`_error.with_border` makes of the error a logit, that of e / (e + border). Detectors that are
trained in epochs are the anomaly outputs in `models/outputs`.
"""

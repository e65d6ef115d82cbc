"""Labels and predicted probabilities of drawn videos."""

import numpy as np
from hypothesis import strategies as st

# (violent, probability) of each video. Ties are likely, since few values are possible.
SCORED_VIDEOS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda k: k / 12)), max_size=60
)


def columns_of(videos) -> tuple[np.ndarray, np.ndarray]:
    """`violent` bool (N,) and `probability` float (N,) of `SCORED_VIDEOS`."""
    violent = np.array([video[0] for video in videos], dtype=bool)
    return violent, np.array([video[1] for video in videos], dtype=float)


def draw_scores(num_videos=240, num_groups=36, seed=0):
    """`violent`, `probability` and the recordings of videos; violent ones score higher."""
    rng = np.random.default_rng(seed)
    violent = rng.random(num_videos) < 0.5
    probability = np.clip(0.3 * violent + 0.7 * rng.random(num_videos), 0, 1)
    return violent, probability, rng.integers(0, num_groups, num_videos)

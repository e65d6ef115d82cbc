from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.datasets.splitting.thinning import thin_class
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError


def videos(sizes_of_recordings, others):
    rows = [
        ManifestEntry(f"normal/{group}-{n}.mp4", "normal", f"recording {group}", "train")
        for group, size in enumerate(sizes_of_recordings)
        for n in range(size)
    ]
    # The first recordings have violent clips, too.
    return rows + [
        ManifestEntry(f"violent/{n}.mp4", "violent", f"recording {n % 5}", "train")
        for n in range(others)
    ]


@given(
    sizes=st.lists(st.integers(1, 6), min_size=12, max_size=40),
    fraction=st.floats(0.1, 0.3),
    seed=st.integers(0, 9),
)
def test_whole_recordings_of_the_class_go_until_it_has_the_fraction(sizes, fraction, seed):
    entries = videos(sizes, others=3 * sum(sizes) // 2)
    if sum(sizes) / len(entries) < fraction:
        return
    kept = thin_class(entries, "normal", fraction, seed=seed)
    assert [entry for entry in kept if entry.label == "violent"] == entries[sum(sizes) :]
    before = Counter(entry.group for entry in entries if entry.label == "normal")
    after = Counter(entry.group for entry in kept if entry.label == "normal")
    assert after and all(after[group] == before[group] for group in after)
    wanted = fraction / (1 - fraction) * (len(entries) - sum(sizes))
    assert abs(sum(after.values()) - wanted) <= max(sizes) or sum(after.values()) <= max(sizes)
    assert kept == thin_class(entries, "normal", fraction, seed=seed)


def test_a_fraction_that_the_class_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="at most the fraction"):
        thin_class(videos([2] * 5, others=90), "normal", 0.22, seed=0)

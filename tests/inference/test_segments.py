"""Windows become violent intervals, with hysteresis."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.inference.prediction_records import Segment, Window
from violence_detection.inference.segments import default_lower_threshold, find_segments

PROBABILITIES = st.lists(st.floats(0, 1), max_size=30)
UNIT = st.floats(0, 1)


def windows(*probabilities, length_s=2.0, stride_s=1.0) -> list[Window]:
    return [
        Window(n * stride_s, n * stride_s + length_s, probability)
        for n, probability in enumerate(probabilities)
    ]


def spans(segments):
    return [(segment.start_s, segment.end_s) for segment in segments]


def seconds(found):
    return sum(end - start for start, end in spans(found))


# -- golden


def test_a_probability_that_wavers_about_the_threshold_is_one_segment():
    """Canny's hysteresis on a line: strong at 2 and 6, weak between, weak alone at 9."""
    probabilities = windows(0.1, 0.4, 0.6, 0.45, 0.4, 0.45, 0.9, 0.1, 0.1, 0.1, 0.45, 0.1)
    (found,) = find_segments(probabilities, 0.5, lower=0.4)
    assert found == Segment(1.0, 8.0, peak=0.9, peak_s=7.0)
    assert spans(find_segments(probabilities, 0.5)) == [(2.0, 4.0), (6.0, 8.0)]


def test_gaps_are_closed_before_short_segments_are_left_out():
    probabilities = windows(0.9, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9)
    assert spans(find_segments(probabilities, 0.5)) == [(0.0, 2.0), (4.0, 6.0), (10.0, 12.0)]
    closed = find_segments(probabilities, 0.5, close_gaps_s=2.0)
    assert spans(closed) == [(0.0, 6.0), (10.0, 12.0)]
    kept = find_segments(probabilities, 0.5, close_gaps_s=2.0, min_duration_s=3.0)
    assert spans(kept) == [(0.0, 6.0)]
    assert find_segments(probabilities, 0.5, min_duration_s=3.0) == []


def test_a_segment_of_just_the_least_duration_stays():
    assert len(find_segments(windows(0.9), 0.5, min_duration_s=2.0)) == 1


def test_the_lower_threshold_is_three_quarters_of_the_upper_one():
    assert default_lower_threshold(0.6) == pytest.approx(0.45)
    assert default_lower_threshold(0.0) == 0.0


# -- relation


@given(PROBABILITIES, UNIT, UNIT, UNIT)
def test_a_lower_threshold_only_widens_what_is_there(probabilities, threshold, one, other):
    low, high = sorted((min(one, threshold), min(other, threshold)))
    wide = find_segments(windows(*probabilities), threshold, lower=low)
    narrow = find_segments(windows(*probabilities), threshold, lower=high)
    assert seconds(wide) >= seconds(narrow)
    assert bool(wide) == bool(narrow)
    for start_s, end_s in spans(narrow):
        assert any(a <= start_s and end_s <= b for a, b in spans(wide))


@given(PROBABILITIES, UNIT, st.floats(0, 5))
def test_closed_gaps_add_what_lies_between(probabilities, threshold, gap_s):
    apart = find_segments(windows(*probabilities), threshold)
    closed = find_segments(windows(*probabilities), threshold, close_gaps_s=gap_s)
    between = [b[0] - a[1] for a, b in zip(spans(apart), spans(apart)[1:], strict=False)]
    small = sum(gap for gap in between if gap <= gap_s + 2e-3)
    assert seconds(closed) == pytest.approx(seconds(apart) + small)


# -- property


@given(PROBABILITIES, UNIT, UNIT)
def test_every_segment_has_its_peak_inside(probabilities, threshold, lower):
    for segment in find_segments(windows(*probabilities), threshold, lower=lower):
        assert segment.peak >= threshold
        assert segment.peak in probabilities
        assert segment.start_s < segment.peak_s < segment.end_s


# -- with one threshold


def test_windows_that_overlap_are_one_segment_with_their_peak():
    found = find_segments(windows(0.1, 0.6, 0.9, 0.2, 0.2, 0.7), 0.5)
    assert found == [
        Segment(1.0, 4.0, peak=0.9, peak_s=3.0),
        Segment(5.0, 7.0, peak=0.7, peak_s=6.0),
    ]


def test_windows_that_touch_are_one_segment():
    assert len(find_segments(windows(0.9, 0.9, stride_s=2.0), 0.5)) == 1
    assert len(find_segments(windows(0.9, 0.9, stride_s=2.5), 0.5)) == 2


def test_a_window_at_the_threshold_counts():
    (found,) = find_segments(windows(0.5), 0.5)
    assert found == Segment(0.0, 2.0, peak=0.5, peak_s=1.0)


@given(PROBABILITIES, UNIT, UNIT)
def test_a_higher_threshold_finds_no_more_time(probabilities, one, other):
    def seconds(threshold):
        found = find_segments(windows(*probabilities), threshold)
        return sum(segment.duration_s for segment in found)

    low, high = sorted((one, other))
    assert seconds(high) <= seconds(low)


@given(PROBABILITIES, UNIT)
def test_later_windows_give_the_same_segments_later(probabilities, threshold):
    def moved(rows, by_s):
        return [
            dataclasses.replace(
                row, **{k: v + by_s for k, v in vars(row).items() if k.endswith("_s")}
            )
            for row in rows
        ]

    here = windows(*probabilities)
    assert find_segments(moved(here, 64.0), threshold) == moved(
        find_segments(here, threshold), 64.0
    )


@given(PROBABILITIES, UNIT)
def test_segments_are_apart_and_hold_exactly_the_violent_windows(probabilities, threshold):
    rows = windows(*probabilities)
    found = find_segments(rows, threshold)
    for one, after in zip(found, found[1:], strict=False):
        assert one.end_s < after.start_s
    for row in rows:
        inside = [segment for segment in found if segment.contains(row)]
        if row.probability >= threshold:
            assert inside and inside[0].peak >= row.probability
    peaks = sorted(segment.peak for segment in found)
    assert set(peaks) <= set(probabilities) and all(peak >= threshold for peak in peaks)

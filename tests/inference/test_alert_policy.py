"""Events of an alert policy: the segments of all windows at once, and what is announced when."""

import dataclasses
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError
from violence_detection.inference.alert_policy import (
    PRIORITIES,
    AlertPolicy,
    AlertSettings,
    EventChange,
    PriorityRule,
)
from violence_detection.inference.prediction_records import Window
from violence_detection.units import TOUCH_S

SETTINGS = AlertSettings(0.5, 0.375)
NEVER = PriorityRule(margin=1.0)


def windows(*probabilities, stride_s=1.0, length_s=2.0) -> list[Window]:
    return [
        Window(n * stride_s, n * stride_s + length_s, probability)
        for n, probability in enumerate(probabilities)
    ]


def changes_of(rows, settings=SETTINGS) -> list[EventChange]:
    policy = AlertPolicy(settings)
    return [change for row in rows for change in policy.add(row)] + policy.finish()


def spans(changes) -> list[tuple]:
    ended = [change.event for change in changes if change.kind == "end"]
    return [(event.start_s, event.end_s, event.peak, event.peak_s) for event in ended]


def batch_segments(rows, settings) -> list[tuple]:
    """The same events from all windows at once: runs by the lower threshold, those that reach the
    threshold, joined where the gap is small, and of them those that are confirmed and long."""
    runs: list[list[int]] = []
    for number, row in enumerate(rows):
        if row.probability < settings.lower_threshold:
            continue
        touches = runs and row.start_s <= max(rows[n].end_s for n in runs[-1]) + TOUCH_S
        runs[-1].append(number) if touches else runs.append([number])
    events: list[list[int]] = []
    for run in runs:
        if max(rows[n].probability for n in run) < settings.threshold:
            continue
        gap_s = settings.close_gaps_s + TOUCH_S
        if events and rows[run[0]].start_s <= max(rows[n].end_s for n in events[-1]) + gap_s:
            events[-1] += run
        else:
            events.append(list(run))
    reached = [row.probability >= settings.threshold for row in rows]
    kept = []
    for event in events:
        start_s, end_s = rows[event[0]].start_s, max(rows[n].end_s for n in event)
        is_confirmed = any(
            reached[n] and sum(reached[max(0, n + 1 - settings.confirm_of) : n + 1]) >= need
            for n in event
            for need in [settings.confirm_windows]
        )
        if is_confirmed and end_s - start_s >= settings.min_duration_s - 1e-9:
            peak = max((rows[n] for n in event), key=lambda row: row.probability)
            kept.append((start_s, end_s, peak.probability, peak.middle_s))
    return kept


def random_timeline(draw: random.Random) -> list[Window]:
    rows, start_s = [], 0.0
    for _ in range(draw.randint(1, 40)):
        probability = round(draw.random() ** draw.choice([1, 2, 0.5]), 2)
        rows.append(Window(round(start_s, 3), round(start_s + 2, 3), probability))
        start_s += 1 if draw.random() < 0.9 else draw.choice([2.001, 2.5, 5, 9, 30])
    return rows


def random_settings(draw: random.Random, *, confirms=True) -> AlertSettings:
    threshold, of = draw.choice([0.5, 0.7, 0.9]), draw.randint(1, 4)
    return AlertSettings(
        threshold,
        0.75 * threshold,
        confirm_windows=draw.randint(1, of) if confirms else 1,
        confirm_of=of if confirms else 1,
        close_gaps_s=draw.choice([0, 0, 1, 3, 10]),
        min_duration_s=draw.choice([0, 0, 3, 4]),
    )


# -- equal to all windows at once


@pytest.mark.slow
@pytest.mark.parametrize("confirms", [False, True])
def test_events_are_the_segments_of_all_windows(confirms):
    for seed in range(3000):
        draw = random.Random(seed)
        rows, settings = random_timeline(draw), random_settings(draw, confirms=confirms)
        assert spans(changes_of(rows, settings)) == batch_segments(rows, settings), seed


def test_a_gap_of_just_the_closed_length_is_closed():
    """The end and (the gap and the touch): the other bracket differs here by a rounding."""
    settings = dataclasses.replace(SETTINGS, close_gaps_s=1.0)
    first = Window(0.0, 0.4, 0.9)
    later = Window(0.4 + (1.0 + TOUCH_S), 2.0, 0.9)
    assert later.start_s > (0.4 + 1.0) + TOUCH_S
    assert len(spans(changes_of([first, later], settings))) == 1


# -- order and times of the changes


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.integers(0, 2**16),
    st.sampled_from([math.inf, 3.0, 5.0, 10.0]),
)
def test_events_start_rise_and_end_in_turn(probabilities, seed, max_event_s):
    settings = random_settings(random.Random(seed))
    longest_s = max(max_event_s, settings.min_duration_s)
    changes = changes_of(
        windows(*probabilities), dataclasses.replace(settings, max_event_s=longest_s)
    )
    assert [change.at_s for change in changes] == sorted(change.at_s for change in changes)
    by_event = {
        number: list(rows)
        for number, rows in itertools.groupby(changes, lambda change: change.event.number)
    }
    assert list(by_event) == list(range(1, len(by_event) + 1))  # no event comes back
    for rows in by_event.values():
        kinds = [change.kind for change in rows]
        assert kinds == ["start", *["rise"] * (len(kinds) - 2), "end"]
        ranks = [PRIORITIES.index(change.event.priority) for change in rows]
        assert ranks[:-1] == sorted(set(ranks[:-1]))  # each rise is higher
        assert ranks[-1] == ranks[-2]
        assert len({change.event.start_s for change in rows}) == 1
        assert rows[-1].event.duration_s <= longest_s + 1e-6
        for change in rows[:-1]:
            assert change.event.end_s <= change.at_s


def test_an_event_ends_as_soon_as_no_window_can_belong_to_it():
    policy = AlertPolicy(dataclasses.replace(SETTINGS, close_gaps_s=3.0))
    rows = windows(0.9, *[0.1] * 9)
    kinds = [[change.kind for change in policy.add(row)] for row in rows]
    # [0, 2] and a gap of 3 s: the window from 6 s on is the first that is too late.
    assert kinds == [["start"], [], [], [], [], [], ["end"], [], [], []]
    assert policy.is_quiet and policy.open_event is None


def test_the_open_event_is_shown_as_it_is_now():
    policy = AlertPolicy(SETTINGS)
    assert policy.is_quiet
    for row in windows(0.9, 0.4):
        policy.add(row)
    assert not policy.is_quiet
    assert (policy.open_event.start_s, policy.open_event.end_s) == (0.0, 3.0)


def test_a_policy_goes_on_after_its_end_with_other_times():
    policy = AlertPolicy(SETTINGS)
    policy.add(Window(100.0, 102.0, 0.9))
    (end,) = policy.finish()
    (start,) = policy.add(Window(0.0, 2.0, 0.9))
    assert (end.event.number, start.event.number, start.event.start_s) == (1, 2, 0.0)


# -- confirmation


def test_confirmation_moves_the_announcement_and_not_the_event():
    settings = dataclasses.replace(SETTINGS, confirm_windows=2, confirm_of=3)
    start, end = changes_of(windows(0.6, 0.4, 0.7, 0.1, 0.1, 0.1, 0.1), settings)
    assert (start.event.start_s, start.at_s) == (0.0, 4.0)
    assert (end.event.start_s, end.event.end_s) == (0.0, 4.0)
    assert changes_of(windows(0.6, 0.4, 0.4, 0.4, 0.7, 0.1), settings) == []


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 4), st.integers(0, 4))
def test_stricter_confirmation_leaves_out_events_and_changes_none(probabilities, windows_, more):
    rows = windows(*probabilities)
    loose = dataclasses.replace(SETTINGS, confirm_windows=windows_, confirm_of=windows_ + more)
    strict = dataclasses.replace(loose, confirm_windows=windows_ + min(more, 1))
    assert set(spans(changes_of(rows, strict))) <= set(spans(changes_of(rows, loose)))


# -- unjudged stretches


def test_an_unjudged_stretch_longer_than_a_window_empties_the_memory():
    settings = dataclasses.replace(SETTINGS, confirm_windows=2, confirm_of=3, close_gaps_s=60.0)

    def announced(*unjudged) -> bool:
        policy = AlertPolicy(settings)
        policy.add(Window(0.0, 2.0, 0.9))
        for start_s, end_s in unjudged:
            policy.add_unjudged(start_s, end_s)
        return bool(policy.add(Window(10.0, 12.0, 0.9)))

    assert announced()
    assert announced((1.0, 3.0))  # a window
    assert not announced((1.0, 3.5))
    assert not announced((1.0, 3.0), (2.0, 4.0))  # two that overlap


def test_an_event_ends_in_an_unjudged_stretch():
    policy = AlertPolicy(SETTINGS)
    policy.add(Window(0.0, 2.0, 0.9))
    assert policy.add_unjudged(1.0, 3.0) == []
    assert policy.add_unjudged(2.0, 4.0) == []
    (end,) = policy.add_unjudged(3.0, 600.0)
    assert (end.kind, end.event.end_s, end.at_s) == ("end", 2.0, 600.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40), st.floats(0, 5))
def test_unjudged_windows_are_as_if_they_were_not_there(rows, close_gaps_s):
    """With one window confirming; they neither extend nor split anything."""
    settings = dataclasses.replace(SETTINGS, close_gaps_s=close_gaps_s)
    policy, changes, judged = AlertPolicy(settings), [], []
    for row, (_, is_judged) in zip(windows(*(p for p, _ in rows)), rows, strict=True):
        if is_judged:
            judged.append(row)
            changes += policy.add(row)
        else:
            changes += policy.add_unjudged(row.start_s, row.end_s)
    assert spans(changes + policy.finish()) == spans(changes_of(judged, settings))


# -- long events


@given(st.lists(st.floats(0, 1), max_size=60), st.sampled_from([0.0, 3.0]))
def test_events_that_continue_cover_the_long_event(probabilities, close_gaps_s):
    rows = windows(*probabilities)
    settings = dataclasses.replace(SETTINGS, close_gaps_s=close_gaps_s)
    chains, goes_on = [], False
    for change in changes_of(rows, dataclasses.replace(settings, max_event_s=6.0)):
        event = change.event
        if change.kind == "start" and event.continues is None:
            chains.append([event])
        elif change.kind == "start":
            before = chains[-1][-1]
            assert before.number == event.continues and goes_on
            assert before.end_s <= event.start_s <= before.end_s + close_gaps_s + TOUCH_S
            chains[-1].append(event)
        elif change.kind == "end":
            chains[-1][-1], goes_on = event, change.goes_on
    whole = spans(changes_of(rows, settings))
    assert [chain[-1].end_s for chain in chains] == [row[1] for row in whole]
    assert [max(event.peak for event in chain) for chain in chains] == [row[2] for row in whole]


def test_an_event_that_continues_keeps_the_priority():
    settings = dataclasses.replace(SETTINGS, max_event_s=4.0, high=PriorityRule(0.5))
    changes = changes_of(windows(0.99, *[0.4] * 5), settings)
    starts = [change.event for change in changes if change.kind == "start"]
    assert [event.priority for event in starts] == ["high", "high"]
    assert [change.goes_on for change in changes if change.kind == "end"] == [True, False]
    assert [(event.start_s, event.continues) for event in starts] == [(0.0, None), (4.0, 1)]


def test_a_long_run_below_the_threshold_does_not_start_an_event_in_the_far_past():
    settings = dataclasses.replace(SETTINGS, max_event_s=10.0)
    start = changes_of(windows(*[0.4] * 100, 0.9), settings)[0]
    assert (start.kind, start.event.start_s, start.event.end_s) == ("start", 92.0, 102.0)


# -- priorities


def test_a_priority_is_by_margin_or_by_duration():
    settings = dataclasses.replace(
        SETTINGS, medium=PriorityRule(0.3), high=PriorityRule(0.7, or_duration_s=8.0)
    )

    def priorities(*probabilities):
        return [change.event.priority for change in changes_of(windows(*probabilities), settings)]

    # From 0.5 to 0.999 are 6.907 log-odds: 30% of them are at 0.888, 70% at 0.992.
    assert priorities(0.887) == ["low", "low"]
    assert priorities(0.889) == ["medium", "medium"]
    assert priorities(0.7, 0.95, 0.993) == ["low", "medium", "high", "high"]
    assert priorities(*[0.6] * 6) == ["low", "low"]  # 7 s
    assert priorities(*[0.6] * 7) == ["low", "high", "high"]  # 8 s


@pytest.mark.parametrize(
    ("threshold", "margin", "peak"),
    [(0.5, 0.0, 0.5), (0.5, 1.0, 0.999), (0.9995, 0.3, 0.9995), (0.0, 0.0, 0.0), (0.0, 1.0, 0.999)],
)
def test_the_ends_of_the_margin(threshold, margin, peak):
    assert PriorityRule(margin).lowest_peak(threshold) == pytest.approx(peak, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_margin_needs_a_higher_peak(threshold, one, other):
    low, high = sorted((one, other))
    assert PriorityRule(low).lowest_peak(threshold) <= PriorityRule(high).lowest_peak(threshold)


# -- error


@pytest.mark.parametrize(
    "values",
    [
        {"confirm_windows": 0},
        {"confirm_windows": 3, "confirm_of": 2},
        {"min_duration_s": 5.0, "max_event_s": 4.0},
    ],
)
def test_settings_that_can_announce_nothing_are_refused(values):
    with pytest.raises(ConfigError, match="must be"):
        dataclasses.replace(SETTINGS, **values)

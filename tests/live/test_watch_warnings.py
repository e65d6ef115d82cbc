"""Warnings of a watch about itself: shown while they hold, and sent."""

import itertools
from types import SimpleNamespace

import pytest

from violence_detection.live.storage.messages import headline
from violence_detection.live.watching.watch_warnings import WatchWarnings


@pytest.fixture
def played():
    """Warnings, their clock and what they have sent."""
    numbers, sent = itertools.count(), []
    clock = SimpleNamespace(at_s=0.0, monotonic=lambda: clock.at_s, now_ms=lambda: 0)
    store = SimpleNamespace(new_id=lambda: str(next(numbers)))
    return SimpleNamespace(
        warnings=WatchWarnings(store, clock, sent.append, "UTC"), clock=clock, sent=sent
    )


def test_a_warning_is_sent_when_it_begins_and_when_it_is_over(played):
    for at_s, holds in enumerate([True, True, False, False]):
        played.clock.at_s = float(at_s)
        played.warnings.set("judge", "Nothing is judged.", holds=holds)
    assert [message.detail for message in played.sent] == [
        "Nothing is judged.",
        "This is over: Nothing is judged.",
    ]
    assert played.warnings.texts == ()


def test_one_that_comes_back_and_stays_is_sent_once_the_hour_is_over(played):
    times = [(0, True), (10, False), (20, True), (3599, True), (3600, True), (7300, True)]
    sent_at = []
    for at_s, holds in times:
        played.clock.at_s = float(at_s)
        before = len(played.sent)
        played.warnings.set("judge", "Nothing is judged.", holds=holds)
        sent_at += [at_s] * (len(played.sent) - before)
    assert sent_at == [0, 10, 3600]
    assert played.warnings.texts == ("Nothing is judged.",)


def test_one_that_comes_and_goes_is_two_messages_an_hour(played):
    for at_s in range(3600):
        played.clock.at_s = float(at_s)
        played.warnings.set("falling_behind", "It is behind.", holds=at_s % 20 < 10)
    assert len(played.sent) == 2


@pytest.mark.parametrize(
    "kind", ["judge", "not_judged", "page", "reload", "disk", "clips", "falling_behind"]
)
def test_every_warning_has_a_headline(played, kind):
    played.warnings.set(kind, "A sentence.", holds=True, detail="door, yard")
    assert played.sent[0].detail == "door, yard" and played.warnings.texts == ("A sentence.",)
    assert headline(played.sent[0]) != "Notice"

"""The estimate of what no event tells of, from judged spot checks of moments by chance."""

import pytest

from violence_detection.live.storage.event_records import StoredClip, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.missed_violence import estimate_missed

NOW_MS = 1_796_040_000_000


@pytest.fixture
def store(tmp_path):
    with EventStore.open(tmp_path / "e.db", now_ms=lambda: NOW_MS, ballast_bytes=0) as store:
        yield store


def _check(store, *verdicts, camera="door", stratum="any", run="first", part=None) -> None:
    """A spot check of 2 s whose clip begins 10 s before it."""
    event = StoredEvent(
        store.new_id(), camera, NOW_MS - 2000, kind="spot_check", state="ended",
        end_ms=NOW_MS, run_digest=run, stratum=stratum,
    )  # fmt: skip
    store.record_start(event)
    store.record_clip(StoredClip(event.id, f"{event.id}.mp4", NOW_MS - 12_000, NOW_MS + 10_000))
    start_s, end_s = part or (None, None)
    for person, verdict in enumerate(verdicts):
        store.record_verdict(event.id, verdict, by=f"p{person}", start_s=start_s, end_s=end_s)


def test_too_few_are_refused_with_a_sentence(store):
    assert estimate_missed(store, now_ms=NOW_MS)[0].minutes is None
    for _ in range(29):
        _check(store, "not_violent")
    _check(store)
    _check(store, "unsure")
    _check(store, "violent", "not_violent")
    missed, _ = estimate_missed(store, now_ms=NOW_MS)
    assert "needs 30 judged spot checks of moments chosen by chance; there are 29" in missed.refusal
    assert (missed.unclear, missed.waiting, missed.to_json()["caveat"]) == (2, 1, "")


def test_the_share_of_moments_becomes_minutes_of_a_day(store):
    for number in range(40):
        _check(store, "violent" if number < 2 else "not_violent")
    _check(store, "violent", stratum="high")  # not by chance
    _check(store, "violent", camera="yard")
    missed, (door, yard) = estimate_missed(store, now_ms=NOW_MS)
    assert (door.checks, door.violent, door.minutes) == (40, 2, 72.0)
    low, high = door.interval
    assert 15 < low < 25 and 220 < high < 250
    assert yard.refusal and yard.checks == 1
    assert (missed.checks, missed.violent) == (41, 3)
    assert "About 105 min of a camera's day" in missed.sentence and missed.to_json()["caveat"]
    assert estimate_missed(store, now_ms=NOW_MS, visible=("yard",))[0].checks == 1
    assert estimate_missed(store, now_ms=NOW_MS + 91 * 86_400_000)[0].checks == 0


def test_a_part_beside_the_window_is_not_of_it(store):
    """The clip shows 10 s before and after the window; what was asked is the window."""
    for part in [(0.0, 9.0), (9.0, 11.0), None]:
        _check(store, "violent", part=part)
    missed, _ = estimate_missed(store, now_ms=NOW_MS)
    assert (missed.checks, missed.violent) == (3, 2)


def test_checks_of_another_run_are_left_out(store):
    _check(store, "violent", run="first")
    _check(store, "not_violent", run="second")
    missed, _ = estimate_missed(store, now_ms=NOW_MS)
    assert (missed.checks, missed.violent) == (1, 0)

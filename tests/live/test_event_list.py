"""Lists of events, and the order of reviews."""

import pytest
from support.watch_page import draw_event

from violence_detection.live.storage import event_list
from violence_detection.live.storage.event_list import EventFilter, list_events, next_to_review
from violence_detection.live.storage.event_store import EventStore


@pytest.fixture
def store(tmp_path):
    with EventStore.open(tmp_path / "events.db", ballast_bytes=0) as store:
        for camera, site in (("door", "shop"), ("yard", "store")):
            store.record_camera(camera, title=camera.title(), site=site, settings_digest="")
        yield store


def _draw(store, tmp_path, **values):
    return draw_event(store, tmp_path, with_clip=False, **values)


def _ids(store, **conditions):
    return [row.event.id for row in list_events(store, EventFilter(**conditions))]


def test_filters(store, tmp_path):
    first = _draw(store, tmp_path, camera="door", start_ms=1000, priority="low")
    second = _draw(store, tmp_path, camera="yard", start_ms=5000)
    third = _draw(store, tmp_path, camera="door", start_ms=9000, priority="medium")
    assert _ids(store) == [third, second, first]
    assert _ids(store, camera="door") == [third, first]
    assert _ids(store, site="store") == [second]
    assert _ids(store, from_ms=5000, to_ms=9000) == [second]
    assert _ids(store, priority="low") == [first]
    assert _ids(store, visible=("yard",)) == [second]
    assert _ids(store, visible=()) == []
    assert _ids(store, camera="door' or 1=1 --") == []
    rows = list_events(store, EventFilter(), before=third, limit=1)
    assert [row.event.id for row in rows] == [second]
    assert (rows[0].title, rows[0].site, rows[0].clip) == ("Yard", "store", "")


def test_verdict_that_holds(store, tmp_path):
    event = _draw(store, tmp_path)

    def held():
        return event_list.listed_event(store, event).verdict

    assert held() == "" and _ids(store, verdict="none") == [event]
    store.record_verdict(event, "unsure", by="ben")
    assert held() == "unsure"
    store.record_verdict(event, "violent", by="anna")
    assert held() == "violent" and _ids(store, verdict="none") == []
    changed = store.record_verdict(event, "not_violent", by="ben")
    assert held() == "disputed" and _ids(store, verdict="disputed") == [event]
    store.undo_verdict(changed, by="ben")  # his earlier one holds again
    assert held() == "violent"
    store.record_verdict(event, "not_violent", by="anna")  # her last one holds
    assert held() == "not_violent"
    assert _ids(store, verdict="disputed") == [] and _ids(store, verdict="violent") == []


def test_order_of_reviews(store, tmp_path):
    expected = [
        _draw(store, tmp_path, priority="high"),
        _draw(store, tmp_path, kind="reported"),
        _draw(store, tmp_path, kind="spot_check", camera="yard"),
        _draw(store, tmp_path, priority="medium"),
        _draw(store, tmp_path, priority="low"),
    ]
    _draw(store, tmp_path, state="open")  # is judged when it has ended
    assert event_list.count_unreviewed(store, None) == 5
    assert event_list.count_unreviewed(store, ("yard",)) == 1
    assert next_to_review(store, ("yard",)) == expected[2]
    assert next_to_review(store, None, skip=expected[0]) == expected[1]
    for event in expected:
        assert next_to_review(store, None) == event
        store.record_verdict(event, "unsure", by="anna")
    assert next_to_review(store, None) is None

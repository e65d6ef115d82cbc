"""Events that a former supervisor or policy has left: their ends, and escalations that go on."""

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import READY, PlayedWatch, Times

from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import SOCKET, STORE

FILE = """
cameras:
  - name: door
    title: Front door
    source: 1
    alert:
      {threshold: 0.5, confirm: {windows: 1, of: 1}, max_event_s: 10, close_gaps_s: 1,
       priorities: {high: {margin: 1, or_duration_s: 3600}}}
sinks:
  - {name: desk, webhook: "http://127.0.0.1:9/x"}
  - {name: manager, webhook: "http://127.0.0.1:9/y", min_priority: high}
  - {name: owner, webhook: "http://127.0.0.1:9/z", min_priority: high}
escalation:
  - {priority: medium, unacknowledged_s: 120, to: [manager]}
  - {priority: medium, unacknowledged_s: 600, to: [owner]}
web: {enabled: false}
retention: {min_free_gb: 0}
"""


@pytest.fixture
def path(short_tmp):
    return write_cameras_file(short_tmp, FILE)


def told(path, sink: str) -> list[tuple[str, str]]:
    """Kind and event of the messages about events for a sink."""
    with EventStore.reader(path.parent / "data" / STORE) as store:
        rows = [row.message for row in store.waiting(sink) if row.message.event]
    return [(message.kind, message.event) for message in rows]


def killed(path, *probabilities: float, times: Times | None = None) -> PlayedWatch:
    """A watch that is killed after some windows."""
    watch = PlayedWatch(path, times)
    with watch.supervisor.opened():
        watch.judge.say(READY)
        watch.say_state("door", "up")
        watch.judge_windows("door", *probabilities)
    return watch


def test_an_event_that_a_kill_has_left_open_is_ended_and_those_who_know_are_told(path):
    killed(path, 0.1, 0.97)
    (start,) = told(path, "desk")
    with PlayedWatch(path, Times(1000.0, 1_800_000_030.0)).running():
        assert told(path, "desk") == [start, ("end", start[1])]
        assert told(path, "manager") == [], "who was not told of it is not told of its end"


def test_the_end_of_an_event_that_was_continued_is_that_of_the_first(path):
    watch = PlayedWatch(path)
    with watch.running():
        watch.say_state("door", "up")
        watch.judge_windows("door", *[0.97] * 25, *[0.1] * 5)
    changes = [(change["change"], change["event"]) for change in watch.told("event")]
    first, *others = dict.fromkeys(event for _, event in changes)
    assert len(others) == 2
    with EventStore.reader(watch.file.data / STORE) as store:
        start, *rises, end = [row.message for row in store.waiting("desk")]
    assert (start.kind, end.kind) == ("start", "end")
    assert {message.event for message in (start, *rises, end)} == {first}
    assert end.start_ms == start.start_ms and end.end_ms - end.start_ms > 20_000


def test_the_end_of_a_chain_that_a_kill_has_left_open_is_that_of_the_first(path):
    killed(path, *[0.97] * 15)
    first = told(path, "desk")[0][1]
    with PlayedWatch(path, Times(1000.0, 1_800_000_030.0)).running():
        assert told(path, "desk")[-1] == ("end", first)


@pytest.mark.parametrize(
    ("passed_s", "is_due"), [(60, [False, False]), (130, [True, False]), (700, [True, True])]
)
def test_an_escalation_goes_on_over_a_kill(path, passed_s, is_due):
    killed(path, 0.1, 0.97, 0.1, 0.1, 0.1, 0.1, 0.1)
    watch = PlayedWatch(path, Times(1000.0, 1_800_000_000.0 + passed_s))
    with watch.running():
        watch.advance(2.0)
        for sink, due in zip(("manager", "owner"), is_due, strict=True):
            assert bool(told(path, sink)) == due
        watch.advance(120.0)
        assert len(told(path, "manager")) == 1, "it is told once"
    with PlayedWatch(path, Times(1000.0, 1_800_000_000.0 + passed_s + 200)).running() as again:
        again.advance(2.0)
        assert len(told(path, "manager")) == 1, "not again after another restart"


def test_an_event_that_was_acknowledged_is_not_escalated_after_a_restart(path):
    killed(path, 0.1, 0.97, 0.1, 0.1, 0.1, 0.1, 0.1)
    with EventStore.open(path.parent / "data" / STORE) as store:
        (event,) = store.events()
        store.acknowledge(event.id, by="ann")
    with PlayedWatch(path, Times(1000.0, 1_800_000_700.0)).running() as watch:
        watch.advance(2.0)
        assert told(path, "manager") == []


@pytest.mark.parametrize("by_reload", [False, True])
def test_a_step_that_is_new_in_the_file_does_not_wake_people_for_the_past(path, by_reload):
    text = path.read_text()
    start, end = text.index("escalation"), text.index("web:")
    path.write_text(text[:start] + text[end:])
    watch = PlayedWatch(path)
    with watch.supervisor.opened():
        watch.say_state("door", "up")
        watch.judge_windows("door", 0.1, 0.97, *[0.1] * 300)
        path.write_text(text)
        if by_reload:
            watch.supervisor.reload()
            watch.advance(5.0)
    if not by_reload:
        watch = PlayedWatch(path, watch.times)
        with watch.running():
            watch.advance(5.0)
    assert (told(path, "manager"), told(path, "owner")) == ([], [])
    assert [kind for kind, _ in told(path, "desk")] == ["start", "end"]


def test_a_verdict_ends_the_escalation(path):
    with PlayedWatch(path).running() as watch:
        watch.say_state("door", "up")
        watch.judge_windows("door", 0.1, 0.97, *[0.1] * 5)
        with EventStore.reader(path.parent / "data" / STORE) as store:
            (event,) = store.events()
        RequestClient(path.parent / "data" / SOCKET).record_verdict(event.id, "not_violent", "ann")
        watch.advance(700.0)
        assert (told(path, "manager"), told(path, "owner")) == ([], [])


def test_a_reload_of_the_sinks_keeps_escalations_and_ends(path):
    watch = PlayedWatch(path)
    with watch.running():
        watch.say_state("door", "up")
        watch.judge_windows("door", 0.1, 0.97)
        path.write_text(path.read_text().replace("/y", "/other"))
        watch.supervisor.reload()
        watch.handle()
        assert watch.told("reload")[0]["ok"]
        watch.judge_windows("door", *[0.1] * 5)
        assert [kind for kind, _ in told(path, "desk")] == ["start", "end"]
        watch.advance(120.0)
        assert [kind for kind, _ in told(path, "manager")] == ["escalation"]


def test_acknowledging_a_later_event_of_a_chain_ends_the_escalation(path):
    watch = PlayedWatch(path)
    with watch.running():
        watch.say_state("door", "up")
        watch.judge_windows("door", *[0.97] * 15, *[0.1] * 5)
        last = watch.told("event")[-1]["event"]
        RequestClient(watch.file.data / SOCKET).acknowledge(last, "ann")
        watch.handle()
        watch.advance(130.0)
        assert told(path, "manager") == []

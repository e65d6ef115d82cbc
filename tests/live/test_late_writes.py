"""A sink that was told of an event is told of its end, over kills, reloads and full disks."""

import contextlib
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.watch_files import write_cameras_file
from support.watch_processes import READY, PlayedWatch, Times

from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import STORE

FILE = """
cameras:
  - name: door
    source: 1
    alert: {threshold: 0.5, confirm: {windows: 1, of: 1}, max_event_s: 6, close_gaps_s: 1,
            cooldown_s: 0}
sinks:
  - {name: desk, webhook: "http://127.0.0.1:9/x", min_priority: low}
web: {enabled: false}
retention: {min_free_gb: 0}
"""


def told(path: Path) -> list[tuple[str, str]]:
    """Kind and event of the messages about events, in their order."""
    with EventStore.reader(path.parent / "data" / STORE) as store:
        rows = [row.message for row in store.waiting("desk", limit=1000) if row.message.event]
    return [(message.kind, message.event) for message in rows if message.kind in ("start", "end")]


@contextlib.contextmanager
def full_disk(path: Path):
    """The log of the event store cannot grow."""
    log = path.parent / "data" / f"{STORE}-wal"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_changes_of_events_on_a_full_disk_are_stored_and_told_when_there_is_room(short_tmp):
    path = write_cameras_file(short_tmp, FILE)
    watch = PlayedWatch(path)
    with watch.running():
        watch.judge.say(READY)
        watch.say_state("door", "up")
        watch.judge_windows("door", 0.1, 0.97)
        (start,) = told(path)
        with full_disk(path):
            watch.judge_windows("door", *[0.1] * 5, 0.97, *[0.1] * 5, 0.97)
            assert told(path) == [start], "nothing could be stored"
        watch.advance(1.0)
        kinds = [kind for kind, _ in told(path)]
        assert kinds == ["start", "end", "start", "end", "start"]
        watch.judge_windows("door", *[0.1] * 5)
    check_ends(path)
    with EventStore.reader(path.parent / "data" / STORE) as store:
        assert not store.open_events() and len(store.events()) == 3


def check_ends(path: Path) -> None:
    """Each start has one end, after it."""
    rows = told(path)
    starts = [event for kind, event in rows if kind == "start"]
    ends = [event for kind, event in rows if kind == "end"]
    assert len(set(starts)) == len(starts)
    assert sorted(starts) == sorted(ends)
    assert all(rows.index(("start", event)) < rows.index(("end", event)) for event in ends)


WINDOWS = st.lists(st.sampled_from([0.1, 0.1, 0.45, 0.6, 0.97, None]), min_size=1, max_size=12)
STEPS = st.lists(
    st.tuples(
        WINDOWS,
        st.sampled_from(["kill", "end", "reload", "other limits", "capture", "judge", "silence"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
@example(steps=[([0.45, 0.6, 0.1, 0.1, 0.45, 0.6], "other limits", True)])
def test_every_start_has_its_end(short_tmp, steps):
    times, folder = Times(), short_tmp / str(len(list(short_tmp.iterdir())))
    folder.mkdir()
    path = write_cameras_file(folder, FILE)
    with contextlib.ExitStack() as running:
        watch = None
        for windows, failure, is_full in steps:
            if watch is None:
                watch = PlayedWatch(path, times)
                running.enter_context(watch.supervisor.opened())
                watch.judge.say(READY)
                watch.say_state("door", "up")
            with full_disk(path) if is_full else contextlib.nullcontext():
                watch.judge_windows("door", *windows)
                if failure == "end":
                    watch.supervisor.end()
                elif failure == "reload":
                    path.write_text(path.read_text().replace("9/x", "9/xx"))
                    watch.supervisor.reload()
                elif failure == "other limits":
                    path.write_text(path.read_text().replace("close_gaps_s: 1", "close_gaps_s: 2"))
                    watch.supervisor.reload()
                elif failure == "capture":
                    watch.captures("door")[-1].die()
                elif failure == "judge":
                    watch.judge.die()
                watch.handle()
            if failure in ("kill", "end"):
                running.close()
                watch = None
            else:
                watch.advance(10.0 if failure == "silence" else 1.0)
                watch.say_state("door", "up")
        if watch:
            watch.supervisor.end()
    watch = PlayedWatch(path, times)
    with watch.running():
        pass
    check_ends(path)

"""The supervisor: events and messages in the store, processes that fail, reload, the end."""

import math
import subprocess
import sys

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import READY, PlayedWatch, Times

from violence_detection.errors import ConfigError, RunError
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder
from violence_detection.live.processes.process_messages import (
    JudgedWindow,
    JudgeFailed,
    StrideOrder,
)
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.storage.event_records import StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import SOCKET, STORE
from violence_detection.live.watching.spot_checks import QuietWindow, SpotChecks

# Nobody listens there: what is sent stays in the outbox.
FILE = """
defaults:
  alert: {threshold: 0.5, confirm: {windows: 1, of: 1}, close_gaps_s: 1, cooldown_s: 60}
cameras:
  - {name: door, title: Front door, source: "rtsp://viewer:geheim@192.0.2.10/stream"}
  - {name: yard, source: "rtsp://192.0.2.11/stream"}
sinks:
  - {name: desk, webhook: "http://127.0.0.1:1/hook", min_priority: medium}
retention: {min_free_gb: 0}
"""


@pytest.fixture
def path(short_tmp):
    return write_cameras_file(short_tmp, FILE)


@pytest.fixture
def watch(path):
    with PlayedWatch(path).running() as watch:
        watch.judge.say(READY)
        watch.handle()
        yield watch


def store_of(watch) -> EventStore:
    return EventStore.reader(watch.file.data / STORE)


def messages(watch) -> list[tuple[str, str, str]]:
    """Kind, camera and detail of each message that waits for the sink."""
    with store_of(watch) as store:
        rows = [row.message for row in store.waiting("desk")]
    return [(message.kind, message.camera, message.detail) for message in rows]


def camera_messages(watch) -> list[tuple[str, str, str]]:
    """Those about states of cameras."""
    return [message for message in messages(watch) if message[0].startswith("camera_")]


def status_of(watch, camera: str):
    """The camera as pages show it."""
    watch.handle()
    (row,) = (row for row in watch.supervisor._parts.status().cameras if row.name == camera)
    return row


# -- events


def test_windows_become_an_event_with_messages(watch):
    watch.say_state("door", "up")
    watch.judge_windows("door", 0.1, 0.995, 0.98, 0.1, 0.1, 0.1, 0.1, 0.1)
    with store_of(watch) as store:
        (event,) = store.events()
        windows = store.windows(event.id)
        rows = [row.message for row in store.waiting("desk")]
    assert (event.camera, event.state, event.priority) == ("door", "ended", "high")
    assert (round(event.peak, 6), event.threshold, event.suppressed_by) == (0.995, 0.5, "")
    assert event.start_ms == 1_800_000_000_000
    assert event.end_ms - event.start_ms == 3000
    high = [round(window.probability, 6) for window in windows if window.probability > 0.5]
    assert high == [0.995, 0.98]
    assert [message.kind for message in rows] == ["start", "end"]
    assert {(message.event, message.title) for message in rows} == {(event.id, "Front door")}
    assert len({message.id for message in rows}) == 2
    changes = [(change["change"], change["sent_to"]) for change in watch.told("event")]
    assert changes == [("start", ["desk"]), ("end", ["desk"])]


def test_a_second_event_within_the_cool_down_is_stored_and_held_back(watch):
    watch.judge_windows("door", 0.99, *[0.1] * 6, 0.99, *[0.1] * 6)
    with store_of(watch) as store:
        assert [event.suppressed_by for event in store.events()] == ["cooldown", ""]
    assert [kind for kind, *_ in messages(watch)] == ["start", "end"]


def test_an_event_ends_although_the_camera_falls_silent(watch):
    watch.say_state("door", "up")
    watch.judge_windows("door", 0.99)
    watch.say_state("door", "waiting", "the connection ended")
    watch.advance(20.0)
    assert [change["change"] for change in watch.told("event")] == ["start", "end"]


def test_a_window_that_was_not_judged_is_no_score_and_is_kept_as_one(watch):
    watch.judge_windows("door", 0.1, None, 0.2)
    watch.say_status("door", frames=25, dropped={"late": 3}, lag_s=0.4)
    watch.advance(70.0)
    watch.say_status("door", frames=50, dropped={"late": 3})
    with store_of(watch) as store:
        minute = next(store.minutes("door", first=0, last=2**40))
    assert [round(score, 1) for score in minute.scores] == [0.1, 0.2]
    assert math.isnan(minute.stretches[1].probability)
    assert (minute.frames, minute.dropped, minute.lag_max_ms) == (25, 3, 400)


def test_a_score_is_shown_for_as_long_as_windows_are_judged(watch):
    watch.say_state("door", "up")
    watch.judge_windows("door", 0.2)
    assert status_of(watch, "door").score == 0.2
    watch.judge_windows("door", None)
    assert status_of(watch, "door").score is None
    watch.judge_windows("door", 0.3)
    watch.advance(10.0)
    assert status_of(watch, "door").score is None


def test_an_event_of_a_camera_that_is_up_ends_although_nobody_judges_it(watch):
    watch.say_state("door", "up")
    watch.judge_windows("door", 0.99)
    watch.advance(20.0)
    assert [change["change"] for change in watch.told("event")] == ["start", "end"]


def test_of_a_camera_that_is_up_and_not_judged_people_are_told_once_and_when_it_is_over(watch):
    watch.say_state("door", "up")
    watch.say_state("yard", "up")
    for _ in range(80):
        watch.judge_windows("door", 0.1)
        now_s = watch.times.monotonic_s
        watch.judge.say(JudgedWindow("yard", 1, now_s - 2.0, now_s, None, reason="frames"))
        watch.handle()
    told = [message for message in messages(watch) if message[0] == "not_judged"]
    text = "1 camera up, but not judged for over a minute"
    assert [detail for *_, detail in told] == [f"{text}: yard."]
    assert watch.supervisor._parts.status().warnings == (f"{text}: its tile says so.",)
    watch.judge_windows("yard", 0.1)
    watch.advance(1.0)
    told = [message for message in messages(watch) if message[0] == "not_judged"]
    assert [detail for *_, detail in told][1:] == [f"This is over: {text}: yard."]
    assert watch.supervisor._parts.status().warnings == ()


def test_an_event_has_a_clip_from_before_it_to_after_it(watch):
    began_s = watch.times.monotonic_s
    watch.judge_windows("door", 0.1, 0.99, *[0.1] * 6)
    order, end = watch.captures("door")[-1].sent
    assert (type(order), type(end)) == (ClipOrder, ClipEnd)
    assert order.from_s == pytest.approx(began_s - 10.0, abs=0.01)
    assert end.to_s == pytest.approx(began_s + 12.0, abs=0.01)
    with store_of(watch) as store:
        (event,) = store.events()
        assert store.clip(event.id).path == order.path and order.event == end.event == event.id


def test_a_camera_without_clips_gets_no_orders(short_tmp):
    text = FILE.replace("alert: {thr", "clips: {keep: none}\n  alert: {thr")
    with PlayedWatch(write_cameras_file(short_tmp, text)).running() as watch:
        watch.judge_windows("door", 0.99, *[0.1] * 6)
        assert watch.told("event") and watch.captures("door")[-1].sent == []


@pytest.mark.parametrize(("ago_s", "is_kept"), [(5, True), (25, False), (-2, False)])
def test_what_a_person_missed_is_an_event_with_a_clip_if_video_of_it_is_kept(watch, ago_s, is_kept):
    watch.say_status("door", ring_s=20.0)
    watch.advance(1.0)
    now_s, now_ms = watch.times.monotonic_s, 1000 * watch.times.utc_s
    client = RequestClient(watch.file.data / SOCKET)
    if not is_kept:
        with pytest.raises(ConfigError, match="in the last 20 s"):
            client.report_missed("door", round(now_ms - 1000 * ago_s), "ann")
        return
    event_id = client.report_missed("door", round(now_ms - 1000 * ago_s), "ann")
    watch.handle()
    order, end = watch.captures("door")[-1].sent
    assert (order.event, end.event) == (event_id, event_id)
    # A window is 2 s long; clips begin 10 s before an event and end 10 s after it.
    assert order.from_s == pytest.approx(now_s - ago_s - 12, abs=0.01)
    assert end.to_s == pytest.approx(now_s - ago_s + 12, abs=0.01)
    with store_of(watch) as store:
        (event,) = store.events()
    assert (event.kind, event.priority, event.acknowledged_by) == ("reported", "high", "ann")
    assert (event.start_ms, event.end_ms) == (now_ms - 7000, now_ms - 3000)
    assert messages(watch) == [], "nobody is told"


def test_a_spot_check_is_an_event_with_a_clip_of_which_nobody_is_told(short_tmp):
    text = FILE + "spot_checks_per_camera_day: 1\n"
    drawn = SpotChecks("door", 1)
    drawn.add(QuietWindow(0.0, 2.0, 20_833 * 86_400_000, 0.0), has_event=False)
    times = Times(utc_s=drawn.next_ms / 1000 - 3)
    with PlayedWatch(write_cameras_file(short_tmp, text), times).running() as watch:
        watch.judge.say(READY)
        watch.judge_windows("door", *[0.125] * 20)
        order, end = watch.captures("door")[-1].sent
        with store_of(watch) as store:
            (event,) = store.events()
            assert len(list(store.windows(event.id))) == 1
        assert messages(watch) == [] and watch.told("event") == []
    assert (event.kind, event.priority, event.state) == ("spot_check", "low", "ended")
    assert (event.peak, event.end_ms - event.start_ms) == (0.125, 2000)
    assert 0 <= event.end_ms - drawn.next_ms <= 1000
    assert order.event == end.event == event.id and end.to_s - order.from_s == 22.0


# -- cameras


def test_states_are_told_once_and_gaps_are_kept(watch):
    watch.say_state("door", "up")
    watch.say_state("door", "refused", "rtsp://viewer:geheim@192.0.2.10/stream says 401")
    watch.say_state("door", "refused", "rtsp://viewer:geheim@192.0.2.10/stream says 401")
    watch.advance(3.0)
    watch.say_state("door", "up")
    changes = watch.told("camera")
    assert [change["state"] for change in changes] == ["up", "refused", "up"]
    assert "geheim" not in str(watch.notices)
    with store_of(watch) as store:
        gaps = store.gaps("door", since_ms=0)
    assert [gap.state for gap in gaps] == ["starting", "refused"]
    assert gaps[1].to_ms - gaps[1].from_ms == 3000


def test_a_camera_that_is_down_is_told_once_and_up_only_after_a_minute(watch):
    watch.say_state("yard", "up")
    watch.say_state("door", "refused", "wrong password")
    watch.advance(59.0)
    assert camera_messages(watch) == []
    watch.advance(30.0)
    (message,) = camera_messages(watch)
    assert message[:2] == ("camera_down", "door")
    assert "No frames for 1:" in message[2] and "refused: wrong password" in message[2]
    watch.say_state("door", "up")
    watch.advance(30.0)
    watch.say_state("door", "waiting", "closed")
    watch.advance(100.0)
    watch.say_state("door", "up")
    watch.advance(59.0)
    assert len(camera_messages(watch)) == 1
    watch.advance(2.0)
    assert [kind for kind, *_ in camera_messages(watch)] == ["camera_down", "camera_up"]


def test_many_cameras_that_go_down_together_are_one_message(short_tmp):
    cameras = ", ".join(f"{{name: c{n}, source: {n}, alert: {{threshold: 0.5}}}}" for n in range(5))
    sinks = 'sinks: [{name: desk, webhook: "http://127.0.0.1:1/"}]'
    path = write_cameras_file(short_tmp, f"cameras: [{cameras}]\n{sinks}\n")
    with PlayedWatch(path).running() as watch:
        watch.advance(80.0)
        ((kind, camera, detail),) = messages(watch)
    assert (kind, camera) == ("camera_down", "")
    assert detail.startswith("5 cameras: c0, c1, c2, c3, c4.")


# -- processes


def test_a_capture_that_dies_is_started_again_with_new_sections(watch):
    (first,) = watch.captures("door")
    first.die("SIGSEGV")
    watch.handle()
    assert watch.told("camera")[-1]["reason"] == "its capture ended: SIGSEGV"
    watch.advance(2.0)
    _, second = watch.captures("door")
    assert second.start.first_section > first.start.first_section
    assert len(watch.captures("yard")) == 1


def test_a_capture_that_dies_again_and_again_is_failed_and_tried_every_five_minutes(watch):
    for _ in range(5):
        watch.captures("door")[-1].die()
        watch.handle()
        watch.advance(2.0)
    assert watch.told("camera")[-1]["state"] == "failed"
    assert len(watch.captures("door")) == 5
    watch.advance(280.0)
    assert len(watch.captures("door")) == 5
    watch.advance(20.0)
    assert len(watch.captures("door")) == 6


def test_a_process_that_is_silent_is_ended_and_started_again(watch):
    watch.say_status("door")
    watch.advance(13.0, speaking=False)
    first, second = watch.captures("door")
    assert not first.is_running and second.is_running
    assert len(watch.captures("yard")) == 1, "it has not spoken yet: it has 30 s"


def test_a_judge_that_cannot_work_ends_the_watch_with_its_reason(path):
    watch = PlayedWatch(path)
    with watch.supervisor.opened():
        watch.judge.say(JudgeFailed("The backbone's weights must be there"))
        with pytest.raises(RunError, match="The backbone's weights must be there"):
            watch.handle()
        watch.supervisor.end()


def test_a_judge_that_dies_later_is_started_again(watch):
    watch.judge.die("SIGKILL")
    watch.handle()
    watch.advance(2.0)
    watch.judge.say(READY)
    watch.handle()
    states = [notice["state"] for notice in watch.told("judge")]
    assert (states, len(watch.judges)) == (["ready", "down", "ready"], 2)


def test_a_judge_that_is_behind_judges_quiet_cameras_less_often(watch):
    watch.say_state("door", "up")
    watch.say_state("yard", "up")
    watch.judge_windows("door", 0.99)
    for _ in range(4):
        watch.say_load(1.0)
        watch.advance(1.0)
    assert watch.captures("yard")[-1].sent == [StrideOrder(2.0)]
    assert [type(order) for order in watch.captures("door")[-1].sent] == [ClipOrder]
    assert ("falling_behind", "") in [message[:2] for message in messages(watch)]


# -- clocks


def test_a_step_of_the_clock_is_a_gap_and_changes_no_duration(watch):
    watch.judge_windows("door", 0.99)
    watch.times.wait(0.0, utc_step_s=-7200.0)
    watch.judge_windows("door", 0.98, *[0.1] * 6)
    assert [notice["step_s"] for notice in watch.told("clock")] == [-7200.0]
    with store_of(watch) as store:
        (event,) = store.events()
        (gap,) = store.gaps("", since_ms=0)
    assert event.end_ms - event.start_ms == 3000
    assert (gap.state, gap.to_ms - gap.from_ms) == ("clock", 7_200_000)


# -- requests


def test_the_socket_answers_with_the_state_and_takes_a_snooze(watch):
    watch.say_state("door", "up")
    watch.judge_windows("door", 0.1)
    client = RequestClient(watch.file.data / SOCKET)
    until_ms = round(1000 * watch.times.utc_s) + 600_000
    client.snooze("door", until_ms, "anna")
    watch.advance(2.0)
    status = client.status()
    door, yard = status.cameras
    assert (status.judge, status.run, status.sinks[0].name) == ("ready", "run", "desk")
    assert (door.state, door.score, door.snoozed_until_ms) == ("up", 0.1, until_ms)
    assert (yard.state, yard.score) == ("starting", None)
    watch.judge_windows("door", 0.99, *[0.1] * 6)
    client.close()
    with store_of(watch) as store:
        (event,) = store.events()
    assert (event.suppressed_by, messages(watch)) == ("snooze", [])


# -- reload


def changed(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_reload_touches_only_what_has_changed(watch, path):
    changed(path, "192.0.2.11", "192.0.2.12")
    watch.supervisor.reload()
    watch.handle()
    (reload,) = watch.told("reload")
    assert (reload["ok"], reload["restarted"], reload["started"]) == (True, ["yard"], [])
    assert [worker.is_running for worker in watch.captures("yard")] == [False, True]
    assert [worker.is_running for worker in watch.captures("door")] == [True]


def test_other_alert_settings_do_not_restart_a_capture(watch, path):
    watch.judge_windows("door", 0.6)
    changed(path, "threshold: 0.5", "threshold: 0.9")
    watch.supervisor.reload()
    watch.handle()
    assert [len(watch.captures(name)) for name in ("door", "yard")] == [1, 1]
    watch.judge_windows("door", *[0.1] * 6, 0.6)
    assert [change["change"] for change in watch.told("event")] == ["start", "end"]


def test_a_camera_that_is_gone_ends_and_a_new_one_starts(watch, path):
    changed(path, "name: yard", "name: gate")
    watch.supervisor.reload()
    watch.handle()
    (reload,) = watch.told("reload")
    assert (reload["started"], reload["ended"]) == (["gate"], ["yard"])
    assert [worker.is_running for worker in watch.captures("yard")] == [False]
    with store_of(watch) as store:
        assert store.gaps("yard", since_ms=0)[-1].reason == "it was removed"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("threshold: 0.5", "threshold: 5", "cameras.yaml:6:22: `threshold` must be <= 1.0"),
        ("data: data", "data: elsewhere", "`data` can change at a start only"),
        ("http://127", "ftp://127", "must be an address such as https://host/path"),
    ],
)
def test_a_wrong_file_changes_nothing_and_is_said(watch, path, old, new, error):
    changed(path, old, new)
    watch.supervisor.reload()
    watch.handle()
    (reload,) = watch.told("reload")
    assert not reload["ok"] and error in reload["errors"][0]
    assert [len(watch.captures(name)) for name in ("door", "yard")] == [1, 1]
    assert [kind for kind, *_ in messages(watch)] == ["reload"]
    changed(path, new, old)
    watch.supervisor.reload()
    watch.handle()
    assert watch.told("reload")[-1]["ok"]


# -- the end


def test_the_end_ends_processes_and_events(path):
    with PlayedWatch(path).running() as watch:
        watch.judge.say(READY)
        watch.say_state("door", "up")
        watch.judge_windows("door", 0.99, 0.2)
    assert {key: watch.ended[key] for key in ("events", "windows", "unjudged", "cameras_up")} == {
        "events": 1,
        "windows": 2,
        "unjudged": 0,
        "cameras_up": ["door"],
    }
    assert not watch.judge.is_running and not watch.captures("door")[-1].is_running
    with store_of(watch) as store:
        assert store.open_events() == []
        assert store.gaps("door", since_ms=0)[-1].reason == "the watch has ended"
        assert sum(len(minute.scores) for minute in store.minutes("door", first=0, last=2**40)) == 2


def test_an_event_that_a_kill_has_left_open_is_ended(path):
    watch = PlayedWatch(path)
    with EventStore.open(watch.file.data / STORE) as store:
        store.record_start(StoredEvent(id=store.new_id(), camera="door", start_ms=1000))
    with watch.running():
        pass
    with store_of(watch) as store:
        (event,) = store.events()
    assert (event.state, event.end_ms) == ("ended", 1000)


def test_the_supervisor_needs_neither_tensorflow_nor_opencv_nor_pyav():
    program = (
        "import sys\n"
        "import violence_detection.live.configuration.cameras_file\n"
        "import violence_detection.live.supervision.supervisor\n"
        "print({'tensorflow', 'keras', 'cv2', 'av', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_a_new_camera_is_observed_for_a_while(tmp_path):
    path = write_cameras_file(
        tmp_path,
        """
defaults: {observe_hours: 1, alert: {threshold: 0.5, confirm: {windows: 1, of: 1}}}
cameras: [{name: door, source: "rtsp://192.0.2.1/1"}]
sinks: [{name: desk, webhook: "http://127.0.0.1:9/x"}]
""",
    )
    for hours, reason in ((0.0, "observe"), (0.5, "observe"), (1.0, "")):
        times = Times(1000.0, 1_800_000_000.0 + 3600 * hours)
        played = PlayedWatch(path, times)
        with played.running():
            played.say_state("door", "up")
            played.judge_windows("door", 0.1, 0.99, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
        assert played.told("event")[0]["held_back"] == reason, hours
    with EventStore.reader(played.file.data / STORE) as store:
        assert [event.suppressed_by for event in store.events()] == ["", "observe", "observe"]


def test_an_observation_that_a_reload_ends_is_over(tmp_path):
    text = """
defaults: {alert: {threshold: 0.5, confirm: {windows: 1, of: 1}}}
cameras: [{name: door, source: "rtsp://192.0.2.1/1", observe_hours: 5}]
sinks: [{name: desk, webhook: "http://127.0.0.1:9/x"}]
"""
    path = write_cameras_file(tmp_path, text)
    with PlayedWatch(path).running() as watch:
        watch.say_state("door", "up")
        assert status_of(watch, "door").observed_until_ms
        path.write_text(path.read_text().replace("observe_hours: 5", "observe_hours: 0"))
        watch.supervisor.reload()
        watch.handle()
        assert not status_of(watch, "door").observed_until_ms
        watch.judge_windows("door", 0.1, 0.99)
        assert watch.told("event")[0]["held_back"] == ""


def test_a_camera_that_comes_back_for_seconds_again_and_again_is_down(watch):
    watch.say_state("yard", "up")
    watch.say_state("door", "up")
    for _ in range(6):
        watch.say_state("door", "waiting", "closed")
        watch.advance(15.0)
        watch.say_state("door", "up")
        watch.advance(5.0)
    assert [(kind, camera) for kind, camera, _ in camera_messages(watch)] == [
        ("camera_down", "door")
    ]


def test_a_cool_down_holds_over_a_restart(tmp_path):
    path = write_cameras_file(
        tmp_path,
        """
cameras:
  - {name: door, source: 1, alert: {threshold: 0.5, cooldown_s: 600, confirm: {windows: 1, of: 1}}}
sinks: [{name: desk, webhook: "http://127.0.0.1:9/x"}]
""",
    )
    held = []
    for minute in (0, 5, 11):
        played = PlayedWatch(path, Times(1000.0, 1_800_000_000.0 + 60 * minute))
        with played.running():
            played.say_state("door", "up")
            played.judge_windows("door", 0.1, 0.97, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
        held.append(played.told("event")[0]["held_back"])
    assert held == ["", "cooldown", ""]

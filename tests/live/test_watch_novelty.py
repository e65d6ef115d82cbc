"""What a watch says of scenes that its run does not know, and of runs that know normal videos."""

import json

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import READY, PlayedWatch

from violence_detection.commands.watch import _status_lines, _words
from violence_detection.live.processes.process_messages import JudgedWindow
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.processes.watch_notices import EventChanged
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import SOCKET, STORE

FILE = """
cameras:
  - {name: door, source: 1, alert: {threshold: 0.5, confirm: {windows: 1, of: 1}, close_gaps_s: 1}}
sinks: [{name: desk, webhook: "http://127.0.0.1:9/x", min_priority: low}]
web: {enabled: false}
retention: {min_free_gb: 0}
"""


def judge(watch: PlayedWatch, *windows: tuple[float, float | None]) -> None:
    """Windows by probability and novelty."""
    for probability, novelty in windows:
        watch.advance(1.0)
        now_s = watch.times.monotonic_s
        window = JudgedWindow("door", 1, now_s - 2.0, now_s, probability, novelty=novelty)
        watch.judge.say(window)
        watch.handle()


def lines_of(watch: PlayedWatch) -> list[str]:
    watch.advance(1.0)
    status = RequestClient(watch.file.data / SOCKET).status()
    return _status_lines(status, "UTC")


def messages_of(watch: PlayedWatch):
    with EventStore.reader(watch.file.data / STORE) as store:
        return [row.message for row in store.waiting("desk")]


def test_novelty_goes_from_the_judge_to_the_notice_the_status_the_store_and_the_message(short_tmp):
    watch = PlayedWatch(write_cameras_file(short_tmp, FILE))
    with watch.running():
        watch.judge.say(READY)
        watch.say_state("door", "up")
        judge(watch, (0.1, 0.4), (0.9, 0.8), (0.95, 1.35))
        assert "unlike anything it was trained on" in lines_of(watch)[1]
        judge(watch, *[(0.1, 0.5)] * 5)
        assert "unlike" not in lines_of(watch)[1]
    start, end = watch.told("event")
    assert (start["novelty"], end["novelty"]) == (0.8, 1.35)
    assert [message.novelty for message in messages_of(watch)] == [0.8, 1.35]
    with EventStore.reader(watch.file.data / STORE) as store:
        novelties = [row.novelty for row in store.windows(end["event"])]
    assert 1.35 in novelties and None not in novelties


def test_without_known_training_clips_nothing_is_said_of_novelty(short_tmp):
    watch = PlayedWatch(write_cameras_file(short_tmp, FILE))
    with watch.running():
        watch.judge.say(READY)
        judge(watch, (0.9, None))
        assert "unlike" not in "".join(lines_of(watch))
    assert {change["novelty"] for change in watch.told("event")} == {None}


@pytest.mark.parametrize(("novelty", "is_said"), [(1.2, True), (0.7, False), (None, False)])
def test_the_line_of_an_event_says_that_it_is_unknown(novelty, is_said):
    times = ["2026-11-30T10:00:00.000Z"] * 2
    notice = EventChanged(0, "door", "A", "start", "high", *times, 0.9, novelty=novelty)
    assert ("unlike anything it was trained on" in _words(notice)) == is_said


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ({"sent_to": ["desk", "phone"]}, "A  to desk, phone"),
        ({"held_back": "quiet_hours"}, "A  to nobody (quiet hours)"),
        ({}, "A"),
    ],
)
def test_the_line_of_an_event_names_its_sinks(values, end):
    times = ["2026-11-30T10:00:00.000Z"] * 2
    notice = EventChanged(0, "door", "A", "start", "high", *times, 0.9, **values)
    assert _words(notice) == f"door  event start  high  0.900  {end}"


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_run_of_normal_videos_tells_of_the_unusual_also_after_a_kill(short_tmp, is_killed):
    path = write_cameras_file(short_tmp, FILE)
    config = short_tmp / "run" / "training_config.json"
    settings = json.loads(config.read_text())
    settings["settings"] = {"one_class": "gaussian"}
    settings["classes"] = ["normal", "unusual"]
    config.write_text(json.dumps(settings))
    watch = PlayedWatch(path)
    with watch.supervisor.opened():
        watch.judge.say(READY)
        judge(watch, (0.9, 0.3))
        assert lines_of(watch)[1] == "finds       what is unusual, not what is violent"
        if not is_killed:
            watch.supervisor.end()
    if is_killed:
        watch = PlayedWatch(path, watch.times)
        with watch.running():
            pass
    assert [message.finds for message in messages_of(watch)] == ["unusual", "unusual"]

"""The seconds of a camera that nobody judged, as the status sums them up."""

import contextlib

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import READY, PlayedWatch

from violence_detection.live.processes.process_messages import JudgedWindow
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.supervision.watch_parts import SOCKET


@pytest.fixture
def watch(short_tmp):
    text = "cameras: [{name: door, source: 1, alert: {threshold: 0.9}}]\nweb: {enabled: false}\n"
    with PlayedWatch(write_cameras_file(short_tmp, text)).running() as watch:
        watch.judge.say(READY)
        watch.say_state("door", "up")
        watch.advance(1.0)
        yield watch


def unjudged_s(watch) -> float:
    with contextlib.closing(RequestClient(watch.file.data / SOCKET)) as client:
        return client.status().cameras[0].unjudged_s


def say_window(watch, start_s: float, end_s: float, probability: float | None) -> None:
    watch.judge.say(JudgedWindow("door", 1, start_s, end_s, probability))
    watch.handle()


def test_windows_that_overlap_leave_nothing_out(watch):
    watch.judge_windows("door", *[0.1] * 5)
    watch.advance(1.0)
    assert unjudged_s(watch) == 0.0


def test_time_between_windows_that_lie_apart_is_not_judged(watch):
    began_s = watch.times.monotonic_s
    for number in range(3):  # 2 s long, 4 s apart
        say_window(watch, began_s + 4 * number, began_s + 4 * number + 2, 0.1)
        watch.advance(4.0)
    watch.advance(1.0)
    assert unjudged_s(watch) == 1.0 + 2 * 2.0, "1 s before the first window, 2 s between each two"


def test_a_window_that_was_not_judged_counts_once(watch):
    began_s = watch.times.monotonic_s
    for number, probability in enumerate([0.1, None, None, 0.1]):
        say_window(watch, began_s - 2 + number, began_s + number, probability)
    watch.advance(1.0)
    assert unjudged_s(watch) == 2.0


def test_a_camera_that_is_down_counts_once_while_it_is_and_after_it(watch):
    watch.judge_windows("door", 0.1, 0.1)
    last_s = watch.times.monotonic_s
    watch.say_state("door", "waiting", "closed")
    watch.advance(60.0)
    assert unjudged_s(watch) == pytest.approx(55.0, abs=1.0), "what may be on its way is not yet"
    watch.say_state("door", "up")
    now_s = watch.times.monotonic_s
    say_window(watch, last_s, now_s, None)  # the capture says what it could not make
    watch.advance(1.0)
    assert unjudged_s(watch) == 60.0

"""Several judges: the cameras that each has, one that dies, one that cannot work at all."""

import contextlib

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import READY, PlayedWatch

from violence_detection.errors import RunError
from violence_detection.live.processes.process_messages import (
    JudgedWindow,
    JudgeFailed,
    JudgeOrder,
    StrideOrder,
)
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.supervision.watch_judges import visible_gpus
from violence_detection.live.supervision.watch_parts import SOCKET

FILE = """
defaults: {alert: {threshold: 0.5, confirm: {windows: 1, of: 1}}, clips: {keep: none}}
judges: 2
cameras:
  - {name: a, source: "rtsp://192.0.2.1/1"}
  - {name: b, source: "rtsp://192.0.2.2/1"}
  - {name: c, source: "rtsp://192.0.2.3/1"}
  - {name: d, source: "rtsp://192.0.2.4/1"}
web: {enabled: false}
"""


@pytest.fixture
def watch(short_tmp):
    with PlayedWatch(write_cameras_file(short_tmp, FILE)).running() as watch:
        for number in (1, 2):
            watch.judge_number(number).say(READY)
        watch.handle()
        yield watch


def judges_of(watch) -> dict[int, tuple[str, ...]]:
    watch.advance(1.0)
    with contextlib.closing(RequestClient(watch.file.data / SOCKET)) as client:
        return {judge.number: judge.cameras for judge in client.status().judges}


def sockets(watch, camera: str) -> list[str]:
    """The judge that a capture was started with, and those that it was ordered to take."""
    worker = watch.captures(camera)[-1]
    orders = [order.address for order in worker.sent if isinstance(order, JudgeOrder)]
    return [path.rpartition("/")[2] for path in (str(worker.start.judge), *orders)]


def test_cameras_are_shared_out_and_windows_of_all_judges_count(watch):
    assert judges_of(watch) == {1: ("a", "c"), 2: ("b", "d")}
    assert [sockets(watch, name) for name in "abcd"] == [["judge.sock"], ["judge-2.sock"]] * 2
    for camera, number in (("a", 1), ("b", 2)):
        now_s = watch.times.monotonic_s
        judged = JudgedWindow(camera, 1, now_s - 2.0, now_s, 0.9)
        watch.judge_number(number).say(judged)
    watch.handle()
    assert [change["camera"] for change in watch.told("event")] == ["a", "b"]


def test_the_cameras_of_a_judge_that_dies_go_to_the_other_and_come_back(watch):
    watch.judge_number(2).die("SIGKILL")
    watch.handle()
    assert judges_of(watch) == {1: ("a", "b", "c", "d"), 2: ()}
    assert sockets(watch, "b") == ["judge-2.sock", "judge.sock"]
    assert sockets(watch, "a") == ["judge.sock"], "its camera is not disturbed"
    watch.captures("d")[-1].die()
    watch.handle()
    watch.advance(2.0)
    assert sockets(watch, "d") == ["judge.sock"], "a new capture begins with its present judge"
    watch.judge_number(2).say(READY)
    watch.handle()
    shared = judges_of(watch)
    assert [len(cameras) for cameras in shared.values()] == [2, 2]
    assert [(notice["judge"], notice["state"]) for notice in watch.told("judge")] == [
        (1, "ready"),
        (2, "ready"),
        (2, "down"),
        (2, "ready"),
    ]


def test_a_judge_that_stays_away_is_a_warning_and_no_end(watch):
    for _ in range(6):
        watch.judge_number(2).die("SIGSEGV")
        watch.handle()
        watch.advance(10.0)
    with contextlib.closing(RequestClient(watch.file.data / SOCKET)) as client:
        status = client.status()
    assert (status.judge, [judge.state for judge in status.judges]) == ("ready", ["ready", "down"])
    assert status.warnings == (
        "Judges are down, and the others have their cameras: Judge 2 (SIGSEGV).",
    )


def test_a_window_that_the_former_judge_gives_late_is_left_out(watch):
    now_s = watch.times.monotonic_s
    watch.judge_number(1).say(JudgedWindow("a", 1, now_s - 1, now_s + 1, 0.1))
    watch.judge_number(2).say(JudgedWindow("a", 1, now_s - 2, now_s, 0.9))
    watch.handle()
    assert watch.told("event") == []


def test_only_the_cameras_of_a_judge_that_is_behind_are_judged_less_often(watch):
    from violence_detection.live.processes.process_messages import JudgeLoad

    for _ in range(5):
        watch.judge_number(2).say(JudgeLoad(1.0, 10.0, 1, 0, 0, 0, 0.0))
        watch.handle()
        watch.advance(1.0)
    sent = {name: watch.captures(name)[-1].sent for name in "abcd"}
    assert sent == {"a": [], "b": [StrideOrder(2.0)], "c": [], "d": [StrideOrder(2.0)]}


def test_the_processes_of_judges_have_no_threads_that_wait_for_matrix_products(watch):
    environments = [dict(watch.judge_number(n).kind.environment) for n in (1, 2)]
    assert [env["OPENBLAS_NUM_THREADS"] for env in environments] == ["1", "1"]


def test_the_watch_fails_only_if_no_judge_can_work(short_tmp):
    watch = PlayedWatch(write_cameras_file(short_tmp, FILE))
    with watch.supervisor.opened():
        watch.judge_number(1).say(JudgeFailed("no weights"))
        watch.judge_number(1).die("exit status 0")
        watch.handle()
        watch.judge_number(2).say(JudgeFailed("no weights either"))
        with pytest.raises(RunError, match="no weights"):
            watch.handle()
        watch.supervisor.end()


def test_gpus_are_those_of_cuda_visible_devices_or_of_the_machine(tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible_gpus({}, tmp_path) == ("0", "1")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "1, GPU-8f"}, tmp_path) == ("1", "GPU-8f")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == ()
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == ()

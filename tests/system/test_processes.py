"""What a call does to its child is felt by that call alone, and no child is left behind."""

import itertools
import operator
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.system import processes
from violence_detection.system.processes import Calls


@pytest.fixture
def call():
    with Calls() as calls:
        yield calls


def test_a_call_returns_what_the_function_does(call):
    assert call(operator.add, [1], [2]) == [1, 2]


def test_it_runs_in_another_process_which_serves_the_next_call_too(call):
    child = call(os.getpid)
    assert child != os.getpid()
    assert call(os.getpid) == child


def test_it_raises_what_the_function_does(call):
    with pytest.raises(ZeroDivisionError) as caught:
        call(operator.floordiv, 1, 0)
    assert "In the child" in caught.value.__notes__[0]
    assert call(operator.add, 1, 2) == 3


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_is_an_error_and_the_next_call_has_another_child(call, number):
    child = call(os.getpid)
    with pytest.raises(VideoError, match=rf"the decoder crashed \({number.name}\)"):
        call(os.kill, child, number)
    assert call(os.getpid) != child


def test_a_child_that_leaves_says_with_what(call):
    with pytest.raises(VideoError, match=r"crashed \(no word, exit status 7\)"):
        call(os._exit, 7)


def test_a_function_that_the_child_does_not_have_is_named(call, monkeypatch):
    module = types.ModuleType("nowhere")
    exec("def function(): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "nowhere", module)
    with pytest.raises(VideoError, match="crashed .*No module named 'nowhere'"):
        call(module.function)
    assert call(operator.add, 1, 2) == 3


def test_descriptors_that_run_out_are_no_fault_of_the_video(monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(processes, "_idle", [])
    monkeypatch.setattr(os, "memfd_create", refuse)
    with (
        Calls() as call,
        pytest.raises(ViolenceDetectionError, match="did not start: .*Too many open"),
    ):
        call(os.getpid)


def test_a_call_that_takes_too_long_is_ended(call):
    start_s = time.monotonic()
    with pytest.raises(VideoError, match=r"longer than 0.2 s \(--video-timeout\)"):
        call(time.sleep, 60, timeout_s=0.2)
    assert time.monotonic() - start_s < 20


def test_a_call_that_takes_too_much_memory_is_ended(call):
    too_much = processes.MEMORY_BYTES + 1
    with pytest.raises(VideoError, match="it needs more than 1.0 GB of memory"):
        call(bytearray, too_much)


def test_children_with_another_limit_are_others(call):
    child = call(os.getpid)
    with Calls(memory_bytes=processes.MEMORY_BYTES // 2) as smaller:
        assert smaller(os.getpid) != child
        with pytest.raises(VideoError, match="it needs more than 0.5 GB of memory"):
            smaller(bytearray, processes.MEMORY_BYTES * 3 // 4)
    assert call(len, call(bytes, 1000)) == 1000


@pytest.mark.parametrize("limit", [None, 1000])
def test_arrays_come_back_as_they_are(limit):
    """Also where a limit on the size of files leaves no room for them in memory."""
    array = np.arange(24_000, dtype=np.int16).reshape(2, 3, -1)
    with Calls(memory_bytes=processes.MEMORY_BYTES - 1) as call:
        if limit:
            call(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        for _ in range(2):
            came = call(tuple, [array, array[:, ::2], np.empty((0, 3)), "text"])
            np.testing.assert_array_equal(came[0], array)
            np.testing.assert_array_equal(came[1], array[:, ::2])
            assert (came[2].shape, came[3]) == ((0, 3), "text")
            came[0][:] = 0  # it is the caller's own
    while limit and processes._idle:
        processes._idle.pop().kill()


def test_calls_of_several_threads_run_side_by_side(call):
    with ThreadPoolExecutor(3) as pool:
        pids = [pool.submit(_nap_and_pid, call) for _ in range(3)]
    assert len({pid.result() for pid in pids}) == 3


def _nap_and_pid(call):
    """The child's number, once all have had the time to start."""
    return call(os.stat, "/proc/self")[1] if call(time.sleep, 0.5) is None else 0


def test_leaving_ends_what_is_under_way():
    caught = []

    def ask():
        try:
            call(time.sleep, 60)
        except VideoError as error:
            caught.append(str(error))

    start_s = time.monotonic()
    with Calls() as call:
        thread = threading.Thread(target=ask)
        thread.start()
        _wait_until(lambda: call._busy)
    thread.join()
    assert caught or not call._busy
    assert time.monotonic() - start_s < 20


def test_what_cannot_start_is_no_fault_of_the_video(call, monkeypatch):
    monkeypatch.setattr(processes, "_idle", [])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ViolenceDetectionError, match="did not start: no word, exit") as e:
        call(os.getpid)
    assert not isinstance(e.value, VideoError)
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(ViolenceDetectionError, match="did not start: .*No such file"):
        call(os.getpid)


_PARENT = """
import operator, os, threading, time
from violence_detection.system.processes import Calls
call = Calls()
threading.Thread(target=call, args=({call},), daemon=True).start()
while not call._busy:
    time.sleep(0.01)
print(next(iter(call._busy))._process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("doing", ["time.sleep, 60", "sum, __import__('itertools').count()"])
def test_no_child_outlives_its_parent(number, doing):
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(call=doing)], stdout=subprocess.PIPE
    )
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()
    _wait_until(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait_until(condition) -> None:
    for _ in itertools.takewhile(lambda _: not condition(), range(1000)):
        time.sleep(0.01)
    assert condition()

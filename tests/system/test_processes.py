"""A call that fails ends its own child only, and no child outlives its parent."""

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
from violence_detection.system.processes import DedicatedProcess, ProcessPool


@pytest.fixture
def call():
    with ProcessPool() as calls:
        yield calls


def test_a_call_returns_what_the_function_does(call):
    assert call(operator.add, [1], [2]) == [1, 2]


def test_it_runs_in_another_process_which_serves_the_next_call_too(call):
    child = call(os.getpid)
    assert child != os.getpid()
    assert call(os.getpid) == child


def test_a_process_that_was_told_to_end_takes_no_further_call():
    """Another thread may end a pool when a call of it is just over, and the process goes to the
    idle ones while it dies: the next call got `crashed (SIGKILL)`."""
    with ProcessPool() as calls, calls._process() as process:
        process.ask(operator.add, (1, 2), None)
        process.terminate()
    with ProcessPool() as calls:
        assert [calls(operator.add, number, 1) for number in range(5)] == [1, 2, 3, 4, 5]


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


def test_a_child_that_exits_is_named_with_its_status(call):
    with pytest.raises(VideoError, match=r"crashed \(no output, exit status 7\)"):
        call(os._exit, 7)


def test_a_function_that_the_child_does_not_have_is_named(call, monkeypatch):
    module = types.ModuleType("nowhere")
    exec("def function(): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "nowhere", module)
    with pytest.raises(VideoError, match="crashed .*No module named 'nowhere'"):
        call(module.function)
    assert call(operator.add, 1, 2) == 3


def test_too_many_open_files_is_not_an_error_of_the_video(monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(processes, "_idle", [])
    monkeypatch.setattr(os, "memfd_create", refuse)
    with (
        ProcessPool() as call,
        pytest.raises(
            ViolenceDetectionError, match="Could not start the process of the decoder: .*Too many"
        ),
    ):
        call(os.getpid)


def test_a_call_that_takes_too_long_is_ended(call):
    start_s = time.monotonic()
    with pytest.raises(VideoError, match=r"it took longer than 0.2 s$"):
        call(time.sleep, 60, timeout_s=0.2)
    assert time.monotonic() - start_s < 20


def test_a_call_that_takes_too_much_memory_is_ended(call):
    too_much = processes.MEMORY_LIMIT_BYTES + 1
    with pytest.raises(VideoError, match="it needs more than 1.0 GB of memory"):
        call(bytearray, too_much)


def test_children_with_another_limit_are_others(call):
    child = call(os.getpid)
    with ProcessPool(memory_bytes=processes.MEMORY_LIMIT_BYTES // 2) as smaller:
        assert smaller(os.getpid) != child
        with pytest.raises(VideoError, match="it needs more than 0.5 GB of memory"):
            smaller(bytearray, processes.MEMORY_LIMIT_BYTES * 3 // 4)
    assert call(len, call(bytes, 1000)) == 1000


@pytest.mark.parametrize("limit", [None, 1000])
def test_arrays_come_back_as_they_are(limit):
    """Also where a limit on the size of files leaves no room for them in memory."""
    array = np.arange(24_000, dtype=np.int16).reshape(2, 3, -1)
    with ProcessPool(memory_bytes=processes.MEMORY_LIMIT_BYTES - 1) as call:
        if limit:
            call(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        for _ in range(2):
            answer = call(tuple, [array, array[:, ::2], np.empty((0, 3)), "text"])
            np.testing.assert_array_equal(answer[0], array)
            np.testing.assert_array_equal(answer[1], array[:, ::2])
            assert (answer[2].shape, answer[3]) == ((0, 3), "text")
            answer[0][:] = 0  # the caller's own copy: the next answer is not changed by it
    while limit and processes._idle:
        processes._idle.pop().kill()


def test_calls_of_several_threads_run_side_by_side(call):
    with ThreadPoolExecutor(3) as pool:
        pids = [pool.submit(_sleep_and_pid, call) for _ in range(3)]
    assert len({pid.result() for pid in pids}) == 3


def _sleep_and_pid(call):
    """The child's process number, after all children have had time to start."""
    return call(os.stat, "/proc/self")[1] if call(time.sleep, 0.5) is None else 0


def test_leaving_the_context_ends_the_calls_in_progress():
    caught = []

    def ask():
        try:
            call(time.sleep, 60)
        except VideoError as error:
            caught.append(str(error))

    start_s = time.monotonic()
    with ProcessPool() as call:
        thread = threading.Thread(target=ask)
        thread.start()
        _wait_until(lambda: call._busy)
    thread.join()
    assert caught or not call._busy
    assert time.monotonic() - start_s < 20


def test_a_child_that_cannot_start_is_not_an_error_of_the_video(call, monkeypatch):
    monkeypatch.setattr(processes, "_idle", [])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ViolenceDetectionError, match="of the decoder: no output, exit") as e:
        call(os.getpid)
    assert not isinstance(e.value, VideoError)
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(ViolenceDetectionError, match="of the decoder: .*No such file"):
        call(os.getpid)


def test_a_dedicated_process_serves_all_calls():
    with DedicatedProcess("It", {"MARK_OF_THIS_TEST": "here"}) as child:
        assert child(os.getpid) == child(os.getpid) != os.getpid()
        assert child(os.getenv, "MARK_OF_THIS_TEST") == "here"
        with pytest.raises(ValueError, match="invalid literal"):
            child(int, "x")
        assert child(int, "7") == 7


def test_a_dedicated_process_keeps_the_object_that_it_constructs():
    with DedicatedProcess("It", {}) as child:
        child.construct(itertools.count, 3)
        assert [child.call_method(next), child.call_method(next)] == [3, 4]
        child.construct(list, "ab")
        assert child.call_method(list.index, "b") == 1
        with pytest.raises(ValueError, match="not in list"):
            child.call_method(list.index, "c")


_PARENT = """
import operator, os, threading, time
from violence_detection.system.processes import ProcessPool
call = ProcessPool()
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

"""Machines meet, agree, and notice that one is gone; here, threads and processes on loopback."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from violence_detection.errors import ConfigError, TrainingError
from violence_detection.system import coordination
from violence_detection.system.cluster_spec import ClusterSpec
from violence_detection.system.coordination import Coordinator

# Says "there" once all are, then waits for what never comes, as in a collective operation.
_PROGRAM = """
import sys, threading
from violence_detection.system import coordination
from violence_detection.errors import TrainingError
from violence_detection.system.cluster_spec import Hosts

coordination._BEAT_S, coordination._SILENCE_S, coordination._GRACE_S = 0.1, 0.5, 0.1
rank, way, *addresses = sys.argv[1:]
with coordination.Peers(Hosts(tuple(addresses), int(rank))) as others:
    others.gather(None)
    print("there", flush=True)
    if way == "error":
        sys.stdin.readline()
        raise TrainingError("The loss must be finite")
    threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without the waits; and this process stays, whatever is wrong."""
    monkeypatch.setattr(coordination, "_AGAIN_S", 0.02)
    monkeypatch.setattr(coordination.os, "_exit", sys.exit)


def addresses(count: int) -> tuple[str, ...]:
    """Of loopback, with ports that are free."""
    with contextlib.ExitStack() as stack:
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        for server in servers:
            stack.enter_context(server)
        return tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in servers)


def together(work, count=3) -> list:
    """What each rank's `work(peers)` gives, or the error that it raises."""
    named = addresses(count)

    def run(rank):
        try:
            with Coordinator(ClusterSpec(named, rank)) as others:
                return work(others, rank)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, reversed(range(count))))[::-1]


# -- relation


def test_all_get_what_each_gives():
    def work(others, rank):
        return [others.gather([rank, turn]) for turn in range(20)]

    first, *more = together(work)
    assert first == [[[rank, turn] for rank in range(3)] for turn in range(20)]
    assert all(other == first for other in more)


def test_what_the_chief_gives_counts():
    assert together(lambda others, rank: others.of_chief(f"of {rank}")) == ["of 0"] * 3
    assert together(lambda others, rank: others.is_chief) == [True, False, False]


def test_one_alone_agrees_with_itself():
    with Coordinator(None) as others:
        assert others.is_chief
        assert others.gather(3) == [3]
        assert others.of_chief("x") == "x"
        others.check_same(epochs=1)


def test_the_port_of_the_chief_is_free_for_tensorflow_afterwards():
    def work(others, rank):
        others.gather(None)
        if rank == 0:
            port = int(others._hosts.addresses[0].rpartition(":")[2])
            coordination._listening(port).close()
        return others.gather(rank)

    assert together(work) == [[0, 1, 2]] * 3


def test_a_machine_that_is_started_again_is_let_in():
    named = addresses(3)
    with ThreadPoolExecutor(3) as pool:
        meet = [Coordinator(ClusterSpec(named, rank)) for rank in range(3)]
        chief = pool.submit(meet[0].__enter__)
        with _connected(named[0]) as before:
            before.sendall(b'{"rank": 1, "machines": 3}\n')
            again = pool.submit(meet[1].__enter__)
            assert b"another process came with this rank" in before.recv(200)
        last = pool.submit(meet[2].__enter__)
        there = [one.result(10) for one in (chief, again, last)]
        assert list(pool.map(lambda one: one.gather(1), there)) == [[1, 1, 1]] * 3
        for one in there:
            one.__exit__(None, None, None)


# -- error


def test_different_settings_are_an_error_on_all():
    def work(others, rank):
        others.check_same(epochs=3, seed=rank // 2)

    for error in together(work):
        assert isinstance(error, ConfigError)
        assert str(error) == (
            "All machines must train with the same. Received: seed = 0 (rank 0), 0 (rank 1), "
            "1 (rank 2)"
        )


def test_who_does_not_come_is_named(monkeypatch):
    monkeypatch.setattr(coordination, "_MEET_S", 0.5)
    named = addresses(3)
    with ThreadPoolExecutor(2) as pool:
        chief, one = (
            pool.submit(Coordinator(ClusterSpec(named, rank)).__enter__) for rank in (0, 1)
        )
        assert re.search("within 0 s. Received: no rank 2$", str(chief.exception(10)))
        assert re.search(f"within 0 s. Received: {named[0]}", str(one.exception(10)))


@pytest.mark.slow
def test_a_number_of_machines_that_differs_is_refused(monkeypatch):
    monkeypatch.setattr(coordination, "_MEET_S", 1.0)
    named = addresses(3)
    with ThreadPoolExecutor(1) as pool:
        chief = pool.submit(Coordinator(ClusterSpec(named[:2], 0)).__enter__)
        with pytest.raises(TrainingError, match="rank 2 of 3 .it waits for 2 machines"):
            Coordinator(ClusterSpec(named, 2)).__enter__()
        assert chief.exception(10)


def test_strangers_are_no_machines():
    named = addresses(2)
    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(lambda: Coordinator(ClusterSpec(named, 0)).__enter__())
        for said in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": "x"}\n', b"[1]\n", b""):
            stranger = _connected(named[0])
            stranger.sendall(said)
            stranger.close()
        other = Coordinator(ClusterSpec(named, 1)).__enter__()
        both = chief.result(10)
        value = pool.submit(both.gather, "chief")
        assert other.gather("other") == value.result(10) == ["chief", "other"]
        other.__exit__(None, None, None)
        both.__exit__(None, None, None)


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    while True:
        try:
            return socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            continue


@pytest.mark.parametrize("rank", [0, 1])
def test_a_port_that_is_taken_is_named(rank):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        named = ["127.0.0.1:1", "127.0.0.1:1"]
        named[rank] = f"127.0.0.1:{port}"
        with pytest.raises(TrainingError, match=f"must be free. Received: {port}"):
            Coordinator(ClusterSpec(tuple(named), rank)).__enter__()


def started(way="wait", count=3) -> list[subprocess.Popen]:
    named = addresses(count)
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                _PROGRAM,
                str(rank),
                way if rank == 1 else "wait",
                *named,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    for process in processes:
        assert process.stdout.readline() == "there\n", process.stderr.read()
    return processes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "how"), [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGSTOP)]
)
def test_all_leave_where_one_is_gone(lost, how):
    processes = started()
    processes[lost].send_signal(how)
    told = ""
    for rank, process in enumerate(processes):
        if rank != lost:
            _, error = process.communicate(timeout=15)
            assert process.returncode == 1
            assert error.startswith("Error: All machines must stay") and error.count("\n") == 1
            told += error
    processes[lost].kill()
    processes[lost].communicate()
    assert f"rank {lost} is gone (its connection was closed or fell silent)" in told


def test_who_leaves_by_an_error_tells_the_others_why():
    _, one, _ = processes = started("error")
    one.stdin.write("\n")
    one.stdin.flush()
    errors = [process.communicate(timeout=15)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1, 1]
    assert "rank 1 is gone (The loss must be finite)" in errors[0]
    assert "rank 0 is gone (rank 1 is gone)" in errors[2]

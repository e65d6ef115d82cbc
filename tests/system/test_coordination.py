"""Rendezvous, agreement and heartbeat of machines: here, threads and processes on loopback."""

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
from violence_detection.system.coordination import ClusterCoordinator, LocalCoordinator

# Prints "connected" when all machines are, then waits for ever, as a collective operation does.
_PROGRAM = """
import sys, threading
from violence_detection.system import coordination
from violence_detection.errors import TrainingError
from violence_detection.system.cluster_spec import ClusterSpec

coordination._HEARTBEAT_S, coordination._SILENCE_S, coordination._GRACE_S = 0.1, 0.5, 0.1
rank, way, *addresses = sys.argv[1:]
with coordination.ClusterCoordinator(ClusterSpec(tuple(addresses), int(rank))) as coordinator:
    coordinator.gather(None)
    print("connected", flush=True)
    if way == "error":
        sys.stdin.readline()
        raise TrainingError("The loss must be finite")
    threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short waits; and a lost machine does not end the process of the tests."""
    monkeypatch.setattr(coordination, "_RETRY_S", 0.02)
    monkeypatch.setattr(coordination.os, "_exit", sys.exit)


def addresses(count: int) -> tuple[str, ...]:
    """Loopback addresses with free ports."""
    with contextlib.ExitStack() as stack:
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        for server in servers:
            stack.enter_context(server)
        return tuple(f"127.0.0.1:{server.getsockname()[1]}" for server in servers)


def run_together(work, count=3) -> list:
    """Each rank's result of `work(coordinator, rank)`, or the error that it raised."""
    named = addresses(count)

    def run(rank):
        try:
            with ClusterCoordinator(ClusterSpec(named, rank)) as coordinator:
                return work(coordinator, rank)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, reversed(range(count))))[::-1]


# -- relation


def test_gather_returns_the_values_of_all_machines_on_all():
    def work(coordinator, rank):
        return [coordinator.gather([rank, turn]) for turn in range(20)]

    first, *rest = run_together(work)
    assert first == [[[rank, turn] for rank in range(3)] for turn in range(20)]
    assert all(values == first for values in rest)


def test_broadcast_returns_the_value_of_the_chief():
    assert (
        run_together(lambda coordinator, rank: coordinator.broadcast(f"of {rank}")) == ["of 0"] * 3
    )
    assert run_together(lambda coordinator, rank: coordinator.is_chief) == [True, False, False]


def test_a_machine_alone_agrees_with_itself():
    with LocalCoordinator() as coordinator:
        assert coordinator.is_chief
        assert coordinator.gather(3) == [3]
        assert coordinator.broadcast("x") == "x"
        coordinator.check_same(epochs=1)


def test_the_port_of_the_chief_is_free_for_tensorflow_afterwards():
    def work(coordinator, rank):
        coordinator.gather(None)
        if rank == 0:
            port = int(coordinator.cluster.addresses[0].rpartition(":")[2])
            coordination._listen_on(port).close()
        return coordinator.gather(rank)

    assert run_together(work) == [[0, 1, 2]] * 3


def test_a_machine_that_is_started_again_is_accepted():
    named = addresses(3)
    with ThreadPoolExecutor(3) as pool:
        machines = [ClusterCoordinator(ClusterSpec(named, rank)) for rank in range(3)]
        chief = pool.submit(machines[0].__enter__)
        with _connected(named[0]) as before:
            before.sendall(b'{"rank": 1, "machines": 3}\n')
            restarted = pool.submit(machines[1].__enter__)
            assert b"another process came with this rank" in before.recv(200)
        last = pool.submit(machines[2].__enter__)
        connected = [future.result(10) for future in (chief, restarted, last)]
        assert list(pool.map(lambda machine: machine.gather(1), connected)) == [[1, 1, 1]] * 3
        for machine in connected:
            machine.__exit__(None, None, None)


# -- error


def test_different_settings_are_an_error_on_all():
    def work(coordinator, rank):
        coordinator.check_same(epochs=3, seed=rank // 2)

    errors = run_together(work)
    assert len(errors) == 3
    for error in errors:
        assert isinstance(error, ConfigError)
        assert str(error) == (
            "All machines must train with the same. Received: seed = 0 (rank 0), 0 (rank 1), "
            "1 (rank 2)"
        )


def test_a_machine_that_does_not_connect_is_named(monkeypatch):
    monkeypatch.setattr(coordination, "_RENDEZVOUS_S", 0.5)
    named = addresses(3)
    with ThreadPoolExecutor(2) as pool:
        chief, follower = (
            pool.submit(ClusterCoordinator(ClusterSpec(named, rank)).__enter__) for rank in (0, 1)
        )
        assert re.search("within 0 s. Received: no rank 2$", str(chief.exception(10)))
        assert re.search(f"within 0 s. Received: {named[0]}", str(follower.exception(10)))


@pytest.mark.slow
def test_a_number_of_machines_that_differs_is_refused(monkeypatch):
    monkeypatch.setattr(coordination, "_RENDEZVOUS_S", 1.0)
    named = addresses(3)
    with ThreadPoolExecutor(1) as pool:
        chief = pool.submit(ClusterCoordinator(ClusterSpec(named[:2], 0)).__enter__)
        with pytest.raises(TrainingError, match="rank 2 of 3 .it waits for 2 machines"):
            ClusterCoordinator(ClusterSpec(named, 2)).__enter__()
        assert chief.exception(10)


def test_other_programs_that_connect_are_ignored():
    named = addresses(2)
    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(lambda: ClusterCoordinator(ClusterSpec(named, 0)).__enter__())
        for message in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": "x"}\n', b"[1]\n", b""):
            stranger = _connected(named[0])
            stranger.sendall(message)
            stranger.close()
        follower = ClusterCoordinator(ClusterSpec(named, 1)).__enter__()
        leader = chief.result(10)
        value = pool.submit(leader.gather, "chief")
        assert follower.gather("follower") == value.result(10) == ["chief", "follower"]
        follower.__exit__(None, None, None)
        leader.__exit__(None, None, None)


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
            ClusterCoordinator(ClusterSpec(tuple(named), rank)).__enter__()


def start_processes(way="wait", count=3) -> list[subprocess.Popen]:
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
        assert process.stdout.readline() == "connected\n", process.stderr.read()
    return processes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "how"), [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGSTOP)]
)
def test_all_processes_end_when_a_machine_is_lost(lost, how):
    processes = start_processes()
    processes[lost].send_signal(how)
    messages = ""
    for rank, process in enumerate(processes):
        if rank != lost:
            _, error = process.communicate(timeout=15)
            assert process.returncode == 1
            assert error.startswith("Error: Machine ") and error.count("\n") == 1
            messages += error
    processes[lost].kill()
    processes[lost].communicate()
    assert f"Machine {lost} was lost (its connection was closed or fell silent)" in messages


def test_a_machine_that_ends_by_an_error_tells_the_others_why():
    _, failing, _ = processes = start_processes("error")
    failing.stdin.write("\n")
    failing.stdin.flush()
    errors = [process.communicate(timeout=15)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1, 1]
    assert "Machine 1 was lost (The loss must be finite)" in errors[0]
    assert "Machine 0 was lost (machine 1 was lost)" in errors[2]

"""Requests to the supervisor over its socket."""

import stat
import threading

import pytest

from violence_detection.errors import ConfigError, RunError
from violence_detection.live.processes.supervisor_requests import RequestClient, RequestServer
from violence_detection.live.processes.watch_status import CameraStatus, SinkStatus, WatchStatus

STATUS = WatchStatus(
    1,
    "ready",
    "first",
    (CameraStatus("door", "Front door", "shop", "up", 0.8, scores=((5, 0.25), (6, 0.5))),),
    (SinkStatus("phone", waiting=2),),
    ("the disk is nearly full",),
)


class _Supervisor:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked = []

    def status(self):
        return STATUS

    def picture(self, camera):
        return b"\xff\xd8" + camera.encode() * 100_000

    def acknowledge(self, event, by):
        self.asked.append((event, by))
        return len(self.asked) == 1

    def snooze(self, camera, until_ms, by):
        if camera != "door":
            raise ConfigError("The camera must be one of the file: door. Received: yard")

    def record_verdict(self, event, verdict, by, start_s=None, end_s=None, note=""):
        self.asked.append((event, verdict, by, start_s, end_s, note))
        return 7

    def undo_verdict(self, verdict, by):
        raise RunError("the disk is full")


@pytest.fixture
def link(tmp_path):
    supervisor, path = _Supervisor(), tmp_path / "supervisor.sock"
    client = RequestClient(path)
    with RequestServer(path, supervisor):
        yield supervisor, client, path
    client.close()


def test_answers(link):
    supervisor, client, path = link
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert client.status() == STATUS
    assert client.picture("door") == b"\xff\xd8" + b"door" * 100_000
    assert client.acknowledge("E1", by="anna") and not client.acknowledge("E1", by="anna")
    assert client.record_verdict("E1", "violent", "anna", 1.0, 2.5, "ü") == 7
    assert supervisor.asked[-1] == ("E1", "violent", "anna", 1.0, 2.5, "ü")


def test_errors_come_back(link):
    _, client, _ = link
    with pytest.raises(ConfigError, match="one of the file: door"):
        client.snooze("yard", 1, "anna")
    with pytest.raises(RunError, match="the disk is full"):
        client.undo_verdict(1, "anna")
    with pytest.raises(ConfigError, match="must be one of status, picture"):
        client._ask("__init__")
    with pytest.raises(ConfigError, match="must have its values"):
        client._ask("picture", file="/etc/passwd")
    assert client.status() == STATUS  # the connection goes on


def test_many_ask_at_once(link):
    _, client, _ = link
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.extend(client.status() for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [STATUS] * 160


def test_supervisor_that_is_away_and_comes_back(tmp_path):
    path = tmp_path / "supervisor.sock"
    client = RequestClient(path, timeout_s=2.0)
    with pytest.raises(RunError, match="start `watch run`"):
        client.status()
    for _ in range(2):  # the second one finds the socket of the first, and an idle connection
        with RequestServer(path, _Supervisor()):
            assert client.status() == STATUS
    client.close()


def test_supervisor_that_does_not_answer(tmp_path):
    class Hanging(_Supervisor):
        def status(self):
            held.wait(5.0)

    held, path = threading.Event(), tmp_path / "supervisor.sock"
    with RequestServer(path, Hanging()):
        with pytest.raises(RunError, match=r"no answer within 0.1 s"):
            RequestClient(path, timeout_s=0.1).status()
        held.set()


def test_too_long_a_path(tmp_path):
    with pytest.raises(ConfigError, match="100 bytes or fewer"):
        RequestServer(tmp_path / ("x" * 100), _Supervisor())

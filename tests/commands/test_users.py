"""The command `users`: people and programs that may open the review page."""

import json

import pytest
from click.testing import CliRunner
from support.watch_files import write_cameras_file

from violence_detection import cli
from violence_detection.live.access import passwords
from violence_detection.live.access.accounts import Accounts

CAMERAS = """
defaults: {alert: {threshold: run}}
cameras:
  - {name: door, source: "rtsp://192.0.2.1/1"}
  - {name: yard, source: "rtsp://192.0.2.2/1"}
"""


@pytest.fixture(autouse=True)
def _cheap_hash(monkeypatch):
    monkeypatch.setattr(passwords, "SCRYPT", (4, 8, 1))


@pytest.fixture
def users(tmp_path):
    path = write_cameras_file(tmp_path, CAMERAS)

    def run(command, *arguments, password="correct horse\n", status=0):
        line = ["users", command, str(path), *arguments]
        answer = CliRunner().invoke(cli.main, line, input=password)
        assert answer.exit_code == status, answer.output
        return answer

    run.data = tmp_path / "data"
    return run


def test_users_of_a_watch(users):
    users("add", "anna", "--role", "admin")
    users("add", "ben", "--role", "viewer", "--cameras", "door, yard")
    listed = json.loads(users("list", "--json").stdout)["users"]
    assert listed == [
        {"name": "anna", "role": "admin", "cameras": None},
        {"name": "ben", "role": "viewer", "cameras": ["door", "yard"]},
    ]
    users("change", "ben", "--role", "reviewer")  # keeps the cameras
    assert "ben  reviewer  door, yard" in users("list").stdout
    users("change", "ben", "--role", "reviewer", "--cameras", "all")
    assert "ben  reviewer  all cameras" in users("list").stdout
    users("change", "anna", "--cameras", "yard")  # keeps the role
    assert "anna  admin  yard" in users("list").stdout
    users("password", "ben", password="battery staple\n")
    with Accounts(users.data / "accounts.db") as book:
        assert book.log_in("ben", "battery staple", address="127.0.0.1")
    users("remove", "ben")
    answer = users("remove", "anna", status=2)
    assert "One user must stay" in answer.stderr


def test_tokens(users):
    token = users("token", "script", "--scope", "review", "--days", "2").stdout.strip()
    with Accounts(users.data / "accounts.db") as book:
        assert book.token_user(token).role == "reviewer"
    assert token not in users("list").stdout
    users("remove-token", "script")
    assert "No users" in users("list").stdout


def test_wrong_usage(users, tmp_path):
    assert (
        "10 to 512 characters. Received: 5"
        in users("add", "anna", password="short\n", status=2).stderr
    )
    assert (
        "must be one of viewer, reviewer, admin"
        in users("add", "anna", "--role", "root", status=2).stderr
    )
    assert "must exist" in users("password", "nobody", status=2).stderr
    unknown = users("add", "anna", "--cameras", "door,roof", status=2).stderr
    assert "cameras of the file (door, yard), or be all. Received: roof" in unknown
    assert "Received: neither" in users("change", "anna", status=2).stderr
    (tmp_path / "cameras.yaml").write_text("version: 1\nrum: x\n")
    answer = users("list", status=2)
    assert "cameras.yaml:1:1" in answer.stderr and len(answer.stderr.splitlines()) == 1

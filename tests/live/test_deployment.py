"""The systemd unit, the Dockerfile and the compose file name what exists."""

import json
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from support.commands import all_commands
from support.watch_files import write_cameras_file

from violence_detection import cli
from violence_detection.live.checking.deployment import systemd_unit
from violence_detection.live.configuration import cameras_file
from violence_detection.live.processes import service_manager

ROOT = Path(__file__).parents[2]
FILE = """
defaults: {alert: {threshold: run}}
cameras: [{name: door, source: "rtsp://viewer:${DOOR_PASSWORD}@192.0.2.10/s"}]
sinks: [{name: phone, apprise: "${NTFY_URL}"}]
"""


def assert_parses(words: list[str]) -> None:
    """Fails if words are no command line of the program."""
    name = next(name for name in all_commands() if words[: len(name.split())] == name.split())
    all_commands()[name].make_context(name, words[len(name.split()) :])


def settings_of(unit: str) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in unit.splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            settings.setdefault(key, []).append(value)
    return settings


def test_the_unit_needs_no_passwords_and_asks_for_each_as_a_credential(tmp_path, monkeypatch):
    monkeypatch.delenv("DOOR_PASSWORD", raising=False)
    path = write_cameras_file(tmp_path, FILE)
    settings = settings_of(systemd_unit(path))
    assert settings["LoadCredential"] == [
        "DOOR_PASSWORD:/etc/violence-detection/DOOR_PASSWORD",
        "NTFY_URL:/etc/violence-detection/NTFY_URL",
    ]
    assert settings["ReadWritePaths"] == [str(tmp_path / "data")]
    assert settings["User"] == [path.owner()]
    python, *words = shlex.split(settings["ExecStart"][0])
    assert Path(python).exists() and words[:2] == ["-m", "violence_detection"]
    assert words[-1] == str(path)
    assert_parses(words[2:])


def test_the_command_prints_the_unit_as_it_is(tmp_path, monkeypatch):
    path = write_cameras_file(tmp_path, FILE)
    monkeypatch.chdir(tmp_path)  # paths below it stay whole: a service starts in /
    words = ["watch", "systemd", str(path)]
    assert CliRunner().invoke(cli.main, words).stdout.rstrip() == systemd_unit(path).rstrip()


def test_data_below_var_lib_is_the_state_of_the_service(tmp_path):
    path = write_cameras_file(tmp_path, FILE)
    path.write_text(path.read_text().replace("data: data", "data: /var/lib/watch"))
    settings = settings_of(systemd_unit(path))
    assert settings["StateDirectory"] == ["watch"] and "ReadWritePaths" not in settings


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path):
    path = write_cameras_file(tmp_path / "a folder 100%", FILE)
    unit = tmp_path / "watch.service"
    unit.write_text(systemd_unit(path))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_state_reaches_the_service_manager(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        service_manager.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
    service_manager.notify("WATCHDOG=1")  # nobody listens: no error
    monkeypatch.delenv("NOTIFY_SOCKET")
    service_manager.notify("WATCHDOG=1")


# -- containers


def test_the_dockerfile_copies_what_exists_and_runs_commands_that_parse():
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] not in "# "]
    instructions = [(word, rest) for word, rest in lines]
    copied = [rest.split()[:-1] for word, rest in instructions if word == "COPY"]
    for name in sum(copied, []):
        assert (ROOT / name).exists(), name
        assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines(), name
    run, last = dict(instructions)["CMD"], dict(instructions)["HEALTHCHECK"]
    assert_parses(json.loads(run))
    checked = re.search(r"CMD violence-detection (.*?) >", last)[1]
    assert_parses(shlex.split(checked))
    assert re.search(r"^USER \d+:\d+$", text, re.M)
    extras = re.search(r"\[([a-z,]+)\]", text)[1].split(",")
    setup = (ROOT / "setup.cfg").read_text()
    assert all(re.search(rf"^{extra} =$", setup, re.M) for extra in extras)


def test_the_compose_file_names_what_exists():
    content = yaml.safe_load((ROOT / "compose.yaml").read_text())
    watch = content["services"]["watch"]
    assert (ROOT / watch["build"] / "Dockerfile").is_file()
    assert_parses(watch["command"])
    for service in content["services"].values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert source.startswith("./") or source in content["volumes"]
        assert set(service.get("secrets", ())) <= content["secrets"].keys()


def test_the_example_of_the_guide_is_a_cameras_file(tmp_path):
    """Every one of its keys is read."""
    example = CliRunner().invoke(cli.main, ["watch", "example"]).stdout
    assert example == (ROOT / "docs" / "cameras.yaml").read_text()
    path = write_cameras_file(tmp_path, "")
    path.write_text(example.replace("run: checkpoints/first", "run: run"))
    path.chmod(0o644)
    names = re.findall(r"(?<!\$)\$\{(\w+)\}", example)
    result = cameras_file.read(path, dict.fromkeys(names, "rtsp://x"))
    assert (result.errors, result.warnings) == ((), ())
    assert result.settings.data == Path("/var/lib/violence-detection")

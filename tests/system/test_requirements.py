"""The command that adds an extra to this installation."""

import importlib.metadata
import json
from types import SimpleNamespace

import pytest

from violence_detection.system import requirements


@pytest.fixture
def installed_from(monkeypatch):
    """Lets the package be installed from a place, as pip writes it down."""

    def install(origin):
        text = origin and json.dumps(origin)
        distribution = SimpleNamespace(read_text=lambda name: text)
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: distribution)

    return install


def test_the_command_names_what_the_package_was_installed_from(
    installed_from, tmp_path, monkeypatch
):
    clone = tmp_path / "a clone"
    clone.mkdir()
    installed_from({"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert requirements.install_command("tune") == f"pip install -e '{clone}[tune]'"
    monkeypatch.chdir(clone)
    assert requirements.install_command("tune") == "pip install -e '.[tune]'"
    installed_from({"url": clone.as_uri(), "dir_info": {}})
    assert requirements.install_command("tune") == "pip install '.[tune]'"
    wheel = tmp_path / "violence_detection-0.1.0-py3-none-any.whl"
    wheel.touch()
    installed_from({"url": wheel.as_uri(), "archive_info": {}})
    assert requirements.install_command("gpu") == f"pip install '{wheel}[gpu]'"


@pytest.mark.parametrize("origin", [None, {"url": "file:///no/such/place", "dir_info": {}}])
def test_a_package_whose_source_is_gone_is_named(installed_from, origin):
    installed_from(origin)
    assert requirements.install_command("gpu") == "pip install 'violence-detection[gpu]'"

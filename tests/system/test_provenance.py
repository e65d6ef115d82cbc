"""The commit, the versions and the machine that the results of a run depend on."""

import platform
import shutil
import subprocess
import sys
import types

import pytest

from violence_detection.system import provenance


def checkout(folder, *, ignored=False):
    """A repository with a package in it, and the commit that it is at."""
    package = folder / "package"
    (package / "system").mkdir(parents=True)
    (package / "system" / "provenance.py").write_text("")
    (package / "cli.py").write_text("")
    (folder / ".gitignore").write_text("package" if ignored else "")
    for words in ("init -q", "add .", "commit -q -m first"):
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *name, *words.split()], cwd=folder, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True)
    return package, head.stdout.strip()


def commit_of(package, monkeypatch) -> str:
    monkeypatch.setattr(provenance, "__file__", str(package / "system" / "provenance.py"))
    return provenance.commit_hash.__wrapped__()


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_that_of_the_checkout_and_says_what_differs(tmp_path, monkeypatch):
    package, head = checkout(tmp_path / "a")
    assert commit_of(package, monkeypatch) == head
    (tmp_path / "a" / "notes.txt").write_text("beside the package")
    assert commit_of(package, monkeypatch) == head
    (package / "cli.py").write_text("changed")
    assert commit_of(package, monkeypatch) == f"{head}+changes"


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_somebody_elses_repository_is_not_ours(tmp_path, monkeypatch):
    inner = tmp_path / "theirs" / "venv"
    package, _ = checkout(inner)
    shutil.rmtree(inner / ".git")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "theirs", check=True)
    assert commit_of(package, monkeypatch) == "unknown"


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.commit_hash.__wrapped__() == "unknown"


def test_the_machine_is_described_without_its_name(monkeypatch):
    names = {"gpu:0": {"device_name": "NVIDIA T4"}, "gpu:1": {}}
    config = types.SimpleNamespace(
        list_physical_devices=lambda kind: list(names),
        experimental=types.SimpleNamespace(get_device_details=names.get),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(config=config))
    machine = provenance.describe_machine()
    assert machine.cpu and machine.platform and machine.cores >= 1
    assert machine.gpus == ("NVIDIA T4", "unknown")
    assert platform.node() not in (machine.cpu, machine.platform)


def test_versions_name_what_results_depend_on():
    assert {"python", "violence-detection", "tensorflow", "keras", "numpy"} <= set(
        provenance.versions()
    )

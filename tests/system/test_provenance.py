"""What the numbers of a run depend on: the commit, and the machine."""

import platform
import shutil
import subprocess

import pytest
import tensorflow as tf

from violence_detection.system import provenance


def checkout(folder, *, ignored=False):
    """A repository with a package in it, and the commit that it is at."""
    package = folder / "package"
    package.mkdir(parents=True)
    (package / "provenance.py").write_text("")
    (folder / ".gitignore").write_text("package" if ignored else "")
    for words in ("init -q", "add .", "commit -q -m first"):
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *name, *words.split()], cwd=folder, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True)
    return package, head.stdout.strip()


def commit_of(package, monkeypatch) -> str:
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    return provenance.commit_hash.__wrapped__()


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_that_of_the_checkout_and_says_what_differs(tmp_path, monkeypatch):
    package, head = checkout(tmp_path / "a")
    assert commit_of(package, monkeypatch) == head
    (tmp_path / "a" / "notes.txt").write_text("beside the package")
    assert commit_of(package, monkeypatch) == head
    (package / "provenance.py").write_text("changed")
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


def test_facts_say_what_the_machine_is():
    facts = provenance.describe_machine()
    assert facts["cpu"] and facts["platform"] and facts["cores"] >= 1
    assert len(facts["gpus"]) == len(tf.config.list_physical_devices("GPU"))
    assert platform.node() not in (facts["cpu"], facts["platform"])

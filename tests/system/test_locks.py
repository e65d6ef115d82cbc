"""A lock is held by one process at a time, and released when that process ends or is killed."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.system import locks

# Holds the lock until its stdin is closed.
_HOLDER = """
import sys
from pathlib import Path
from violence_detection.system import locks
with locks.locked(Path(sys.argv[1]), "busy"):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen]:
    """A process that holds the lock until its stdin is closed, or to the end of the block."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        yield holder
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()


def test_a_lock_that_another_process_holds_is_refused_with_the_message(tmp_path):
    path = tmp_path / ".lock"
    with held_by_another_process(path):
        refused = pytest.raises(ConfigError, match=r"^the folder is in use$")
        with refused, locks.locked(path, "the folder is in use"):
            raise AssertionError("not reached")
        assert not locks.is_free(FileLock(path))
    assert locks.is_free(FileLock(path))


def test_a_killed_process_releases_its_lock_and_leaves_the_file(tmp_path):
    path = tmp_path / ".lock"
    with held_by_another_process(path) as holder:
        holder.kill()
        holder.wait()
        assert path.exists()
        with locks.locked(path, "busy"):
            assert not locks.is_free(FileLock(path))


@pytest.mark.parametrize("error", [None, KeyError])
def test_a_lock_is_released_after_the_block_and_after_an_error_in_it(tmp_path, error):
    path = tmp_path / ".lock"
    with contextlib.suppress(KeyError), locks.locked(path, "busy"):
        assert not locks.is_free(FileLock(path))
        if error:
            raise error
    assert locks.is_free(FileLock(path))


def test_waiting_for_a_lock_is_logged_once_and_ends_with_its_release(tmp_path, caplog):
    path = tmp_path / ".lock"
    caplog.set_level(logging.INFO, "violence_detection.system.locks")
    with held_by_another_process(path) as holder:
        release = threading.Timer(0.3, holder.stdin.close)
        release.start()
        with locks.locked_after_waiting(path, "waiting for another process"):
            assert not release.is_alive()
            assert not locks.is_free(FileLock(path))
        release.join()
    assert caplog.messages == ["waiting for another process"]
    assert locks.is_free(FileLock(path))


def test_a_free_lock_is_acquired_without_a_message_and_its_folder_is_made(tmp_path, caplog):
    path = tmp_path / "new" / ".lock"
    caplog.set_level(logging.INFO, "violence_detection.system.locks")
    with locks.locked_after_waiting(path, "waiting"):
        assert not locks.is_free(FileLock(path))
    assert caplog.messages == []


@pytest.mark.parametrize("lock", [locks.locked, locks.locked_after_waiting])
def test_a_lock_file_that_cannot_be_written_is_one_clear_error(tmp_path, lock):
    (tmp_path / "file").touch()
    refused = pytest.raises(ViolenceDetectionError, match="^Cannot write .*file: there is a file")
    with refused, lock(tmp_path / "file" / ".lock", "busy"):
        raise AssertionError("not reached")

"""Lock files: one process at a time in a folder. A process that is killed releases its lock."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from violence_detection.errors import ConfigError
from violence_detection.system import files

log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, or refuse where another process holds it.

    Args:
        path: The lock file; it stays.
        busy: The message where another process holds it.

    Raises:
        ConfigError: If another process holds it.
        ViolenceDetectionError: If it cannot be written.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(busy) from error
    except OSError as error:
        raise files.write_error(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def locked_after_waiting(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock file, once every other process has released it.

    Args:
        path: The lock file; its folder is made.
        waiting: The line in the log while another process holds it.

    Raises:
        ViolenceDetectionError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = acquire_waiting(FileLock(path), waiting)
    except OSError as error:
        raise files.write_error(path.parent, error) from error
    with lock:
        yield


def acquire_waiting(lock: FileLock, waiting: str) -> contextlib.AbstractContextManager:
    """Acquire a lock, and wait for it; leaving what comes back releases it.

    Args:
        lock: Not held by this process.
        waiting: The line in the log while another process holds it.

    Raises:
        OSError: If the lock file cannot be written.
    """
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        log.info(waiting)
        return lock.acquire()


def is_free(lock: FileLock) -> bool:
    """Whether no process holds a lock at this moment."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True

"""Lock files: one process at a time in a folder, on one machine or several.

The operating system holds the lock (`flock`) and releases it when the process ends, however it
ends: the file that stays behind does not lock anything.
"""

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
    """Context manager: holds a lock file, or refuses if another process holds it.

    Args:
        path: The lock file. Its folder must exist; the file is never removed.
        busy: The error message if another process holds it.

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
    """Context manager: holds a lock file, after waiting for other processes to release it.

    Args:
        path: The lock file. Its folder is made; the file is never removed.
        waiting: Logged once if another process holds it.

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
    """Acquires a lock, after waiting for other processes to release it.

    Args:
        lock: A lock that this process does not hold.
        waiting: Logged once if another process holds it.

    Returns:
        A context manager that releases the lock.

    Raises:
        OSError: If the lock file cannot be written.
    """
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        log.info(waiting)
        return lock.acquire()


def is_free(lock: FileLock) -> bool:
    """True if no process holds the lock at this moment."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True

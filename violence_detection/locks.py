"""One process at a time in a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from violence_detection import files
from violence_detection.errors import ConfigError


@contextlib.contextmanager
def held(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, which a killed process lets go of.

    Args:
        path: The file; it stays.
        busy: What is said where another process holds it.

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

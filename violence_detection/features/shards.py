"""Extractions that share the work on one cache: each takes the videos of its shard."""

import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from filelock import FileLock, Timeout

from violence_detection.errors import ConfigError
from violence_detection.system import files, locks

log = logging.getLogger(__name__)

_LOCK = ".lock"
_POLL_S = 0.5
_SPEC = re.compile(r"(\d{1,6})/(\d{1,6})")


class Shard(NamedTuple):
    """One of `count` parts of a dataset, told by the videos' keys alone."""

    number: int
    count: int

    @classmethod
    def parse(cls, spec: str) -> Self:
        """From `I/N`, 1 <= I <= N.

        Raises:
            ConfigError: If it is not that.
        """
        match = _SPEC.fullmatch(spec)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ConfigError(f"`shard` must be I/N with 1 <= I <= N. Received: shard={spec}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def holds(self, key: str) -> bool:
        """Whether a video is in this shard; it stays there when others come or go."""
        digest = hashlib.sha256(key.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a folder: another extraction that works in it, or shards of one, are waited for."""
    with _held(folder, wait_for_shards=True):
        yield


@contextlib.contextmanager
def locked_for_merge(folder: Path) -> Iterator[set[str]]:
    """Hold a folder in which shards may go on working; gives the names of those that do."""
    with _held(folder, wait_for_shards=False):
        yield {name for name, lock in _locks(folder) if not locks.is_free(lock)}


@contextlib.contextmanager
def locked_shard(folder: Path, shard: Shard) -> Iterator[None]:
    """Hold a shard of a folder; whoever holds it, or the whole folder, is waited for."""
    mine = FileLock(folder / f".shard-{shard}.lock")
    said = False
    while not mine.is_locked:
        with _held(folder, wait_for_shards=False), contextlib.suppress(Timeout):
            mine.acquire(timeout=0)
        if not mine.is_locked:
            if not said:
                log.info(f"Another extraction does shard {shard}; waiting for it.")
                said = True
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        mine.release()


@contextlib.contextmanager
def _held(folder: Path, *, wait_for_shards: bool) -> Iterator[None]:
    lock = FileLock(folder / _LOCK)
    waiting = f"Another extraction works in {folder}; waiting for it."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        locks.acquire_waiting(lock, waiting)
        # None can start while the folder is held.
        for _, of_shard in _locks(folder) if wait_for_shards else ():
            locks.acquire_waiting(of_shard, waiting)
            of_shard.release()
    except OSError as error:
        raise files.write_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _locks(folder: Path) -> list[tuple[str, FileLock]]:
    """The names and locks of the shards that have ever worked in a folder."""
    found = sorted(folder.glob(".shard-*.lock"))
    return [(path.name[len(".shard-") : -len(".lock")], FileLock(path)) for path in found]

"""Shards of a dataset: parts that several extractions into one cache divide among them."""

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
    """Part `number` of `count`, 1-based; a video's key alone decides which part it is in."""

    number: int
    count: int

    @classmethod
    def parse(cls, spec: str) -> Self:
        """The shard of a spec `I/N`.

        Raises:
            ConfigError: If it is not two numbers with 1 <= I <= N.
        """
        match = _SPEC.fullmatch(spec)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ConfigError(f"`shard` must be I/N with 1 <= I <= N. Received: shard={spec}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def contains(self, key: str) -> bool:
        """True if a video is in this shard, which other videos do not change."""
        digest = hashlib.sha256(key.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Locks a folder for one extraction; waits for other extractions in it, and for shards."""
    with _locked(folder, wait_for_shards=True):
        yield


@contextlib.contextmanager
def locked_for_merge(folder: Path) -> Iterator[set[str]]:
    """Locks a folder to merge its shards; yields the names of shards that are still extracting."""
    with _locked(folder, wait_for_shards=False):
        yield {name for name, lock in _shard_locks(folder) if not locks.is_free(lock)}


@contextlib.contextmanager
def locked_shard(folder: Path, shard: Shard) -> Iterator[None]:
    """Locks a shard of a folder; waits for another extraction of it, or of the whole folder."""
    lock = FileLock(folder / f".shard-{shard}.lock")
    logged = False
    while not lock.is_locked:
        # Taken under the folder's lock: an extraction of the whole folder waits for all shards.
        with _locked(folder, wait_for_shards=False), contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
        if not lock.is_locked:
            if not logged:
                log.info(f"Another process extracts shard {shard}; waiting for it.")
                logged = True
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _locked(folder: Path, *, wait_for_shards: bool) -> Iterator[None]:
    lock = FileLock(folder / _LOCK)
    waiting = f"Another extraction works in {folder}; waiting for it."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        locks.acquire_waiting(lock, waiting)
        # No shard can start while the folder is locked.
        for _, of_shard in _shard_locks(folder) if wait_for_shards else ():
            locks.acquire_waiting(of_shard, waiting)
            of_shard.release()
    except OSError as error:
        raise files.write_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _shard_locks(folder: Path) -> list[tuple[str, FileLock]]:
    """The names and locks of all shards that were ever extracted in a folder."""
    paths = sorted(folder.glob(".shard-*.lock"))
    return [(path.name[len(".shard-") : -len(".lock")], FileLock(path)) for path in paths]

"""The SQLite file of accounts: its tables, and reading and writing it."""

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from violence_detection.errors import RunError, ViolenceDetectionError

log = logging.getLogger(__name__)

_BUSY_S = 5.0
# A step to the next version each; a step is never edited once it was released.
_MIGRATIONS = (
    """
    create table users (
        name text primary key, role text not null, cameras text, password text not null,
        created_ms integer not null
    ) strict;
    create table sessions (
        digest text primary key, user text not null references users (name) on delete cascade,
        created_ms integer not null, seen_ms integer not null
    ) strict;
    create table tokens (
        name text primary key, digest text not null unique, scope text not null, cameras text,
        created_ms integer not null, expires_ms integer, used_ms integer
    ) strict;
    create table login_failures (subject text not null, at_ms integer not null) strict;
    create index login_failures_by_subject on login_failures (subject, at_ms);
    create table audit (
        n integer primary key autoincrement, at_ms integer not null, who text not null,
        address text not null, action text not null, subject text not null
    ) strict;
    """,
    """
    create table devices (
        digest text primary key, user text not null references users (name) on delete cascade,
        seen_ms integer not null
    ) strict;
    """,
)


class AccountFile:
    """A connection to the file, which threads may share; other processes write at the same time.

    The file is apart from the event store, whose one writer is the supervisor: the page and the
    command `users` write here. Only its owner may read it.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            path: The file, which is made if it is not there.
            clock: Seconds since 1970, UTC.

        Raises:
            RunError: If the file is not readable as one of this version.
            ViolenceDetectionError: If it must be brought to this version, and the disk is full.
        """
        self._path, self._clock, self._lock = path, clock, threading.RLock()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma foreign_keys = on")
            self._migrate()
        except (OSError, sqlite3.DatabaseError) as error:
            raise RunError(
                f"The accounts must be a readable SQLite file of version {len(_MIGRATIONS)}. "
                f"Received: {path} ({error})"
            ) from error

    def _migrate(self) -> None:
        """Brings the tables to today's version. Two processes may do it at the same moment."""
        if self._version() > len(_MIGRATIONS):
            raise sqlite3.DatabaseError(f"version {self._version()}")
        if self._version() == len(_MIGRATIONS):
            return
        with self.transaction() as connection:
            for number in range(self._version(), len(_MIGRATIONS)):
                for statement in _MIGRATIONS[number].split(";\n"):
                    connection.execute(statement)
                connection.execute(f"pragma user_version = {number + 1}")

    def _version(self) -> int:
        return self._connection.execute("pragma user_version").fetchone()[0]

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now_ms(self) -> int:
        """UTC in milliseconds."""
        return int(self._clock() * 1000)

    def row(self, sql: str, values: tuple = ()) -> tuple | None:
        """The first row of a query, or None."""
        with self._lock:
            return self._connection.execute(sql, values).fetchone()

    def rows(self, sql: str, values: tuple = ()) -> list[tuple]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: tuple = ()) -> int:
        """Runs a statement; the number of rows that it changed.

        Raises:
            ViolenceDetectionError: If it cannot be written, because the disk is full.
        """
        with self.transaction() as connection:
            return connection.execute(sql, values).rowcount

    def write_if_possible(self, sql: str, values: tuple = (), *, lost: str = "") -> None:
        """Runs a statement that nothing depends on; on a full disk it is left out.

        Args:
            lost: What is logged then; empty logs nothing.
        """
        try:
            self.write(sql, values)
        except ViolenceDetectionError as error:
            if lost:
                log.error(f"{error} Not stored: {lost}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Writes several statements, all or none; no other thread writes meanwhile.

        Raises:
            ViolenceDetectionError: If they cannot be written, because the disk is full.
        """
        with self._lock:
            try:
                self._connection.execute("begin immediate")
                try:
                    yield self._connection
                    self._connection.execute("commit")
                except BaseException:
                    with contextlib.suppress(sqlite3.OperationalError):  # it has rolled back
                        self._connection.execute("rollback")
                    raise
            except sqlite3.OperationalError as error:
                raise ViolenceDetectionError(
                    f"The accounts must be writable. Received: {self._path} ({error})"
                ) from error


def digest_of(secret: str) -> str:
    """A secret of 256 random bits as it is kept: SHA-256 in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

"""The process that writes an event store: its lock, its transactions, and room on a full disk."""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.live.storage import event_store_schema
from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.storage.ulids import UlidMaker
from violence_detection.system import files, locks

log = logging.getLogger(__name__)

BALLAST_BYTES = 32 << 20
_FULL_BYTES = 1 << 20  # free space that counts as none
_RESULT = TypeVar("_RESULT")
_Work = Callable[[sqlite3.Connection], _RESULT]


def utc_now_ms() -> int:
    """UTC in milliseconds."""
    return time.time_ns() // 1_000_000


class StoreWriter(EventReader):
    """A connection that writes an event store. Threads of one process may share it."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        now_ms: Callable[[], int],
        ballast_bytes: int,
        held: contextlib.ExitStack,
    ) -> None:
        """Use `open`.

        Args:
            held: Releases the lock of the file when it is closed.
        """
        super().__init__(path, connection)
        self.now_ms = now_ms
        self._held = held
        self._ballast_bytes = ballast_bytes
        self._ids = UlidMaker(now_ms, self.last_id())
        self.restore_ballast()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        now_ms: Callable[[], int] = utc_now_ms,
        ballast_bytes: int = BALLAST_BYTES,
        file_system: Callable[[Path], str] = event_store_schema.network_file_system,
    ) -> Self:
        """Opens the store for writing, and makes it if it is not there.

        Args:
            path: The file; its folder is made.
            now_ms: The clock: UTC in milliseconds.
            ballast_bytes: Size of a file beside it that is given up when the disk is full, so
                that events and messages can still be stored.
            file_system: Names the network file system of a folder, or is empty.

        Raises:
            ConfigError: If the folder is on a network file system, or another process writes it.
            RunError: If the file is damaged, or of a later version.
            ViolenceDetectionError: If it cannot be written.
        """
        _make_room(path)
        files.ensure_writable(path.parent)
        if name := file_system(path.parent):
            raise ConfigError(
                "The event store must be on a local disk: SQLite's locks do not hold on a network "
                f"file system. Received: {path.parent}, which is on {name}"
            )
        with contextlib.ExitStack() as held:
            busy = f"One process at a time writes an event store. Received: {path}, which is in use"
            held.enter_context(locks.locked(path.with_name(f"{path.name}.lock"), busy))
            connection = event_store_schema.connect_writer(path)
            held.callback(connection.close)
            path.chmod(0o600)
            return cls(
                path,
                connection,
                now_ms=now_ms,
                ballast_bytes=ballast_bytes,
                held=held.pop_all(),
            )

    @staticmethod
    def reader(path: Path) -> EventReader:
        """A reader of the store; see `EventReader.open`."""
        return EventReader.open(path)

    def close(self) -> None:
        with self._lock:
            self._held.close()

    def new_id(self) -> str:
        """A ULID that is larger than all before."""
        return self._ids.new()

    def write(self, work: _Work[_RESULT]) -> _RESULT:
        """Runs `work` in a transaction: everything that it writes is kept, or nothing.

        When the disk is full, the ballast is given up and `work` runs again.

        Raises:
            ViolenceDetectionError: If it cannot be written all the same.
        """
        with self._lock:
            try:
                return self._transaction(work)
            except sqlite3.OperationalError as error:
                if not self._is_full(error) or not self._give_up_ballast():
                    raise _write_error(self.path, error) from error
            try:
                return self._transaction(work)
            except sqlite3.OperationalError as error:
                raise _write_error(self.path, error) from error

    def _transaction(self, work: _Work[_RESULT]) -> _RESULT:
        self._connection.execute("begin immediate")
        try:
            result = work(self._connection)
            self._connection.execute("commit")
            return result
        except BaseException:
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk has rolled back
                self._connection.execute("rollback")
            raise

    def shrink(self, *, pages: int) -> None:
        """Gives the room of deleted rows back to the disk, up to so many pages of 4 KB."""
        with self._lock, contextlib.suppress(sqlite3.OperationalError):  # full, or being read
            # `execute` would free one page: the statement frees one a step, and has no rows.
            self._connection.executescript(f"pragma incremental_vacuum({pages})")

    # -- ballast

    @property
    def ballast(self) -> Path:
        return _ballast_of(self.path)

    @property
    def is_short_of_disk(self) -> bool:
        """True if the ballast was given up and is not there again."""
        return self._ballast_bytes > 0 and not self.ballast.exists()

    def restore_ballast(self) -> bool:
        """Makes the ballast file again if there is room for twice its size.

        Returns:
            True if it is there.
        """
        if not self.is_short_of_disk:
            return True
        if _free_bytes(self.path) < 2 * self._ballast_bytes:
            return False
        temporary = self.ballast.with_name(f"{self.ballast.name[:20]}{files.temporary_mark()}")
        try:
            with open(temporary, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._ballast_bytes)
            os.replace(temporary, self.ballast)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            log.warning(f"{files.write_error(self.ballast, error)} It is tried again.")
            return False
        return True

    def _give_up_ballast(self) -> bool:
        try:
            self.ballast.unlink()
        except OSError:
            return False
        log.error(f"The disk of {self.path} is full. Its ballast file was deleted to go on.")
        return True

    def _is_full(self, error: sqlite3.OperationalError) -> bool:
        """True for a full disk; SQLite calls one an input/output error in some places."""
        code = error.sqlite_errorcode & 0xFF
        return code == sqlite3.SQLITE_FULL or (
            code == sqlite3.SQLITE_IOERR and _free_bytes(self.path) < _FULL_BYTES
        )


def _ballast_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.ballast")


def _free_bytes(path: Path) -> int:
    space = os.statvfs(path.parent)
    return space.f_bavail * space.f_frsize


def _make_room(path: Path) -> None:
    """Gives up the ballast of a store on a full disk, so that it can be opened."""
    with contextlib.suppress(OSError):
        if _free_bytes(path) < _FULL_BYTES:
            _ballast_of(path).unlink()


def _write_error(path: Path, error: sqlite3.OperationalError) -> ViolenceDetectionError:
    return ViolenceDetectionError(f"The event store must be writable. Received: {path} ({error})")

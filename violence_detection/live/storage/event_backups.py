"""Daily copies of the event store."""

import contextlib
import logging
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from violence_detection.errors import RunError, ViolenceDetectionError
from violence_detection.live.storage import event_store_schema
from violence_detection.system import files

log = logging.getLogger(__name__)

KEPT = 7
_FOLDER = "backups"


def back_up_if_due(path: Path, *, now_ms: int, kept: int = KEPT) -> Path | None:
    """Copies the event store unless it has been copied on this day (UTC), and deletes old copies.

    It reads beside the writer, which may go on; call it from a thread of its own.

    Args:
        path: The event store.
        now_ms: UTC in milliseconds.
        kept: Number of copies that are kept; the oldest are deleted.

    Returns:
        The new copy, or None if there is one already.

    Raises:
        RunError: If the event store is damaged: the copies that there are stay.
        ViolenceDetectionError: If there is no room for the copy, or it cannot be written.
    """
    day = datetime.fromtimestamp(now_ms / 1000, UTC)
    backup = path.parent / _FOLDER / f"{path.stem}-{day:%Y%m%d}.db"
    if backup.exists():
        return None
    backup.parent.mkdir(parents=True, exist_ok=True)
    files.sweep_temporary(backup.parent)
    space = os.statvfs(backup.parent)
    if space.f_bavail * space.f_frsize < 3 * path.stat().st_size:
        raise ViolenceDetectionError(
            "A backup needs three times the size of the event store as free space. Received: "
            f"{space.f_bavail * space.f_frsize >> 20} MB free for {path}"
        )
    temporary = backup.with_name(f"{backup.name}{files.temporary_mark()}")
    try:
        _copy(path, temporary)
        files.replace(temporary, backup)
    except sqlite3.DatabaseError as error:
        raise RunError(f"The event store must be intact. Received: {path} ({error})") from error
    except OSError as error:
        raise files.write_error(backup, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    for old in sorted(backup.parent.glob(f"{path.stem}-*.db"))[:-kept]:
        old.unlink(missing_ok=True)
        log.info(f"Deleted the backup {old.name}.")
    return backup


def _copy(path: Path, copy: Path) -> None:
    """Writes a copy of an event store that is one file, and checks it."""
    with (
        contextlib.closing(event_store_schema.connect_reader(path)) as source,
        contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target,
    ):
        copy.chmod(0o600)
        source.backup(target)
        target.execute("pragma journal_mode = delete")
        problem = target.execute("pragma quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)

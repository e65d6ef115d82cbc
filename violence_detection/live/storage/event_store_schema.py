"""Tables of the event store, the steps between their versions, and connections to the file."""

import contextlib
import ctypes
import os
import sqlite3
import sys
from pathlib import Path

from violence_detection.errors import ConfigError, RunError

# A step to the next version each; `user_version` counts the steps that a file has had. A step is
# never edited once it was released: what changes is a further step.
MIGRATIONS = (
    """
    create table cameras (
        name text primary key, title text not null, site text not null,
        first_seen_ms integer not null, settings_digest text not null
    ) strict;
    create table events (
        id text primary key, camera text not null, kind text not null, start_ms integer not null,
        end_ms integer, peak real, peak_ms integer, priority text not null, threshold real,
        run_digest text not null, settings_digest text not null, state text not null,
        continues text references events (id), suppressed_by text not null,
        acknowledged_by text, acknowledged_ms integer
    ) strict;
    create index events_by_camera on events (camera, id);
    create index events_open on events (state) where state = 'open';
    create table event_windows (
        event text not null references events (id) on delete cascade, start_ms integer not null,
        end_ms integer not null, p real not null, x real, y real, w real, h real,
        primary key (event, end_ms)
    ) strict, without rowid;
    create table clips (
        event text primary key references events (id) on delete cascade, path text not null unique,
        start_ms integer, end_ms integer, bytes integer not null, codec text not null,
        preview_path text, poster_path text, state text not null, sha256 text not null
    ) strict;
    create index clips_by_state on clips (state);
    create table verdicts (
        n integer primary key autoincrement, event text not null references events (id),
        verdict text not null, by text not null, at_ms integer not null, start_s real, end_s real,
        note text not null, label_row text not null, undone_by text
    ) strict;
    create index verdicts_by_event on verdicts (event);
    create table outbox (
        n integer primary key autoincrement, sink text not null, id text not null,
        event text references events (id), kind text not null, priority text not null,
        body text not null, created_ms integer not null, tries integer not null,
        next_ms integer not null, refusals integer not null, done_ms integer, dead_ms integer,
        cancelled_ms integer, digest text, error text not null, unique (sink, id)
    ) strict;
    create index outbox_waiting on outbox (sink, n)
        where done_ms is null and dead_ms is null and cancelled_ms is null;
    create index outbox_done on outbox (sink, done_ms) where done_ms is not null;
    create index outbox_by_event on outbox (event);
    create table minutes (
        camera text not null, minute integer not null, run_digest text not null,
        watch_ms integer not null, offset_ms integer not null, stretches blob not null,
        stride_ms integer not null, lag_max_ms integer not null,
        frames integer not null, dropped integer not null, primary key (camera, minute, watch_ms)
    ) strict, without rowid;
    create table gaps (
        camera text not null, from_ms integer not null, to_ms integer, state text not null,
        reason text not null
    ) strict;
    create index gaps_by_camera on gaps (camera, from_ms);
    create table snoozes (
        camera text primary key, until_ms integer not null, by text not null
    ) strict;
    """,
    """
    alter table events add column stratum text not null default '';
    create index events_by_stratum on events (stratum, id) where stratum <> '';
    create index events_by_continued on events (continues) where continues is not null;
    """,
    """
    alter table event_windows add column novelty real;
    """,
)
_BUSY_S = 5.0
_APPLICATION_ID = 0x56444556  # `file` and SQLite's tools show it: VDEV
_LEAST_SQLITE = (3, 37, 0)  # STRICT tables
# Magic numbers of statfs(2). SQLite's locks and its shared memory do not work there.
_NETWORK_FILE_SYSTEMS = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x517B: "SMB",
    0x65735546: "FUSE",
    0x01021997: "9P",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x5346414F: "AFS",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
}


def network_file_system(folder: Path) -> str:
    """Name of the network file system or FUSE that a folder is on; empty if on neither.

    Systems other than Linux are not asked.
    """
    if sys.platform != "linux":
        return ""
    reply = ctypes.create_string_buffer(256)  # struct statfs, whose first field is the type
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), reply) != 0:
        return ""
    return _NETWORK_FILE_SYSTEMS.get(ctypes.c_long.from_buffer(reply).value & 0xFFFFFFFF, "")


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes, with tables of today's version.

    Raises:
        ConfigError: If SQLite is too old.
        RunError: If the file is no intact event store, or one of a later version.
    """
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        raise ConfigError(
            f"SQLite must be {'.'.join(map(str, _LEAST_SQLITE))} or later for the event store. "
            f"Received: {sqlite3.sqlite_version}"
        )
    try:
        connection = sqlite3.connect(
            path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("pragma auto_vacuum = incremental")  # of a new file
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma journal_size_limit = 16777216")
            _migrate(connection, path)
            _let_it_shrink(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise RunError(_damaged(path, error)) from error
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write.

    Raises:
        RunError: If the file is not there, or no event store of today's version.
    """
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        version = connection.execute("pragma user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise RunError(_damaged(path, error)) from error
    if version != len(MIGRATIONS):
        connection.close()
        raise RunError(_other_version(path, version))
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("pragma user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise RunError(_other_version(path, version))
    for number in range(version, len(MIGRATIONS)):
        # `executescript` commits what is open before it begins, so the transaction is in its text.
        connection.executescript(
            f"begin immediate; {MIGRATIONS[number]} pragma user_version = {number + 1}; "
            f"pragma application_id = {_APPLICATION_ID}; commit"
        )


def _let_it_shrink(connection: sqlite3.Connection, path: Path) -> None:
    """Rewrites a file of before, which could not give room back, if there is room for its copy."""
    if connection.execute("pragma auto_vacuum").fetchone()[0] != 0:
        return
    space = os.statvfs(path.parent)
    if space.f_bavail * space.f_frsize < 3 * path.stat().st_size:
        return
    connection.execute("pragma auto_vacuum = incremental")
    with contextlib.suppress(sqlite3.OperationalError):  # a reader is in it: at the next start
        connection.execute("vacuum")


def _other_version(path: Path, version: int) -> str:
    return (
        f"The event store must have version {len(MIGRATIONS)}. Received: version {version} in "
        f"{path} (a later version of this program may have written it)"
    )


def _damaged(path: Path, error: sqlite3.DatabaseError) -> str:
    if not path.exists():
        return f"The event store must be there. Received: {path} (none; `watch run` makes it)"
    backups = sorted((path.parent / "backups").glob("*.db"))
    advice = f"; the newest backup is {backups[-1]}" if backups else ""
    return f"The event store must be a readable SQLite file. Received: {path} ({error}){advice}"

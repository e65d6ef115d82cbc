"""Users, sessions and tokens of the review page, and the record of who did what."""

import hashlib
import hmac
import json
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from violence_detection.errors import ConfigError, RunError, ViolenceDetectionError
from violence_detection.live.access.roles import ROLES, SCOPES

MIN_PASSWORD = 10
MAX_PASSWORD = 512
SESSION_IDLE_S = 12 * 3600
SESSION_LONGEST_S = 7 * 24 * 3600

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_FREE_FAILURES = 5
_FAILURE_MEMORY_MS = 3600 * 1000
_FIRST_DELAY_S, _LONGEST_DELAY_S = 30.0, 3600.0
_SCRYPT = (15, 8, 1)  # log2 of n, r, p: 32 MB and about 0.1 s; OWASP's list of 2023 names it
_HASHING = threading.Semaphore(2)  # each takes 32 MB: a flood of logins must not take all memory
_BUSY_S = 5.0
_TABLES = """
begin immediate;
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
pragma user_version = 1;
commit;
"""


class LoginError(ViolenceDetectionError):
    """A login that failed.

    Attributes:
        retry_after_s: Seconds until the next try is looked at; 0.0 if it is looked at now.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class User:
    """A person or a program that was recognised.

    Attributes:
        name: Of a token, `token:` and its name.
        role: One of `ROLES`.
        cameras: Names of the cameras that the user may see; None means all.
    """

    name: str
    role: str
    cameras: tuple[str, ...] | None = None

    def may(self, role: str) -> bool:
        """True if the user has the role or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def may_see(self, camera: str) -> bool:
        return self.cameras is None or camera in self.cameras


@dataclass(frozen=True)
class Token:
    """A program's token, without the token itself, which nothing keeps.

    Attributes:
        expires_ms, used_ms: UTC; None means never.
    """

    name: str
    scope: str
    cameras: tuple[str, ...] | None
    created_ms: int
    expires_ms: int | None
    used_ms: int | None


@dataclass(frozen=True)
class AuditEntry:
    """A deed of a user.

    Attributes:
        at_ms: UTC.
        address: From where, or `command line`.
        action: A short verb, such as `login` or `look at clip`.
        subject: On what, such as the id of an event.
    """

    at_ms: int
    who: str
    address: str
    action: str
    subject: str


class Accounts:
    """Users, sessions, tokens and deeds, in a SQLite file that only its owner may read.

    The file is apart from the event store, whose one writer is the supervisor: the page and the
    command `users` write here at the same time. Passwords are kept as scrypt, sessions and tokens
    as SHA-256 of 256 random bits.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            path: The file, which is made if it is not there.
            clock: Seconds since 1970, UTC.

        Raises:
            RunError: If the file is not readable as one of this version.
        """
        self._clock, self._lock = clock, threading.RLock()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma foreign_keys = on")
            version = self._connection.execute("pragma user_version").fetchone()[0]
            if version == 0:
                self._create_tables()
            elif version != 1:
                raise sqlite3.DatabaseError(f"version {version}")
        except (OSError, sqlite3.DatabaseError) as error:
            raise RunError(
                f"The accounts must be a readable SQLite file of version 1. Received: {path} "
                f"({error})"
            ) from error

    def _create_tables(self) -> None:
        try:
            self._connection.executescript(_TABLES)
        except sqlite3.OperationalError:
            self._connection.rollback()
            # Another process made them at the same moment.
            if self._connection.execute("pragma user_version").fetchone()[0] != 1:
                raise

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- users

    def has_users(self) -> bool:
        return self._row("select 1 from users limit 1") is not None

    def users(self) -> list[User]:
        """All users, by name."""
        rows = self._rows("select name, role, cameras from users order by name")
        return [User(name, role, _parse_cameras(cameras)) for name, role, cameras in rows]

    def add_user(
        self, name: str, password: str, *, role: str, cameras: Sequence[str] | None = None
    ) -> User:
        """Adds a user.

        Args:
            name: Lower-case letters, digits, `.`, `_` and `-`, 32 at most.
            password: 10 to 512 characters, not the name.
            role: One of `ROLES`.
            cameras: Names of the cameras that the user may see; None means all.

        Raises:
            ConfigError: If one of them is not so, or the user exists.
        """
        name = _check_name(name)
        _check_role(role)
        stored = hash_password(_check_password(name, password))
        try:
            self._write(
                "insert into users values (?, ?, ?, ?, ?)",
                (name, role, _cameras_text(cameras), stored, self._now_ms()),
            )
        except sqlite3.IntegrityError as error:
            raise ConfigError(f"A user must have a new name. Received: {name}") from error
        return User(name, role, tuple(cameras) if cameras is not None else None)

    def set_password(self, name: str, password: str) -> None:
        """Changes a password and ends all sessions of the user.

        Raises:
            ConfigError: If there is no such user, or the password is too short or too long.
        """
        self._check_known(name)
        stored = hash_password(_check_password(name, password))
        with self._lock, self._connection:
            self._connection.execute("begin immediate")
            self._connection.execute("update users set password = ? where name = ?", (stored, name))
            self._connection.execute("delete from sessions where user = ?", (name,))

    def change_user(self, name: str, *, role: str, cameras: Sequence[str] | None = None) -> None:
        """Changes what a user may do; it holds from the next request on.

        Raises:
            ConfigError: If there is no such user or role.
        """
        self._check_known(name)
        _check_role(role)
        self._write(
            "update users set role = ?, cameras = ? where name = ?",
            (role, _cameras_text(cameras), name),
        )

    def remove_user(self, name: str) -> None:
        """Removes a user with all sessions; what the user judged stays.

        Raises:
            ConfigError: If there is no such user.
        """
        self._check_known(name)
        self._write("delete from users where name = ?", (name,))

    # -- sessions

    def log_in(self, name: str, password: str, *, address: str) -> str:
        """Checks a password, returns the secret of a new session.

        After five failures within an hour, of one user or from one address, the next try is looked
        at after 30 s, a delay that doubles with each further failure up to an hour.

        Raises:
            LoginError: If name or password are wrong, or it is too early for the next try.
        """
        name = name.strip().lower()[:64]
        subjects = (f"user {name}", f"address {address}")
        now_ms = self._now_ms()
        self._check_delay(subjects, now_ms)
        row = self._row("select password from users where name = ?", (name,))
        # An unknown name costs the same time as a wrong password, so that time tells no names.
        is_right = verify_password(password[: MAX_PASSWORD + 1], row[0] if row else _NOBODY)
        with self._lock:
            # Tries that were sent at once have all passed the first check before any of them
            # failed.
            self._check_delay(subjects, now_ms)
            if not row or not is_right:
                self._write(
                    "delete from login_failures where at_ms <= ?", (now_ms - _FAILURE_MEMORY_MS,)
                )
                for subject in subjects:
                    self._write("insert into login_failures values (?, ?)", (subject, now_ms))
                self.record("login failed", who=name, address=address)
                raise LoginError("name or password is wrong")
        if needs_rehash(row[0]):
            self._write(
                "update users set password = ? where name = ?", (hash_password(password), name)
            )
        secret = secrets.token_urlsafe(32)
        with self._lock, self._connection:
            self._connection.execute("begin immediate")
            self._connection.execute("delete from login_failures where subject = ?", subjects[:1])
            self._connection.execute(
                "delete from sessions where seen_ms < ? or created_ms < ?",
                (now_ms - SESSION_IDLE_S * 1000, now_ms - SESSION_LONGEST_S * 1000),
            )
            self._connection.execute(
                "insert into sessions values (?, ?, ?, ?)", (_digest(secret), name, now_ms, now_ms)
            )
        self.record("login", who=name, address=address)
        return secret

    def session_user(self, secret: str) -> User | None:
        """The user of a session; None if it is unknown or has ended."""
        now_ms = self._now_ms()
        row = self._row(
            "select users.name, role, cameras, sessions.created_ms, seen_ms from sessions "
            "join users on users.name = sessions.user where sessions.digest = ?",
            (_digest(secret),),
        )
        if row is None:
            return None
        name, role, cameras, created_ms, seen_ms = row
        if now_ms - seen_ms > SESSION_IDLE_S * 1000 or now_ms - created_ms > (
            SESSION_LONGEST_S * 1000
        ):
            self.log_out(secret)
            return None
        if now_ms - seen_ms > 60_000:  # once a minute: pages ask every second
            self._write(
                "update sessions set seen_ms = ? where digest = ?", (now_ms, _digest(secret))
            )
        return User(name, role, _parse_cameras(cameras))

    def log_out(self, secret: str) -> None:
        self._write("delete from sessions where digest = ?", (_digest(secret),))

    # -- tokens

    def add_token(
        self,
        name: str,
        *,
        scope: str,
        days: float | None = None,
        cameras: Sequence[str] | None = None,
    ) -> str:
        """Makes a token for a program and returns it; it is shown this once.

        Args:
            name: As of a user.
            scope: `read`, as a viewer, or `review`, as a reviewer.
            days: After which it ends; None means never.
            cameras: As of a user.

        Raises:
            ConfigError: If one of them is not so, or the name is taken.
        """
        name = _check_name(name)
        if scope not in SCOPES:
            raise ConfigError(f"The scope must be one of {', '.join(SCOPES)}. Received: {scope}")
        if days is not None and not days > 0:
            raise ConfigError(f"A token must last more than 0 days. Received: {days}")
        now_ms = self._now_ms()
        expires_ms = None if days is None else now_ms + int(days * 24 * 3600 * 1000)
        token = f"vd_{secrets.token_urlsafe(32)}"
        try:
            self._write(
                "insert into tokens values (?, ?, ?, ?, ?, ?, null)",
                (name, _digest(token), scope, _cameras_text(cameras), now_ms, expires_ms),
            )
        except sqlite3.IntegrityError as error:
            raise ConfigError(f"A token must have a new name. Received: {name}") from error
        return token

    def tokens(self) -> list[Token]:
        """All tokens, by name."""
        rows = self._rows(
            "select name, scope, cameras, created_ms, expires_ms, used_ms from tokens order by name"
        )
        return [Token(row[0], row[1], _parse_cameras(row[2]), *row[3:]) for row in rows]

    def remove_token(self, name: str) -> None:
        """
        Raises:
            ConfigError: If there is no such token.
        """
        if self._write("delete from tokens where name = ?", (name,)) == 0:
            raise ConfigError(f"The token must exist. Received: {name}")

    def token_user(self, token: str) -> User | None:
        """The program of a token; None if the token is unknown or has ended."""
        now_ms = self._now_ms()
        row = self._row(
            "select name, scope, cameras, expires_ms, used_ms from tokens where digest = ?",
            (_digest(token),),
        )
        if row is None or (row[3] is not None and row[3] <= now_ms):
            return None
        if row[4] is None or now_ms - row[4] > 60_000:
            self._write("update tokens set used_ms = ? where name = ?", (now_ms, row[0]))
        role = "reviewer" if row[1] == "review" else "viewer"
        return User(f"token:{row[0]}", role, _parse_cameras(row[2]))

    # -- deeds

    def record(self, action: str, *, who: str, address: str, subject: str = "") -> None:
        """Notes a deed."""
        self._write(
            "insert into audit (at_ms, who, address, action, subject) values (?, ?, ?, ?, ?)",
            (self._now_ms(), who, address[:64], action, subject[:200]),
        )

    def deeds(self, *, before: int | None = None, limit: int = 100) -> list[tuple[int, AuditEntry]]:
        """Deeds with their numbers, the newest first.

        Args:
            before: Only those with a smaller number.
            limit: How many at most.
        """
        rows = self._rows(
            "select n, at_ms, who, address, action, subject from audit where n < ? "
            "order by n desc limit ?",
            (before if before is not None else 2**62, limit),
        )
        return [(row[0], AuditEntry(*row[1:])) for row in rows]

    # -- SQL

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _check_delay(self, subjects: Sequence[str], now_ms: int) -> None:
        delay_s = max(self._delay_s(subject, now_ms) for subject in subjects)
        if delay_s > 0:
            raise LoginError(f"too many failed logins; try again in {delay_s:.0f} s", delay_s)

    def _delay_s(self, subject: str, now_ms: int) -> float:
        """Seconds until the next try of a user or an address is looked at."""
        count, last_ms = self._row(
            "select count(*), max(at_ms) from login_failures where subject = ? and at_ms > ?",
            (subject, now_ms - _FAILURE_MEMORY_MS),
        )
        if count < _FREE_FAILURES:
            return 0.0
        delay_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** (count - _FREE_FAILURES))
        return max(0.0, delay_s - (now_ms - last_ms) / 1000)

    def _check_known(self, name: str) -> None:
        if self._row("select 1 from users where name = ?", (name,)) is None:
            names = ", ".join(user.name for user in self.users()) or "there is none"
            raise ConfigError(f"The user must exist ({names}). Received: {name}")

    def _row(self, sql: str, values: tuple = ()) -> tuple | None:
        with self._lock:
            return self._connection.execute(sql, values).fetchone()

    def _rows(self, sql: str, values: tuple = ()) -> list[tuple]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _write(self, sql: str, values: tuple) -> int:
        with self._lock:
            return self._connection.execute(sql, values).rowcount


def hash_password(password: str) -> str:
    """A password as it is stored: `scrypt$log2(n)$r$p$salt$key`, the last two in hex.

    Reference:
        RFC 7914
    """
    log_n, r, p = _SCRYPT
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, log_n, r, p)
    return f"scrypt${log_n}${r}${p}${salt.hex()}${key.hex()}"


def verify_password(password: str, stored: str) -> bool:
    """True if a password is the one that was stored; it takes the same time either way."""
    _, log_n, r, p, salt, key = stored.split("$")
    found = _scrypt(password, bytes.fromhex(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(found, bytes.fromhex(key))


def needs_rehash(stored: str) -> bool:
    """True if a stored password has other parameters than new ones get."""
    return tuple(map(int, stored.split("$")[1:4])) != _SCRYPT


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    with _HASHING:
        return hashlib.scrypt(
            password.encode("utf-8", "surrogatepass"),
            salt=salt,
            n=2**log_n,
            r=r,
            p=p,
            maxmem=256 * r * 2**log_n,
            dklen=32,
        )


# No password has this key, as no key of scrypt is known to be all zeros.
_NOBODY = f"scrypt${'$'.join(map(str, _SCRYPT))}${'00' * 16}${'00' * 32}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _check_name(name: str) -> str:
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "A name must have 1 to 32 letters a to z, digits, `.`, `_` or `-`, and begin with a "
            f"letter or a digit. Received: {name!r}"
        )
    return name


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise ConfigError(f"The role must be one of {', '.join(ROLES)}. Received: {role}")


def _check_password(name: str, password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ConfigError(
            f"A password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters. Received: "
            f"{len(password)}"
        )
    if name in password.lower() and len(password) < len(name) + MIN_PASSWORD:
        raise ConfigError("A password must not be the name of the user. Received: one with it")
    return password


def _cameras_text(cameras: Sequence[str] | None) -> str | None:
    return None if cameras is None else json.dumps(list(cameras))


def _parse_cameras(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))

"""Logins of people: sessions, and the devices on which they have logged in."""

import secrets

from violence_detection.live.access import login_delays, passwords
from violence_detection.live.access.account_file import AccountFile, digest_of
from violence_detection.live.access.audit_log import AuditLog
from violence_detection.live.access.login_delays import LoginError
from violence_detection.live.access.user_accounts import User, parse_cameras

SESSION_IDLE_S = 12 * 3600
SESSION_LONGEST_S = 7 * 24 * 3600
DEVICE_S = 365 * 24 * 3600
_MAX_DEVICES = 20  # of a user
_SEEN_EVERY_MS = 60_000  # pages ask every second


class LoginSessions(AuditLog, AccountFile):
    """The sessions of a file of accounts. They and devices are kept as SHA-256 of 256 random
    bits."""

    def log_in(self, name: str, password: str, *, address: str, device: str = "") -> str:
        """Checks a password, returns the secret of a new session.

        After five failures within an hour the next try is looked at after 30 s, a delay that
        doubles with each further failure up to an hour; see `login_delays`.

        Args:
            address: From where.
            device: The secret that an earlier login has left on this device, or empty.

        Raises:
            LoginError: If name or password are wrong, or it is too early for the next try.
            ViolenceDetectionError: If the disk is full.
        """
        name = name.strip().lower()[:64]
        now_ms = self.now_ms()
        known = device if self._knows_device(name, device) else ""
        subjects = login_delays.subjects_of(name, address, known)
        login_delays.check_delay(self, subjects, now_ms)
        row = self.row("select password from users where name = ?", (name,))
        # An unknown name costs the same time as a wrong password, so that time tells no names.
        is_right = passwords.verify_password(password, row[0] if row else "")
        with self._lock:
            # Tries that were sent at once have all passed the first check before any of them
            # failed.
            login_delays.check_delay(self, subjects, now_ms)
            if not row or not is_right:
                login_delays.record_failure(self, subjects, now_ms)
                self.record("login failed", who=name, address=address)
                raise LoginError("name or password is wrong")
        if passwords.needs_rehash(row[0]):
            stored = passwords.hash_password(password)
            self.write("update users set password = ? where name = ?", (stored, name))
        secret = secrets.token_urlsafe(32)
        with self.transaction() as connection:
            # Those of the user from other addresses stay: a guesser must not be forgiven.
            connection.execute("delete from login_failures where subject = ?", subjects[:1])
            connection.execute(
                "delete from sessions where seen_ms < ? or created_ms < ?",
                (now_ms - SESSION_IDLE_S * 1000, now_ms - SESSION_LONGEST_S * 1000),
            )
            connection.execute(
                "insert into sessions values (?, ?, ?, ?)",
                (digest_of(secret), name, now_ms, now_ms),
            )
        self.record("login", who=name, address=address)
        return secret

    def remember_device(self, session: str, device: str = "") -> str:
        """Notes the device of a session that has begun; failed logins of others do not delay it.

        Args:
            session: The secret of the session.
            device: The secret that the device has, or empty.

        Returns:
            The secret that the device keeps from now on; empty without such a session.
        """
        now_ms = self.now_ms()
        row = self.row("select user from sessions where digest = ?", (digest_of(session),))
        if row is None:
            return ""
        secret = device if self._knows_device(row[0], device) else secrets.token_urlsafe(32)
        with self.transaction() as connection:
            connection.execute(
                "insert or replace into devices values (?, ?, ?)",
                (digest_of(secret), row[0], now_ms),
            )
            connection.execute(
                "delete from devices where seen_ms < ? or (user = ? and digest not in (select "
                "digest from devices where user = ? order by seen_ms desc, rowid desc limit ?))",
                (now_ms - DEVICE_S * 1000, row[0], row[0], _MAX_DEVICES),
            )
        return secret

    def session_user(self, secret: str) -> User | None:
        """The user of a session; None if it is unknown or has ended."""
        now_ms = self.now_ms()
        row = self.row(
            "select users.name, role, cameras, sessions.created_ms, seen_ms from sessions "
            "join users on users.name = sessions.user where sessions.digest = ?",
            (digest_of(secret),),
        )
        if row is None:
            return None
        name, role, cameras, created_ms, seen_ms = row
        if now_ms - seen_ms > SESSION_IDLE_S * 1000 or now_ms - created_ms > (
            SESSION_LONGEST_S * 1000
        ):
            self.write_if_possible("delete from sessions where digest = ?", (digest_of(secret),))
            return None
        if now_ms - seen_ms > _SEEN_EVERY_MS:
            self.write_if_possible(
                "update sessions set seen_ms = ? where digest = ?", (now_ms, digest_of(secret))
            )
        return User(name, role, parse_cameras(cameras))

    def log_out(self, secret: str) -> None:
        self.write("delete from sessions where digest = ?", (digest_of(secret),))

    def _knows_device(self, name: str, device: str) -> bool:
        """True if a user has logged in on a device in the last year."""
        row = self.row(
            "select seen_ms from devices where digest = ? and user = ?", (digest_of(device), name)
        )
        return bool(row) and self.now_ms() - row[0] <= DEVICE_S * 1000

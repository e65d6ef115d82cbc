"""People who may open the review page: names, roles, cameras and passwords."""

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.live.access.account_file import AccountFile
from violence_detection.live.access.passwords import check_password, hash_password
from violence_detection.live.access.roles import ROLES

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


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


class UserAccounts(AccountFile):
    """The users of a file of accounts."""

    def has_users(self) -> bool:
        return self.row("select 1 from users limit 1") is not None

    def users(self) -> list[User]:
        """All users, by name."""
        rows = self.rows("select name, role, cameras from users order by name")
        return [User(name, role, parse_cameras(cameras)) for name, role, cameras in rows]

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
        name = check_name(name)
        _check_role(role)
        stored = hash_password(check_password(name, password))
        try:
            self.write(
                "insert into users values (?, ?, ?, ?, ?)",
                (name, role, cameras_text(cameras), stored, self.now_ms()),
            )
        except sqlite3.IntegrityError as error:
            raise ConfigError(f"A user must have a new name. Received: {name}") from error
        return User(name, role, tuple(cameras) if cameras is not None else None)

    def set_password(self, name: str, password: str) -> None:
        """Changes a password; all sessions of the user end, and no device is known any more.

        Raises:
            ConfigError: If there is no such user, or the password is too short or too long.
        """
        self._check_known(name)
        stored = hash_password(check_password(name, password))
        with self.transaction() as connection:
            connection.execute("update users set password = ? where name = ?", (stored, name))
            connection.execute("delete from sessions where user = ?", (name,))
            connection.execute("delete from devices where user = ?", (name,))

    def change_user(self, name: str, *, role: str, cameras: Sequence[str] | None = None) -> None:
        """Changes what a user may do; it holds from the next request on.

        Raises:
            ConfigError: If there is no such user or role.
        """
        self._check_known(name)
        _check_role(role)
        self.write(
            "update users set role = ?, cameras = ? where name = ?",
            (role, cameras_text(cameras), name),
        )

    def remove_user(self, name: str) -> None:
        """Removes a user with all sessions; what the user judged stays.

        Raises:
            ConfigError: If there is no such user.
        """
        self._check_known(name)
        self.write("delete from users where name = ?", (name,))

    def _check_known(self, name: str) -> None:
        if self.row("select 1 from users where name = ?", (name,)) is None:
            names = ", ".join(user.name for user in self.users()) or "there is none"
            raise ConfigError(f"The user must exist ({names}). Received: {name}")


def check_name(name: str) -> str:
    """The name of a user or a token in lower case.

    Raises:
        ConfigError: If it has other characters, or too many.
    """
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


def cameras_text(cameras: Sequence[str] | None) -> str | None:
    """Names of cameras as they are stored; None means all."""
    return None if cameras is None else json.dumps(list(cameras))


def parse_cameras(text: str | None) -> tuple[str, ...] | None:
    """The names of `cameras_text`."""
    return None if text is None else tuple(json.loads(text))

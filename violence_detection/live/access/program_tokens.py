"""Tokens by which programs ask the review page."""

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.live.access.account_file import AccountFile, digest_of
from violence_detection.live.access.roles import SCOPES
from violence_detection.live.access.user_accounts import (
    User,
    cameras_text,
    check_name,
    parse_cameras,
)

_USED_EVERY_MS = 60_000


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


class ProgramTokens(AccountFile):
    """The tokens of a file of accounts, kept as SHA-256 of 256 random bits."""

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
        name = check_name(name)
        if scope not in SCOPES:
            raise ConfigError(f"The scope must be one of {', '.join(SCOPES)}. Received: {scope}")
        if days is not None and not days > 0:
            raise ConfigError(f"A token must last more than 0 days. Received: {days}")
        now_ms = self.now_ms()
        expires_ms = None if days is None else now_ms + int(days * 24 * 3600 * 1000)
        token = f"vd_{secrets.token_urlsafe(32)}"
        try:
            self.write(
                "insert into tokens values (?, ?, ?, ?, ?, ?, null)",
                (name, digest_of(token), scope, cameras_text(cameras), now_ms, expires_ms),
            )
        except sqlite3.IntegrityError as error:
            raise ConfigError(f"A token must have a new name. Received: {name}") from error
        return token

    def tokens(self) -> list[Token]:
        """All tokens, by name."""
        rows = self.rows(
            "select name, scope, cameras, created_ms, expires_ms, used_ms from tokens order by name"
        )
        return [Token(row[0], row[1], parse_cameras(row[2]), *row[3:]) for row in rows]

    def remove_token(self, name: str) -> None:
        """
        Raises:
            ConfigError: If there is no such token.
        """
        if self.write("delete from tokens where name = ?", (name,)) == 0:
            raise ConfigError(f"The token must exist. Received: {name}")

    def token_user(self, token: str) -> User | None:
        """The program of a token; None if the token is unknown or has ended."""
        now_ms = self.now_ms()
        row = self.row(
            "select name, scope, cameras, expires_ms, used_ms from tokens where digest = ?",
            (digest_of(token),),
        )
        if row is None or (row[3] is not None and row[3] <= now_ms):
            return None
        if row[4] is None or now_ms - row[4] > _USED_EVERY_MS:
            self.write_if_possible("update tokens set used_ms = ? where name = ?", (now_ms, row[0]))
        role = "reviewer" if row[1] == "review" else "viewer"
        return User(f"token:{row[0]}", role, parse_cameras(row[2]))

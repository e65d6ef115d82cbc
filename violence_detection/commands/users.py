"""The command `users`: people and programs that may open the review page of `watch`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command, Group
from violence_detection.commands._options import cameras_argument, example, options_of
from violence_detection.commands._stage import CommonFlags, finish
from violence_detection.errors import ConfigError
from violence_detection.live.access.config import ChangeConfig, RoleConfig, TokenConfig
from violence_detection.live.access.roles import ROLES
from violence_detection.settings import CommandConfig

if TYPE_CHECKING:
    from violence_detection.live.access.accounts import Accounts

_FILE = cameras_argument("cameras_file")
_NAME = click.argument("name")


@click.group(
    cls=Group,
    short_help="Users of the review page of watch.",
    epilog=example("violence-detection users list cameras.yaml"),
)
def users() -> None:
    """Add, list and remove the users of the review page, and tokens for programs."""


@users.command(
    cls=Command,
    short_help="Add a user; the password is asked for.",
    epilog=example("violence-detection users add cameras.yaml anna --role reviewer"),
)
@_FILE
@_NAME
@options_of(RoleConfig, writes=False)
def add(settings: RoleConfig, flags: CommonFlags, cameras_file: str, name: str) -> None:
    """Add a user of the review page.

    The password is asked for twice on a terminal, and else read from the first line of stdin. From
    the first user on, everybody must log in."""
    with _accounts(cameras_file) as (book, watched):
        cameras = _names(settings.cameras, watched)
        user = book.add_user(name, _read_password(), role=settings.role, cameras=cameras)
    seen = ", ".join(cameras) if cameras is not None else "all cameras"
    finish(
        {"name": user.name, "role": user.role, "cameras": cameras},
        flags,
        [f"{user.name} may log in as {user.role} and sees {seen}"],
    )


@users.command(
    "list",
    cls=Command,
    short_help="List users and tokens.",
    epilog=example("violence-detection users list cameras.yaml"),
)
@_FILE
@options_of(CommandConfig, writes=False)
def list_(settings: CommandConfig, flags: CommonFlags, cameras_file: str) -> None:
    """List the users of the review page, and the tokens of programs."""
    with _accounts(cameras_file) as (book, _):
        people, tokens = book.users(), book.tokens()
    result = {
        "users": [
            {"name": user.name, "role": user.role, "cameras": user.cameras} for user in people
        ],
        "tokens": [
            {
                "name": token.name,
                "scope": token.scope,
                "cameras": token.cameras,
                "expires_ms": token.expires_ms,
                "used_ms": token.used_ms,
            }
            for token in tokens
        ],
    }
    lines = [
        *[f"user   {user.name}  {user.role}  {_seen(user.cameras)}" for user in people],
        *[f"token  {token.name}  {token.scope}  {_seen(token.cameras)}" for token in tokens],
    ]
    finish(result, flags, lines or ["No users: the page needs no login on this machine."])


@users.command(
    cls=Command,
    short_help="Change a password, and end the sessions.",
    epilog=example("violence-detection users password cameras.yaml anna"),
)
@_FILE
@_NAME
@options_of(CommandConfig, writes=False)
def password(settings: CommandConfig, flags: CommonFlags, cameras_file: str, name: str) -> None:
    """Change the password of a user; all of the user's sessions end."""
    with _accounts(cameras_file) as (book, _):
        book.set_password(name, _read_password())
    finish({"name": name}, flags, [f"{name} has a new password and must log in again"])


@users.command(
    cls=Command,
    short_help="Change what a user may do.",
    epilog=example("violence-detection users change cameras.yaml anna --role admin"),
)
@_FILE
@_NAME
@options_of(ChangeConfig, writes=False)
def change(settings: ChangeConfig, flags: CommonFlags, cameras_file: str, name: str) -> None:
    """Change the role of a user, the cameras, or both, from the next request on."""
    if settings.role is None and settings.cameras is None:
        raise ConfigError("--role, --cameras or both must be given. Received: neither")
    with _accounts(cameras_file) as (book, watched):
        before = next((user for user in book.users() if user.name == name), None)
        role = settings.role or (before.role if before else ROLES[0])
        cameras = _names(settings.cameras, watched)
        if settings.cameras is None and before:
            cameras = before.cameras
        book.change_user(name, role=role, cameras=cameras)
    result = {"name": name, "role": role, "cameras": cameras}
    finish(result, flags, [f"{name} is {role} and sees {_seen(cameras)}"])


@users.command(
    cls=Command,
    short_help="Remove a user.",
    epilog=example("violence-detection users remove cameras.yaml anna"),
)
@_FILE
@_NAME
@options_of(CommandConfig, writes=False)
def remove(settings: CommandConfig, flags: CommonFlags, cameras_file: str, name: str) -> None:
    """Remove a user and end the user's sessions; the verdicts stay.

    The last user is not removed this way: without any, everybody at this machine may do
    everything."""
    with _accounts(cameras_file) as (book, _):
        if [user.name for user in book.users()] == [name]:
            raise ConfigError(
                "One user must stay: without any, everybody at this machine may do everything. "
                f"Received: {name}, the last one (add another first)"
            )
        book.remove_user(name)
    finish({"name": name}, flags, [f"{name} is removed"])


@users.command(
    cls=Command,
    short_help="Make a token for a program.",
    epilog=example("violence-detection users token cameras.yaml script --scope read --days 90"),
)
@_FILE
@_NAME
@options_of(TokenConfig, writes=False)
def token(settings: TokenConfig, flags: CommonFlags, cameras_file: str, name: str) -> None:
    """Make a token, for the header `Authorization: Bearer`; it is shown this once."""
    with _accounts(cameras_file) as (book, watched):
        cameras = _names(settings.cameras, watched)
        secret = book.add_token(name, scope=settings.scope, days=settings.days, cameras=cameras)
    finish({"name": name, "token": secret}, flags, [secret])


@users.command(
    "remove-token",
    cls=Command,
    short_help="Remove a token.",
    epilog=example("violence-detection users remove-token cameras.yaml script"),
)
@_FILE
@_NAME
@options_of(CommandConfig, writes=False)
def remove_token(settings: CommandConfig, flags: CommonFlags, cameras_file: str, name: str) -> None:
    """Remove a token; requests with it are refused from now on."""
    with _accounts(cameras_file) as (book, _):
        book.remove_token(name)
    finish({"name": name}, flags, [f"the token {name} is removed"])


@contextmanager
def _accounts(cameras_file: str) -> Iterator[tuple["Accounts", Sequence[str]]]:
    """The accounts of a watch, and the names of its cameras."""
    from violence_detection.live.access.accounts import Accounts
    from violence_detection.live.configuration import cameras_file as reading

    read = reading.read(Path(cameras_file), environment=None)
    if read.settings is None:
        raise ConfigError(read.errors[0].text(Path(cameras_file)))
    read.settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Accounts(read.settings.data / "accounts.db") as book:
        yield book, [camera.name for camera in read.settings.cameras]


def _read_password() -> str:
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return sys.stdin.readline().rstrip("\r\n")


def _names(text: str | None, watched: Sequence[str]) -> tuple[str, ...] | None:
    """Names with commas; None, for all cameras, without a text or for `all`.

    Raises:
        ConfigError: If there is none, or one is no camera of the file: its user would see nothing.
    """
    if text is None or text.strip() == "all":
        return None
    names = tuple(filter(None, map(str.strip, text.split(","))))
    unknown = [name for name in names if name not in watched]
    if unknown or not names:
        raise ConfigError(
            f"--cameras must name cameras of the file ({', '.join(watched)}), or be all. "
            f"Received: {', '.join(unknown) or 'none'}"
        )
    return names


def _seen(cameras: tuple[str, ...] | None) -> str:
    return "all cameras" if cameras is None else ", ".join(cameras) or "no camera"

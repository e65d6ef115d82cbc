"""Passwords of a cameras file: `${NAME}` from the environment or a file of credentials."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from violence_detection.errors import ConfigError
from violence_detection.inference.video_sources import mask_passwords
from violence_detection.live.configuration.config import Secret
from violence_detection.live.configuration.yaml_nodes import NodeReader, text_of

if TYPE_CHECKING:
    from yaml import Node

_VARIABLE = re.compile(r"\$?\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_MAX_BYTES = 65536
_UNKNOWN = "0"  # may be a password, a port, and a whole source
# Of the characters that end a user's name or a password in a URL.
_NOT_IN_USER = re.compile(r"[\s/@:?#\[\]]|[^\x21-\x7e]")
_KEY_IN_QUERY = re.compile(
    r"[?&](pass(word|wd)?|pwd|secret|token|auth|sig(nature)?|[a-z_]*key)=[^&#]", re.IGNORECASE
)


class FileSecrets:
    """Puts the values of variables into the texts of one file.

    A variable is `${NAME}`: the environment variable of that name, else the file of that name in
    the folder that `$CREDENTIALS_DIRECTORY` names (LoadCredential of systemd, secrets of Docker).
    `$${` stands for `${`.
    """

    def __init__(
        self,
        file: str,
        environment: Mapping[str, str] | None,
        nodes: NodeReader,
        *,
        is_private: bool,
    ) -> None:
        """
        Args:
            file: The file's name, for messages.
            environment: Has the values of variables; None if nothing needs them.
            nodes: Gets warnings.
            is_private: Only its owner can read the file: a password may stand in it.
        """
        self._file, self._environment = file, environment
        self._nodes, self._is_private = nodes, is_private

    def secret(self, node: "Node", *, shows_rest: bool, is_password: bool | None = None) -> Secret:
        """The text of a node with values in place of variables.

        Args:
            node: Its place in the file, and its text.
            shows_rest: The text is shown with its passwords masked; else nothing of it is.
            is_password: All of it is a password; None if all of it is that is not shown.

        Raises:
            ConfigError: If a variable has no value, or a password stands in a file that others
                can read.
        """
        text = text_of(node)
        is_password = not shows_rest if is_password is None else is_password
        has_password = _VARIABLE.search(text) is None if is_password else has_plain_password(text)
        if has_password and not self._is_private:
            raise ConfigError(
                "A password must be a variable, such as ${PASSWORD}, or stand in a file that only "
                f"its owner can read (chmod 600 {self._file}). Received: a password in a file that "
                "others can read"
            )
        if has_password:
            self._nodes.warn(
                node,
                "A password stands in this file; a variable, such as ${PASSWORD}, keeps it out of "
                "copies of the file.",
            )
        values: list[str] = []

        def replace(match: re.Match) -> str:
            value = self._value(match[1])
            # A password may hold characters that would end it: in a URL they are written as %40.
            if _is_in_user(text, match) and _NOT_IN_USER.search(value):
                values.append(value)
                value = quote(value, safe="")
            values.append(value)
            return value

        full = _expand(text, replace)
        if password := _password(full):
            values += [password, unquote(password)]
        shown = mask_passwords(_expand(text, lambda match: "***")) if shows_rest else "***"
        return Secret(full, shown, hidden=tuple(values) if shows_rest else (full, *values))

    def _value(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                "A variable must be letters, digits and `_` in ${…}; `$${` is a plain `${`. "
                f"Received: ${{{name[:60]}}}"
            )
        if self._environment is None:
            return _UNKNOWN
        value = self._environment.get(name)
        folder = self._environment.get("CREDENTIALS_DIRECTORY")
        if value is None and folder:
            value = _credential(Path(folder) / name)
        if not value:
            places = "the environment" + (f" or {folder}" if folder else "")
            received = "an empty one" if value == "" else "none"
            advice = "" if folder else "; files are read where $CREDENTIALS_DIRECTORY has a folder"
            raise ConfigError(
                f"`{name}` must have a value in {places}. Received: {received}{advice}"
            )
        if not value.isprintable():
            raise ConfigError(f"The value of `{name}` must be one line of text. Received: more")
        return value


def _expand(text: str, replace: Callable[[re.Match], str]) -> str:
    return _VARIABLE.sub(
        lambda match: match[0][1:] if match[0].startswith("$$") else replace(match), text
    )


def _is_in_user(text: str, match: re.Match) -> bool:
    """True for a variable between `://` and `@`."""
    before, after = text[: match.start()], text[match.end() :]
    return (
        "://" in before
        and "/" not in before.partition("://")[2]
        and "@" in _VARIABLE.sub("", after).partition("/")[0]
    )


def _credential(path: Path) -> str | None:
    """The text of a credential file, without its last newline; None if there is no such file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigError(f"A credential must be at most {_MAX_BYTES} bytes. Received: {path}")
        return content.decode().removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"A credential must be a readable file in UTF-8. Received: {path} "
            f"({type(error).__name__})"
        ) from error


def has_plain_password(text: str) -> bool:
    """True if a URL holds a password that is no variable."""
    rest = _VARIABLE.sub("", text)
    return bool(_password(rest)) or bool(_KEY_IN_QUERY.search(rest))


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:  # brackets that are no IPv6 address
        return ""

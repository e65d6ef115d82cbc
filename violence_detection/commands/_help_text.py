"""The help of a command as text: no word with hyphens, and no example, is broken wrongly."""

import re
from collections.abc import Iterable

import click
import cloup

from violence_detection.reports import console

_HYPHEN, _UNBROKEN = re.compile(r"(?<=[\w-])-(?=[\w-])|--(?=\w)"), "\N{NON-BREAKING HYPHEN}"


class HelpFormatter(cloup.HelpFormatter):
    """A formatter that breaks lines at spaces alone: `--no-show-frames` can be copied."""

    def write(self, *strings: str) -> None:
        super().write(*(string.replace(_UNBROKEN, "-") for string in strings))

    def write_text(self, text: str, *args, **kwargs) -> None:
        super().write_text(_unbroken(text), *args, **kwargs)

    def write_epilog(self, epilog: str) -> None:
        """Writes the text below the options, an example of a command."""
        lines = []
        for line in epilog.splitlines():
            command = line.strip()
            is_command = command.startswith("violence-detection ")
            lines += (
                console.wrap_command(command, self.width, "  ", "      ") if is_command else [line]
            )
        super().write_epilog("\n".join(lines))

    def write_dl(self, rows: Iterable, *args, **kwargs) -> None:
        super().write_dl([(name, _unbroken(text)) for name, text in rows], *args, **kwargs)


def _unbroken(text: object) -> object:
    if not isinstance(text, str):  # a function of the width
        return text
    return _HYPHEN.sub(lambda match: _UNBROKEN * len(match[0]), text)


class HelpContext(cloup.Context):
    """The context of a command, with this help."""

    formatter_class: type[click.HelpFormatter] = HelpFormatter

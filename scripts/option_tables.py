"""Writes the tables of docs/options.md: every command with its options, defaults and help.

.venv/bin/python scripts/option_tables.py
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from violence_detection import cli

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"
MARK = "<!-- made by scripts/option_tables.py: change nothing below -->\n"


def page() -> str:
    """The page with the tables as the program has them, Markdown; what is above the mark stays."""
    introduction = PAGE.read_text().split(MARK)[0]
    tables = "\n".join(_commands(cli.main, "violence-detection"))
    return f"{introduction}{MARK}\n{tables.rstrip()}\n"


def _commands(group: click.Group, prefix: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        elif not command.hidden:
            yield from _section(command, f"{prefix} {name}")


def _section(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    words = [name, *(argument.make_metavar(context) for argument in arguments)]
    yield f"## {name.removeprefix('violence-detection ')}\n"
    yield f"`{' '.join(words)}`\n"
    yield re.sub(r"\s+", " ", (command.help or "").split("\f")[0]).strip() + "\n"
    yield "| option | default | does |\n|---|---|---|"
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield _row(option, context)
    yield ""


def _row(option: click.Option, context: click.Context) -> str:
    flags = ", ".join(f"`{flag}`" for flag in [*option.opts, *option.secondary_opts])
    if not option.is_flag:
        flags += f" {option.make_metavar(context)}"
    text = option.help or ""
    default = re.search(r"\s*\[default: (.*)\]$", text)
    cells = flags, default[1] if default else "", text[: default.start()] if default else text
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page())

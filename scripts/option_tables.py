"""Writes docs/options.md: every command with its options, defaults and help, as the program has them.

.venv/bin/python scripts/option_tables.py
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from violence_detection import cli

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"
INTRODUCTION = """# Every command and option

Made by `scripts/option_tables.py` from the program itself; `violence-detection COMMAND --help` prints the same in
groups.

`--json` prints exactly one JSON object on stdout; progress and log go to stderr. `--config settings.json` reads
options from a file (`{"epochs": 80, "batch-size": 16}`); options on the command line beat it. Commands that write
take `--dry-run`, which prints what would be done, and `--force`, without which nothing is replaced. With it
`extract-features` extracts every video again, `train` replaces the run of that name once the new one can start,
`evaluate` replaces a report on other videos, `label` another reviewer's label, `predict` the files that it writes
(never an input video), `demo` its folder.

Completion of commands, options and paths in the shell:

    eval "$(_VIOLENCE_DETECTION_COMPLETE=bash_source violence-detection)"    # bash, in ~/.bashrc; zsh: zsh_source

Exit status: 0 done, 1 failed with one line on stderr, 2 wrong usage, 3 done, but some videos could not be read and
are listed (`check`, `doctor`: it found a problem), 130 interrupted, 143 terminated: start again to resume (`train`
with `--resume`). `train --features` exits with 0 and a warning where `extract-features` has listed unreadable
videos before.
"""


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join([INTRODUCTION, *_commands(cli.main, "violence-detection")]).rstrip() + "\n"


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

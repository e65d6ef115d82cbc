"""The work of a command: a stage, which is prepared or run, and its result on stdout."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from violence_detection.commands._streams import drop_stdout, prints_to_stderr
from violence_detection.reports import console
from violence_detection.system import files

_SOME_FAILED = 3  # exit status


@dataclass(frozen=True)
class CommonFlags:
    """The options of every command that are not settings."""

    json: bool
    verbose: bool
    quiet: bool
    debug: bool
    dry_run: bool = False
    force: bool = False


class Result(Protocol):
    """The typed result of a stage."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the command."""


class Stage(Protocol):
    """The work of a command in two halves, so that a dry run is the first half itself."""

    def prepare(self) -> Result | dict[str, Any]:
        """Reads and checks everything that can be checked before something is written.

        Returns:
            The JSON object of `--dry-run`: `dry_run` (true) and what would be done.
        """

    def run(self) -> Result | dict[str, Any]:
        """Does the work, after `prepare`; the result, or the JSON object of the command."""


def _json_of(result: Result | dict[str, Any]) -> dict[str, Any]:
    return result if isinstance(result, dict) else result.to_json()


def run_stage(
    make: Callable[[], Stage],
    flags: CommonFlags,
    *,
    lines: Callable[[Any], list[str]],
    failed: Callable[[Any], int] = lambda result: 0,
    plan_lines: Callable[[Any], list[str]] = lambda plan: console.format_table(_json_of(plan)),
) -> None:
    """Prepares or runs a stage, and prints the result.

    Args:
        make: Imports the stage and builds it.
        flags: The flags of the command; with `dry_run` the stage is prepared only.
        lines: Console text of a result.
        failed: Number of inputs of a result that failed; above 0 the exit status is 3.
        plan_lines: Console text of a dry run.
    """
    with prints_to_stderr():
        stage = make()
        result = stage.prepare() if flags.dry_run else stage.run()
    if flags.dry_run:
        finish(result, flags, plan_lines(result))
    else:
        finish(result, flags, lines(result), failed=failed(result))


def finish(
    result: Result | dict[str, Any],
    flags: CommonFlags,
    lines: list[str],
    failed: int = 0,
    *,
    as_is: bool = False,
) -> None:
    """Prints the result; exits with status 3 if some inputs failed.

    Paths in the lines are shown from the current folder. In a terminal, lines are broken between
    words. Neither is done with `as_is`, for the lines of a file that others read."""
    values = _json_of(result)
    if flags.json:  # the lines, which have the warnings, are not printed
        for warning in values.get("warnings", ()):
            click.echo(f"Warning: {warning}", err=True)
    text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    if not text.isprintable():  # escapes keep a path that is not UTF-8 valid JSON
        text = json.dumps(values, allow_nan=False)
    if (here := str(Path.cwd())) != "/" and not as_is:
        lines = [line.replace(f" {here}/", " ") for line in lines]
    if sys.stdout.isatty() and not as_is:
        lines = console.wrap_lines(lines, shutil.get_terminal_size().columns)
        lines = console.colour_lines(lines)
    try:
        click.echo(text if flags.json else "\n".join(lines))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        raise files.write_error(Path("the result to stdout"), error) from error
    if failed:
        click.get_current_context().exit(_SOME_FAILED)

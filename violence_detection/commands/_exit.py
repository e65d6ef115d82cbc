"""The end of a command: exit status, signals, logging, and the result on stdout."""

import contextlib
import errno
import json
import logging
import os
import shutil
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click
import cloup

from violence_detection.commands._help_text import HelpContext
from violence_detection.errors import CacheError, ViolenceDetectionError
from violence_detection.reports import console
from violence_detection.settings import COMMON, new_name
from violence_detection.system import files, progress

log = logging.getLogger("violence_detection")

_SOME_FAILED, _INTERRUPTED, _TERMINATED = 3, 130, 143

# What a command that was interrupted does when it is started again.
RESUMES = "start the same command again to resume"
RESUMES_BY_OPTION = "start the same command again with --resume to continue"
_STARTS_ANEW = "the same command will start from the beginning"
_DEBUG = 1  # log level of --debug, which also prints tracebacks

# The help is at most so wide. With less than so many columns for its text, the text of an
# option stands below the option.
_MAX_COLUMNS, _MIN_TEXT_COLUMNS = 100, 35


class _Terminated(BaseException):
    """SIGTERM as an exception, so that finished work is kept."""


class _ExitStatus:
    """Turns every end of a command into at most one line on stderr and an exit status."""

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        _open_standard_streams()
        progress.stop = progress.Stop()
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, _on_signal)
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # not under nohup
                signal.signal(signal.SIGINT, _on_signal)
        sys.exit(self._status(args, kwargs))

    def _status(self, args: tuple, kwargs: dict[str, Any]) -> int:
        try:
            return super().main(*args, standalone_mode=False, **kwargs) or 0
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help(), err=True)
            return 2
        except click.MissingParameter as error:
            path = error.ctx.command_path if error.ctx else "violence-detection"
            advice = getattr(error.param, "advice", f"`{path} --help` has an example.")
            return _fail(f"{error.format_message()} {advice}", error.exit_code)
        except click.ClickException as error:
            return _fail(error.format_message(), error.exit_code)
        except CacheError as error:
            for path in error.choices:
                click.echo(f"    {path}", err=True)
            listed = ", listed above" if error.choices else ""
            return _fail(f"{error.message}{listed}", error.exit_status)
        except ViolenceDetectionError as error:
            return _fail(str(error), error.exit_status)
        except (click.Abort, KeyboardInterrupt) as error:
            return _say_stopped("Interrupted", error.__cause__ or error, _INTERRUPTED)
        except _Terminated as error:
            return _say_stopped("Terminated", error, _TERMINATED)
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            _drop_stdout()
            return 1
        except OSError as error:
            if error.filename is None and error.errno == errno.ENOSPC:  # from printing --help
                _drop_stdout()
                return _fail("Cannot write to stdout: the disk is full.", 1)
            return self._unexpected(error)
        except MemoryError:
            return _fail("Out of memory; try a smaller --batch-size or fewer --workers.", 1)
        except Exception as error:
            return self._unexpected(error)

    def _unexpected(self, error: Exception) -> int:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return _fail(f"Unexpected {text} (--debug prints the traceback)", 1)


class Command(_ExitStatus, cloup.Command):
    """A command whose help shows its options in groups, the common ones last."""

    context_class = HelpContext

    def __init__(self, *args: Any, started_again: str = _STARTS_ANEW, **kwargs: Any) -> None:
        """
        Args:
            started_again: What it does when it is started again after an interruption.
            args, kwargs: Those of `cloup.Command`.
        """
        self._started_again = started_again
        layout = {"max_width": _MAX_COLUMNS, "col2_min_width": _MIN_TEXT_COLUMNS}
        super().__init__(*args, formatter_settings=layout, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, _Terminated) as error:
            error.args = (self._started_again,)
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _with_new_name(error, self) from error

    def get_default_option_group(self, ctx: click.Context, *_: Any, **__: Any) -> cloup.OptionGroup:
        group = cloup.OptionGroup(COMMON)
        group.options = self.get_ungrouped_options(ctx)  # with --help
        return group


def _with_new_name(error: click.NoSuchOption, command: click.Command) -> click.NoSuchOption:
    """The error of an unknown option; it names the new option where the unknown one is a former
    name."""
    former = error.option_name.removeprefix("--").replace("-", "_")
    is_off = former.startswith("no_")
    options = {item.name: item for item in command.params if isinstance(item, click.Option)}
    new = new_name(former.removeprefix("no_") if is_off else former, options)
    flags = new and (options[new].secondary_opts if is_off else options[new].opts)
    if not flags:
        return error
    text = f"No such option: {error.option_name}. It is called {flags[0]}."
    return click.NoSuchOption(error.option_name, text, ctx=error.ctx)


class Group(_ExitStatus, cloup.Group):
    """A group of commands, listed in the order in which they were added, by section if it has
    sections."""

    command_class, context_class = Command, HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def list_sections(self, ctx: click.Context, *_: Any, **__: Any) -> list[cloup.Section]:
        sections = super().list_sections(ctx, include_default_section=False)
        return sections or [cloup.Section("Commands", self.commands)]


def _open_standard_streams() -> None:
    """Opens closed standard streams (`2>&-`): else the next opened file would become stderr."""
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            break
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (never closed)


def _drop_stdout() -> None:
    """Sends stdout to nowhere: else Python flushes it again at its end, with a second error."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _say_stopped(event: str, error: BaseException, status: int) -> int:
    advice = "".join(f"; {text}" for text in error.args)
    click.echo(_broken(f"{event}{advice}."), err=True)
    return status


def _fail(message: str, status: int) -> int:
    if log.getEffectiveLevel() == _DEBUG:
        traceback.print_exc()
    text = _broken(f"Error: {' '.join(message.split())}")
    click.echo(text.replace("Error:", _coloured("Error:", "red"), 1), err=True)
    return status


def _on_signal(number: int, _: Any) -> None:
    """Asks loops to stop after the current step; the second signal stops at once."""
    error = KeyboardInterrupt if number == signal.SIGINT else _Terminated
    if not progress.stop.ask(error):
        raise error
    # Not click.echo: the signal may have come in the middle of a write.
    clear = b"\r\x1b[2K" if os.isatty(2) else b""  # the line of a progress bar
    os.write(2, clear + b"Stopping after this step. Press Ctrl-C again to stop now.\n")


@dataclass(frozen=True)
class CommonFlags:
    """The options of every command that are not settings."""

    json: bool
    verbose: bool
    quiet: bool
    debug: bool
    dry_run: bool = False
    force: bool = False


class _Stderr(logging.Handler):
    """Writes to the current sys.stderr: a progress bar replaces it for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            text = _broken(self.format(record))
        else:
            text = _broken(f"Warning: {self.format(record)}")
            text = text.replace("Warning:", _coloured("Warning:", "yellow"), 1)
        # Not err=True: click then writes past the bar, which prints such lines above itself.
        try:
            click.echo(text, file=sys.stderr)
        except BrokenPipeError:
            raise
        except OSError:
            # stderr is a file on a full disk: a line less must not end a watch of cameras.
            pass


def _broken(text: str) -> str:
    """A line for stderr; in a terminal it is broken between words."""
    columns = shutil.get_terminal_size().columns
    if not sys.stderr.isatty() or "\n" in text or len(text) <= columns:
        return text
    return textwrap.fill(
        text, columns, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _coloured(text: str, colour: str) -> str:
    """The text in a colour, unless `NO_COLOR` is set; click leaves it out of files and pipes."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=colour, bold=True)


def start_logging(flags: CommonFlags) -> None:
    level = logging.DEBUG if flags.verbose else logging.INFO
    if flags.quiet:
        level = logging.WARNING
    log.setLevel(_DEBUG if flags.debug else level)
    log.handlers = [_Stderr()]
    log.propagate = False


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Sends what libraries print (Keras, when it downloads) to stderr: stdout is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


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
        _drop_stdout()
        raise files.write_error(Path("the result to stdout"), error) from error
    if failed:
        click.get_current_context().exit(_SOME_FAILED)

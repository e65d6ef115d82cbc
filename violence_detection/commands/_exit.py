"""The end of a command: exit status, signals, logging, and the result on stdout."""

import contextlib
import errno
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from violence_detection.errors import ViolenceDetectionError
from violence_detection.reports import console
from violence_detection.system import files, progress

log = logging.getLogger("violence_detection")

_SOME_FAILED, _INTERRUPTED, _TERMINATED = 3, 130, 143


_GO_ON = "start the same command again to go on; a training with --resume."


_DEBUG = 1  # everything, and where errors came from


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that what is done is kept."""


class _ExitStatus:
    """Turns every way out of a command into one line on stderr and an exit status."""

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
        except click.ClickException as error:
            return _say(error.format_message(), error.exit_code)
        except ViolenceDetectionError as error:
            return _say(str(error), error.exit_status)
        except (click.Abort, KeyboardInterrupt):
            click.echo(f"Interrupted; {_GO_ON}", err=True)
            return _INTERRUPTED
        except _Terminated:
            click.echo(f"Terminated; {_GO_ON}", err=True)
            return _TERMINATED
        except BrokenPipeError:  # `| head` has had enough
            _drop_stdout()
            return 1
        except OSError as error:
            if error.filename is None and error.errno == errno.ENOSPC:  # of --help
                _drop_stdout()
                return _say("Cannot write to stdout: the disk is full.", 1)
            return self._unexpected(error)
        except MemoryError:
            return _say("The memory is full; a smaller --batch-size or fewer --workers help.", 1)
        except Exception as error:
            return self._unexpected(error)

    def _unexpected(self, error: Exception) -> int:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return _say(f"Unexpected {what} (--debug shows where)", 1)


class Command(_ExitStatus, click.Command):
    pass


class Group(_ExitStatus, click.Group):
    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the way, not of the alphabet


def _open_standard_streams() -> None:
    """Give closed streams (`2>&-`) a place: else the next file opened would be stderr."""
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            break
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (for good)


def _drop_stdout() -> None:
    """What could not be written to stdout is not tried again when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _say(message: str, status: int) -> int:
    if log.getEffectiveLevel() == _DEBUG:
        traceback.print_exc()
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    return status


def _on_signal(number: int, _: Any) -> None:
    """Finish the item at hand, then leave; the second signal leaves at once."""
    error = KeyboardInterrupt if number == signal.SIGINT else _Terminated
    if not progress.stop.ask(error):
        raise error
    # Not click.echo: the signal may have come in the middle of a write.
    os.write(2, b"Finishing what is at hand; once more stops at once.\n")


@dataclass(frozen=True)
class CommonFlags:
    """Flags of every command that are not settings."""

    json: bool
    verbose: bool
    quiet: bool
    debug: bool
    dry_run: bool = False
    force: bool = False


class _Stderr(logging.Handler):
    """Writes to whatever sys.stderr is now: a progress bar puts its own there."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "Warning: " if record.levelno >= logging.WARNING else ""
        click.echo(prefix + self.format(record), err=True)


def start_logging(shared: CommonFlags) -> None:
    level = logging.DEBUG if shared.verbose else logging.INFO
    if shared.quiet:
        level = logging.WARNING
    log.setLevel(_DEBUG if shared.debug else level)
    log.handlers = [_Stderr()]
    log.propagate = False


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Libraries that print (Keras, when it downloads) do so on stderr: stdout is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


class Stage(Protocol):
    """The work of a command in two halves, so that a dry run is the first half itself."""

    def prepare(self) -> dict[str, Any]:
        """Reads and checks everything that can be checked before something is written.

        Returns:
            The JSON object of `--dry-run`: `dry_run` (true) and what would be done.
        """

    def run(self) -> dict[str, Any]:
        """Does the work, after `prepare`; the JSON object of the command."""


def run_stage(
    make: Callable[[], Stage],
    flags: CommonFlags,
    *,
    lines: Callable[[dict[str, Any]], list[str]],
    failed: Callable[[dict[str, Any]], int] = lambda result: 0,
    plan_lines: Callable[[dict[str, Any]], list[str]] = console.table,
) -> None:
    """Prepare or run a stage, and print what comes of it.

    Args:
        make: Imports the stage and builds it.
        flags: Of the command; with `dry_run` the stage is prepared only.
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


def finish(result: dict[str, Any], shared: CommonFlags, lines: list[str], failed: int = 0) -> None:
    """Print the result, and leave with 3 where some inputs failed."""
    text = json.dumps(result, ensure_ascii=False, allow_nan=False)
    if not text.isprintable():  # a path that is not UTF-8 stays valid JSON
        text = json.dumps(result, allow_nan=False)
    try:
        click.echo(text if shared.json else "\n".join(lines))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_stdout()
        raise files.write_error(Path("the result to stdout"), error) from error
    if failed:
        click.get_current_context().exit(_SOME_FAILED)

"""The end of a command: its exit status, what it says then, and the signals that stop it."""

import contextlib
import errno
import os
import signal
import sys
import traceback
from typing import Any

import click

from violence_detection.commands._streams import (
    DEBUG,
    broken,
    coloured,
    drop_stdout,
    log,
    open_standard_streams,
)
from violence_detection.errors import CacheError, ViolenceDetectionError
from violence_detection.system import progress

_INTERRUPTED, _TERMINATED = 130, 143


class Terminated(BaseException):
    """SIGTERM as an exception, so that finished work is kept."""


class ExitStatus:
    """Turns every end of a command into at most one line on stderr and an exit status."""

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        open_standard_streams()
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
        except Terminated as error:
            return _say_stopped("Terminated", error, _TERMINATED)
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            drop_stdout()
            return 1
        except OSError as error:
            if error.filename is None and error.errno == errno.ENOSPC:  # from printing --help
                drop_stdout()
                return _fail("Cannot write to stdout: the disk is full.", 1)
            return self._unexpected(error)
        except MemoryError:
            return _fail("Out of memory; try a smaller --batch-size or fewer --workers.", 1)
        except Exception as error:
            return self._unexpected(error)

    def _unexpected(self, error: Exception) -> int:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return _fail(f"Unexpected {text} (--debug prints the traceback)", 1)


def _say_stopped(event: str, error: BaseException, status: int) -> int:
    advice = "".join(f"; {text}" for text in error.args)
    click.echo(broken(f"{event}{advice}."), err=True)
    return status


def _fail(message: str, status: int) -> int:
    if log.getEffectiveLevel() == DEBUG:
        traceback.print_exc()
    text = broken(f"Error: {' '.join(message.split())}")
    click.echo(text.replace("Error:", coloured("Error:", "red"), 1), err=True)
    return status


def _on_signal(number: int, _: Any) -> None:
    """Asks loops to stop after the current step; the second signal stops at once."""
    error = KeyboardInterrupt if number == signal.SIGINT else Terminated
    if not progress.stop.ask(error):
        raise error
    # Not click.echo: the signal may have come in the middle of a write.
    clear = b"\r\x1b[2K" if os.isatty(2) else b""  # the line of a progress bar
    os.write(2, clear + b"Stopping after this step. Press Ctrl-C again to stop now.\n")

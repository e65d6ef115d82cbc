"""The standard streams of a command: lines of the log on stderr, and stdout for results alone."""

import contextlib
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator

import click

log = logging.getLogger("violence_detection")

DEBUG = 1  # log level of --debug, which also prints tracebacks


class _Stderr(logging.Handler):
    """Writes to the current sys.stderr: a progress bar replaces it for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            text = broken(self.format(record))
        else:
            text = broken(f"Warning: {self.format(record)}")
            text = text.replace("Warning:", coloured("Warning:", "yellow"), 1)
        # Not err=True: click then writes past the bar, which prints such lines above itself.
        try:
            click.echo(text, file=sys.stderr)
        except BrokenPipeError:
            raise
        except OSError:
            # stderr is a file on a full disk: a line less must not end a watch of cameras.
            pass


def broken(text: str) -> str:
    """A line for stderr; in a terminal it is broken between words."""
    columns = shutil.get_terminal_size().columns
    if not sys.stderr.isatty() or "\n" in text or len(text) <= columns:
        return text
    return textwrap.fill(
        text, columns, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def coloured(text: str, colour: str) -> str:
    """The text in a colour, unless `NO_COLOR` is set; click leaves it out of files and pipes."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=colour, bold=True)


def start_logging(*, verbose: bool, quiet: bool, debug: bool) -> None:
    """Sends the log to stderr, at the level of these flags."""
    level = logging.DEBUG if verbose else logging.INFO
    if quiet:
        level = logging.WARNING
    log.setLevel(DEBUG if debug else level)
    log.handlers = [_Stderr()]
    log.propagate = False


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Sends what libraries print (Keras, when it downloads) to stderr: stdout is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def open_standard_streams() -> None:
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


def drop_stdout() -> None:
    """Sends stdout to nowhere: else Python flushes it again at its end, with a second error."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)

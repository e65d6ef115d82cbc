"""Progress on stderr: a bar on a terminal, else a plain line every 30 seconds.

Loops that are tracked are also where a signal ends the program: between two items, where
nothing is half done.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from violence_detection import units

log = logging.getLogger(__name__)
_LINE_EVERY_S = 30.0


class Stop:
    """What a signal asks for: to end the tracked loop after the item at hand.

    Raising from the signal's handler would be simpler, but TensorFlow swallows about 1 in
    100 exceptions that come up while it calls back into Python, and once broke its heap.
    """

    def __init__(self) -> None:
        self.error: type[BaseException] | None = None
        self.loops = 0

    def ask(self, error: type[BaseException]) -> bool:
        """Whether a loop will end with `error`; if none runs, or one was asked before, not."""
        again, self.error = self.error is not None, error
        return self.loops > 0 and not again

    def check(self) -> None:
        """End here if asked to."""
        if self.error:
            raise self.error


stop = Stop()


@contextlib.contextmanager
def track(what: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    """Show how far a loop of `total` steps is, its rate and the time left.

    Gives a function to call after each step; a signal's error comes up there. Nothing is
    shown below log level INFO.
    """
    stop.loops += 1
    try:
        with _shown(what, total, unit) as show:

            def step() -> None:
                show()
                stop.check()

            yield step
    finally:
        stop.loops -= 1


@contextlib.contextmanager
def _shown(what: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    if not log.isEnabledFor(logging.INFO):
        yield lambda: None
    elif sys.stderr.isatty():
        with _bar(what, total, unit) as step:
            yield step
    else:
        yield _Lines(what, total, unit).step


@contextlib.contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    from rich import progress
    from rich.console import Console

    start_s = time.monotonic()
    columns = (
        progress.TextColumn(what),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, rate="")

        def step() -> None:
            bar.advance(task)
            done = bar.tasks[0].completed
            rate = done / (time.monotonic() - start_s)
            bar.update(task, rate=_rate(rate, unit))

        yield step


def _rate(per_s: float, unit: str) -> str:
    """`2.5 videos/s`, `40 s each`."""
    return f"{per_s:.1f} {unit}/s" if per_s >= 0.1 else f"{1 / per_s:.0f} s each"


class _Lines:
    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done = 0
        self._start_s = self._said_s = time.monotonic()

    def step(self) -> None:
        self._done += 1
        now_s = time.monotonic()
        if now_s - self._said_s >= _LINE_EVERY_S:
            self._said_s = now_s
            rate = self._done / (now_s - self._start_s)
            left = units.format_duration((self._total - self._done) / rate)
            log.info(
                f"{self._what}: {self._done}/{self._total}, {_rate(rate, self._unit)}, {left} left"
            )

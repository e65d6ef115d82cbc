"""Progress on stderr: a bar on a terminal, else one line every 30 seconds.

A signal ends the program in a tracked loop: between two items, when no file is half written.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from violence_detection import units

log = logging.getLogger(__name__)
_LINE_INTERVAL_S = 30.0


class Stop:
    """A signal's request to end the tracked loop after the item in progress.

    Raising an exception in the signal's handler would be simpler. But TensorFlow loses about 1 in
    100 exceptions that are raised while it calls back into Python, and once corrupted its heap.
    """

    def __init__(self) -> None:
        self.error: type[BaseException] | None = None
        self.loops = 0

    def ask(self, error: type[BaseException]) -> bool:
        """Request that the tracked loop ends with `error`.

        Returns:
            True if it will. False if no loop is running, or if this is the second request: the
            caller should then end the program itself.
        """
        is_repeated, self.error = self.error is not None, error
        return self.loops > 0 and not is_repeated

    def check(self) -> None:
        """Raise the error that was requested, if any."""
        if self.error:
            raise self.error


stop = Stop()


@contextlib.contextmanager
def track(activity: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    """Context manager: shows the progress of a loop, its rate and the time left.

    Args:
        activity: What the loop does: "Extracting".
        total: Steps of the loop.
        unit: What a step is, in the plural: "videos".

    Returns:
        A function to call after each step; it raises the error that a signal requested. Nothing
        is shown if INFO is not logged.
    """
    stop.loops += 1
    try:
        with _display(activity, total, unit) as show:

            def step() -> None:
                show()
                stop.check()

            yield step
    finally:
        stop.loops -= 1


@contextlib.contextmanager
def _display(activity: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    if not log.isEnabledFor(logging.INFO):
        yield lambda: None
    elif sys.stderr.isatty():
        with _bar(activity, total, unit) as step:
            yield step
    else:
        yield _Lines(activity, total, unit).step


@contextlib.contextmanager
def _bar(activity: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    from rich import progress
    from rich.console import Console

    start_s = time.monotonic()
    columns = (
        progress.TextColumn(activity),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(activity, total=total, rate="")

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
    """Progress as a line in the log from time to time."""

    def __init__(self, activity: str, total: int, unit: str) -> None:
        self._activity, self._total, self._unit = activity, total, unit
        self._done = 0
        self._start_s = self._logged_s = time.monotonic()

    def step(self) -> None:
        self._done += 1
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LINE_INTERVAL_S:
            self._logged_s = now_s
            rate = self._done / (now_s - self._start_s)
            left = units.format_duration((self._total - self._done) / rate)
            rate_text = _rate(rate, self._unit)
            log.info(f"{self._activity}: {self._done}/{self._total}, {rate_text}, {left} left")

"""Progress on stderr: a bar on a terminal, else one line every 30 seconds.

A loop of few long steps also says in a line, after the first step, how long all will take.

A signal ends the program in a tracked loop: between two items, when no file is half written.
"""

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator

from violence_detection import units

log = logging.getLogger(__name__)
_LINE_INTERVAL_S = 30.0
_NARROW = 80  # columns of a terminal, under which there is no room for a bar
_RATE_PERIOD_S = 3600.0  # over which the time left is estimated: a step may take minutes


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


class Steps:
    """Counts the finished steps of a loop; a call finishes one.

    A call raises the error that a signal requested.
    """

    def __init__(self, show: Callable[[float, str], None], done: int = 0) -> None:
        """
        Args:
            show: Displays the number of steps done and a text about the one in progress.
            done: Steps that were done before.
        """
        self._show, self._done = show, done

    def __call__(self, text: str = "") -> None:
        """Counts an item as done.

        Args:
            text: Shown in place of the rate: `loss 0.412, val_loss 0.498`.
        """
        self._done += 1
        self._show(self._done, text)
        stop.check()

    def within(self, fraction: float, text: str) -> None:
        """Shows how far the steps in progress are.

        Args:
            fraction: The part of one step that is done; of several steps in progress, the sum of
                theirs.
            text: Shown in place of the rate: `0:12:30 of 8:00:00`.
        """
        self._show(self._done + fraction, text)


def total_line(total: int, unit: str, first_s: float, at_a_time: int = 1) -> str:
    """`About 12 min for 5 folds: the first took 2:24.`

    Args:
        total: Steps of the loop.
        unit: What a step is, in the plural: "folds".
        first_s: Seconds that the first step took.
        at_a_time: Steps that are in progress at a time.
    """
    hours = first_s * math.ceil(total / at_a_time) / 3600
    first = units.format_duration(first_s)
    return f"About {units.hours_words(hours)} for {total} {unit}: the first took {first}."


@contextlib.contextmanager
def track(
    activity: str, total: int, unit: str, *, done: int = 0, at_a_time: int | None = None
) -> Iterator[Steps]:
    """Context manager: shows the progress of a loop, its rate and the time left.

    Args:
        activity: What the loop does: "Extracting".
        total: Steps of the loop.
        unit: What a step is, in the plural: "videos".
        done: Steps that were done before, as in a training that is resumed.
        at_a_time: For a loop of few long steps, how many are in progress at a time; a line then
            says after the first how long all take (`total_line`).

    Returns:
        A function to call after each step; see `Steps`. Nothing is shown if INFO is not logged.
    """
    stop.loops += 1
    try:
        with _display(activity, total, unit, done) as show:
            yield Steps(_saying_total(show, total, unit, at_a_time) if at_a_time else show, done)
    finally:
        stop.loops -= 1


def _saying_total(
    show: Callable[[float, str], None], total: int, unit: str, at_a_time: int
) -> Callable[[float, str], None]:
    """`show`, which after the first step also logs how long all take; of several steps at a time,
    it shows nothing before as many are done, since their rate is not known."""
    start_s, said = time.monotonic(), total == 1

    def show_and_say(done: float, text: str) -> None:
        nonlocal said
        if not said and done >= 1:
            said = True
            log.info(total_line(total, unit, time.monotonic() - start_s, at_a_time))
        if done >= at_a_time:
            show(done, text)

    return show_and_say


@contextlib.contextmanager
def _display(
    activity: str, total: int, unit: str, before: int
) -> Iterator[Callable[[float, str], None]]:
    if not log.isEnabledFor(logging.INFO):
        yield lambda done, text: None
    elif sys.stderr.isatty():
        with _bar(activity, total, unit, before) as show:
            yield show
    else:
        yield _Lines(activity, total, unit, before).show


@contextlib.contextmanager
def _bar(
    activity: str, total: int, unit: str, before: int
) -> Iterator[Callable[[float, str], None]]:
    from rich import progress
    from rich.console import Console
    from rich.table import Column

    start_s = time.monotonic()
    console = Console(stderr=True)
    is_narrow = console.width < _NARROW
    # Of columns that do not fit, rich cuts the widest that may not be wrapped.
    note = Column(no_wrap=not is_narrow)
    columns = (
        progress.TextColumn(activity),
        *([] if is_narrow else [progress.BarColumn()]),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[note]}", markup=False, table_column=note),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(
        *columns,
        console=console,
        transient=True,
        speed_estimate_period=_RATE_PERIOD_S,
    ) as bar:
        task = bar.add_task(activity, total=total, completed=before, note="")

        def show(done: float, text: str) -> None:
            note = text or _rate((done - before) / (time.monotonic() - start_s), unit)
            bar.update(task, completed=done, note=note)

        yield show


def _rate(per_s: float, unit: str) -> str:
    """`2.5 videos/s`, `40 s each`."""
    return f"{per_s:.1f} {unit}/s" if per_s >= 0.1 else f"{1 / per_s:.0f} s each"


class _Lines:
    """Progress as a line in the log from time to time."""

    def __init__(self, activity: str, total: int, unit: str, before: int) -> None:
        self._activity, self._total, self._unit, self._before = activity, total, unit, before
        self._start_s = self._logged_s = time.monotonic()

    def show(self, done: float, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s < _LINE_INTERVAL_S or done <= self._before:
            return
        self._logged_s = now_s
        rate = (done - self._before) / (now_s - self._start_s)
        left = units.format_duration((self._total - done) / rate)
        note = text or _rate(rate, self._unit)
        log.info(f"{self._activity}: {int(done)}/{self._total}, {note}, {left} left")

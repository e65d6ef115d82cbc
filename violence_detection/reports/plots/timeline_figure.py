"""Draws the probability of violence over the time of a video."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from violence_detection import units
from violence_detection.reports.plots import figure_style

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_TICKS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(count * _MINUTE_S for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR_S for count in (1, 2, 3, 6, 12)),
    *(count * _DAY_S for count in (1, 2, 7, 30)),
)


def draw_timeline(
    path: Path,
    windows: Sequence[tuple[float, float, float]],
    segments: Sequence[tuple[float, float]],
    *,
    threshold: float,
    title: str,
    scored: str = "Probability of violence",
    start: datetime | None = None,
) -> None:
    """Draws the probability over the time of a video, segments shaded; dashed, the threshold.

    Args:
        path: PNG file.
        windows: Start and end in seconds, and probability in [0, 1]; ascending.
        segments: Start and end in seconds.
        threshold: On the probability.
        title: Above the figure; a long title is truncated at its start.
        scored: Name of the probability.
        start: Date and time of the video's start; None labels the axis by the video's own time.
    """
    figure, axes = figure_style.new_axes((9.6, 2.8))
    if not windows:
        return figure_style.save_message(path, figure, "No windows")
    for span in segments:
        axes.axvspan(*span, color=figure_style.VIOLENT, alpha=0.18, linewidth=0)
    axes.axhline(threshold, color=figure_style.INK, linewidth=1, linestyle=(0, (4, 3)))
    table = np.array(windows, float)
    times_s, values = window_steps(table)
    axes.fill_between(times_s, values, color=figure_style.NORMAL, alpha=0.15, linewidth=0)
    axes.plot(times_s, values, color=figure_style.NORMAL, linewidth=1.5)
    above = np.where(values >= threshold, values, np.nan)
    axes.plot(times_s, above, color=figure_style.VIOLENT, linewidth=2)
    ends_s = (table[0, 0], table[-1, 1])
    figure_style.unit_axes(axes, "", scored.replace(" of ", "\nof "))
    axes.set_xlim(ends_s)
    format_time_axis(axes, ends_s[1] - ends_s[0], start)
    shown = title if len(title) <= 90 else f"…{title[-89:]}"
    axes.set_title(shown, fontsize=10.5, color=figure_style.INK, loc="left", parse_math=False)
    figure_style.save_figure(path, figure)


def window_steps(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest probability of the windows at each time, as corners of a line, float (P,); NaN
    between windows.

    Args:
        windows: Start, end and probability, float (W, 3); ascending.
    """
    edges = np.unique(windows[:, :2])
    starts, ends, values = windows.T
    # Windows ascend in both ends, so those at a time are neighbours.
    first = np.searchsorted(ends, edges[:-1], side="right")
    last = np.searchsorted(starts, edges[:-1], side="right")
    highest = np.array(
        [values[a:b].max() if a < b else np.nan for a, b in zip(first, last, strict=True)]
    )
    return np.repeat(edges, 2)[1:-1], np.repeat(highest, 2)


def format_time_axis(axes: Axes, duration_s: float, start: datetime | None) -> None:
    """Ticks at whole seconds, minutes or hours, as `1:15`, or as `22:16:15` by the clock."""
    steps = [step for step in _TICKS_S if duration_s / step <= 10] or [_TICKS_S[-1]]
    axes.xaxis.set_major_locator(MultipleLocator(steps[0]))
    axes.xaxis.set_major_formatter(lambda time_s, _: units.format_duration(time_s))
    if start:
        axes.xaxis.set_major_formatter(
            lambda time_s, _: f"{start + timedelta(seconds=float(time_s)):%H:%M:%S}"
        )
        axes.set_xlabel(f"{start:%Y-%m-%d}")

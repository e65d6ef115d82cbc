"""The figure of `predict --explain`: score, novelty and attention of a video, and the training
clips that are nearest to its most violent window."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec

from violence_detection import units
from violence_detection.models.neighbours.near_clip import NearClip
from violence_detection.reports.plots import figure_style, timeline_figure

_SIZE_IN = (9.6, 8.4)
_PATH_CHARACTERS = 34


@dataclass(frozen=True)
class Explanation:
    """A prediction of a video with what it rests on.

    Attributes:
        title: The video's name.
        scored: Name of the score: "Probability of violence".
        windows: Start and end in seconds, and score in [0, 1], of each window; ascending.
        segments: Start and end in seconds.
        threshold: On the score.
        novelty: Of each window; above 1 it is unlike the training clips. Empty where that is not
            known.
        peak: The number of the window with the highest score.
        attention: Weight of each of the peak's T frames, sum 1; empty for a head without any.
        frames: Images of the peak, uint8 (H, W, 3) RGB, from its start to its end.
        missing_frames: The reason why there are none; empty if there are some.
        nearest: The training clips nearest to the peak, each with an image, uint8 (H, W, 3) RGB, or
            None where the video cannot be shown. Empty where they are not known.
        missing_nearest: The reason why they are not known; empty if they are.
    """

    title: str
    scored: str
    windows: Sequence[tuple[float, float, float]]
    segments: Sequence[tuple[float, float]]
    threshold: float
    novelty: Sequence[float]
    peak: int
    attention: Sequence[float] = ()
    frames: Sequence[np.ndarray] = ()
    missing_frames: str = ""
    nearest: Sequence[tuple[NearClip, np.ndarray | None]] = ()
    missing_nearest: str = ""


def draw_explanation(path: Path, explanation: Explanation) -> None:
    """Draws the figure.

    Args:
        path: PNG file.
        explanation: What is drawn.
    """
    figure = figure_style.new_figure(_SIZE_IN)
    rows = figure.add_gridspec(5, 1, height_ratios=[2, 1.4, 1.7, 1.2, 2.1])
    scores = figure.add_subplot(rows[0])
    _draw_scores(scores, explanation)
    _draw_novelty(figure.add_subplot(rows[1], sharex=scores), explanation)
    start_s, end_s, score = explanation.windows[explanation.peak]
    heading = (
        f"The highest window, {units.format_duration(start_s)} to {units.format_duration(end_s)}: "
        f"{score:.3f}"
    )
    _draw_frames(rows[2], explanation, heading)
    _draw_attention(figure.add_subplot(rows[3]), explanation)
    _draw_nearest(rows[4], explanation)
    figure_style.save_figure(path, figure)


def _draw_scores(axes: Axes, explanation: Explanation) -> None:
    figure_style.style_axes(axes)
    table = np.array(explanation.windows, float)
    for span in explanation.segments:
        axes.axvspan(*span, color=figure_style.VIOLENT, alpha=0.18, linewidth=0)
    axes.axhline(explanation.threshold, color=figure_style.INK, linewidth=1, linestyle=(0, (4, 3)))
    times_s, values = timeline_figure.window_steps(table)
    axes.fill_between(times_s, values, color=figure_style.NORMAL, alpha=0.15, linewidth=0)
    axes.plot(times_s, values, color=figure_style.NORMAL, linewidth=1.5)
    above = np.where(values >= explanation.threshold, values, np.nan)
    axes.plot(times_s, above, color=figure_style.VIOLENT, linewidth=2)
    figure_style.unit_axes(axes, "", explanation.scored.replace(" of ", "\nof "))
    axes.set_xlim(table[0, 0], table[-1, 1])
    timeline_figure.format_time_axis(axes, table[-1, 1] - table[0, 0], None)
    axes.tick_params(labelsize=9)
    axes.yaxis.label.set_fontsize(10)
    title = explanation.title if len(explanation.title) <= 90 else f"…{explanation.title[-89:]}"
    _heading(axes, title)


def _draw_novelty(axes: Axes, explanation: Explanation) -> None:
    figure_style.style_axes(axes)
    axes.set_ylabel("Novelty", fontsize=10)
    axes.tick_params(labelsize=9)
    if not explanation.novelty:
        axes.set_yticks([])
        return _note(axes, explanation.missing_nearest or "Novelty is not known")
    table = np.array(explanation.windows, float)
    table[:, 2] = explanation.novelty
    times_s, values = timeline_figure.window_steps(table)
    axes.plot(times_s, values, color=figure_style.NORMAL, linewidth=1.5)
    novel = np.where(values > 1, values, np.nan)
    axes.plot(times_s, novel, color=figure_style.VIOLENT, linewidth=2)
    axes.axhline(1, color=figure_style.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(0, max(1.3, 1.1 * float(np.nanmax(values))))
    axes.text(
        *(0.995, 1),
        "above the line: unlike anything it was trained on",
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=8,
        color=figure_style.FAINT,
    )


def _row_of_axes(place: SubplotSpec, count: int, heading: str, *, space: float) -> list[Axes]:
    """Axes of images side by side, at least one, under a heading."""
    grid = GridSpecFromSubplotSpec(1, max(1, count), subplot_spec=place, wspace=space)
    row = [place.get_gridspec().figure.add_subplot(cell) for cell in grid]
    for axes in row:
        axes.set_axis_off()
    _heading(row[0], heading)
    return row


def _draw_frames(place: SubplotSpec, explanation: Explanation, heading: str) -> None:
    count = len(explanation.frames)
    for number, axes in enumerate(_row_of_axes(place, count, heading, space=0.03)):
        if explanation.frames:
            axes.imshow(explanation.frames[number])
        else:
            _note(axes, f"No frames: {explanation.missing_frames}")


def _draw_attention(axes: Axes, explanation: Explanation) -> None:
    figure_style.style_axes(axes)
    axes.set_ylabel("Attention", fontsize=10)
    axes.tick_params(labelsize=9)
    axes.set_yticks([])
    start_s, end_s, _ = explanation.windows[explanation.peak]
    axes.set_xlim(start_s, end_s)
    axes.xaxis.set_major_formatter(lambda time_s, _: f"{time_s:.4g} s")
    if not len(explanation.attention):
        axes.set_xticks([])
        return _note(axes, "This classifier has no attention over time")
    weights = np.array(explanation.attention, float)
    width_s = (end_s - start_s) / len(weights)
    middles_s = start_s + (np.arange(len(weights)) + 0.5) * width_s
    axes.bar(middles_s, weights, width=0.8 * width_s, color=figure_style.NORMAL)
    axes.axhline(1 / len(weights), color=figure_style.INK, linewidth=1, linestyle=(0, (4, 3)))
    return None


def _draw_nearest(place: SubplotSpec, explanation: Explanation) -> None:
    count = len(explanation.nearest)
    row = _row_of_axes(place, count, "Nearest training clips", space=0.05)
    for number, axes in enumerate(row):
        if not explanation.nearest:
            _note(axes, explanation.missing_nearest)
            continue
        clip, image = explanation.nearest[number]
        if image is None:
            _note(axes, "the video cannot be shown")
        else:
            axes.imshow(image)
        path = (
            clip.path
            if len(clip.path) <= _PATH_CHARACTERS
            else f"…{clip.path[1 - _PATH_CHARACTERS :]}"
        )
        group = figure_style.truncate(clip.group, _PATH_CHARACTERS)
        axes.text(
            *(0.5, -0.04),
            f"{clip.label}, distance {clip.distance:.2f}\n{path}\nrecording {group}",
            transform=axes.transAxes,
            ha="center",
            va="top",
            fontsize=8.5,
            color=figure_style.INK,
            parse_math=False,
        )


def _heading(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=10.5, color=figure_style.INK, loc="left", parse_math=False)


def _note(axes: Axes, text: str) -> None:
    axes.text(
        *(0.5, 0.5),
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=9.5,
        color=figure_style.FAINT,
        wrap=True,
        parse_math=False,
    )

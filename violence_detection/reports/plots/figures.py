"""Figures as PNG files that stay readable at a width of 480 pixels.

Every function draws one file, or into an open one; a file is complete or does not exist. A figure
without data, such as a ROC curve of videos of one class, holds a message instead. Without pyplot
there is no global state, and no window system is needed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from violence_detection.reports.plots import figure_style
from violence_detection.reports.robustness_result import RobustnessScores


def draw_roc(
    path: Path,
    violent: np.ndarray,
    probability: np.ndarray,
    auc: float | None,
    *,
    threshold: float | None = None,
) -> None:
    """Draws recall over false-alarm rate, for every threshold; a dot marks one of them.

    Args:
        path: PNG file.
        violent: bool (N,).
        probability: float (N,), of violence.
        auc: The area under the curve; None for videos of one class only.
        threshold: The threshold to mark; None to mark none.
    """
    figure, axes = figure_style.new_axes()
    if auc is None or _one_class(violent):
        return figure_style.save_message(path, figure, "Videos of one class only:\nno ROC curve")
    false_alarm_rate, recall, _ = roc_curve(violent, probability)
    axes.plot([0, 1], [0, 1], color=figure_style.FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.fill_between(false_alarm_rate, recall, color=figure_style.NORMAL, alpha=0.10, linewidth=0)
    axes.plot(false_alarm_rate, recall, color=figure_style.NORMAL, linewidth=2)
    if threshold is not None:
        violent, alarm = np.asarray(violent, bool), np.asarray(probability) >= threshold
        place = np.mean(alarm[~violent]), np.mean(alarm[violent])
        _mark_threshold(axes, *place, threshold, right=place[0] < 0.5)
    axes.text(0.96, 0.06, f"AUC {auc:.3f}", ha="right", color=figure_style.INK, fontsize=14)
    figure_style.unit_axes(axes, "False alarms (fraction of normal)", "Found (fraction of violent)")
    figure_style.save_figure(path, figure)


def draw_precision_recall(
    path: Path,
    violent: np.ndarray,
    probability: np.ndarray,
    average_precision: float,
    *,
    threshold: float | None = None,
) -> None:
    """Draws precision over recall, for every threshold; the dashed line is chance, and a dot marks
    one threshold.

    Args:
        path: PNG file.
        violent: bool (N,).
        probability: float (N,), of violence.
        average_precision: Written into the figure.
        threshold: The threshold to mark; None to mark none. Without an alarm there is no precision.
    """
    figure, axes = figure_style.new_axes()
    if _one_class(violent):
        text = "Videos of one class only:\nno precision-recall curve"
        return figure_style.save_message(path, figure, text)
    precision, recall, _ = precision_recall_curve(violent, probability)
    chance = float(np.mean(violent))
    axes.axhline(chance, color=figure_style.FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(recall, precision, color=figure_style.NORMAL, linewidth=2, drawstyle="steps-pre")
    violent = np.asarray(violent, bool)
    alarm = np.asarray(probability) >= (2.0 if threshold is None else threshold)
    if alarm.any():
        place = np.mean(alarm[violent]), np.mean(violent[alarm])
        _mark_threshold(axes, *place, threshold, right=place[0] < 0.5)
    label = f"average precision {average_precision:.3f}"
    axes.text(0.04, 0.06, label, color=figure_style.INK, fontsize=12)
    figure_style.unit_axes(axes, "Found (fraction of violent)", "Precision (fraction of alarms)")
    figure_style.save_figure(path, figure)


def _mark_threshold(axes: Axes, x: float, y: float, threshold: float, *, right: bool) -> None:
    """A dot on a curve, with the threshold beside it."""
    axes.plot(x, y, "o", color=figure_style.INK, markersize=7, clip_on=False, zorder=5)
    axes.annotate(
        f"threshold {threshold:.2f}",
        (x, y),
        xytext=(9 if right else -9, -14),
        textcoords="offset points",
        ha="left" if right else "right",
        color=figure_style.INK,
        fontsize=10.5,
    )


def draw_confusion(
    path: Path | BinaryIO, matrix: Sequence[Sequence[int]], classes: Sequence[str]
) -> None:
    """Draws counts of actual against predicted classes, coloured by the fraction of each row.

    Args:
        path: PNG file, or an open one.
        matrix: int (K, K); rows are actual classes, columns predicted ones.
        classes: The K names.
    """
    counts = np.asarray(matrix)
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_large = len(classes) > 6
    side_in = (2.0 + 0.48 * len(classes), 1.7 + 0.42 * len(classes))
    figure, axes = figure_style.new_axes(*([side_in] if is_large else []))
    axes.imshow(fraction, cmap="Blues", vmin=0.0, vmax=1.25, aspect="auto")
    size = 15 if len(classes) <= 4 else 11
    for row, column in np.ndindex(*counts.shape):
        if is_large and not counts[row, column]:
            continue  # of many classes most cells are empty, and zeros would hide the others
        text = str(counts[row, column])
        colour = "white" if fraction[row, column] > 0.7 else figure_style.INK
        place = {"ha": "center", "va": "center", "fontsize": size, "color": colour}
        axes.text(column, row, text, **place)
    figure_style.name_ticks(axes, classes)
    axes.set(xlabel="Predicted", ylabel="Actual")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure_style.save_figure(path, figure)


def draw_attention(
    path: Path | BinaryIO,
    weights: np.ndarray,
    names: Sequence[str],
    answers: Sequence[str],
) -> None:
    """Draws the attention of a classifier over the frames of each clip; darker is more.

    Args:
        path: PNG file, or an open one.
        weights: float (N, T), rows sum to 1.
        names: Names of the N clips, on the left.
        answers: Probability of violence and actual class of each clip, on the right.
    """
    count, frames = weights.shape
    figure, axes = figure_style.new_axes((4.8, 1.6 + 0.34 * count))
    # With even attention every frame has the value 1.
    image = axes.imshow(weights * frames, cmap="Blues", vmin=0.0, aspect="auto")
    bar = figure.colorbar(image, ax=axes, location="top", aspect=40, pad=0.02)
    bar.set_label("Attention (1 = even over the frames)", fontsize=10.5, color=figure_style.INK)
    bar.ax.tick_params(
        colors=figure_style.FAINT, labelcolor=figure_style.INK, labelsize=9, length=2
    )
    bar.outline.set_visible(False)
    style = {"parse_math": False, "fontsize": 9}
    axes.set_yticks(range(count), [figure_style.truncate(name) for name in names], **style)
    right = axes.secondary_yaxis("right")
    right.set_yticks(
        range(count), [figure_style.truncate(answer, 18) for answer in answers], **style
    )
    right.spines[:].set_visible(False)
    right.tick_params(length=0, labelcolor=figure_style.INK)
    note = "On the right: probability of violence, actual class"
    axes.set_xlabel(f"Frame of the clip\n{note}", fontsize=10.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(lambda frame, _: f"{frame + 1:.0f}")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure_style.save_figure(path, figure)


def draw_score_histogram(
    path: Path, violent: np.ndarray, probability: np.ndarray, threshold: float
) -> None:
    """Draws histograms of the probability of normal and violent videos; dashed, the threshold.

    Args:
        path: PNG file.
        violent: bool (N,).
        probability: float (N,), of violence.
        threshold: Alarms are at or above it.
    """
    figure, axes = figure_style.new_axes()
    violent, probability = np.asarray(violent, dtype=bool), np.asarray(probability)
    if violent.size == 0:
        return figure_style.save_message(path, figure, "No videos")
    bins = np.linspace(0.0, 1.0, 21)
    kinds = (("normal", ~violent, figure_style.NORMAL), ("violent", violent, figure_style.VIOLENT))
    for name, members, colour in kinds:
        label = f"{name} ({members.sum()})"
        style = {"color": colour, "alpha": 0.55, "edgecolor": "white", "linewidth": 0.6}
        axes.hist(probability[members], bins=bins, label=label, **style)
    label = f"threshold {threshold:.2f}"
    axes.axvline(threshold, color=figure_style.INK, linestyle=(0, (4, 3)), label=label)
    axes.set(xlabel="Probability of violence", ylabel="Videos", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure_style.add_legend(axes, columns=3)
    figure_style.save_figure(path, figure)


def draw_reliability(
    path: Path,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    error: float,
) -> None:
    """Draws the fraction of violent videos over their predicted probability; the dashed line is
    perfect calibration.

    Args:
        path: PNG file.
        curves: By name: mean probability, fraction of violent videos and number of videos in each
            bin. The size of a dot is the number of videos.
        error: The expected calibration error of the first curve, written into the figure.
    """
    figure, axes = figure_style.new_axes()
    if not any(count.size for _, _, count in curves.values()):
        return figure_style.save_message(path, figure, "No videos")
    axes.plot([0, 1], [0, 1], color=figure_style.FAINT, linewidth=1, linestyle=(0, (4, 3)))
    for (name, (mean, fraction, count)), colour in zip(
        curves.items(), (figure_style.VIOLENT, figure_style.NORMAL), strict=False
    ):
        axes.plot(mean, fraction, color=colour, linewidth=1.5, label=name)
        axes.scatter(mean, fraction, s=12 + 160 * count / count.sum(), color=colour)
    axes.text(0.96, 0.06, f"error {error:.3f}", ha="right", color=figure_style.INK, fontsize=14)
    figure_style.unit_axes(axes, "Probability of violence", "Violent (fraction of videos)")
    if len(curves) > 1:
        figure_style.add_legend(axes, columns=2)
    figure_style.save_figure(path, figure)


def draw_robustness(path: Path, scores: RobustnessScores) -> None:
    """Draws the accuracy under each condition with its interval; dashed, of the unchanged videos.

    Args:
        path: PNG file.
        scores: Scores under the conditions; those without videos are left out.
    """
    plain = [row for row in (scores.control, scores.clean) if row is not None]
    rows = sorted(scores.conditions, key=lambda row: row.accuracy)
    rows = [row for row in (*rows, *plain) if row.videos]
    figure, axes = figure_style.new_axes((4.8, 1.4 + 0.3 * len(rows)))
    if not rows:
        return figure_style.save_message(path, figure, "No videos")
    axes.axvline(
        scores.clean.accuracy, color=figure_style.FAINT, linewidth=1, linestyle=(0, (4, 3))
    )
    for place, row in enumerate(rows):
        colour = figure_style.NORMAL if row in plain else figure_style.VIOLENT
        axes.plot(row.accuracy_ci, [place, place], color=colour, linewidth=2)
        dot = {"color": colour, "markersize": 6, "clip_on": False}
        axes.plot(row.accuracy, place, "o", **dot)
        margin = {"transform": axes.get_yaxis_transform(), "va": "center_baseline"}
        text = f"{row.accuracy:.0%}"
        axes.text(1.03, place, text, color=figure_style.INK, fontsize=10.5, **margin)
    names = [figure_style.truncate(row.name, 28) for row in rows]
    axes.set_yticks(range(len(rows)), names, parse_math=False, fontsize=10.5)
    axes.set(xlabel="Accuracy (95% CI over recordings)", ylim=(-0.6, len(rows) - 0.4))
    lowest = min(row.accuracy_ci[0] for row in rows)
    axes.set_xlim(max(0.0, 0.1 * int(10 * lowest - 0.5)), 1.0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(False, axis="y")
    figure_style.save_figure(path, figure)


def draw_history(
    path: Path, rows: Sequence[Mapping[str, Any]], *, kept_epoch: int | None = None
) -> None:
    """Draws the loss, and below it validation accuracy and AUC, over the epochs.

    Args:
        path: PNG file.
        rows: A row for each epoch: epoch, loss, val_loss, val_accuracy, val_auc; a value that is
            missing or None leaves a gap.
        kept_epoch: The epoch whose weights were kept, marked by a vertical line; None for none.
    """
    figure = figure_style.new_figure((4.8, 4.8))
    if not rows:
        return figure_style.save_message(path, figure, "No epochs")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes in (upper, lower):
        figure_style.style_axes(axes)
    _plot_columns(upper, rows, {"loss": "training", "val_loss": "validation"})
    _plot_columns(lower, rows, {"val_accuracy": "accuracy", "val_auc": "AUC"})
    if kept_epoch is not None:
        for axes in (upper, lower):
            axes.axvline(kept_epoch, color=figure_style.INK, linewidth=1, linestyle=(0, (4, 3)))
    kept = "" if kept_epoch is None else f" (dashed: {kept_epoch} is kept)"
    upper.set(ylabel="Loss")
    lower.set(xlabel=f"Epoch{kept}", ylabel="Validation")
    lower.set_ylim(top=1.0)
    lower.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    figure_style.save_figure(path, figure)


def _plot_columns(axes: Axes, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """Draws a line for each column; a column without any number is left out."""
    epochs = _column(rows, "epoch")
    for (name, label), colour in zip(
        names.items(), (figure_style.NORMAL, figure_style.VIOLENT), strict=True
    ):
        values = _column(rows, name)
        if np.isfinite(values).any():
            marker = "o" if len(rows) <= 20 else None
            style = {"linewidth": 2, "marker": marker, "markersize": 4}
            axes.plot(epochs, values, color=colour, label=label, **style)
    if axes.lines:
        figure_style.add_legend(axes, columns=2)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """float (E,), NaN where a row has no value."""
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value in (None, "") else float(value) for value in values])


def _one_class(violent: np.ndarray) -> bool:
    return np.unique(np.asarray(violent, dtype=bool)).size < 2

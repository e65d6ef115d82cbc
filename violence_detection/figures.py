"""Pictures of what a detector does, as PNG files that stay readable at 480 pixels.

Every function draws one file, whole or not there, or into one that is open. Where there
is nothing to draw, as with videos of one class only, the picture says so. No pyplot:
nothing is global, and no window system is needed.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, MultipleLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from violence_detection import files, units

_SIZE_IN = (4.8, 3.6)
_DPI = 200  # 960 pixels wide, for screens with two to a point
_INK, _FAINT, _GRID = "#26313c", "#6b7885", "#e3e8ec"
_NORMAL, _VIOLENT = "#2f7ea8", "#c8502d"  # told apart by colour-blind readers too
_NAME_CHARACTERS = 14
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_TICKS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(count * _MINUTE_S for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR_S for count in (1, 2, 3, 6, 12)),
    *(count * _DAY_S for count in (1, 2, 7, 30)),
)


def roc(
    path: Path, violent: np.ndarray, probability: np.ndarray, auc: float | None
) -> None:
    """Recall over false-alarm rate, for every threshold.

    Args:
        path: PNG file.
        violent: bool (N,).
        probability: float (N,), of violence.
        auc: The area under the curve; None where only one class is present.
    """
    figure, axes = _sheet()
    if auc is None or _one_class(violent):
        return _save_message(path, figure, "Videos of one class only:\nno ROC curve")
    false_alarm_rate, recall, _ = roc_curve(violent, probability)
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.fill_between(false_alarm_rate, recall, color=_NORMAL, alpha=0.10, linewidth=0)
    axes.plot(false_alarm_rate, recall, color=_NORMAL, linewidth=2)
    axes.text(0.96, 0.06, f"AUC {auc:.3f}", ha="right", color=_INK, fontsize=14)
    _unit_axes(axes, "False alarms (share of normal)", "Found (share of violent)")
    _save(path, figure)


def precision_recall(
    path: Path, violent: np.ndarray, probability: np.ndarray, average_precision: float
) -> None:
    """Precision over recall, for every threshold; dashed, what chance would give.

    Args:
        path: PNG file.
        violent: bool (N,).
        probability: float (N,), of violence.
        average_precision: Written into the picture.
    """
    figure, axes = _sheet()
    if _one_class(violent):
        text = "Videos of one class only:\nno precision-recall curve"
        return _save_message(path, figure, text)
    precision, recall, _ = precision_recall_curve(violent, probability)
    chance = float(np.mean(violent))
    axes.axhline(chance, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(recall, precision, color=_VIOLENT, linewidth=2, drawstyle="steps-pre")
    label = f"average precision {average_precision:.3f}"
    axes.text(0.04, 0.06, label, color=_INK, fontsize=12)
    _unit_axes(axes, "Found (share of violent)", "Right among alarms (precision)")
    _save(path, figure)


def confusion(
    path: Path | BinaryIO, matrix: Sequence[Sequence[int]], classes: Sequence[str]
) -> None:
    """Counts of true against predicted classes, coloured by the share of each row.

    Args:
        path: PNG file, or an open one.
        matrix: int (K, K), rows true and columns predicted.
        classes: The K names.
    """
    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _sheet()
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.25, aspect="auto")
    size = 15 if len(classes) <= 4 else 9
    for row, column in np.ndindex(*counts.shape):
        text = str(counts[row, column])
        colour = "white" if share[row, column] > 0.7 else _INK
        place = {"ha": "center", "va": "center", "fontsize": size, "color": colour}
        axes.text(column, row, text, **place)
    _name_ticks(axes, classes)
    axes.set(xlabel="Predicted", ylabel="True")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    _save(path, figure)


def attention(
    path: Path | BinaryIO,
    weights: np.ndarray,
    names: Sequence[str],
    answers: Sequence[str],
) -> None:
    """Where in each clip a classifier looks: dark is much, white nothing.

    Args:
        path: PNG file, or an open one.
        weights: float (N, T), rows sum to 1.
        names: Of the N clips, on the left.
        answers: Probability of violence of each, and what is true; on the right.
    """
    count, frames = weights.shape
    figure, axes = _sheet((4.8, 1.6 + 0.34 * count))
    # 1 is what every frame has where none stands out.
    image = axes.imshow(weights * frames, cmap="Blues", vmin=0.0, aspect="auto")
    bar = figure.colorbar(image, ax=axes, location="top", aspect=40, pad=0.02)
    bar.set_label("Attention (1: even over the frames)", fontsize=10.5, color=_INK)
    bar.ax.tick_params(colors=_FAINT, labelcolor=_INK, labelsize=9, length=2)
    bar.outline.set_visible(False)
    style = {"parse_math": False, "fontsize": 9}
    axes.set_yticks(range(count), [_cut(name) for name in names], **style)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(count), [_cut(answer, 18) for answer in answers], **style)
    right.spines[:].set_visible(False)
    right.tick_params(length=0, labelcolor=_INK)
    note = "On the right: probability of violence, and the truth"
    axes.set_xlabel(f"Frame of the clip\n{note}", fontsize=10.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(lambda frame, _: f"{frame + 1:.0f}")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    _save(path, figure)


def score_histogram(
    path: Path, violent: np.ndarray, probability: np.ndarray, threshold: float
) -> None:
    """How many videos of either kind got which probability; dashed, the threshold.

    Args:
        path: PNG file.
        violent: bool (N,).
        probability: float (N,), of violence.
        threshold: Alarms are at or above it.
    """
    figure, axes = _sheet()
    violent, probability = np.asarray(violent, dtype=bool), np.asarray(probability)
    if violent.size == 0:
        return _save_message(path, figure, "No videos")
    bins = np.linspace(0.0, 1.0, 21)
    kinds = (("normal", ~violent, _NORMAL), ("violent", violent, _VIOLENT))
    for name, members, colour in kinds:
        label = f"{name} ({members.sum()})"
        style = {"color": colour, "alpha": 0.55, "edgecolor": "white", "linewidth": 0.6}
        axes.hist(probability[members], bins=bins, label=label, **style)
    label = f"threshold {threshold:.2f}"
    axes.axvline(threshold, color=_INK, linestyle=(0, (4, 3)), label=label)
    axes.set(xlabel="Probability of violence", ylabel="Videos", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _legend(axes, columns=3)
    _save(path, figure)


def reliability(
    path: Path,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    error: float,
) -> None:
    """Share of violent videos over the probability given to them; dashed, what it should be.

    Args:
        path: PNG file.
        curves: By name, or one without: mean probability, share of violent videos and number
            of videos in each bin; a dot is as large as the bin.
        error: The expected calibration error of the first, written into the picture.
    """
    figure, axes = _sheet()
    if not any(count.size for _, _, count in curves.values()):
        return _save_message(path, figure, "No videos")
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1, linestyle=(0, (4, 3)))
    for (name, (mean, share, count)), colour in zip(
        curves.items(), (_VIOLENT, _NORMAL), strict=False
    ):
        axes.plot(mean, share, color=colour, linewidth=1.5, label=name)
        axes.scatter(mean, share, s=12 + 160 * count / count.sum(), color=colour)
    axes.text(0.96, 0.06, f"error {error:.3f}", ha="right", color=_INK, fontsize=14)
    _unit_axes(axes, "Probability of violence", "Violent (share of videos)")
    if len(curves) > 1:
        _legend(axes, columns=2)
    _save(path, figure)


def timeline(
    path: Path,
    windows: Sequence[Mapping[str, float]],
    segments: Sequence[Mapping[str, float]],
    *,
    threshold: float,
    title: str,
) -> None:
    """Probability over the time of a video, segments shaded; dashed, the threshold.

    Args:
        path: PNG file.
        windows: start_s, end_s, probability; ascending.
        segments: start_s, end_s.
        threshold: On the probability.
        title: Above it, cut at the front where it is long.
    """
    figure, axes = _sheet((9.6, 2.8))
    if not windows:
        return _save_message(path, figure, "No windows")
    for one in segments:
        span = (one["start_s"], one["end_s"])
        axes.axvspan(*span, color=_VIOLENT, alpha=0.18, linewidth=0)
    axes.axhline(threshold, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
    times_s, values = _steps(windows)
    axes.fill_between(times_s, values, color=_NORMAL, alpha=0.15, linewidth=0)
    axes.plot(times_s, values, color=_NORMAL, linewidth=1.5)
    above = np.where(values >= threshold, values, np.nan)
    axes.plot(times_s, above, color=_VIOLENT, linewidth=2)
    ends_s = (windows[0]["start_s"], windows[-1]["end_s"])
    _unit_axes(axes, "", "Probability\nof violence")
    axes.set_xlim(ends_s)
    _time_axis(axes, ends_s[1] - ends_s[0])
    shown = title if len(title) <= 90 else f"…{title[-89:]}"
    axes.set_title(shown, fontsize=10.5, color=_INK, loc="left", parse_math=False)
    _save(path, figure)


def _steps(windows: Sequence[Mapping[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The highest probability of the windows at each time, as corners of a line, float (P,); NaN
    where no window is."""
    edges = np.unique([one[end] for one in windows for end in ("start_s", "end_s")])
    starts, ends, values = (
        np.array([one[name] for one in windows])
        for name in ("start_s", "end_s", "probability")
    )
    # Windows ascend in both ends, so those at a time are neighbours.
    first = np.searchsorted(ends, edges[:-1], side="right")
    last = np.searchsorted(starts, edges[:-1], side="right")
    highest = np.array(
        [
            values[a:b].max() if a < b else np.nan
            for a, b in zip(first, last, strict=True)
        ]
    )
    return np.repeat(edges, 2)[1:-1], np.repeat(highest, 2)


def _time_axis(axes: Axes, duration_s: float) -> None:
    """Ticks at whole seconds, minutes or hours, as `1:15`."""
    steps = [step for step in _TICKS_S if duration_s / step <= 10] or [_TICKS_S[-1]]
    axes.xaxis.set_major_locator(MultipleLocator(steps[0]))
    axes.xaxis.set_major_formatter(lambda time_s, _: units.format_duration(time_s))


def history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Loss above, validation accuracy and AUC below, epoch by epoch.

    Args:
        path: PNG file.
        rows: One an epoch: epoch, loss, val_loss, val_accuracy, val_auc; a value that
            is absent or None leaves a gap.
    """
    figure = _figure((4.8, 4.8))
    if not rows:
        return _save_message(path, figure, "No epochs")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes in (upper, lower):
        _dress(axes)
    _plot_columns(upper, rows, {"loss": "training", "val_loss": "validation"})
    _plot_columns(lower, rows, {"val_accuracy": "accuracy", "val_auc": "AUC"})
    upper.set(ylabel="Loss")
    lower.set(xlabel="Epoch", ylabel="On validation")
    lower.set_ylim(top=1.0)
    lower.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    _save(path, figure)


def _figure(size_in: tuple[float, float]) -> Figure:
    margin = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    return Figure(figsize=size_in, dpi=_DPI, layout=margin)


def _sheet(size_in: tuple[float, float] = _SIZE_IN) -> tuple[Figure, Axes]:
    figure = _figure(size_in)
    axes = figure.subplots()
    _dress(axes)
    return figure, axes


def _dress(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(_FAINT)
    axes.tick_params(colors=_FAINT, labelcolor=_INK, labelsize=11, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=12, color=_INK)


def _unit_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_yticks(ticks, ["0", "", "0.5", "", "1"])


def _name_ticks(axes: Axes, classes: Sequence[str]) -> None:
    """Class names on both axes, cut where long, never read as formulas (`$`)."""
    names = [_cut(name) for name in classes]
    many = len(names) > 3
    size = 11 if len(names) <= 6 else 8
    style = {"parse_math": False, "fontsize": size}
    slant = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if many else {}
    axes.set_xticks(range(len(names)), names, **style, **slant)
    upright = {} if many else {"rotation": 90, "va": "center"}
    axes.set_yticks(range(len(names)), names, **style, **upright)
    axes.tick_params(length=0)


def _cut(name: str, characters: int = _NAME_CHARACTERS) -> str:
    return name if len(name) <= characters else name[: characters - 1] + "…"


def _plot_columns(
    axes: Axes, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> None:
    """One line a column; a column without any number is left out."""
    epochs = _column(rows, "epoch")
    for (name, label), colour in zip(names.items(), (_NORMAL, _VIOLENT), strict=True):
        values = _column(rows, name)
        if np.isfinite(values).any():
            marker = "o" if len(rows) <= 20 else None
            style = {"linewidth": 2, "marker": marker, "markersize": 4}
            axes.plot(epochs, values, color=colour, label=label, **style)
    if axes.lines:
        _legend(axes, columns=2)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """float (E,), NaN where a row has no value."""
    values = [row.get(name) for row in rows]
    return np.array(
        [np.nan if value in (None, "") else float(value) for value in values]
    )


def _legend(axes: Axes, columns: int) -> None:
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns}
    space = {"handlelength": 1.4, "columnspacing": 1.4}
    axes.legend(frameon=False, fontsize=10.5, labelcolor=_INK, **place, **space)


def _one_class(violent: np.ndarray) -> bool:
    return np.unique(np.asarray(violent, dtype=bool)).size < 2


def _save_message(path: Path, figure: Figure, text: str) -> None:
    figure.clear()
    place = {"ha": "center", "va": "center", "color": _FAINT, "fontsize": 14}
    figure.text(0.5, 0.5, text, **place)
    _save(path, figure)


def _save(path: Path | BinaryIO, figure: Figure) -> None:
    whole = files.writing(path) if isinstance(path, Path) else nullcontext(path)
    # Without the software's name in it, equal data gives equal bytes.
    with whole as file, warnings.catch_warnings():
        # A class named in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, format="png", metadata={"Software": None})

"""The figure of recall, false alarm rate and precision over the threshold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from violence_detection.metrics.thresholds.threshold_curve import ThresholdCurve
from violence_detection.reports.plots import figure_style
from violence_detection.units import counted


def draw_threshold_curves(
    path: Path,
    curves: Mapping[str, ThresholdCurve],
    threshold: float,
    interval: Sequence[float] | None = None,
) -> None:
    """Draws recall, false alarm rate and precision over the threshold, a panel for each set of
    videos; bands are 95% intervals over recordings.

    Args:
        path: PNG file.
        curves: One or two, by the name of their videos.
        threshold: The threshold in use, a line.
        interval: [low, high] of its choice, a grey area; None for none.
    """
    figure = figure_style.new_figure((4.8, 0.9 + 2.7 * len(curves)))
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    names = {
        "recall": ("found", figure_style.VIOLENT),
        "false_positive_rate": ("false alarms", figure_style.NORMAL),
        "precision": ("precision", figure_style.FAINT),
    }
    for axes, (videos, curve) in zip(panels, curves.items(), strict=True):
        figure_style.style_axes(axes)
        if interval is not None:
            grey = {"color": figure_style.INK, "alpha": 0.08, "linewidth": 0}
            axes.axvspan(*interval, label="threshold, 95%", **grey)
        for name, (label, colour) in names.items():
            axes.plot(curve.thresholds, curve.rates[name], color=colour, linewidth=2, label=label)
            axes.fill_between(
                curve.thresholds, *curve.intervals[name], color=colour, alpha=0.15, linewidth=0
            )
        dashed = {"color": figure_style.INK, "linewidth": 1.5, "linestyle": (0, (4, 3))}
        axes.axvline(threshold, label=f"threshold {threshold:.2f}", **dashed)
        last = axes is panels[-1]
        figure_style.unit_axes(axes, "Threshold" if last else "", "Fraction")
        counts = f"{counted(curve.videos, 'video')}, "
        counts += counted(curve.recordings, "recording")
        axes.set_title(f"{videos}: {counts}", fontsize=10.5, color=figure_style.INK, loc="left")
    handles, labels = panels[0].get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    lines = ("found", f"threshold {threshold:.2f}", "false alarms", "threshold, 95%", "precision")
    shown = [label for label in lines if label in by_label]  # column by column
    figure.legend(
        [by_label[label] for label in shown],
        shown,
        loc="outside upper center",
        ncols=3,
        frameon=False,
        fontsize=10.5,
        labelcolor=figure_style.INK,
        handlelength=1.4,
        columnspacing=1.4,
    )
    figure_style.save_figure(path, figure)

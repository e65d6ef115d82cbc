"""Matplotlib style and saving, common to all figures."""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from violence_detection.system import files

_SIZE_IN = (4.8, 3.6)
_DPI = 200  # 960 pixels wide, for high-density screens
INK, FAINT, _GRID = "#26313c", "#6b7885", "#e3e8ec"
NORMAL, VIOLENT = "#2f7ea8", "#c8502d"  # distinct for colour-blind readers too
_NAME_CHARACTERS = 14


def new_figure(size_in: tuple[float, float]) -> Figure:
    margin = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    return Figure(figsize=size_in, dpi=_DPI, layout=margin)


def new_axes(size_in: tuple[float, float] = _SIZE_IN) -> tuple[Figure, Axes]:
    figure = new_figure(size_in)
    axes = figure.subplots()
    style_axes(axes)
    return figure, axes


def style_axes(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=11, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=12, color=INK)


def unit_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])


def name_ticks(axes: Axes, classes: Sequence[str]) -> None:
    """Class names on both axes, truncated where long; `$` does not start a formula."""
    names = [truncate(name) for name in classes]
    many = len(names) > 3
    size = 11
    style = {"parse_math": False, "fontsize": size}
    slant = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if many else {}
    axes.set_xticks(range(len(names)), names, **style, **slant)
    upright = {} if many else {"rotation": 90, "va": "center"}
    axes.set_yticks(range(len(names)), names, **style, **upright)
    axes.tick_params(length=0)


def truncate(name: str, characters: int = _NAME_CHARACTERS) -> str:
    return name if len(name) <= characters else name[: characters - 1] + "…"


def add_legend(axes: Axes, columns: int) -> None:
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns}
    space = {"handlelength": 1.4, "columnspacing": 1.4}
    axes.legend(frameon=False, fontsize=10.5, labelcolor=INK, **place, **space)


def save_message(path: Path, figure: Figure, text: str) -> None:
    figure.clear()
    place = {"ha": "center", "va": "center", "color": FAINT, "fontsize": 14}
    figure.text(0.5, 0.5, text, **place)
    save_figure(path, figure)


def save_figure(path: Path | BinaryIO, figure: Figure) -> None:
    opened = files.writing(path) if isinstance(path, Path) else nullcontext(path)
    # Without the version of the software in the file, equal data gives equal bytes.
    with opened as file, warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, format="png", metadata={"Software": None})

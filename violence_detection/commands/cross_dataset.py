"""The command `cross-dataset`, and the console text of its result."""

import shutil
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import RESUMES, Command
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.experiments.config import CrossDatasetConfig
from violence_detection.reports import console

if TYPE_CHECKING:
    from violence_detection.experiments.cross_dataset_result import Cell, CrossDatasetResult

_WIDTH = 120  # of what is not a terminal
_NOT_CLEAN = "NOT CLEAN: some of these videos, or others of their recordings, were in the training"


@click.command(
    cls=Command,
    started_again=RESUMES,
    short_help="Train on one dataset, test on others.",
    epilog=example("violence-detection cross-dataset feature_cache/my_videos feature_cache/others"),
)
@click.argument("features", nargs=-1, required=True, type=PATH, metavar="FEATURES...")
@options_of(CrossDatasetConfig)
def cross_dataset(
    settings: CrossDatasetConfig, flags: CommonFlags, features: tuple[str, ...]
) -> None:
    """Train on each of several datasets, and evaluate each training on all of them.

    FEATURES are folders that extract-features left, of two datasets or more, in one feature space.
    All options of train hold for every training. A training is evaluated on all videos of other
    datasets, and on the test videos of its own. The same command again resumes it."""

    def stage() -> Stage:
        from violence_detection.experiments.cross_dataset import CrossDatasetStage

        return CrossDatasetStage(list(features), settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines)


def result_lines(result: "CrossDatasetResult") -> list[str]:
    """The matrix of accuracies, the matrix of AUCs, and notes on them."""
    renamed_classes = {
        line
        for cell in result.cells
        if cell.scores
        for line in console.mapping_lines(cell.scores.class_mapping)
    }
    is_marked = any(cell.scores and not cell.scores.clean for cell in result.cells)
    return [
        f"folder      {result.dir}",
        *_matrix("accuracy", "accuracy", ".1%", result),
        "",
        *_matrix("AUC", "auc", ".3f", result),
        "",
        *([f"*           {_NOT_CLEAN}"] if is_marked else []),
        f"note        {result.note}",
        *sorted(renamed_classes),
        *[f"warning     {line}" for line in result.warnings],
        f"table       {result.matrix_csv}",
        *_loss_lines(result),
    ]


def _loss_lines(result: "CrossDatasetResult") -> list[str]:
    """The loss of each training on the other datasets, against the test videos of its own."""
    from violence_detection.metrics.intervals import difference_interval

    own = {cell.trained_on: cell.scores for cell in result.cells if cell.is_own and cell.scores}
    lines = []
    for cell in result.cells:
        if cell.is_own or cell.scores is None or cell.trained_on not in own:
            continue
        elsewhere, home = cell.scores.scores, own[cell.trained_on].scores
        points = 100 * (elsewhere.accuracy - home.accuracy)
        low, high = (
            100 * end
            for end in difference_interval(
                elsewhere.accuracy, elsewhere.accuracy_ci, home.accuracy, home.accuracy_ci
            )
        )
        text = f"{points:+.1f} points (95%: {low:+.1f} to {high:+.1f})"
        if elsewhere.auc is not None and home.auc is not None:
            text += f", AUC {elsewhere.auc - home.auc:+.3f}"
        lines.append(
            f"{'' if lines else 'elsewhere':11s} {cell.trained_on} on {cell.scored_on}: {text} "
            f"against its own test videos; {100 * cell.scores.false_alarm_rate:.0f}% of normal "
            "videos flagged"
        )
    return lines


def _matrix(title: str, metric: str, form: str, result: "CrossDatasetResult") -> list[str]:
    """A row for each training; where the terminal is too narrow, a line for each cell."""
    texts = {
        (cell.trained_on, cell.scored_on): _cell_text(cell, metric, form) for cell in result.cells
    }
    names = result.datasets
    rows = [[trained_on, *(texts[trained_on, name] for name in names)] for trained_on in names]
    lines = console.align_columns([["", *names], *rows])
    if max(map(len, lines)) <= shutil.get_terminal_size((_WIDTH, 24)).columns:
        how = "of the training on the dataset of the row, on the videos of the column"
        return [f"{title:11s} {how}", *lines]
    pairs = [[f"{trained} on {scored}", text] for (trained, scored), text in texts.items()]
    width = max(len(name) for name, _ in pairs)
    how = "of the training on a dataset, on the videos of another and on its own test videos"
    return [f"{title:11s} {how}", *(f"{'':12s}{name:{width}s}  {text}" for name, text in pairs)]


def _cell_text(cell: "Cell", metric: str, form: str) -> str:
    value = getattr(cell.scores.scores, metric) if cell.scores else None
    if value is None:
        return "none"
    low, high = getattr(cell.scores.scores, f"{metric}_ci") or (value, value)
    # A bootstrap of a perfect score has no width, which would read as certainty.
    interval = f" ({console.format_interval((low, high), form)})" if low < high else ""
    return f"{value:{form}}{interval}{'' if cell.scores.clean else ' *'}"

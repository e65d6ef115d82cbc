"""The command `cross-dataset`, and the console text of its result."""

from typing import TYPE_CHECKING

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.experiments.config import CrossDatasetConfig
from violence_detection.reports import console

if TYPE_CHECKING:
    from violence_detection.experiments.cross_dataset_result import Cell, CrossDatasetResult


@click.command(
    cls=Command,
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
    return [
        f"folder      {result.dir}",
        *_matrix("accuracy", "accuracy", ".1%", result),
        "",
        *_matrix("AUC", "auc", ".3f", result),
        "",
        f"note        {result.note}",
        *sorted(renamed_classes),
        *[f"warning     {line}" for line in result.warnings],
        f"table       {result.matrix_csv}",
    ]


def _matrix(title: str, metric: str, form: str, result: "CrossDatasetResult") -> list[str]:
    cells = {(cell.trained_on, cell.scored_on): cell for cell in result.cells}
    rows = [
        [
            trained_on,
            *(_cell_text(cells[trained_on, name], metric, form) for name in result.datasets),
        ]
        for trained_on in result.datasets
    ]
    return [
        f"{title:11s} of the training on the dataset of the row, on the videos of the column",
        *console.align_columns([["", *result.datasets], *rows]),
    ]


def _cell_text(cell: "Cell", metric: str, form: str) -> str:
    value = getattr(cell.scores.scores, metric) if cell.scores else None
    if value is None:
        return "none"
    interval = getattr(cell.scores.scores, f"{metric}_ci")
    mark = "" if cell.scores.clean else " NOT CLEAN"
    return f"{value:{form}} ({console.format_interval(interval, form)}){mark}"

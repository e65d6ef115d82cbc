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
        *_loss_lines(result),
        *_matrix("accuracy", "accuracy", ".1%", result),
        "",
        *_matrix("AUC", "auc", ".3f", result),
        "",
        f"note        {result.note}",
        *sorted(renamed_classes),
        *[f"warning     {line}" for line in result.warnings],
        f"table       {result.matrix_csv}",
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

"""The command `cross-dataset`, and the console text of its result."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.experiments.config import CrossDatasetConfig
from violence_detection.reports import console


@click.command(
    cls=Command,
    short_help="Train on one dataset, test on others.",
    epilog=example(
        "violence-detection cross-dataset feature_cache/my_videos/SPACE feature_cache/others/SPACE"
    ),
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


def result_lines(result: dict[str, Any]) -> list[str]:
    """The matrix of accuracies, the matrix of AUCs, and notes on them."""
    cells = {(cell["trained_on"], cell["judged_on"]): cell for cell in result["cells"]}
    renamed_classes = {
        line
        for cell in result["cells"]
        for line in console.mapping_lines(cell.get("class_mapping", {}))
    }
    return [
        f"folder      {result['cross_dataset']}",
        *_matrix("accuracy", "accuracy", ".1%", result["datasets"], cells),
        "",
        *_matrix("AUC", "auc", ".3f", result["datasets"], cells),
        "",
        f"note        {result['note']}",
        *sorted(renamed_classes),
        *[f"warning     {line}" for line in result["warnings"]],
        f"table       {result['matrix_csv']}",
    ]


def _matrix(
    title: str,
    metric: str,
    form: str,
    names: list[str],
    cells: dict[tuple[str, str], dict[str, Any]],
) -> list[str]:
    rows = [
        [trained_on, *(_cell(cells[trained_on, name], metric, form) for name in names)]
        for trained_on in names
    ]
    return [
        f"{title:11s} of trainings on (down), evaluated on (across)",
        *console.align_columns([["", *names], *rows]),
    ]


def _cell(cell: dict[str, Any], metric: str, form: str) -> str:
    if cell.get(metric) is None:
        return "none"
    mark = "" if cell["clean"] else " NOT CLEAN"
    return f"{cell[metric]:{form}} ({console.format_interval(cell[f'{metric}_ci'], form)}){mark}"

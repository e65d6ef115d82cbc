"""What trainings on several datasets are worth on each other's videos."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.experiments.config import CrossDatasetConfig
from violence_detection.reports import console


@click.command(
    cls=Command,
    epilog=example(
        "violence-detection cross-dataset feature_cache/my_videos/SPACE feature_cache/others/SPACE"
    ),
)
@click.argument("features", nargs=-1, required=True, type=PATH, metavar="FEATURES...")
@options_of(CrossDatasetConfig)
def cross_dataset(
    settings: CrossDatasetConfig, shared: CommonFlags, features: tuple[str, ...]
) -> None:
    """Train on each of several datasets, and judge each training on all of them.

    FEATURES are folders that extract-features left, of two datasets or more, in one feature space.
    All options of train hold for every training. Other datasets are judged whole, its own by its
    test videos. Starting it again continues."""
    with prints_to_stderr():
        from violence_detection.experiments import cross_dataset as stage

        act = stage.plan if shared.dry_run else stage.run_cross_dataset
        result = act(list(features), settings, force=shared.force)
    finish(
        result,
        shared,
        console.table(result) if shared.dry_run else result_lines(result),
    )


def result_lines(result: dict[str, Any]) -> list[str]:
    """The matrix of accuracies, the matrix of areas, and what to know of them."""
    cells = {(one["trained_on"], one["judged_on"]): one for one in result["cells"]}
    renamed = {
        line
        for cell in result["cells"]
        for line in console.mapping_lines(cell.get("class_mapping", {}))
    }
    return [
        f"folder      {result['cross_dataset']}",
        *_matrix("accuracy", ".1%", result["datasets"], cells),
        "",
        *_matrix("auc", ".3f", result["datasets"], cells),
        "",
        f"note        {result['note']}",
        *sorted(renamed),
        *[f"warning     {line}" for line in result["warnings"]],
        f"table       {result['matrix_csv']}",
    ]


def _matrix(
    what: str,
    form: str,
    names: list[str],
    cells: dict[tuple[str, str], dict[str, Any]],
) -> list[str]:
    title = {"accuracy": "accuracy", "auc": "AUC"}[what]
    rows = [[one, *(_cell(cells[one, other], what, form) for other in names)] for one in names]
    return [
        f"{title:11s} of trainings on (down), judged on (across)",
        *console.aligned([["", *names], *rows]),
    ]


def _cell(cell: dict[str, Any], what: str, form: str) -> str:
    if cell.get(what) is None:
        return "none"
    mark = "" if cell["clean"] else " NOT CLEAN"
    return f"{cell[what]:{form}} ({console.span(cell[f'{what}_ci'], form)}){mark}"

"""The command `cross-validate`, and how its result reads."""

from typing import Any

import click

from violence_detection import units
from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import example, options_of
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.reports import console


@click.command(
    cls=Command,
    epilog=example(
        "violence-detection cross-validate --features feature_cache/my_videos/SPACE --folds 5"
    ),
)
@options_of(CrossValidateConfig)
def cross_validate(settings: CrossValidateConfig, shared: CommonFlags) -> None:
    """Judge a training by folds: each video by a classifier that has not met its recording.

    All options of train hold for every fold; nothing is chosen on the fold that is judged. Trivial
    baselines are judged on the same folds. Leaves a table by fold, every answer, and the results;
    starting it again continues with the folds that are missing."""
    with prints_to_stderr():
        from violence_detection.experiments import cross_validate
        from violence_detection.experiments.cross_validate import plan

        if shared.dry_run:
            result = plan(settings, force=shared.force)
        else:
            result = cross_validate.run_cross_validation(settings, force=shared.force)
    finish(result, shared, _plan_lines(result) if shared.dry_run else result_lines(result))


def _plan_lines(planned: dict[str, Any]) -> list[str]:
    return [
        f"folder      {planned['cross_validation']}",
        *[f"folds       {note}" for note in planned["protocols"]],
        f"trainings   {planned['trainings']}: {planned['folds']} folds, "
        f"{units.counted(planned['repeats'], 'repeat')}",
        f"videos      {planned['videos']}",
    ]


def result_lines(result: dict[str, Any]) -> list[str]:
    """A table by fold for each kind of folds, and one of the model beside the baselines."""
    protocols = [result, *([result["random"]] if "random" in result else [])]
    lines = [
        f"folder      {result['cross_validation']}",
        f"videos      {result['videos']} of {units.counted(result['recordings'], 'recording')}",
    ]
    for one in protocols:
        rows = [row for row in result["by_fold"] if row["grouped"] == one["grouped"]]
        lines += ["", f"folds       {one['note']}", *_fold_lines(rows, one)]
    lines += ["", *_comparison_lines(protocols), "", *map(_rates_line, protocols)]
    lines += [*map(_trust_line, protocols), ""]
    lines += [f"left out    {line}" for line in result["left_out"]]
    lines += [f"warning     {line}" for line in result["warnings"]]
    tables = (result["folds_csv"], result["predictions_csv"])
    return [
        *lines,
        f"tables      {tables[0]}",
        f"            {tables[1]}",
        f"report      {result['report']}",
    ]


def _fold_lines(rows: list[dict[str, Any]], one: dict[str, Any]) -> list[str]:
    heads = "repeat fold videos recordings accuracy AUC epoch threshold".split()
    table = [
        [
            str(row["repeat"]),
            str(row["fold"]),
            str(row["videos"]),
            str(row["recordings"]),
            f"{row['accuracy']:.1%}",
            console.area(row["auc"]),
            str(row["best_epoch"]),
            f"{row['threshold']:.3f}",
        ]
        for row in rows
    ]
    accuracy, auc = one["accuracy"], one["auc"]
    table += [
        [
            "mean",
            *[""] * 3,
            f"{accuracy['mean']:.1%}",
            console.area(auc["mean"]),
            "",
            "",
        ],
        ["sd", *[""] * 3, f"{accuracy['sd']:.1%}", f"{auc['sd']:.3f}", "", ""],
    ]
    return [
        *console.aligned([heads, *table]),
        f"            95% of the mean: accuracy {console.span(accuracy['ci'], '.1%')}, AUC "
        f"{console.span(auc['ci'], '.3f')} (t over folds, corrected for what they share)",
    ]


def _comparison_lines(protocols: list[dict[str, Any]]) -> list[str]:
    """Model and baselines, the answers of all folds pooled, with intervals over recordings;
    grouped and random folds side by side."""
    kinds = [_kind(one) for one in protocols]
    heads = [head for kind in kinds for head in (f"{kind} accuracy", "95%", f"{kind} AUC", "95%")]
    rows = [
        [name, *(cell for one in protocols for cell in _cells(one["pooled"][name]))]
        for name in protocols[0]["pooled"]
        if all(name in one["pooled"] for one in protocols)
    ]
    return [
        "beside      the answers of all folds pooled, intervals over recordings"
        + ("; those of random folds are too good" if "random" in kinds else ""),
        *console.aligned([["", *heads], *rows]),
    ]


def _kind(one: dict[str, Any]) -> str:
    return "grouped" if one["grouped"] else "random"


def _rates_line(one: dict[str, Any]) -> str:
    """What the model finds and at what price, each fold at its own threshold."""
    found = one["pooled"]["model"]
    recall, price = (
        f"{'none' if found[name] is None else format(found[name], '.1%')} "
        f"({console.span(found[f'{name}_ci'], '.1%')})"
        for name in ("recall", "false_positive_rate")
    )
    return (
        f"{_kind(one):11s} recall {recall}, false positive rate {price}, calibration error "
        f"{found['calibration_error']:.3f}, Brier score {found['brier_score']:.3f}"
    )


def _trust_line(one: dict[str, Any]) -> str:
    """What is in several folds, or what was not looked for."""
    if any(one["leak_counts"].values()):
        return f"trust       NOT CLEAN: in several {_kind(one)} folds are {console.leaked(one)}"
    looked = (
        "no recording, identical file or near-duplicate"
        if one["near_duplicates_searched"]
        else "no recording or identical file"
    )
    line = f"trust       {looked} is in several {_kind(one)} folds"
    if not one["near_duplicates_searched"]:
        line += f"; near-duplicates were not all looked for: {one['near_duplicates_reason']}"
    return line


def _cells(scores: dict[str, Any]) -> list[str]:
    return [
        f"{scores['accuracy']:.1%}",
        console.span(scores["accuracy_ci"], ".1%"),
        console.area(scores["auc"]),
        console.span(scores["auc_ci"], ".3f"),
    ]

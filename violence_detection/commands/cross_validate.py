"""The command `cross-validate`, and the console text of its result."""

from typing import Any

import click

from violence_detection import units
from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import example, options_of
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.reports import console


@click.command(
    cls=Command,
    short_help="Evaluate a training by folds.",
    epilog=example(
        "violence-detection cross-validate --features feature_cache/my_videos/SPACE --folds 5"
    ),
)
@options_of(CrossValidateConfig)
def cross_validate(settings: CrossValidateConfig, flags: CommonFlags) -> None:
    """Evaluate a training by folds: each video by a classifier not trained on its recording.

    All options of train hold for every fold; nothing is chosen on the held-out fold. Trivial
    baselines predict the same folds. Leaves a table by fold, every prediction, and the results;
    the same command again resumes with the missing folds."""

    def stage() -> Stage:
        from violence_detection.experiments.cross_validate import CrossValidationStage

        return CrossValidationStage(settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines, plan_lines=_plan_lines)


def _plan_lines(plan: dict[str, Any]) -> list[str]:
    return [
        f"folder      {plan['cross_validation']}",
        *[f"folds       {note}" for note in plan["protocols"]],
        f"trainings   {plan['trainings']}: {plan['folds']} folds, "
        f"{units.counted(plan['repeats'], 'repeat')}",
        f"videos      {plan['videos']}",
    ]


def result_lines(result: dict[str, Any]) -> list[str]:
    """A table by fold for each protocol, and a table of the model and the baselines."""
    protocols = [result, *([result["random"]] if "random" in result else [])]
    lines = [
        f"folder      {result['cross_validation']}",
        f"videos      {result['videos']} of {units.counted(result['recordings'], 'recording')}",
    ]
    for protocol in protocols:
        rows = [row for row in result["by_fold"] if row["grouped"] == protocol["grouped"]]
        lines += ["", f"folds       {protocol['note']}", *_fold_lines(rows, protocol)]
    return [
        *lines,
        "",
        *_comparison_lines(protocols),
        "",
        *map(_rates_line, protocols),
        *map(_leaks_line, protocols),
        "",
        *[f"left out    {line}" for line in result["left_out"]],
        *[f"warning     {line}" for line in result["warnings"]],
        f"tables      {result['folds_csv']}",
        f"            {result['predictions_csv']}",
        f"report      {result['report']}",
    ]


def _fold_lines(rows: list[dict[str, Any]], protocol: dict[str, Any]) -> list[str]:
    columns = "repeat fold videos recordings accuracy AUC epoch threshold".split()
    table = [
        [
            str(row["repeat"]),
            str(row["fold"]),
            str(row["videos"]),
            str(row["recordings"]),
            f"{row['accuracy']:.1%}",
            console.format_auc(row["auc"]),
            str(row["best_epoch"]),
            f"{row['threshold']:.3f}",
        ]
        for row in rows
    ]
    accuracy, auc = protocol["accuracy"], protocol["auc"]
    mean = [f"{accuracy['mean']:.1%}", console.format_auc(auc["mean"])]
    table += [
        ["mean", *[""] * 3, *mean, "", ""],
        ["sd", *[""] * 3, f"{accuracy['sd']:.1%}", f"{auc['sd']:.3f}", "", ""],
    ]
    return [
        *console.align_columns([columns, *table]),
        f"            95% of the mean: accuracy {console.format_interval(accuracy['ci'], '.1%')}, "
        f"AUC {console.format_interval(auc['ci'], '.3f')} (t over folds, corrected for shared "
        "training videos)",
    ]


def _comparison_lines(protocols: list[dict[str, Any]]) -> list[str]:
    """Pooled scores of model and baselines, a pair of columns for each protocol."""
    kinds = [_kind(protocol) for protocol in protocols]
    columns = [name for kind in kinds for name in (f"{kind} accuracy", "95%", f"{kind} AUC", "95%")]
    rows = [
        [name, *(cell for protocol in protocols for cell in _cells(protocol["pooled"][name]))]
        for name in protocols[0]["pooled"]
        if all(name in protocol["pooled"] for protocol in protocols)
    ]
    return [
        "baselines   predictions of all folds pooled, intervals over recordings"
        + ("; those of random folds are too good" if "random" in kinds else ""),
        *console.align_columns([["", *columns], *rows]),
    ]


def _kind(protocol: dict[str, Any]) -> str:
    return "grouped" if protocol["grouped"] else "random"


def _rates_line(protocol: dict[str, Any]) -> str:
    """Recall and false positives of the model, each fold at its own threshold."""
    scores = protocol["pooled"]["model"]
    recall, false_positive_rate = (
        f"{'none' if scores[name] is None else format(scores[name], '.1%')} "
        f"({console.format_interval(scores[f'{name}_ci'], '.1%')})"
        for name in ("recall", "false_positive_rate")
    )
    return (
        f"{_kind(protocol):11s} recall {recall}, false positive rate {false_positive_rate}, "
        f"calibration error {scores['calibration_error']:.3f}, Brier score "
        f"{scores['brier_score']:.3f}"
    )


def _leaks_line(protocol: dict[str, Any]) -> str:
    """Leaks between the folds of a protocol, and whether all videos were searched."""
    kind = _kind(protocol)
    if any(protocol["leak_counts"].values()):
        return f"trust       NOT CLEAN: several {kind} folds share {console.leaks_text(protocol)}"
    if protocol["near_duplicates_searched"]:
        return f"trust       {kind} folds share no recording, identical file or near-duplicate"
    return (
        f"trust       {kind} folds share no recording or identical file; not all videos were "
        f"searched for near-duplicates: {protocol['near_duplicates_reason']}"
    )


def _cells(scores: dict[str, Any]) -> list[str]:
    return [
        f"{scores['accuracy']:.1%}",
        console.format_interval(scores["accuracy_ci"], ".1%"),
        console.format_auc(scores["auc"]),
        console.format_interval(scores["auc_ci"], ".3f"),
    ]

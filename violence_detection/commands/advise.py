"""The command `advise`: settings of a training, with reasons, from its dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection import units
from violence_detection.commands._command import RESUMES, Command
from violence_detection.commands._next_line import next_line, setting_words
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.experiments.advising.advice import GIVEN
from violence_detection.experiments.advising.advice_config import AdviseConfig
from violence_detection.features import space_lookup
from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.experiments.advising.advise import AdviceResult
    from violence_detection.experiments.advising.learning_curve import LearningCurve


@click.command(
    cls=Command,
    started_again=RESUMES,
    short_help="Settings for a dataset, with reasons.",
    epilog=example(
        "violence-detection advise --features feature_cache/my_videos --output advice.json"
    ),
)
@options_of(AdviseConfig)
def advise(settings: AdviseConfig, flags: CommonFlags) -> None:
    """Advise settings of train from the size, the balance and the recordings of a dataset.

    Each setting has its reason, and the source of the reason: measured here, a rule, or not
    known. Twenty steps are run for the time of an epoch and the memory. Settings of train that
    are given hold. --output writes a file for train --config. --learning-curve says what twice
    the recordings would bring."""

    def stage() -> Stage:
        from violence_detection.experiments.advising.advise import AdviceStage

        return AdviceStage(settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines, plan_lines=result_lines)


def result_lines(result: "AdviceResult") -> list[str]:
    """The console text of an advice."""
    facts = result.facts
    classes = ", ".join(f"{count} {name}" for name, count in facts.counts.items())
    known = "" if facts.recordings_known else " (not all are known)"
    option, value = result.source
    data = Path(value) if option == "--dataset-path" else space_lookup.shortest_path(value)
    given = {item.name: item.value for item in result.advised if item.source == GIVEN}
    following = ("advise", option, data, *setting_words(given), "--output", "advice.json")
    if result.config:
        following = ("train", option, data, "--config", Path(result.config))
    return [
        f"videos      {facts.videos} of {counted(facts.recordings, 'recording')}{known}: {classes}",
        "",
        *_setting_lines(result),
        "",
        *_cost_lines(result),
        *(_curve_lines(result.curve) if result.curve else []),
        next_line(*following),
    ]


def _setting_lines(result: "AdviceResult") -> list[str]:
    lines = []
    for item in result.advised:
        value = "on" if item.value is True else "off" if item.value is False else item.value
        lines += [
            f"--{item.name.replace('_', '-')} {value}",
            f"            {item.reason} ({item.source})",
        ]
    return lines


def _cost_lines(result: "AdviceResult") -> list[str]:
    lines, measured = [], result.probe
    if measured:
        longest = units.format_duration(measured.epoch_s * result.epochs)
        lines.append(
            f"time        {measured.epoch_s:.2f} s an epoch, {longest} for {result.epochs} epochs "
            f"({1000 * measured.step_s:.0f} ms a step, {measured.steps_per_epoch} steps; measured)"
        )
        memory = units.format_bytes(measured.memory_bytes)
        if measured.gpu_memory_bytes:
            memory += f", and {units.format_bytes(measured.gpu_memory_bytes)} on the GPU"
        lines.append(f"memory      {memory} (measured)")
    else:
        lines.append("time        not known: it is measured on features")
    if result.disk_bytes is not None:
        lines.append(
            f"disk        {units.format_bytes(result.disk_bytes)} for the features; "
            f"{units.format_bytes(result.disk_free)} are free for runs"
        )
    return lines


def _curve_lines(curve: "LearningCurve") -> list[str]:
    rows = [["recordings", "videos", "accuracy", "95%", "AUC", "95%"]]
    for point in curve.points:
        rows.append(
            [
                f"{point.recordings:.0f}",
                f"{point.videos:.0f}",
                f"{point.accuracy.value:.1%}",
                console.format_interval(point.accuracy.ci, ".1%"),
                console.format_auc(point.auc.value),
                console.format_interval(point.auc.ci, ".3f"),
            ]
        )
    lines = ["", *console.align_columns(rows), ""]
    for name, label, scale, form in (
        ("accuracy", "accuracy", 100, "+.1f"),
        ("auc", "AUC", 1, "+.3f"),
    ):
        doubled = curve.doubled[name]
        if doubled.gain.value is None or doubled.gain.ci is None:
            continue
        low, high = (scale * end for end in doubled.gain.ci)
        unit = " points" if scale == 100 else ""
        lines.append(
            f"twice       the recordings may change {label} by {scale * doubled.gain.value:{form}}"
            f"{unit} (95%: {low:{form}} to {high:{form}})"
        )
    return lines

"""The command `ensemble`: one run of several that see the videos in different ways."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.reports import console
from violence_detection.training.config import EnsembleConfig

if TYPE_CHECKING:
    from violence_detection.models.training_results import TrainingResults


@click.command(
    cls=Command,
    short_help="Let several runs answer together.",
    epilog=example(
        "violence-detection ensemble checkpoints/motion checkpoints/pose --run together"
    ),
)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN RUN...")
@options_of(EnsembleConfig)
def ensemble(settings: EnsembleConfig, flags: CommonFlags, runs: tuple[str, ...]) -> None:
    """Make one run of several that were trained on the same videos in different feature spaces.

    It predicts the mean of their logits, each at its run's temperature, and has a temperature and
    a threshold of its own. It is a run like any other: `predict` decodes each video once for all of
    them. Runs of one feature space are averaged by `train --members N --ensemble`."""

    def make() -> Stage:
        from violence_detection.training.ensemble import EnsembleStage

        return EnsembleStage(runs, settings, force=flags.force)

    run_stage(make, flags, lines=_lines)


def _lines(results: "TrainingResults") -> list[str]:
    scores = results.scores
    return [
        f"run         {results.run}, {results.summary.kept_reason}",
        f"validation  {console.format_scores(scores.validation)}",
        *console.threshold_lines(scores.threshold, scores.threshold_reason, scores.operating_point),
        *[f"warning     {line}" for line in scores.warnings],
        next_line(
            "evaluate",
            Path(results.run),
            *(() if scores.test else ("--split", "validation")),
        ),
    ]

"""The command `demo`: all stages on synthetic clips."""

from typing import TYPE_CHECKING

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import example, options_of
from violence_detection.experiments.config import DemoConfig

if TYPE_CHECKING:
    from violence_detection.experiments.demo import DemoResult


@click.command(
    cls=Command,
    short_help="Run every stage on videos that it draws.",
    epilog=example("violence-detection demo --output demo_output"),
)
@options_of(DemoConfig)
def demo(settings: DemoConfig, flags: CommonFlags) -> None:
    """Run all stages, offline, on clips that it draws: figures that walk, figures that fight."""

    def stage() -> Stage:
        from violence_detection.experiments.demo import DemoStage

        return DemoStage(settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines)


def result_lines(result: "DemoResult") -> list[str]:
    """The console text of a demo."""
    return [
        f"accuracy    {result.test_accuracy:.1%} on {result.test_videos} drawn test clips",
        f"mean image  {result.mean_image_accuracy:.1%} from the mean image alone: only the motion "
        "tells the classes apart",
        f"prediction  {result.prediction['path']}: {result.prediction['label']} "
        f"({result.prediction['probability']:.2f})",
        f"clips       {result.clips}",
        f"features    {result.features}",
        f"run         {result.run}",
        f"report      {result.report}",
    ]

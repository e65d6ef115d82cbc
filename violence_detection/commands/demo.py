"""The whole way on drawn clips."""

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import example, options_of
from violence_detection.experiments import config
from violence_detection.reports import console


@click.command(cls=Command, epilog=example("violence-detection demo --output demo_output"))
@options_of(config.DemoConfig)
def demo(settings: config.DemoConfig, shared: CommonFlags) -> None:
    """Go the whole way, offline, on clips that it draws: figures that walk, figures that fight."""
    with prints_to_stderr():
        from violence_detection.experiments import demo as stage

        if shared.dry_run:
            planned = stage.plan(settings)
        else:
            result = stage.run_demo(settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.table(planned))
    lines = [
        f"accuracy    {result['test_accuracy']:.1%} on {result['test_videos']} drawn test clips",
        f"by picture  {result['mean_picture_accuracy']:.1%} from the mean picture alone: "
        "it is the motion that tells",
        f"prediction  {result['prediction']['path']}: {result['prediction']['label']} "
        f"({result['prediction']['probability']:.2f})",
        f"clips       {result['clips']}",
        f"features    {result['features']}",
        f"run         {result['run']}",
        f"report      {result['report']}",
    ]
    finish(result, shared, lines)

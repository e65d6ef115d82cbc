"""A search for settings of a training."""

import click

from violence_detection import units
from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import example, options_of
from violence_detection.experiments import config
from violence_detection.reports import console


@click.command(
    cls=Command,
    epilog=example("violence-detection tune --features feature_cache/my_videos/SPACE"),
)
@options_of(config.TuneConfig)
def tune(settings: config.TuneConfig, shared: CommonFlags) -> None:
    """Search for settings of train that validate well; needs the extra `tune` (Optuna).

    Leaves a study that --resume goes on with, a table of its trials, and the best settings as a
    file for train --config. Settings of train that are given here are those of every trial. The
    test videos have no part in it."""
    with prints_to_stderr():
        from violence_detection.experiments import tune
        from violence_detection.experiments.tune import plan

        if shared.dry_run:
            planned = plan(settings, force=shared.force)
        else:
            result = tune.run_search(settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.table(planned))
    lines = [
        f"study       {result['study']}",
        f"trials      {result['trials']}: {result['completed']} completed, "
        f"{result['pruned']} pruned, {result['failed']} failed; "
        f"{units.format_duration(result['seconds'])}",
        f"best        {result['monitor']} {result['best_value']:.4f}, trial {result['best_trial']}",
        *console.table(result["best_settings"], "            "),
        f"note        {result['note']}",
        f"next        violence-detection train --features {result['features']} --config "
        f"{result['best_config']}",
    ]
    finish(result, shared, lines)

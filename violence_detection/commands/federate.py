"""The command `federate`: training over sites that keep their features."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from violence_detection.commands._command import Group
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.federated import config
from violence_detection.reports import console
from violence_detection.units import counted, format_bytes, shown_path

if TYPE_CHECKING:
    from violence_detection.federated.aggregate import AggregateResult
    from violence_detection.federated.round_record import LeftOut, RoundRecord
    from violence_detection.federated.simulation import FederationResult
    from violence_detection.federated.site import UpdateResult
    from violence_detection.models.training_results import TrainingResults

_DEFAULT, _CLIENTS = "simulate", "--clients"


class _FederateGroup(Group):
    """`federate --clients F1 F2 ...` is `federate simulate F1 F2 ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if _CLIENTS in args and not set(self.commands) & set(args[:1]):
            place = args.index(_CLIENTS)
            args = [_DEFAULT, *args[:place], *args[place + 1 :]]
        return super().parse_args(ctx, args)


@click.group(
    cls=_FederateGroup,
    short_help="Train over sites that keep their features.",
    epilog=example("violence-detection federate --clients features_a features_b --rounds 20"),
)
def federate() -> None:
    """Train one classifier over several sites; no feature, path or name of a video leaves one.

    `federate --clients F1 F2 ...` tries it on one machine, where each folder of features is a site.
    Over real sites, `init` and `aggregate` are the coordinator's commands, and `update` is that of
    a site; files go between them by any way. docs/federated.md is the guide, and says what leaves
    a site."""


@federate.command(
    started_again="start the same command with --run and the run's name to resume",
    short_help="All sites on this machine.",
    epilog=example(
        "violence-detection federate simulate features_a features_b --rounds 20 --local-epochs 5"
    ),
)
@click.argument("clients", nargs=-1, required=True, type=PATH, metavar="FEATURES...")
@options_of(config.SimulateConfig)
def simulate(settings: config.SimulateConfig, flags: CommonFlags, clients: tuple[str, ...]) -> None:
    """Train over folders of features, each of them a site, on this machine.

    The same files are written and read as between real sites. With --run, the same command again
    resumes it. Exits with status 3 if something had no part in a round."""

    def stage() -> Stage:
        from violence_detection.federated.simulation import SimulationStage

        return SimulationStage(clients, settings, force=flags.force)

    run_stage(
        stage,
        flags,
        lines=lambda result: _federation_lines(result, clients[0]),
        failed=lambda result: len(result.left_out),
    )


@federate.command(
    short_help="Begin a federation (coordinator).",
    epilog=example("violence-detection federate init --run shops --rounds 20 --local-epochs 5"),
)
@options_of(config.InitConfig)
def init(settings: config.InitConfig, flags: CommonFlags) -> None:
    """Begin a federation: write the file that every site needs for round 0.

    Every site answers with `federate update`, and `federate aggregate` closes the round."""

    def stage() -> Stage:
        from violence_detection.federated.aggregate import InitStage

        return InitStage(settings, force=flags.force)

    run_stage(
        stage,
        flags,
        lines=lambda result: [
            f"run         {result.run}",
            f"send        {result.send} to every site",
        ],
    )


@federate.command(
    short_help="Answer the coordinator (site).",
    epilog=example(
        "violence-detection federate update --features features_a --from global.keras --to "
        "update.npz"
    ),
)
@options_of(config.UpdateConfig)
def update(settings: config.UpdateConfig, flags: CommonFlags) -> None:
    """Answer the coordinator's file, on the features of this site.

    In round 0 the answer is counts and sums, in each later round the weights after a training, and
    at the end counts of the scores of validation. It holds no feature, no path and no name of a
    video or recording."""

    def stage() -> Stage:
        from violence_detection.federated.site import UpdateStage

        return UpdateStage(settings, force=flags.force)

    run_stage(stage, flags, lines=_update_lines)


@federate.command(
    short_help="Close a round (coordinator).",
    epilog=example("violence-detection federate aggregate updates/*.npz --run shops"),
)
@click.argument("updates", nargs=-1, type=PATH, metavar="UPDATES...")
@options_of(config.AggregateConfig)
def aggregate(
    settings: config.AggregateConfig, flags: CommonFlags, updates: tuple[str, ...]
) -> None:
    """Close the present round of a federation with the updates of its sites.

    An update that is damaged, of another round, of another model or not finite is left out with
    the reason, and the status is then 3; without a usable one the round stays open, and it is 1.
    After the last round the folder is a run as `train` leaves it; --force then writes that run
    anew."""

    def stage() -> Stage:
        from violence_detection.federated.aggregate import AggregateStage

        return AggregateStage(updates, settings, force=flags.force)

    run_stage(
        stage,
        flags,
        lines=_aggregate_lines,
        failed=lambda result: len(result.record.left_out) if result.record else 0,
    )


def _update_lines(result: "UpdateResult") -> list[str]:
    contents = {
        "statistics": "counts, and sums over the features",
        "weights": "weights of the classifier",
        "scores": "counts of the scores of validation",
    }
    return [
        f"round       {result.round}: {contents[result.kind]}",
        f"videos      {result.videos} for training; none of them leaves this site",
        *_validation_lines(result.validation),
        f"send        {result.update} to the coordinator ({format_bytes(result.bytes)})",
    ]


def _validation_lines(validation: Any) -> list[str]:
    if not validation:
        return []
    auc = validation["auc"]
    text = f"loss {validation['loss']:.3f}, AUC {'none' if auc is None else f'{auc:.3f}'}"
    return [f"validation  {text} of {counted(int(validation['videos']), 'video')}, at the start"]


def _aggregate_lines(result: "AggregateResult") -> list[str]:
    lines = _round_lines(result.record, result.rounds) if result.record else []
    if result.results:
        command = f"violence-detection evaluate {shown_path(Path(result.results.run))}"
        at_site = f"next        at each site: {command} --features ITS_FEATURES"
        return [*lines, *_run_lines(result.results), at_site]
    return [*lines, f"send        {result.send} to every site"]


def _round_lines(record: "RoundRecord", rounds: int) -> list[str]:
    values = [(name, record.mean(name)) for name in ("loss", "val_loss", "val_auc")]
    text = "".join(f", {name} {value:.3f}" for name, value in values if value is not None)
    number = f"{record.round} of {rounds}" if record.round <= rounds else f"after {rounds}, scores"
    return [
        f"round       {number}: {counted(len(record.sites), 'site')}, "
        f"{counted(sum(row.videos for row in record.sites), 'training video')}{text}",
        *_left_out_lines([(record.round, item) for item in record.left_out]),
    ]


def _left_out_lines(left_out: "list[tuple[int, LeftOut]]") -> list[str]:
    return [f"left out    round {number}: {item.what}: {item.reason}" for number, item in left_out]


def _federation_lines(result: "FederationResult", features: str) -> list[str]:
    sites = [
        [site.label, str(site.videos["train"]), str(site.videos["validation"])]
        for site in result.sites
    ]
    return [
        *console.align_columns([["site", "training videos", "validation videos"], *sites]),
        *_left_out_lines(result.left_out),
        f"rounds      {result.table}",
        *_run_lines(result.results),
        next_line("evaluate", Path(result.results.run), "--features", Path(features)),
    ]


def _run_lines(results: "TrainingResults") -> list[str]:
    scores = results.scores
    return [
        f"run         {results.run}",
        f"validation  {console.format_scores(scores.validation)}",
        *console.threshold_lines(scores.threshold, scores.threshold_reason, scores.operating_point),
        *[f"warning     {line}" for line in scores.warnings],
    ]

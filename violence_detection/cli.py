"""The commands, and how their results read. It imports neither TensorFlow nor NumPy."""

from pathlib import Path
from typing import Any

import click

from violence_detection import __version__, config, search, units, wording
from violence_detection.door import (
    ANY_PATH,
    PATH,
    Group,
    Shared,
    example,
    finish,
    options_of,
    working,
)
from violence_detection.errors import VideoError
from violence_detection.fold_command import cross_validate
from violence_detection.videos import EXTENSIONS


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="violence-detection")
def main() -> None:
    """Train a violence detector on your own videos, and use it.

    \b
    Stage one turns every video once into a small array of features:
        violence-detection extract-features my_videos
    Stage two trains on those arrays in minutes:
        violence-detection train --dataset-path my_videos
    """


@main.command(epilog=example("violence-detection check my_videos"))
@click.argument("video_dir", type=PATH)
@options_of(config.CheckConfig, writes=False)
def check(settings: config.CheckConfig, shared: Shared, video_dir: str) -> None:
    """Say what is wrong with a folder of videos, before hours are spent on it.

    Looks at a few frames of every video: unreadable, damaged, too short, frozen, black, the same
    bytes twice, videos that look alike, and what is on two sides of a given split. Leaves with 3
    where something was found."""
    with working():
        from violence_detection import inspection

        result = inspection.check(Path(video_dir), settings)
    lines = [
        f"videos      {result['videos']}: {result['readable']} readable",
        *[
            f"class       {label}: {counts['readable']} of {counts['videos']} readable"
            for label, counts in result["per_class"].items()
        ],
    ]
    for kind in ("unreadable", "damaged", "short", "frozen", "black"):
        lines += _listed(kind, [f"{r['path']}: {r['reason']}" for r in result[kind]])
    lines += _listed("same bytes", [", ".join(paths) for paths in result["duplicates"]])
    alike = [
        f"{', '.join(pair['paths'])} ({pair['bits']:g} bits)"
        for pair in result["near_duplicates"]
    ]
    lines += _listed("look alike", alike)
    lines += _listed("leak", result["leaks"])
    if not result["findings"]:
        lines.append("Nothing was found.")
    finish(result, shared, lines, failed=result["findings"])


_VIDEO_FILES = " ".join(sorted(ending.lstrip(".") for ending in EXTENSIONS))


@main.command(
    help="Turn a folder of videos into features, once; starting it again continues.\n\n"
    "VIDEO_DIR holds <class>/..., or train|val|test/<class>/..., or any tree with a videos.csv "
    "(path,label[,split][,group][,start_s,end_s]) at its top. Videos are files ending in "
    f"{_VIDEO_FILES}; hidden and other files are ignored.",
    epilog=example(
        "violence-detection extract-features my_videos --backbone mobilenetv2"
    ),
)
@click.argument("video_dir", type=PATH)
@options_of(config.ExtractConfig)
def extract_features(
    settings: config.ExtractConfig, shared: Shared, video_dir: str
) -> None:
    with working():
        from violence_detection.features import extract, plan

        if shared.dry_run:
            planned = plan(Path(video_dir), settings, force=shared.force)
        else:
            extraction = extract(Path(video_dir), settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, _table(planned))
    result = extraction.as_dict()
    lines = [
        f"features    {result['features']}",
        f"videos      {result['videos']}: {result['extracted']} extracted, "
        f"{result['reused']} reused, {result['failed']} failed",
        f"time        {units.format_duration(result['seconds'])}, "
        f"{result['videos_per_s']:.1f} videos/s",
        *_slowest_lines(result["slowest"]),
        *_failure_lines(result["failures"]),
        f"next        violence-detection train --features {result['features']}"
        if extraction.complete
        else "next        the other shards, then training",
    ]
    finish(result, shared, lines, failed=extraction.failed)


@main.command(
    epilog=example(
        "violence-detection train --dataset-path my_videos --epochs 60 --batch-size 32"
    )
)
@options_of(config.TrainConfig)
def train(settings: config.TrainConfig, shared: Shared) -> None:
    """Train a classifier on features; with --dataset-path, extract what is missing first."""
    with working():
        from violence_detection import training

        if shared.dry_run:
            planned = training.plan(settings, force=shared.force)
        else:
            result = training.train(settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, _table(planned))
    lines = [
        f"run         {result['run']}",
        *_member_lines(result),
        f"epochs      {result['epochs_run']}, number {result['best_epoch']} is kept; "
        f"{result['videos_per_s']:.0f} videos/s{_of_whom(result)}",
        *[
            _score_line(split, result[split])
            for split in ("validation", "test")
            if result[split]
        ],
        f"threshold   {result['threshold']:.3f} ({result['threshold_reason']})",
        *_guard_lines(result),
        *_failure_lines(result["failures"]),
        f"next        violence-detection evaluate {result['run']}",
    ]
    finish(result, shared, lines, failed=len(result["failures"]))


@main.command(
    epilog=example("violence-detection tune --features feature_cache/my_videos/SPACE")
)
@options_of(search.TuneConfig)
def tune(settings: search.TuneConfig, shared: Shared) -> None:
    """Search for settings of train that validate well; needs the extra `tune` (Optuna).

    Leaves a study that --resume goes on with, a table of its trials, and the best settings as a
    file for train --config. Settings of train that are given here are those of every trial. The
    test videos have no part in it."""
    with working():
        from violence_detection import tuning

        if shared.dry_run:
            planned = tuning.plan(settings, force=shared.force)
        else:
            result = tuning.tune(settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, _table(planned))
    lines = [
        f"study       {result['study']}",
        f"trials      {result['trials']}: {result['completed']} completed, "
        f"{result['pruned']} pruned, {result['failed']} failed; "
        f"{units.format_duration(result['seconds'])}",
        f"best        {result['monitor']} {result['best_value']:.4f}, trial "
        f"{result['best_trial']}",
        *_table(result["best_settings"], "            "),
        f"note        {result['note']}",
        f"next        violence-detection train --features {result['features']} --config "
        f"{result['best_config']}",
    ]
    finish(result, shared, lines)


main.add_command(cross_validate)


@main.command(
    epilog=example("violence-detection evaluate checkpoints/my_run --split test")
)
@click.argument("run", type=PATH)
@options_of(config.EvaluateConfig)
def evaluate(settings: config.EvaluateConfig, shared: Shared, run: str) -> None:
    """Judge a run on a split: metrics with intervals, predictions, and a report to read."""
    with working():
        from violence_detection import evaluation

        if shared.dry_run:
            planned = evaluation.plan(run, settings, force=shared.force)
        else:
            result = evaluation.evaluate(run, settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, _table(planned))
    finish(result, shared, wording.evaluation_lines(result))


@main.command(
    epilog=example("violence-detection compare checkpoints/my_run checkpoints/another")
)
@click.argument("run_a", type=PATH)
@click.argument("run_b", type=PATH)
@options_of(config.CompareConfig)
def compare(
    settings: config.CompareConfig, shared: Shared, run_a: str, run_b: str
) -> None:
    """Say which of two runs is better on the same videos, and whether these can show it.

    They may be of different features of one dataset. Either is evaluated first where it has not
    been. Differences are B - A."""
    with working():
        from violence_detection import comparison

        if shared.dry_run:
            planned = comparison.plan(run_a, run_b, settings, force=shared.force)
        else:
            result = comparison.compare(run_a, run_b, settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, _table(planned))
    finish(result, shared, wording.comparison_lines(result))


@main.command(
    epilog=example("violence-detection predict checkpoints/my_run camera_1.mp4")
)
@click.argument("run", type=PATH)
@click.argument("videos", nargs=-1, required=True, type=ANY_PATH, metavar="VIDEO...")
@options_of(config.PredictConfig, writes=False)
def predict(
    settings: config.PredictConfig, shared: Shared, run: str, videos: tuple[str, ...]
) -> None:
    """Say how likely violence is in videos of any length, and where.

    A VIDEO may be a folder; it stands for the videos in it."""
    with working():
        from violence_detection import prediction

        rows = prediction.predict(run, list(videos), settings)
    failed = [row for row in rows if row["error"]]
    if len(failed) == len(rows):
        raise VideoError(
            f"At least one video must be readable. Received: {failed[0]['path']} "
            f"({failed[0]['error']})"
            + (f" and {len(failed) - 1} more" if failed[1:] else "")
        )
    lines = [line for row in rows for line in _prediction_lines(row)]
    finish({"videos": rows}, shared, lines, failed=len(failed))


@main.command(epilog=example("violence-detection demo --output demo_output"))
@options_of(config.DemoConfig)
def demo(settings: config.DemoConfig, shared: Shared) -> None:
    """Go the whole way, offline, on clips that it draws: figures that walk, figures that fight."""
    with working():
        from violence_detection import demo as stage

        if shared.dry_run:
            planned = stage.plan(settings)
        else:
            result = stage.demo(settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, _table(planned))
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


# -- how results read


def _table(values: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", *_table(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{indent + name:28s} {', '.join(map(str, value))}")
        else:
            lines.append(f"{indent + name:28s} {value}")
    return lines


def _score_line(split: str, scores: dict[str, float]) -> str:
    auc = "none" if scores["auc"] is None else f"{scores['auc']:.3f}"
    return f"{split:11s} accuracy {scores['accuracy']:.1%}, AUC {auc}"


def _of_whom(result: dict[str, Any]) -> str:
    """Of which member the epochs are, where the kept model is all of them."""
    return " (best member)" if result.get("kept", {}).get("ensemble") else ""


def _member_lines(result: dict[str, Any]) -> list[str]:
    """What the members of a training with several seeds give, and which is kept."""
    if "seeds" not in result:
        return []
    lines = [f"kept        {result['kept']['reason']}"]
    if not result["kept"]["ensemble"]:
        lines = [
            f"kept        seed {result['kept']['seeds'][0]}: {result['kept']['reason']}"
        ]
    for split, scores in result["over_seeds"].items():
        if scores:
            accuracy, auc = scores["accuracy"], scores["auc"]
            lines.append(
                f"members     {split} accuracy {accuracy['mean']:.1%} +- {accuracy['sd']:.1%}, "
                + (f"AUC {auc['mean']:.3f} +- {auc['sd']:.3f}" if auc else "AUC none")
            )
    return lines


def _guard_lines(result: dict[str, Any]) -> list[str]:
    """What a training's guards found; a run of an older version has none."""
    if "baseline" not in result:
        return []
    baseline = result["baseline"]
    return [
        f"{_score_line('baseline', baseline['validation'])} on validation, of a linear classifier: "
        f"{baseline['compared']}",
        *[f"warning     {line}" for line in result["warnings"]],
    ]


def _slowest_lines(slowest: list[dict[str, Any]]) -> list[str]:
    listed = ", ".join(f"{row['path']} {row['seconds']:.1f} s" for row in slowest)
    return [f"slowest     {listed}"] if listed else []


def _failure_lines(failures: list[dict[str, str]], most: int = 20) -> list[str]:
    lines = [
        f"failed      {failure['path']}: {failure['reason']}"
        for failure in failures[:most]
    ]
    if len(failures) > most:
        lines.append(
            f"failed      and {len(failures) - most} more, all in manifest.csv"
        )
    return lines


def _listed(kind: str, items: list[str], most: int = 10) -> list[str]:
    lines = [f"{kind:11s} {item}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"{kind:11s} and {len(items) - most} more; --json lists them")
    return lines


def _prediction_lines(row: dict[str, Any]) -> list[str]:
    if row["error"]:
        return [f"{row['path']}  not read: {row['error']}"]
    lines = [f"{row['path']}  {row['label']}  {row['probability']:.3f}"]
    for one in row["segments"]:
        span = f"{units.format_duration(one['start_s'])}-{units.format_duration(one['end_s'])}"
        lines.append(f"    {span}  peak {one['peak']:.3f}")
    return lines

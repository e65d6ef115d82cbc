"""The door: commands, flags and exit status. It imports neither TensorFlow nor NumPy."""

import contextlib
import functools
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from violence_detection import __version__, config, parts, progress, units
from violence_detection.errors import VideoError, ViolenceDetectionError

log = logging.getLogger("violence_detection")

_SOME_FAILED, _INTERRUPTED, _TERMINATED = 3, 130, 143
_DEBUG = 1  # everything, and where errors came from


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that what is done is kept."""


class _DoorMixin:
    """Turns every way out of a command into one line on stderr and an exit status."""

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        progress.stop = progress.Stop()
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, _on_signal)
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # not under nohup
                signal.signal(signal.SIGINT, _on_signal)
        sys.exit(self._status(args, kwargs))

    def _status(self, args: tuple, kwargs: dict[str, Any]) -> int:
        try:
            return super().main(*args, standalone_mode=False, **kwargs) or 0
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help(), err=True)
            return 2
        except click.ClickException as error:
            return _say(error.format_message(), error.exit_code)
        except ViolenceDetectionError as error:
            return _say(str(error), error.exit_status)
        except (click.Abort, KeyboardInterrupt):
            click.echo("Interrupted; start the same command again to go on.", err=True)
            return _INTERRUPTED
        except _Terminated:
            click.echo("Terminated; start the same command again to go on.", err=True)
            return _TERMINATED
        except BrokenPipeError:  # `| head` has had enough
            sys.stderr.close()
            return 1
        except MemoryError:
            return _say(
                "The memory is full; a smaller --batch-size or fewer --workers help.", 1
            )
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            return _say(f"Unexpected {what} (--debug shows where)", 1)


class Command(_DoorMixin, click.Command):
    pass


class Group(_DoorMixin, click.Group):
    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the way, not of the alphabet


def _say(message: str, status: int) -> int:
    if log.getEffectiveLevel() == _DEBUG:
        traceback.print_exc()
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    return status


def _on_signal(number: int, _: Any) -> None:
    """Finish the item at hand, then leave; the second signal leaves at once."""
    error = KeyboardInterrupt if number == signal.SIGINT else _Terminated
    if not progress.stop.ask(error):
        raise error
    # Not click.echo: the signal may have come in the middle of a write.
    os.write(2, b"Finishing what is at hand; once more stops at once.\n")


# -- options


def options_of(settings: type[config.Config], *, writes: bool = True) -> Callable:
    """Give a command the flags of a config, and those that every command has."""

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def command(*args: Any, **values: Any) -> Any:
            shared = _Shared(
                **{name: values.pop(name, False) for name in _Shared.__annotations__}
            )
            flags = {
                name: values.pop(name) for name in known if values.get(name) is not None
            }
            for name in known:
                values.pop(name, None)
            _start_logging(shared)
            file = values.pop("config")
            chosen = settings.of(flags, Path(file) if file else None)
            return function(*args, chosen, shared, **values)

        known = [setting.name for setting in settings.settings()]
        for option in reversed([*_flags(settings), *_shared_flags(writes)]):
            command = option(command)
        return command

    return decorate


@dataclass(frozen=True)
class _Shared:
    """Flags of every command that are not settings."""

    json: bool
    verbose: bool
    quiet: bool
    debug: bool
    dry_run: bool = False
    force: bool = False


def _shared_flags(writes: bool) -> list[Callable]:
    flags = [
        click.option(
            "--config", metavar="FILE", help="JSON file of settings; flags beat it."
        ),
        click.option("--json", is_flag=True, help="Print one JSON object on stdout."),
        click.option("-v", "--verbose", is_flag=True, help="Say more on stderr."),
        click.option(
            "-q", "--quiet", is_flag=True, help="Say only warnings on stderr."
        ),
        click.option("--debug", is_flag=True, help="Show where an error came from."),
    ]
    if writes:
        flags += [
            click.option(
                "--dry-run", is_flag=True, help="Say what would be done, and stop."
            ),
            click.option("--force", is_flag=True, help="Replace what is there."),
        ]
    return flags


def _flags(settings: type[config.Config]) -> Iterator[Callable]:
    for setting in settings.settings():
        name = setting.name.replace("_", "-")
        flag = f"--{name}/--no-{name}" if setting.type is bool else f"--{name}"
        kind = (
            {}
            if setting.type is bool
            else {"type": setting.type, "metavar": _metavar(setting)}
        )
        yield click.option(
            flag, setting.name, default=None, help=_help(setting), **kind
        )


def _metavar(setting: config.Setting) -> str:
    rule = setting.rule
    if rule.choices:
        return "|".join(rule.choices)
    if rule.shelf:
        return "SPEC"
    return {int: "INTEGER", float: "NUMBER", str: "TEXT"}[setting.type]


def _help(setting: config.Setting) -> str:
    text = setting.rule.help
    if setting.rule.shelf:
        text += f" One of {', '.join(parts.available(setting.rule.shelf))}."
    if setting.default is None:
        return text
    default = setting.default
    if setting.type is bool:
        default = "on" if default else "off"
    return f"{text}  [default: {default}]"


class _Stderr(logging.Handler):
    """Writes to whatever sys.stderr is now: a progress bar puts its own there."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "Warning: " if record.levelno >= logging.WARNING else ""
        click.echo(prefix + self.format(record), err=True)


def _start_logging(shared: _Shared) -> None:
    level = logging.DEBUG if shared.verbose else logging.INFO
    if shared.quiet:
        level = logging.WARNING
    log.setLevel(_DEBUG if shared.debug else level)
    log.handlers = [_Stderr()]
    log.propagate = False


@contextlib.contextmanager
def _working() -> Iterator[None]:
    """Libraries that print (Keras, when it downloads) do so on stderr: stdout is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _finish(
    result: dict[str, Any], shared: _Shared, lines: list[str], failed: int = 0
) -> None:
    """Print the result, and leave with 3 where some inputs failed."""
    text = json.dumps(result, ensure_ascii=False, allow_nan=False)
    click.echo(text if shared.json else "\n".join(lines))
    if failed:
        click.get_current_context().exit(_SOME_FAILED)


def _example(line: str) -> str:
    return f"\b\nExample:\n  {line}"


# -- commands


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


@main.command(
    epilog=_example(
        "violence-detection extract-features my_videos --backbone mobilenetv2"
    )
)
@click.argument("video_dir", type=click.Path())
@options_of(config.ExtractConfig)
def extract_features(
    settings: config.ExtractConfig, shared: _Shared, video_dir: str
) -> None:
    """Turn a folder of videos into features, once; starting it again continues.

    VIDEO_DIR holds <class>/..., or train|val|test/<class>/..., or any tree with a videos.csv
    (path,label[,split][,group][,start_s,end_s]) at its top. Videos are files ending in
    3g2 3gp asf avi f4v flv m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm
    wmv; hidden and other files are ignored."""
    with _working():
        from violence_detection.features import extract, plan

        if shared.dry_run:
            planned = plan(Path(video_dir), settings)
        else:
            extraction = extract(Path(video_dir), settings, force=shared.force)
    if shared.dry_run:
        return _finish(planned, shared, _table(planned))
    result = extraction.as_dict()
    lines = [
        f"features    {result['features']}",
        f"videos      {result['videos']}: {result['extracted']} extracted, "
        f"{result['reused']} reused, {result['failed']} failed",
        f"time        {units.format_duration(result['seconds'])}, "
        f"{result['videos_per_s']:.1f} videos/s",
        *_failure_lines(result["failures"]),
        f"next        violence-detection train --features {result['features']}",
    ]
    _finish(result, shared, lines, failed=extraction.failed)


@main.command(
    epilog=_example(
        "violence-detection train --dataset-path my_videos --epochs 60 --batch-size 32"
    )
)
@options_of(config.TrainConfig)
def train(settings: config.TrainConfig, shared: _Shared) -> None:
    """Train a classifier on features; with --dataset-path, extract what is missing first."""
    with _working():
        from violence_detection import training

        if shared.dry_run:
            planned = training.plan(settings, force=shared.force)
        else:
            result = training.train(settings, force=shared.force)
    if shared.dry_run:
        return _finish(planned, shared, _table(planned))
    lines = [
        f"run         {result['run']}",
        f"epochs      {result['epochs_run']}, the best was {result['best_epoch']}; "
        f"{result['videos_per_s']:.0f} videos/s",
        *[
            _score_line(split, result[split])
            for split in ("validation", "test")
            if result[split]
        ],
        f"threshold   {result['threshold']:.3f} ({result['threshold_reason']})",
        *_failure_lines(result["failures"]),
        f"next        violence-detection evaluate {result['run']}",
    ]
    _finish(result, shared, lines, failed=len(result["failures"]))


@main.command(
    epilog=_example("violence-detection evaluate checkpoints/my_run --split test")
)
@click.argument("run", type=click.Path())
@options_of(config.EvaluateConfig)
def evaluate(settings: config.EvaluateConfig, shared: _Shared, run: str) -> None:
    """Judge a run on a split: metrics with intervals, predictions, and a report to read."""
    with _working():
        from violence_detection import evaluation

        if shared.dry_run:
            planned = evaluation.plan(run, settings)
        else:
            result = evaluation.evaluate(run, settings, force=shared.force)
    if shared.dry_run:
        return _finish(planned, shared, _table(planned))
    low, high = result["accuracy_ci"]
    recalls = ", ".join(
        f"{name} {value:.1%}" for name, value in result["recall_per_class"].items()
    )
    auc = "none: one class only" if result["auc"] is None else f"{result['auc']:.3f}"
    lines = [
        f"run         {result['run']}",
        f"split       {result['split']}: {result['videos']} videos of {result['recordings']} "
        "recordings",
        f"accuracy    {result['accuracy']:.1%} (95% of resampled recordings: "
        f"{low:.1%} to {high:.1%})",
        f"AUC         {auc}, average precision {result['average_precision']:.3f}",
        f"precision   {result['precision']:.1%}, recall {result['recall']:.1%}, "
        f"F1 {result['f1']:.3f}, false alarms {result['false_alarm_rate']:.1%}",
        f"recall      {recalls}",
        f"threshold   {result['threshold']:.3f} ({result['threshold_reason']})",
        *_confusion_lines(result["classes"], result["confusion"]),
        _trust_line(result),
        f"report      {result['report']}",
    ]
    _finish(result, shared, lines)


@main.command(
    epilog=_example("violence-detection predict checkpoints/my_run camera_1.mp4")
)
@click.argument("run", type=click.Path())
@click.argument(
    "videos", nargs=-1, required=True, type=click.Path(), metavar="VIDEO..."
)
@options_of(config.PredictConfig, writes=False)
def predict(
    settings: config.PredictConfig, shared: _Shared, run: str, videos: tuple[str, ...]
) -> None:
    """Say how likely violence is in videos of any length, and where.

    A VIDEO may be a folder; it stands for the videos in it."""
    with _working():
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
    _finish({"videos": rows}, shared, lines, failed=len(failed))


@main.command(epilog=_example("violence-detection demo --output demo_output"))
@options_of(config.DemoConfig)
def demo(settings: config.DemoConfig, shared: _Shared) -> None:
    """Go the whole way, offline, on clips that it draws: figures that walk, figures that fight."""
    with _working():
        from violence_detection import demo as stage

        if shared.dry_run:
            planned = stage.plan(settings)
        else:
            result = stage.demo(settings, force=shared.force)
    if shared.dry_run:
        return _finish(planned, shared, _table(planned))
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
    _finish(result, shared, lines)


# -- how results read


def _table(values: dict[str, Any]) -> list[str]:
    return [f"{name:22s} {value}" for name, value in values.items()]


def _score_line(split: str, scores: dict[str, float]) -> str:
    auc = "none" if scores["auc"] is None else f"{scores['auc']:.3f}"
    return f"{split:11s} accuracy {scores['accuracy']:.1%}, AUC {auc}"


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


def _confusion_lines(classes: list[str], counts: list[list[int]]) -> list[str]:
    return [
        f"truly {name}: "
        + ", ".join(
            f"{n} called {called}" for n, called in zip(row, classes, strict=True)
        )
        for name, row in zip(classes, counts, strict=True)
    ]


def _trust_line(result: dict[str, Any]) -> str:
    if not result["clean"]:
        return f"trust       NOT CLEAN: the run has learned from {len(result['leaks'])} of these"
    if not result["grouped"]:
        return "trust       recordings are not known: clips of one may be on both sides"
    return "trust       clean: no recording on both sides"


def _prediction_lines(row: dict[str, Any]) -> list[str]:
    if row["error"]:
        return [f"{row['path']}  not read: {row['error']}"]
    lines = [f"{row['path']}  {row['label']}  {row['probability']:.3f}"]
    for one in row["segments"]:
        span = f"{units.format_duration(one['start_s'])}-{units.format_duration(one['end_s'])}"
        lines.append(f"    {span}  peak {one['peak']:.3f}")
    return lines

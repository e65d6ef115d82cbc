"""The command `doctor`: checks of the machine, and a rehearsal of a training."""

from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line, setting_words
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, finish
from violence_detection.commands._streams import prints_to_stderr
from violence_detection.experiments.doctor_config import DoctorConfig
from violence_detection.features import space_lookup
from violence_detection.system.requirements import install_command
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.experiments.doctor import Diagnosis
    from violence_detection.system.check_list import CheckResult

_EXTRA = "extra "  # begins the names of the checks of extras


@click.command(
    cls=Command,
    short_help="Check this machine, and rehearse a training.",
    epilog=example("violence-detection doctor --features feature_cache/my_videos"),
)
@options_of(DoctorConfig, writes=False)
def doctor(settings: DoctorConfig, flags: CommonFlags) -> None:
    """Check this machine and, with a dataset, rehearse a training before hours are spent.

    Checks libraries and extras, GPUs, precision, XLA, cuDNN, that two replicas train as one
    device does, memory, disk, folders, and that a drawn clip of each codec is read. With
    --features or --dataset-path (of which 32 videos are extracted) also configuration, dataset, a
    batch, the outputs, the trainer, 20 steps on one batch, validation, and a training of 2 epochs
    whose model is saved and loaded in another process. Options of train are those of the
    rehearsal. Nothing is kept. Exits with status 3 if a check fails."""
    with prints_to_stderr():
        from violence_detection.experiments.doctor import DoctorStage

        result = DoctorStage(settings).run()
    finish(result, flags, _lines(result, settings), failed=len(result.findings))


def _lines(result: "Diagnosis", settings: DoctorConfig) -> list[str]:
    missing = [check for check in result.checks if _is_missing_extra(check)]
    lines = []
    for check in result.checks:
        if check not in missing:
            lines += _check_lines(check)
        elif check is missing[0]:
            names = ", ".join(extra.name.removeprefix(_EXTRA) for extra in missing)
            lines.append(f"skipped     extras that are not installed: {names}")
            lines.append(f"            {install_command('NAME')} where one is needed")
    failed = len(result.findings)
    if failed:
        names = ", ".join(check.name for check in result.findings)
        return [*lines, "", f"problems    {counted(failed, 'check')} failed: {names}"]
    return [*lines, "", "No problems found.", _next(settings)]


def _is_missing_extra(check: "CheckResult") -> bool:
    return check.name.startswith(_EXTRA) and check.status == "skipped"


def _check_lines(check: "CheckResult") -> list[str]:
    seconds = f" ({check.seconds:.1f} s)" if check.seconds >= 0.1 else ""
    lines = [f"{check.status:12s}{check.name}: {check.text}{seconds}"]
    if check.help:
        lines.append(f"            {check.help}")
    return lines


def _next(settings: DoctorConfig) -> str:
    train = settings.train
    if train.features is not None:
        return next_line("advise", "--features", space_lookup.shortest_path(train.features))
    if train.dataset_path is not None:
        # What was rehearsed, to the letter.
        given = {name: value for name, value in train.as_dict().items() if name in train.given}
        return next_line("train", *setting_words(given))
    return next_line("check", "VIDEO_DIR")

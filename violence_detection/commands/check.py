"""The command `check`: problems of a folder of videos, before extraction."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection import units
from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line, setting_words, training_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, finish
from violence_detection.commands._streams import prints_to_stderr
from violence_detection.errors import ConfigError
from violence_detection.features import config
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.features.checking.folder_check import FolderCheck

_PASSED_ON = ("group_pattern", "frames", "frames_fps")  # to the next command
_NORMAL_CLIP_S = "3"  # of the footage of a detector that learns from normal videos alone
_MAX_VALUES = 4  # sizes, rates and cameras that are listed


@click.command(cls=Command, epilog=example("violence-detection check my_videos"))
@click.argument("video_dir", type=PATH)
@options_of(config.CheckConfig)
def check(settings: config.CheckConfig, shared: CommonFlags, video_dir: str) -> None:
    """Find the problems of a folder of videos before extraction.

    Lists unreadable, damaged, short, frozen and black videos, copies and near-duplicates, files
    that are passed over, recordings that are in several given splits, what `train` would refuse,
    and properties of the files that tell the classes. Exits with status 3 if it finds a problem."""
    page = Path(settings.report) if settings.report else None
    if page and page.exists() and not shared.force:
        raise ConfigError(
            f"`report` must name a new file, or come with --force. Received: {settings.report}"
        )
    with prints_to_stderr():
        from violence_detection.features.checking import folder_check

        inspected = folder_check.check_folder(Path(video_dir), settings)
        result = inspected.check
        if page and not shared.dry_run:
            from violence_detection.evaluation import dataset_overview
            from violence_detection.reports import dataset_report

            overview = dataset_overview.overview(inspected, blur=settings.blur_faces)
            dataset_report.write_report(page, overview)
    values, lines = result.as_dict(), _lines(result, video_dir, settings)
    if page:
        values["report"] = str(page.resolve())
        lines.append(f"report      {'would be written to ' if shared.dry_run else ''}{page}")
    finish(values, shared, lines, failed=result.findings)


def _lines(result: "FolderCheck", video_dir: str, settings: config.CheckConfig) -> list[str]:
    lines = _summary_lines(result)
    for kind in ("unreadable", "damaged", "short", "frozen", "black", "rate", "sparse"):
        problems = getattr(result, kind)
        lines += _listed(kind, [f"{problem.path}: {problem.reason}" for problem in problems])
    lines += _listed("same bytes", [", ".join(paths) for paths in result.duplicates])
    similar = [
        f"{', '.join(pair.paths)} ({pair.bits:g} of the 64 bits of their fingerprints differ)"
        for pair in result.similar
    ]
    lines += _listed("similar", similar)
    lines += _listed("leak", result.leaks)
    lines += _listed("contradicts", result.contradictions)
    lines += _listed("folder", result.folder)
    lines += _listed("shortcut", result.shortcuts)
    lines += _listed("scenes", result.scenes)
    lines += _listed("note", [f"in the split, {text}" for text in result.splits])
    lines += _listed("training", [f"train will refuse: {text}" for text in result.training])
    given = {name: settings.as_dict()[name] for name in _PASSED_ON if name in settings.given}
    if result.findings:
        lines.append(f"problems    {result.findings}; mend them, and check again")
        return [*lines, next_line("check", Path(video_dir), *setting_words(given))]
    lines.append("No problems found.")
    if len(result.per_class) > 1:
        return [*lines, training_line(video_dir, given)]
    if result.summary.longest_s > 2 * float(_NORMAL_CLIP_S):
        given["clip_s"] = _NORMAL_CLIP_S  # a detector of normal videos learns from short clips
    return [*lines, next_line("extract-features", Path(video_dir), *setting_words(given))]


def _summary_lines(result: "FolderCheck") -> list[str]:
    summary = result.summary
    length = units.format_duration(summary.duration_s)
    lines = [f"videos      {result.videos}: {result.readable} readable, {length} in all"]
    if summary.longest_s:
        lines.append(f"length      {summary.shortest_s:.1f} s to {summary.longest_s:.1f} s")
    lines += [
        f"sizes       {_values(summary.sizes)}",
        f"rates       {_values(summary.rates)} frames per second",
    ]
    for label, counts in result.per_class.items():
        text = f"class       {label}: {counts['readable']} of {counts['videos']} readable"
        if label in summary.recordings:
            text += f", of {counted(summary.recordings[label], 'recording')}"
        lines.append(text)
    if 0 < summary.all_recordings < sum(summary.recordings.values()):
        lines.append(
            f"recordings  {summary.all_recordings} in all, some with videos of several classes"
        )
    if summary.cameras:
        lines.append(f"cameras     {len(summary.cameras)}: {_values(summary.cameras)}")
    if summary.first_recorded_at:
        lines.append(f"recorded    {summary.first_recorded_at} to {summary.last_recorded_at}")
    if result.recordings_warning:
        lines.append(f"recordings  {result.recordings_warning}")
    return lines


def _values(counts: dict[str, int]) -> str:
    """`640x360 (120), 320x240 (4) and 3 more`."""
    texts = [f"{value} ({count})" for value, count in list(counts.items())[:_MAX_VALUES]]
    rest = len(counts) - len(texts)
    return (", ".join(texts) or "none") + (f" and {rest} more" if rest else "")


def _listed(kind: str, items: Sequence[str], most: int = 10) -> list[str]:
    lines = [f"{kind:11s} {item}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"{kind:11s} and {len(items) - most} more; --json lists them")
    return lines

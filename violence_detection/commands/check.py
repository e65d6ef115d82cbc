"""The command `check`: problems of a folder of videos, before extraction."""

from pathlib import Path
from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.features import config


@click.command(
    cls=Command,
    short_help="Find problems in a folder of videos.",
    epilog=example("violence-detection check my_videos"),
)
@click.argument("video_dir", type=PATH)
@options_of(config.CheckConfig, writes=False)
def check(settings: config.CheckConfig, shared: CommonFlags, video_dir: str) -> None:
    """Find the problems of a folder of videos before extraction.

    Lists unreadable, damaged, short, frozen and black videos, copies, near-duplicates, and
    recordings that are in several given splits. Exits with status 3 if it finds a problem."""
    with prints_to_stderr():
        from violence_detection.features import inspection

        result = inspection.check_folder(Path(video_dir), settings)
    finish(result, shared, _lines(result), failed=result["findings"])


def _lines(result: dict[str, Any]) -> list[str]:
    lines = [f"videos      {result['videos']}: {result['readable']} readable"]
    for label, counts in result["per_class"].items():
        lines.append(f"class       {label}: {counts['readable']} of {counts['videos']} readable")
    for kind in ("unreadable", "damaged", "short", "frozen", "black"):
        lines += _listed(kind, [f"{row['path']}: {row['reason']}" for row in result[kind]])
    lines += _listed("same bytes", [", ".join(paths) for paths in result["duplicates"]])
    pairs = result["near_duplicates"]
    similar = [f"{', '.join(pair['paths'])} ({pair['bits']:g} bits)" for pair in pairs]
    lines += _listed("similar", similar)
    lines += _listed("leak", result["leaks"])
    return lines if result["findings"] else [*lines, "No problems."]


def _listed(kind: str, items: list[str], most: int = 10) -> list[str]:
    lines = [f"{kind:11s} {item}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"{kind:11s} and {len(items) - most} more; --json lists them")
    return lines

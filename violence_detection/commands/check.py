"""What is wrong with a folder of videos."""

from pathlib import Path

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.features import config


@click.command(cls=Command, epilog=example("violence-detection check my_videos"))
@click.argument("video_dir", type=PATH)
@options_of(config.CheckConfig, writes=False)
def check(settings: config.CheckConfig, shared: CommonFlags, video_dir: str) -> None:
    """Say what is wrong with a folder of videos, before hours are spent on it.

    Looks at a few frames of every video: unreadable, damaged, too short, frozen, black, the same
    bytes twice, videos that look alike, and what is on two sides of a given split. Leaves with 3
    where something was found."""
    with prints_to_stderr():
        from violence_detection.features import inspection

        result = inspection.check_folder(Path(video_dir), settings)
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
        f"{', '.join(pair['paths'])} ({pair['bits']:g} bits)" for pair in result["near_duplicates"]
    ]
    lines += _listed("look alike", alike)
    lines += _listed("leak", result["leaks"])
    if not result["findings"]:
        lines.append("Nothing was found.")
    finish(result, shared, lines, failed=result["findings"])


def _listed(kind: str, items: list[str], most: int = 10) -> list[str]:
    lines = [f"{kind:11s} {item}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"{kind:11s} and {len(items) - most} more; --json lists them")
    return lines

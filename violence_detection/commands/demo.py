"""The command `demo`: all stages on synthetic clips, and a watch on synthetic cameras."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.experiments.config import DemoConfig
from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.experiments.demo import DemoResult, DemoStage
    from violence_detection.live.demonstration.live_demo import LiveDemo, LiveDemoResult

_WATCH_S = 60.0


@click.command(
    cls=Command,
    short_help="Run every stage on videos that it draws.",
    epilog=example("violence-detection demo --output demo_output --live"),
)
@options_of(DemoConfig)
def demo(settings: DemoConfig, flags: CommonFlags) -> None:
    """Run all stages, offline, on clips that it draws: figures that walk, figures that fight.

    With --live it then plays drawn cameras on this machine, watches them with the trained run, says
    where the review page is, and counts which fights it found."""

    def stage() -> Stage:
        from violence_detection.experiments.demo import DemoStage

        stage = DemoStage(settings, force=flags.force)
        return _WatchedDemoStage(stage, _live_demo(settings)) if settings.live else stage

    run_stage(stage, flags, lines=_watched_lines if settings.live else result_lines)


def _live_demo(settings: DemoConfig) -> "LiveDemo":
    from violence_detection.commands.watch import lines_of
    from violence_detection.live.demonstration.live_demo import LiveDemo

    is_watched = sys.__stdout__ is not None and sys.__stdout__.isatty()
    for_s = settings.for_s
    if for_s is None and not is_watched:
        for_s = _WATCH_S
    return LiveDemo(
        Path(settings.output) / "live",
        seed=settings.seed,
        for_s=for_s,
        report=lines_of("UTC", _say),
        say=_say,
    )


def _say(line: str) -> None:
    """Prints a line while the watch goes on, broken between words in a terminal."""
    lines = [line]
    if sys.stderr.isatty():
        lines = console.wrap_lines(lines, shutil.get_terminal_size().columns)
    click.echo("\n".join(lines), err=True)


@dataclass(frozen=True)
class _WatchedDemo:
    """The results of a demo and of its watch."""

    demo: "DemoResult"
    live: "LiveDemoResult"

    def to_json(self) -> dict[str, Any]:
        return {**self.demo.to_json(), "live": self.live.to_json()}


@dataclass(frozen=True)
class _WatchedDemoStage:
    """A demo, then a watch with its run."""

    stage: "DemoStage"
    live: "LiveDemo"

    def prepare(self) -> dict[str, Any]:
        plan = self.stage.prepare()
        self.live.prepare()
        return {**plan.to_json(), "live": True}

    def run(self) -> _WatchedDemo:
        self.live.prepare()
        result = self.stage.run()
        return _WatchedDemo(result, self.live.run(Path(result.run)))


def result_lines(result: "DemoResult") -> list[str]:
    """The console text of a demo."""
    return [*_fact_lines(result), next_line("check", "VIDEO_DIR")]


def _fact_lines(result: "DemoResult") -> list[str]:
    shown = result.prediction.videos[0]
    return [
        f"accuracy    {result.test_accuracy:.1%} on {result.test_videos} drawn test clips: the "
        "program works; it says nothing about real footage",
        f"mean image  {result.mean_image_accuracy:.1%} by a model that sees each clip's mean image "
        "alone: it guesses, because only motion tells these classes apart",
        f"prediction  {shown.path}: {shown.prediction.label} ({shown.prediction.probability:.2f})",
        f"clips       {result.clips}",
        f"features    {result.features}",
        f"run         {result.run}",
        f"report      {result.report}",
    ]


def _watched_lines(result: _WatchedDemo) -> list[str]:
    from violence_detection.live.demonstration.live_demo import CAVEAT

    live, score = result.live, result.live.score
    delay = "no message about a fight"
    if score.delays_s:
        delay = (
            f"{score.delay_s:.1f} s (median) from a fight's first frame to the message, "
            f"{max(score.delays_s):.1f} s at most"
        )
    return [
        *_fact_lines(result.demo),
        "",
        f"watched     {live.seconds:.0f} s; {len(live.cameras_up)} of "
        f"{counted(len(live.cameras), 'camera')} up; {live.windows} windows judged, "
        f"{live.unjudged} not",
        f"fights      {score.found} of {score.fights} found; "
        f"{counted(score.false_alarms, 'false alarm')}",
        f"delay       {delay}",
        f"messages    {live.messages} at the webhook",
        f"cameras     {live.cameras_file}",
        f"events      {live.data}",
        f"note        {CAVEAT}",
        next_line("check", "VIDEO_DIR"),
    ]

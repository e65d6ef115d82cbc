"""The command `watch`: watches cameras, and says what happens, one line each."""

import importlib.resources
import json
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Group
from violence_detection.commands._options import cameras_argument, example, options_of
from violence_detection.commands._stage import CommonFlags, finish
from violence_detection.commands._streams import prints_to_stderr
from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.configuration.config import WatchConfig
from violence_detection.settings import CommandConfig
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.live.checking.camera_check import CameraCheck, WatchCheck
    from violence_detection.live.processes.watch_notices import Notice
    from violence_detection.live.processes.watch_status import WatchStatus

_DEFAULT = "run"


class _WatchGroup(Group):
    """`watch CAMERAS.yaml` is `watch run CAMERAS.yaml`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = {*self.commands, "--help", "-h"}
        if args and not names & set(args[:1]):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_WatchGroup,
    short_help="Watch live cameras and send alerts.",
    epilog=example("violence-detection watch run cameras.yaml"),
)
def watch() -> None:
    """Watch live cameras, and tell people and programs of possible violence.

    `watch CAMERAS.yaml` is short for `watch run CAMERAS.yaml`. The file names a run, the cameras,
    and who is told; `watch example` prints one."""


@watch.command(
    "example",
    short_help="Print an example of a cameras file.",
    epilog=example("violence-detection watch example"),
)
@options_of(CommandConfig, writes=False)
def print_example(settings: CommandConfig, shared: CommonFlags) -> None:
    """Print a cameras file with every key, to be edited.

    `watch example > cameras.yaml` makes a file of it. Change the run, `data`, the cameras and the
    sinks there, then `watch check` it."""
    package = importlib.resources.files("violence_detection.live.configuration")
    text = (package / "example_cameras.yaml").read_text()
    finish({"example": text}, shared, text.splitlines(), as_is=True)


@watch.command(
    started_again="the same command goes on with the stored events",
    short_help="Watch the cameras of a file.",
    epilog=example("violence-detection watch run cameras.yaml --for 3600 --json"),
)
@cameras_argument()
@options_of(WatchConfig, writes=False)
def run(settings: WatchConfig, shared: CommonFlags, cameras: str) -> None:
    """Watch the cameras of a file, until a signal or for a while.

    Prints a line for each change of a camera and of an event; with --json each line is a JSON
    object. SIGHUP reads the file again; SIGTERM and Ctrl-C end in order."""
    with prints_to_stderr():
        from violence_detection.live.configuration import cameras_file
        from violence_detection.live.supervision.supervisor import Supervisor

        file = cameras_file.load(Path(cameras))
    show = _show_json if shared.json else lines_of(file.timezone)
    ended = Supervisor(file, report=show, for_s=settings.for_s).run()
    if not ended.cameras_up:
        raise ViolenceDetectionError(
            f"A camera must send frames. Received: none of {len(file.cameras)} in "
            f"{ended.seconds:g} s; `watch check` says why"
        )


@watch.command(
    short_help="Check the cameras and this machine.",
    epilog=example("violence-detection watch check cameras.yaml"),
)
@cameras_argument()
@options_of(CommandConfig, writes=False)
def check(settings: CommandConfig, shared: CommonFlags, cameras: str) -> None:
    """Open every camera of a file, and measure if this machine can score them all.

    A camera takes up to 15 seconds; up to 8 are opened at a time. Exits with status 3 if it finds
    something wrong."""
    with prints_to_stderr():
        from violence_detection.live.checking import camera_check
        from violence_detection.live.configuration import cameras_file

        result = camera_check.check_cameras(cameras_file.load(Path(cameras)))
    finish(result, shared, _check_lines(result), failed=len(result.findings()))


@watch.command(
    short_help="Say how a running watch is.",
    epilog=example("violence-detection watch status cameras.yaml"),
)
@cameras_argument()
@options_of(CommandConfig, writes=False)
def status(settings: CommandConfig, shared: CommonFlags, cameras: str) -> None:
    """Ask the watch that runs with a file for the state of its cameras and sinks, and estimate
    the violence that no event tells of from the spot checks that people have judged.

    Exits with status 1 if none runs, and with 3 if a camera or a sink is down, the judge is not
    ready, or there is a warning."""
    with prints_to_stderr():
        from violence_detection.live.configuration import cameras_file
        from violence_detection.live.processes.supervisor_requests import RequestClient
        from violence_detection.live.storage.event_reader import EventReader
        from violence_detection.live.storage.event_store_writer import utc_now_ms
        from violence_detection.live.storage.missed_violence import estimate_missed
        from violence_detection.live.supervision.watch_parts import SOCKET, STORE

        file = cameras_file.load(Path(cameras), environment=None)
        answer = RequestClient(file.data / SOCKET).status()
        with EventReader.open(file.data / STORE) as reader:
            missed, by_camera = estimate_missed(reader, now_ms=utc_now_ms())
    result = answer.to_json() | {
        "missed": {
            "all": missed.to_json(),
            "cameras": {row.camera: row.to_json() for row in by_camera},
        }
    }
    lines = [*_status_lines(answer, file.timezone), f"missed      {missed.sentence}"]
    finish(result, shared, lines, failed=_count_down(answer))


def _count_down(status: "WatchStatus") -> int:
    """The number of things that are not as they should be."""
    down = sum(camera.state != "up" for camera in status.cameras)
    down += sum(bool(camera.clip_reason) for camera in status.cameras)
    down += sum(sink.state != "up" for sink in status.sinks)
    down += sum(judge.state != "ready" for judge in status.judges)
    return down + len(status.warnings)


def _status_lines(status: "WatchStatus", timezone: str) -> list[str]:
    from violence_detection.live.storage.messages import local_time

    lines = [
        f"judge       {status.judge}, run {status.run}, since "
        f"{local_time(status.started_ms, timezone)}"
    ]
    if status.finds == "unusual":
        lines.append("finds       what is unusual, not what is violent")
    for judge in status.judges if len(status.judges) > 1 else ():
        gpu = f" on GPU {judge.gpu}" if judge.gpu else ""
        reason = f" ({judge.reason})" if judge.reason else ""
        names = ", ".join(judge.cameras) or "no camera"
        lines.append(f"judge {judge.number:<5d} {judge.state}{reason}{gpu}, judges {names}")
    for camera in status.cameras:
        score = "no score" if camera.score is None else f"score {camera.score:.3f}"
        if camera.novelty is not None and camera.novelty > 1:
            score += " (unlike anything it was trained on)"
        reason = f" ({camera.reason})" if camera.reason else ""
        snooze = ""
        if camera.snoozed_until_ms:
            snooze = f", snoozed until {local_time(camera.snoozed_until_ms, timezone)}"
        clips = f", no clips: {camera.clip_reason}" if camera.clip_reason else ""
        lines.append(
            f"{camera.name:10s}  {camera.state}{reason}, {score}, {camera.lag_s:.1f} s behind, "
            f"{camera.unjudged_s:.0f} s unjudged today{snooze}{clips}"
        )
    for sink in status.sinks:
        error = f" ({sink.error})" if sink.error else ""
        lines.append(
            f"{sink.name:10s}  {sink.state}{error}, {sink.sent} sent, {sink.waiting} waiting, "
            f"{sink.dead} given up"
        )
    return [*lines, *(f"warning     {text}" for text in status.warnings)]


@watch.command(
    short_help="Print a service of systemd.",
    epilog=example("violence-detection watch systemd cameras.yaml"),
)
@cameras_argument()
@options_of(CommandConfig, writes=False)
def systemd(settings: CommandConfig, shared: CommonFlags, cameras: str) -> None:
    """Print the unit of a systemd service that watches the cameras of a file.

    The service runs as the owner of the file. Variables of the file are credentials: files of
    their names in /etc/violence-detection."""
    with prints_to_stderr():
        from violence_detection.live.checking.deployment import systemd_unit

        unit = systemd_unit(Path(cameras))
    finish({"unit": unit}, shared, unit.splitlines(), as_is=True)


def _check_lines(result: "WatchCheck") -> list[str]:
    lines = [line for check in result.cameras for line in _camera_lines(check)]
    if result.engine:
        lines += [
            "",
            f"engine      {result.engine.engine}, {result.engine.images_per_s:g} images/s; the "
            f"cameras need {result.images_per_s:g}",
            f"load        {result.load:.0%} of this machine, with decoding",
        ]
    findings = result.findings()
    if findings:
        lines += ["", f"{counted(len(findings), 'finding')}:"]
    for finding in findings:
        subject = f"{finding.camera}: " if finding.camera else ""
        lines.append(f"- {subject}{finding.what}: {finding.why}. What helps: {finding.help}.")
    return lines


def _camera_lines(check: "CameraCheck") -> list[str]:
    name, lines = check.camera.name, _probe_lines(check)
    labelled = [f"{'':12s}{line}" for line in lines]
    return [f"{name:12s}{lines[0]}", *labelled[1:]] if len(name) < 12 else [name, *labelled]


def _probe_lines(check: "CameraCheck") -> list[str]:
    probe = check.probe
    if not probe.opened:
        return [probe.error]
    distance = "unknown" if probe.key_frame_s is None else f"{probe.key_frame_s:g} s"
    browser = "plays in browsers" if check.plays_in_browser else "does not play in every browser"
    skew = "unknown" if probe.clock_skew_s is None else f"{probe.clock_skew_s:+g} s from ours"
    return [
        f"{probe.codec} {probe.profile}, {probe.width}x{probe.height}, {probe.fps:g} frames/s, "
        f"{probe.kbps:g} kbit/s; {browser}",
        f"key frames {distance} apart, {'with' if probe.has_b_frames else 'no'} B-frames; "
        f"opened in {probe.open_s:g} s; clock {skew}",
        f"costs {probe.decode_cores:g} cores for decoding, {probe.images_per_s:g} images/s",
    ]


def _show_json(notice: "Notice") -> None:
    click.echo(json.dumps(notice.to_json(), ensure_ascii=False, allow_nan=False))


def lines_of(timezone: str, say: Callable[[str], None] = click.echo) -> Callable[["Notice"], None]:
    """A function that prints a notice as a line, with the time of a zone."""
    from violence_detection.live.storage import messages

    def show(notice: "Notice") -> None:
        line = f"{messages.local_time(notice.at_ms, timezone)}  {_words(notice)}"
        if sys.stdout.isatty():  # which would break words
            columns = max(shutil.get_terminal_size().columns, 40)
            line = textwrap.fill(
                line,
                columns,
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        say(line)

    return show


def _words(notice: "Notice") -> str:
    """A notice as people read it."""
    from violence_detection.live.processes import watch_notices as notices

    match notice:
        case notices.Started():
            sinks = ", ".join(notice.sinks) or "nobody, because there are no sinks"
            return f"watches {', '.join(notice.cameras)}; tells {sinks}"
        case notices.JudgeChanged(state="ready"):
            return f"judge {notice.judge}  ready  {notice.engine}, windows of {notice.window_s:g} s"
        case notices.JudgeChanged():
            return f"judge {notice.judge}  down  {notice.reason}"
        case notices.PageChanged(state="up"):
            return f"page  up  {notice.address}"
        case notices.PageChanged():
            return f"page  down  {notice.reason}"
        case notices.CameraChanged():
            return f"{notice.camera}  {notice.state}  {notice.reason}".rstrip()
        case notices.EventChanged():
            cells = [notice.camera, f"event {notice.change}", notice.priority]
            cells += [f"{notice.peak:.3f}", notice.event]
            if notice.held_back:
                cells.append(f"to nobody ({notice.held_back.replace('_', ' ')})")
            elif notice.sent_to:
                cells.append(f"to {', '.join(notice.sent_to)}")
            if notice.novelty is not None and notice.novelty > 1:
                cells.append("unlike anything it was trained on")
            return "  ".join(cells)
        case notices.ClockStepped():
            return f"the clock was set by {notice.step_s:+g} s"
        case notices.Reloaded(ok=True):
            changed = ", ".join([*notice.started, *notice.ended, *notice.restarted])
            return f"reloaded; cameras that changed: {changed or 'none'}"
        case notices.Reloaded():
            return f"not reloaded, because of {counted(len(notice.errors), 'error')}"
        case notices.Ended():
            return (
                f"ended after {notice.seconds:g} s: {counted(notice.events, 'event')}, "
                f"{counted(notice.windows, 'window')} judged, {notice.unjudged} not"
            )
    return notice.name

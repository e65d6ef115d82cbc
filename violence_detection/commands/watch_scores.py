"""The commands `watch replay` and `watch calibrate`, which work on kept scores."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._options import cameras_argument, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, finish, run_stage
from violence_detection.commands._streams import prints_to_stderr
from violence_detection.commands.watch import watch
from violence_detection.live.configuration.config import CalibrateConfig, ReplayConfig
from violence_detection.units import counted, hours_words, rate_words

if TYPE_CHECKING:
    from violence_detection.live.replaying.replay import CameraReplay
    from violence_detection.live.replaying.score_history import CalibrationResult, ReplayResult

_SHOWN = 20


@watch.command(
    short_help="Replay kept scores with today's file.",
    epilog=example("violence-detection watch replay cameras.yaml --hours 24 --threshold 0.9"),
)
@cameras_argument()
@options_of(ReplayConfig, writes=False)
def replay(settings: ReplayConfig, shared: CommonFlags, cameras: str) -> None:
    """Send the kept scores of cameras through the alert policy once more.

    Shows the events that the settings of the file, or --threshold, would have given. With the
    settings that were in force the events are those that there were, and it says so. Nothing is
    sent and nothing is stored."""
    with prints_to_stderr():
        from violence_detection.live.replaying import score_history

        result = score_history.replay(Path(cameras), settings)
    finish(result, shared, _replay_lines(result))


def _replay_lines(result: "ReplayResult") -> list[str]:
    from violence_detection.live.storage.messages import local_time

    span = f"{local_time(result.from_ms, result.timezone)} to " + local_time(
        result.to_ms, result.timezone
    )
    lines = [f"time        {span}"]
    for camera in result.cameras:
        if not camera.hours:
            lines.append(f"{camera.camera:10s}  nothing was judged in this time")
            continue
        lines.append(
            f"{camera.camera:10s}  {counted(len(camera.events), 'event')} in "
            f"{hours_words(camera.hours)} that were judged, at threshold {camera.threshold:.3g}"
            f"{_rate(camera)}; {_comparison(camera)}"
        )
        for event in camera.events[-_SHOWN:]:
            seconds = (event.end_ms - event.start_ms) / 1000
            goes_on = ", goes on" if event.continues else ""
            lines.append(
                f"            {local_time(event.start_ms, result.timezone)}  {seconds:.1f} s  "
                f"{event.priority}  {event.peak:.3f}{goes_on}"
            )
        if len(camera.events) > _SHOWN:
            lines.append(f"            {len(camera.events) - _SHOWN} earlier ones: --json has them")
    return lines


def _rate(camera: "CameraReplay") -> str:
    """The rate of events, where the time is long enough to speak of one."""
    if not camera.events or camera.hours < 1:
        return ""
    return f" ({rate_words(camera.per_hour)})"


def _comparison(camera: "CameraReplay") -> str:
    if camera.same is None:
        return f"{camera.stored} were stored, with other settings or not yet ended"
    if camera.same:
        return f"the same {camera.stored} were stored" if camera.stored else "none was stored"
    return f"{camera.stored} other ones were stored"


@watch.command(
    short_help="Choose a camera's threshold.",
    epilog=example(
        "violence-detection watch calibrate cameras.yaml door --false-alarms-per-hour 0.05"
    ),
)
@cameras_argument()
@click.argument("camera")
@options_of(CalibrateConfig)
def calibrate(settings: CalibrateConfig, shared: CommonFlags, cameras: str, camera: str) -> None:
    """Choose the threshold of a camera by false alarms an hour, on its own quiet hours.

    Takes the kept scores without the hours in which an event was judged violent; an event that
    nobody has judged counts as a false alarm. The threshold holds from the next start or SIGHUP
    on, for a camera with `false_alarms_per_hour` in the file. It is refused where there are too
    few hours to show the rate."""

    def stage() -> Stage:
        from violence_detection.live.replaying.score_history import CalibrationStage

        return CalibrationStage(Path(cameras), camera, settings, force=shared.force)

    run_stage(stage, shared, lines=_calibration_lines, plan_lines=_calibration_lines)


def _calibration_lines(result: "CalibrationResult") -> list[str]:
    chosen = result.calibration
    low, high = chosen.interval
    lines = [
        f"threshold   {chosen.threshold:.4f} (now {chosen.before:.4g}), for "
        f"{chosen.per_hour:g} false alarms an hour ({rate_words(chosen.per_hour)})",
        f"chosen on   {hours_words(chosen.hours)} of {result.camera} without violence, with "
        f"{counted(chosen.alarms, 'alarm')}: {chosen.alarms_per_hour:.3g} an hour "
        f"(95%: {low:.3g} to {high:.3g}, if alarms are independent); "
        f"{counted(chosen.alarms_before, 'alarm')} with the threshold of now",
        "caution     other days may have more: the rate is that of the hours that it was chosen on",
    ]
    if result.unreviewed:
        lines.append(
            f"warning     {counted(result.unreviewed, 'event')} of that time has no verdict and "
            "counts as a false alarm; judge them first"
        )
    if result.left_out:
        lines.append(f"left out    {counted(result.left_out, 'hour')} with violence, or in dispute")
    if result.missed:
        lines.append(
            f"would miss  {counted(len(result.missed), 'event')} that was judged violent: "
            f"{', '.join(result.missed[:5])}"
        )
    if result.dry_run:
        return [*lines, "nothing is written (--dry-run)"]
    return [*lines, f"kept in     {result.path}", "next        kill -HUP the watch, or restart it"]

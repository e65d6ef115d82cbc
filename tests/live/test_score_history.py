"""`watch replay` and `watch calibrate` on a drawn store."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from support.watch_files import write_cameras_file

from violence_detection import cli
from violence_detection.live.configuration import cameras_file
from violence_detection.live.configuration.config import ReplayConfig
from violence_detection.live.configuration.kept_calibrations import run_digest
from violence_detection.live.replaying.score_history import replay
from violence_detection.live.storage.event_records import JudgedStretch, Minute, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import STORE

CAMERAS = """
defaults: {alert: {false_alarms_per_hour: 0.5, confirm: {windows: 2, of: 3}}}
cameras:
  - {name: door, source: "rtsp://192.0.2.1/1"}
"""
HOURS = 12


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A camera of 12 hours: a burst of 0.8 in each, and in the last hour a fight of 0.95."""
    path = write_cameras_file(tmp_path_factory.mktemp("watch"), CAMERAS)
    file = cameras_file.load(path)
    generator = np.random.default_rng(0)
    with EventStore.open(file.data / STORE, ballast_bytes=0) as store:
        last = store.now_ms() // 60_000 - 2
        first = last - 60 * HOURS - (last - 60 * HOURS) % 60  # whole hours
        minutes = []
        for number in range(60 * HOURS):
            scores = generator.uniform(0.0, 0.3, 30)
            if number % 60 == 30:
                scores[10:14] = 0.95 if number > 60 * (HOURS - 1) else 0.8
            start_ms = 60_000 * (first + number)
            stretches = tuple(
                JudgedStretch(start_ms + 2000 * place, start_ms + 2000 * place + 2000, score)
                for place, score in enumerate(scores.tolist())
            )
            minutes.append(
                Minute("door", first + number, run_digest(file.run), 1, 0, stretches, 2000)
            )
        store.record_minutes(minutes)
        fight_ms = 60_000 * (first + 60 * (HOURS - 1) + 30) + 20_000
        event = StoredEvent(
            store.new_id(), "door", fight_ms, "high", end_ms=fight_ms + 8000, peak=0.95,
            state="ended",
        )  # fmt: skip
        store.record_start(event)
        store.record_verdict(event.id, "violent", by="anna")
    return path


def test_the_last_minute_of_a_watch_that_has_ended_is_replayed(tmp_path):
    path = write_cameras_file(tmp_path, CAMERAS.replace("false_alarms_per_hour", "threshold"))
    file = cameras_file.load(path)
    now_ms = 60_000_000 + 30_000
    with EventStore.open(file.data / STORE, ballast_bytes=0, now_ms=lambda: now_ms) as store:
        stretches = tuple(
            JudgedStretch(now_ms - 30_000 + 1000 * n, now_ms - 28_000 + 1000 * n, score)
            for n, score in enumerate([0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
        )
        store.record_minutes([Minute("door", 1000, run_digest(file.run), 1, 0, stretches, 2000)])
    for passed_s in (0, 60):
        result = replay(path, ReplayConfig(), clock=lambda s=passed_s: now_ms / 1000 + s)
        assert len(result.cameras[0].events) == 1
    early = replay(path, ReplayConfig(), clock=lambda: now_ms / 1000 - 90)
    assert early.cameras[0].events == ()


def _run(*line, status=0):
    answer = CliRunner().invoke(cli.main, ["watch", *map(str, line)])
    assert answer.exit_code == status, answer.output
    return answer


@pytest.mark.slow
def test_replay_tries_thresholds(watched):
    result = json.loads(_run("replay", watched, "--threshold", "0.7", "--json").stdout)
    assert len(result["cameras"][0]["events"]) == HOURS
    assert result["cameras"][0]["hours"] == pytest.approx(HOURS, abs=0.01)
    text = _run("replay", watched, "--threshold", "0.9", "--camera", "door").stdout
    assert "1 event in 12 hours that were judged, at threshold 0.9 (1 in 12 hours)" in text
    assert "0.950" in text
    text = _run("replay", watched, "--hours", "1", "--until", "2020-01-01T00:00").stdout
    assert "door        nothing was judged in this time" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--camera", "yard"], "must be one of door. Received: yard"),
     (["--until", "yesterday"], "must be a time, as 2026-11-30T06:00")],
)  # fmt: skip
def test_wrong_usage_of_replay(watched, options, message):
    assert message in _run("replay", watched, *options, status=2).stderr


@pytest.mark.slow
def test_calibration_is_kept_and_used(watched):
    """The hour of the fight is left out, so that the fight does not count as a false alarm."""
    read = cameras_file.read(watched)
    assert "No threshold was chosen for 0.5 false alarms" in read.warnings[0].message
    assert read.settings.camera("door").settings.alert.threshold == 0.62, "the run's"
    planned = _run("calibrate", watched, "door", "--dry-run").stdout
    assert "nothing is written" in planned
    assert cameras_file.read(watched).warnings
    result = json.loads(_run("calibrate", watched, "door", "--json").stdout)
    assert 0.8 < result["threshold"] < 0.95 and result["alarms"] == 0
    assert (result["left_out"], result["missed"], result["hours"]) == (1, [], HOURS - 1)
    read = cameras_file.read(watched)
    assert not read.warnings
    assert read.settings.camera("door").settings.alert.threshold == result["threshold"]
    again = ["calibrate", watched, "door", "--false-alarms-per-hour", "1"]
    assert "with --force only" in _run(*again, status=2).stderr
    assert json.loads(_run(*again, "--force", "--json").stdout)["threshold"] < 0.8
    assert cameras_file.read(watched).warnings, "the file asks for another rate"


def test_calibration_without_evidence_is_refused(watched):
    answer = _run("calibrate", watched, "door", "--false-alarms-per-hour", "0.05", status=1)
    assert "60 hours or more without violence. Received: 11 hours" in answer.stderr
    assert "must be one of door" in _run("calibrate", watched, "yard", status=2).stderr

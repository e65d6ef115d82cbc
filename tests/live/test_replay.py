"""A replay of stored windows gives the events that there were."""

import random

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import PlayedWatch, Times

from violence_detection.live.replaying.replay import judged_stretches, replay_camera
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import STORE
from violence_detection.live.watching.watched_camera import settings_digest

CAMERAS = """
defaults:
  alert: {threshold: 0.6, confirm: {windows: 2, of: 3}, close_gaps_s: 3, max_event_s: 20}
cameras:
  - {name: door, source: "rtsp://192.0.2.1/1"}
"""


def _watch_randomly(watch, seed, seconds):
    """Scores that wander, windows that nobody judged, and a camera that is away for a while."""
    generator = random.Random(seed)
    score = 0.1
    for _ in range(seconds):
        score = min(
            0.99, max(0.01, score + generator.gauss(0, 0.2) + (0.05 if score < 0.3 else -0.05))
        )
        event = generator.random()
        if event < 0.03:
            watch.judge_windows("door", None)
        elif event < 0.04:
            watch.say_state("door", "waiting", "the connection ended")
            watch.advance(generator.choice([2.0, 9.0]))
            watch.say_state("door", "up")
        else:
            watch.judge_windows("door", score)


def test_figures_that_come_while_a_watch_ends_do_not_replace_its_last_minute(tmp_path):
    watch = PlayedWatch(write_cameras_file(tmp_path, CAMERAS))
    with watch.running():
        watch.say_state("door", "up")
        watch.judge_windows("door", 0.1, *[0.97] * 5)
        watch.say_status("door", is_handled=False)  # while its clip is finished
    with EventStore.reader(watch.file.data / STORE) as reader:
        minutes = list(reader.minutes("door", first=0, last=2**40))
        assert sum(len(minute.stretches) for minute in minutes) == 6
        (event,) = reader.events()
    camera = watch.file.camera("door")
    with EventStore.reader(watch.file.data / STORE) as reader:
        digest = settings_digest(camera)
        times = {"from_ms": event.start_ms - 600_000, "to_ms": event.start_ms + 600_000}
        replayed = replay_camera(reader, camera, settings_digest=digest, **times)
    assert replayed.same is True and len(replayed.events) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_replay_equals_live(tmp_path, seed):
    path = write_cameras_file(tmp_path, CAMERAS)
    watch = PlayedWatch(path)
    with watch.running():
        watch.say_state("door", "up")
        watch.say_status("door", clock_offset_s=0.25)
        _watch_randomly(watch, seed, 250)
    # A watch that is started later goes on in the same store.
    second = PlayedWatch(path, Times(5.0, watch.times.utc_s + 20.0))
    with second.running():
        second.say_state("door", "up")
        _watch_randomly(second, seed + 100, 150)
    camera = watch.file.camera("door")
    with EventStore.reader(watch.file.data / STORE) as reader:
        replayed = replay_camera(
            reader, camera, settings_digest=settings_digest(camera), from_ms=0, to_ms=2**45
        )
        stored = reader.events(limit=1000)[::-1]
        assert len(stored) > 5 and any(event.continues for event in stored)
        assert replayed.same is True and replayed.stored == len(replayed.events) == len(stored)
        for event, known in zip(replayed.events, stored, strict=True):
            assert event.priority == known.priority
            assert abs(event.start_ms - known.start_ms) <= 1
        other = replay_camera(
            reader, camera, settings_digest="other", from_ms=0, to_ms=2**45, threshold=0.95
        )
        assert other.same is None and len(other.events) < len(stored)
        minutes = reader.minutes("door", first=0, last=2**40)
        for rows in judged_stretches(minutes):
            assert all(
                a.start_s <= b.start_s <= a.end_s + 0.1
                for a, b in zip(rows, rows[1:], strict=False)
            )

"""An extraction that is killed at any moment, again and again, ends with the same files."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.videos import draw_video

# The whole of stage one, but for the network: starting TensorFlow would take most of the time.
_PROGRAM = """
import sys
import numpy as np
from violence_detection.system import devices
devices.import_tensorflow = lambda: None
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.video.clip_reader import ClipReader

def for_machine(settings):
    stream = settings.stream
    space = FeatureSpace(
        backbone="mobilenetv2", layer="mean", stream=stream, frames=8, frame_size=32,
        resize="area", dim=6, weights_digest="0" * 64, engine="tensorflow", precision="float32",
    )
    reader = ClipReader(stream=stream, frames=8, frame_size=32)
    return FeatureExtractor(space, reader, encode, batch_size=16)

def encode(pictures):
    values = pictures.astype(np.float32)
    return np.concatenate([values.mean((1, 2)), values.std((1, 2))], 1)

FeatureExtractor.for_machine = for_machine
from violence_detection.cli import extract_features
extract_features(sys.argv[1:])
"""
_MARK = "VIOLENCE_DETECTION_TEST"
VIDEOS = 40


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("killed")
    for number in range(VIDEOS):
        label = ("fight", "noFight")[number % 2]
        draw_video(root / label / f"{number}.mp4", frames=24, seed=number)
    (root / "fight" / "broken.mp4").write_text("This is no video.")
    return root


def started(videos: Path, cache: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, videos, "--cache-dir", cache, "--views", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {_MARK: str(cache)},
    )


def alive(cache: Path) -> list[str]:
    """Processes that were started for a cache, and their children."""
    mark, found = f"{_MARK}={cache}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (path / "environ").read_bytes():
                found.append(path.name)
        except OSError:
            continue
    return found


def left(cache: Path) -> dict[str, bytes]:
    paths = [path for path in cache.rglob("*") if path.is_file()]
    return {
        path.relative_to(cache).as_posix(): path.read_bytes()
        for path in paths
        if path.name not in (".lock", "extraction.json", "splits.json")
    }


def features_in(cache: Path) -> int:
    return sum(1 for _ in cache.rglob("*.npy"))


@pytest.mark.slow
@pytest.mark.parametrize("extractions", [2, pytest.param(5, marks=pytest.mark.thorough)])
def test_four_kills_of_each_extraction_leave_no_trace(videos, tmp_path, extractions):
    start_s = time.monotonic()
    assert started(videos, tmp_path / "whole").wait() == 3  # one cannot be read
    whole_s = time.monotonic() - start_s
    expected = left(tmp_path / "whole")
    assert sum(name.endswith(".npy") for name in expected) == 2 * VIDEOS

    rng, interrupted = random.Random(5), 0
    for number in range(extractions):
        cache = tmp_path / str(number)
        for kill in range(4):
            process = started(videos, cache)
            if kill % 2:  # at a number of features, so that it is killed on a machine of any speed
                there = features_in(cache)
                wanted = there + rng.randrange(1 + (2 * VIDEOS - there) // 4)
                while process.poll() is None and features_in(cache) < wanted:
                    time.sleep(0.01)
                time.sleep(rng.uniform(0, 0.05))
            else:
                time.sleep(rng.uniform(0, whole_s))
            interrupted += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
        for _ in range(100):
            if not alive(cache):
                break
            time.sleep(0.1)
        assert not alive(cache)
        assert started(videos, cache).wait() == 3
        assert left(cache) == expected
    assert interrupted >= 2 * extractions

"""Videos are drawn here, never stored or downloaded."""

import csv
import hashlib
import logging
import signal
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from violence_detection import files, isolation, progress, runtime
from violence_detection.cache import FeatureCache
from violence_detection.feature_config import ExtractConfig
from violence_detection.feature_space import FeatureSpace
from violence_detection.manifest import Entry
from violence_detection.train_config import TrainConfig
from violence_detection.videos import SPLITS

runtime.import_tensorflow()
settings.register_profile("untimed", deadline=None)  # machines are noisy
settings.load_profile("untimed")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def draw_video(
    path: Path,
    *,
    frames: int = 12,
    fps: float = 12.0,
    size=(64, 48),
    seed: int = 0,
    codec="mp4v",
) -> Path:
    """A small clip in which a bright square moves; frame i has brightness 20 + 4 i behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
    assert writer.isOpened(), codec
    colour = np.random.default_rng(seed).integers(100, 256, 3)
    for index in range(frames):
        frame = np.full((height, width, 3), min(20 + 4 * index, 250), np.uint8)
        left = (seed * 7 + index * 3) % (width - 12)
        frame[height // 3 : height // 3 + 12, left : left + 12] = colour
        writer.write(frame)
    writer.release()
    return path


def draw_two_classes(folder: Path, *, each: int = 6) -> Path:
    """Clips of one second, in class folders."""
    for label, seed in (("fight", 0), ("noFight", 50)):
        for number in range(each):
            draw_video(folder / label / f"{number}.mp4", seed=seed + number)
    return folder


@pytest.fixture
def dataset_dir(tmp_path: Path) -> Path:
    """Twelve clips of two classes, in class folders."""
    root = tmp_path / "videos"
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(6):
            draw_video(root / label / f"{number}.mp4", frames=10 + number, seed=offset + number)
    return root


LONG = (
    "test_demo test_backbones test_equal_devices test_cross_validation test_training_run "
    "test_export_docs test_tuning test_features test_export test_cli test_cluster "
    "test_several_machines test_training_step test_seeds"
).split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: at the end no process waits for another's."""
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Two virtual CPUs, so that tests can train over replicas in this process; and Ctrl-C is
    heard, also where the tests were started in the background."""
    import tensorflow as tf

    signal.signal(signal.SIGINT, signal.default_int_handler)

    two = [tf.config.LogicalDeviceConfiguration()] * 2
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, two)


@pytest.fixture(autouse=True, scope="session")
def keep_children():
    """Children that decode serve the next test too: starting one takes a third of a second."""
    dismiss = isolation.dismiss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolation, "dismiss", lambda: None)
        yield
    dismiss()


@pytest.fixture(autouse=True)
def leave_the_process_as_it_was():
    """Put back what commands and stages set for the whole process."""
    import keras

    log = logging.getLogger("violence_detection")
    policy = keras.config.dtype_policy()
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    level, handlers, propagate = log.level, log.handlers, log.propagate
    yield
    keras.config.set_dtype_policy(policy)
    progress.stop = progress.Stop()
    for number, handler in signals.items():
        signal.signal(number, handler)
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


def draw_features(
    folder: Path,
    *,
    counts=(16, 8, 8),
    labels=("normal", "violent"),
    shape=(6, 8),
    shift=1.0,
    seed=0,
    **settings,
) -> Path:
    """A small feature cache, written without a video: random clips, class k shifted by k.

    Args:
        counts: Videos in train, validation and test; two of a recording in a row.
        settings: Of extraction.json, over what is there.
    """
    cache, rng, entries = FeatureCache(folder), np.random.default_rng(seed), []
    for split, count in zip(SPLITS, counts, strict=True):
        for number in range(count):
            kind = number % len(labels)
            key = f"{labels[kind]}/{split}_{number}.mp4"
            features = rng.normal(shift * kind, 1, shape).astype(np.float16)
            entry = Entry(
                path=key,
                label=labels[kind],
                group=f"{labels[kind]} {split} {number // (2 * len(labels))}",
                split=split,
                digest=hashlib.sha256(features.tobytes()).hexdigest(),
                array_digest=cache.write_arrays(key, features[None])[0],
                duration_s=2.0,
            )
            entries.append(entry)
    cache.write_manifest(entries)
    files.write_json(cache.extraction_path, _extraction(shape, labels) | settings)
    return cache.dir


def _extraction(shape, labels) -> dict:
    space = FeatureSpace(
        backbone="mobilenetv2",
        layer="pool",
        stream="rgb",
        frames=shape[0],
        frame_size=32,
        resize="area",
        dim=shape[1],
        weights_digest="0" * 64,
        engine="tensorflow",
        precision="float32",
    )
    return {
        "complete": True,
        "dataset": {"name": "drawn", "dir": "/drawn"},
        "grouping": "table",
        "classes": list(labels),
        "fingerprint": space.fingerprint,
        "feature_space": asdict(space),
        "weights": {"source": "random", "digest": space.weights_digest, "seed": 42},
    }


@pytest.fixture(scope="session")
def features_dir(tmp_path_factory) -> Path:
    """Features of 32 drawn videos of two classes; not to be written to."""
    return draw_features(tmp_path_factory.mktemp("cache") / "drawn" / "space")


def train_quickly(features: Path, checkpoint_dir: Path, *, force=False, **settings) -> dict:
    """Train the linear head for a few epochs; what the command's JSON holds."""
    from violence_detection.training import train

    quick = {"head": "linear", "epochs": 3, "batch_size": 8, "checkpoint_epochs": 0}
    places = {"features": str(features), "checkpoint_dir": str(checkpoint_dir)}
    asked = {"run": "run", **quick, **places, **settings}
    return train(TrainConfig(**asked, given=frozenset(asked)), force=force)


def train_on_videos(videos: Path, folder: Path, *, epochs: int = 1, **extraction) -> Path:
    """Extract small features of videos into a folder and train on them; the run."""
    from violence_detection import features

    small = {"frames": 4, "frame_size": 32, "batch_size": 8, "weights": "random"}
    asked = {"cache_dir": str(folder / "cache"), **small, **extraction}
    found = features.extract(videos, ExtractConfig(**asked))
    return Path(train_quickly(found.features, folder / "runs", epochs=epochs)["run"])


@pytest.fixture(scope="session")
def run_dir(features_dir, tmp_path_factory) -> Path:
    """A run that was trained on `features_dir`; not to be written to."""
    settings = {"epochs": 8, "learning_rate": 0.05, "checkpoint_epochs": 4}
    return Path(train_quickly(features_dir, tmp_path_factory.mktemp("runs"), **settings)["run"])


def read_history(run: Path) -> list[dict[str, str]]:
    """Rows of the history without how long they took."""
    with open(run / "training_history.csv") as file:
        return [{**row, "videos_per_s": ""} for row in csv.DictReader(file)]


def tree_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def frames_of(path: Path) -> list[np.ndarray]:
    """Every frame, by OpenCV alone."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        done, frame = capture.read()
        if not done:
            return frames
        frames.append(frame)


@pytest.fixture(scope="session")
def seen_videos(tmp_path_factory) -> Path:
    """Fights are brighter and larger than the rest; not to be written to."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(3):
        draw_video(root / "fight" / f"{number}.mp4", size=(96, 64), frames=30)
        draw_video(root / "normal" / f"{number}.mp4", size=(64, 48), seed=number)
    return root


@pytest.fixture
def seen_cache(tmp_path, seen_videos) -> tuple[FeatureCache, list[Entry]]:
    """A cache that names the folder of videos, and its rows."""
    folder = draw_features(
        tmp_path / "cache" / "drawn" / "space",
        dataset={"name": "d", "dir": str(seen_videos)},
    )
    paths = sorted(seen_videos.rglob("*.mp4"))
    entries = [
        Entry(
            path.relative_to(seen_videos).as_posix(),
            path.parent.name,
            path.stem,
            "",
            size=path.stat().st_size,
            digest=files.sha256_of_file(path) + path.parent.name + path.stem,
        )
        for path in paths
    ]
    return FeatureCache.open(folder), entries

"""What all tests share. It imports no TensorFlow: the folders that need it start it themselves."""

import gc
import logging
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from support.backbones import small_backbones, whole_backbones
from support.features import draw_features
from support.figures import blank_figures
from support.videos import draw_video

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache
from violence_detection.system import files, processes, progress

settings.register_profile("untimed", deadline=None)  # machines are noisy
settings.load_profile("untimed")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def dataset_dir(tmp_path: Path) -> Path:
    """Twelve clips of two classes, in class folders."""
    root = tmp_path / "videos"
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(6):
            draw_video(root / label / f"{number}.mp4", frames=10 + number, seed=offset + number)
    return root


# Files by how long they take, the longest first.
LONG = (
    "live/test_live_demo training/test_equal_devices features/test_ray_executor "
    "export/test_export_docs "
    "live/test_watch_runs live/test_live_video_browser live/test_clips_browser "
    "video/test_live_source features/test_killed "
    "export/test_export training/test_run_setup experiments/test_cross_validate "
    "training/test_objective training/test_several_machines "
    "experiments/test_tune conformance/test_heads conformance/test_backbones "
    "live/test_watch_end_to_end conformance/test_engines commands/test_cli "
    "conformance/test_formats training/test_multi_seed live/test_judge "
    "export/test_fit features/test_sharded_extraction export/test_bundle export/test_output_graph "
    "features/test_extraction_job inference/test_predict experiments/test_advise "
    "inference/test_joined_spaces evaluation/test_event_scores federated/test_simulation "
    "features/test_mutants evaluation/test_thresholds training/test_train training/test_trainer "
    "training/test_step training/test_tensorboard_events training/test_replica_check "
    "experiments/test_ablate experiments/test_cross_dataset tests/test_python_functions"
).split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: at the end no process waits for another's."""
    order = {name: number for number, name in enumerate(LONG)}

    def rank(item: pytest.Item) -> int:
        return order.get("/".join(item.path.with_suffix("").parts[-2:]), len(LONG))

    items.sort(key=rank)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ctrl-C is heard, also where the tests were started in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection(session: pytest.Session) -> None:
    """Imports leave a million objects that stay: no garbage is looked for among them."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def nothing_is_synced():
    """No test cuts the power, and a kill loses nothing that was written: each wait for the disk is
    a loss of time. Tests of syncing replace `os.fsync` themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def keep_children():
    """Children that decode serve the next test too: starting one takes a third of a second."""
    end_idle_processes = processes.end_idle_processes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "end_idle_processes", lambda: None)
        yield
    end_idle_processes()


@pytest.fixture(autouse=True, scope="module")
def backbones_are_small():
    """The MobileNets have four layers; files that test backbones override this fixture."""
    with small_backbones() if "keras" in sys.modules else nullcontext():
        yield


@pytest.fixture(autouse=True, scope="module")
def figures_are_blank():
    """Figures cost more than most tests; files that test them override this fixture."""
    with blank_figures():
        yield


@pytest.fixture
def whole_mobilenets():
    """The MobileNets of Keras, for a test that needs their weights or layers."""
    with whole_backbones():
        yield


@pytest.fixture(autouse=True)
def leave_the_process_as_it_was():
    """Put back what commands and stages set for the whole process."""
    keras = sys.modules.get("keras")
    log = logging.getLogger("violence_detection")
    policy = keras and keras.config.dtype_policy()
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    level, handlers, propagate = log.level, log.handlers, log.propagate
    yield
    if keras:
        keras.config.set_dtype_policy(policy)
    progress.stop = progress.Stop()
    for number, handler in signals.items():
        signal.signal(number, handler)
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture(scope="session")
def features_dir(tmp_path_factory) -> Path:
    """Features of 32 drawn videos of two classes; not to be written to."""
    return draw_features(tmp_path_factory.mktemp("cache") / "drawn" / "space")


@pytest.fixture(scope="session")
def run_dir(features_dir, tmp_path_factory) -> Path:
    """A run that was trained on `features_dir`; not to be written to."""
    from support.training import train_quickly

    settings = {"epochs": 8, "learning_rate": 0.05, "checkpoint_epochs": 4}
    with blank_figures():  # fixtures of the session come before those of a module
        return Path(train_quickly(features_dir, tmp_path_factory.mktemp("runs"), **settings)["run"])


@pytest.fixture(scope="session")
def cached_videos(tmp_path_factory) -> Path:
    """Fights are brighter and larger than the rest; not to be written to."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(3):
        draw_video(root / "fight" / f"{number}.mp4", size=(96, 64), frames=30)
        draw_video(root / "normal" / f"{number}.mp4", size=(64, 48), seed=number)
    return root


@pytest.fixture
def video_cache(tmp_path, cached_videos) -> tuple[FeatureCache, list[ManifestEntry]]:
    """A cache that names the folder of videos, and its rows."""
    folder = draw_features(
        tmp_path / "cache" / "drawn" / "space",
        dataset={"name": "d", "dir": str(cached_videos)},
    )
    paths = sorted(cached_videos.rglob("*.mp4"))
    entries = [
        ManifestEntry(
            path.relative_to(cached_videos).as_posix(),
            path.parent.name,
            path.stem,
            "",
            size=path.stat().st_size,
            digest=files.sha256_of_file(path) + path.parent.name + path.stem,
        )
        for path in paths
    ]
    return FeatureCache.open(folder), entries

"""The export job: clips evenly over the validation split, and what is missing named before work."""

from pathlib import Path

import numpy as np
import pytest
from support.training import train_on_videos
from support.videos import draw_two_classes

from violence_detection.errors import ConfigError, DatasetError, WeightsError
from violence_detection.export.config import ExportConfig
from violence_detection.export.export_job import ExportJob


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run on drawn videos of 64 x 48, one second each at 12 frames a second."""
    root = tmp_path_factory.mktemp("job")
    videos = draw_two_classes(root / "videos")
    return train_on_videos(videos, root, backbone="mobilenet", stream="motion")


def job_of(run: Path, **asked) -> ExportJob:
    return ExportJob.from_config(str(run), ExportConfig(**{"format": "keras"} | asked))


def test_an_end_to_end_job_reads_the_frames_that_the_model_takes(trained):
    job = job_of(trained)
    assert job.source == "frames"
    assert job.frame_input.shape == (12, 48, 64, 3) and job.frame_input.sampled == 4
    clip = job.read_clip(0)
    assert clip.frames.shape == (12, 48, 64, 3) and clip.frames.dtype == np.uint8
    assert clip.images is None and clip.features is None


def test_a_size_and_a_rate_that_are_given_beat_those_of_the_videos(trained):
    chosen = job_of(trained, height=24, width=32, fps=6.0).frame_input
    assert chosen.shape == (6, 24, 32, 3)


def test_a_classifier_is_checked_on_the_images_of_its_videos(trained):
    job = job_of(trained, scope="classifier")
    assert job.frame_input is None and job.request().weights == "random"
    clip = job.read_clip(0)
    assert clip.images.shape == (4, 1, 32, 32, 3) and clip.frames is None


def test_without_videos_a_classifier_is_checked_on_cached_features(run_dir):
    job = job_of(run_dir, scope="classifier")
    assert job.parts is None and job.request().weights is None
    clip = job.read_clip(1)
    np.testing.assert_array_equal(clip.features, np.float32(job.cached.features[1:2]))


def test_clips_are_spread_evenly_over_the_split(run_dir):
    every = job_of(run_dir, scope="classifier")
    some = job_of(run_dir, scope="classifier", clips=3)
    assert len(every.entries) == 8
    assert some.entries == every.entries[::3] and len(some.cached) == 3


def test_weights_that_do_not_exist_are_named(trained, tmp_path):
    gone = str(tmp_path / "gone.h5")
    with pytest.raises((WeightsError, ConfigError), match="gone.h5"):
        job_of(trained, weights=gone)


def test_another_folder_of_videos_must_hold_them(trained, tmp_path):
    with pytest.raises(DatasetError, match="--videos names their folder. Received: "):
        job_of(trained, videos=str(tmp_path))


def test_the_model_is_described_for_programmers(trained):
    described = job_of(trained).describe_model({"inputs": [], "outputs": []})
    assert described["classes"] == ["noFight", "fight"]
    assert described["frames"]["count"] == 12 and described["frames"]["channels"] == "RGB"
    assert described["frames"]["sampling"] == "every frame of a clip, 12 a second"
    classifier = job_of(trained, scope="classifier").describe_model({})
    assert classifier["feature_space"]["stream"] == "motion" and "frames" not in classifier

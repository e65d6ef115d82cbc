"""The export job: clips evenly over the validation split, and what is missing named before work."""

import json
import shutil
from pathlib import Path

import pytest
from support.training import train_on_videos
from support.videos import draw_two_classes

from violence_detection.errors import ConfigError, DatasetError, WeightsError
from violence_detection.export.conversion import Interface
from violence_detection.export.export_job import ExportJob
from violence_detection.system.processes import ProcessPool


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run on drawn videos of 64 x 48, one second each at 12 frames a second."""
    root = tmp_path_factory.mktemp("job")
    videos = draw_two_classes(root / "videos")
    return train_on_videos(videos, root, backbone="mobilenet", stream="motion")


def job_of(run: Path, *, end_to_end: bool = True, **asked) -> ExportJob:
    plain = {"format": "keras", "precision": "float32", "clips": 200}
    return ExportJob.open(str(run), end_to_end=end_to_end, **plain | asked)


@pytest.mark.slow
def test_a_format_of_any_size_takes_frames_as_they_are(trained):
    frame_input = job_of(trained).request.frame_input
    assert frame_input.shape == (None, None, None, 3) and frame_input.sampled == 4
    assert frame_input.takes_fps and frame_input.largest == 1920


@pytest.mark.slow
def test_a_format_of_one_size_takes_the_most_common_of_the_training_videos(trained):
    job = job_of(trained, format="tflite")
    assert job.request.frame_input.shape == (12, 48, 64, 3)
    assert job.frames_from.startswith("the most common of ")
    assert job.frames_from.endswith(" training videos")


@pytest.mark.slow
def test_size_and_rate_are_those_that_training_has_recorded(trained, tmp_path):
    """Measured now only for a run of an older version, which did not record them."""
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    config = json.loads((copy / "training_config.json").read_text())
    assert config["frame_format"]["width"] == 64 and config["frame_format"]["fps"] == 12.0

    def shape_with(frame_format) -> tuple:
        changed = config | {"frame_format": frame_format}
        (copy / "training_config.json").write_text(json.dumps(changed))
        return job_of(copy, format="tflite").request.frame_input.shape

    assert shape_with(config["frame_format"] | {"width": 32, "fps": 6.0}) == (6, 48, 32, 3)
    assert shape_with(None) == (12, 48, 64, 3)


@pytest.mark.slow
def test_a_size_and_a_rate_that_are_given_beat_those_of_the_videos(trained):
    chosen = job_of(trained, size=(24, 32), fps=6.0)
    assert chosen.request.frame_input.shape == (6, 24, 32, 3)
    assert chosen.frames_from == "as asked for"
    of_one_rate = job_of(trained, fps=6.0)
    assert of_one_rate.request.frame_input.shape == (6, 48, 64, 3)
    assert of_one_rate.frames_from.startswith("as asked for; else the most common of ")


@pytest.mark.slow
def test_windows_are_read_in_the_forms_that_the_check_compares(trained, tmp_path):
    job = job_of(trained)
    with ProcessPool() as call:
        (window,) = job.read_video(0, call, tmp_path).windows
    assert window.images.own.shape == (4, 1, 32, 32, 3)
    assert window.inputs(job.request.frame_input)["frames"].shape == (1, 12, 48, 64, 3)


def test_a_classifier_needs_neither_videos_nor_weights(run_dir):
    job = job_of(run_dir, end_to_end=False)
    assert job.parts is None and job.request.weights is None and job.request.frame_input is None


def test_clips_are_spread_evenly_over_the_split(run_dir):
    every = job_of(run_dir, end_to_end=False)
    some = job_of(run_dir, end_to_end=False, clips=3)
    assert len(every.entries) == 8
    assert some.entries == every.entries[::3] and len(some.cached) == 3


@pytest.mark.slow
def test_weights_that_do_not_exist_are_named(trained, tmp_path):
    gone = str(tmp_path / "gone.h5")
    with pytest.raises((WeightsError, ConfigError), match="gone.h5"):
        job_of(trained, weights=gone)


@pytest.mark.slow
def test_another_folder_of_videos_must_hold_them(trained, tmp_path):
    with pytest.raises(DatasetError, match="--dataset-path names their folder. Received: "):
        job_of(trained, videos=str(tmp_path))


@pytest.mark.slow
def test_the_model_is_described_for_programmers(trained):
    interface = Interface([], [])
    described = job_of(trained, format="tflite").describe_model(interface).to_json()
    assert described["classes"] == ["noFight", "fight"]
    assert described["frames"]["count"] == 12 and described["frames"]["channels"] == "RGB"
    assert described["frames"]["sampling"] == "every frame of a clip, 12 a second"
    classifier = job_of(trained, end_to_end=False).describe_model(interface).to_json()
    assert classifier["feature_space"]["stream"] == "motion" and "frames" not in classifier

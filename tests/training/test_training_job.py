"""A training job trains, scores and finishes runs; its parts do so one by one for a search."""

from pathlib import Path

import numpy as np
import pytest
from support.training import CLASSES

from violence_detection.datasets.videos import Problem
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.models.training_results import TrainingResults
from violence_detection.system import devices
from violence_detection.training.config import TrainConfig
from violence_detection.training.training_data import read_splits
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.training_settings import TrainingSettings

FAILURES = [Problem("normal/broken.mp4", "no frames")]


@pytest.fixture(scope="module")
def job(features_dir) -> TrainingJob:
    cache = FeatureCache.open(features_dir)
    entries = dataset.usable_entries(cache)
    clips = read_splits(cache, entries, CLASSES)
    config = TrainConfig()
    device_setup = devices.start(seed=config.seed, **config.devices.as_dict())
    return TrainingJob(device_setup, cache, entries, CLASSES, clips, FAILURES)


def settings_of(job: TrainingJob, run: Path, **settings) -> TrainingSettings:
    places = {"features": str(job.cache.dir), "checkpoint_dir": str(run.parent), "run": run.name}
    quick = {"head": "linear", "epochs": 2, "batch_size": 8, "checkpoint_epochs": 0}
    return TrainConfig.from_flags({**places, **quick, **settings}).training


@pytest.fixture(scope="module")
def trained(job, tmp_path_factory) -> tuple[Run, TrainingSettings, TrainingResults]:
    """A run of the job, its settings and its results; not to be written to."""
    run = Run(tmp_path_factory.mktemp("job") / "run")
    settings = settings_of(job, run.dir)
    return run, settings, job.run(run, settings)


@pytest.mark.slow
def test_a_job_leaves_a_finished_run_with_its_failures(job, trained):
    run, _, results = trained
    assert run.finished and not run.state_dir.exists()
    assert run.results() == results
    assert results.failures == FAILURES
    assert results.videos == {split: len(part) for split, part in job.clips.items()}


@pytest.mark.slow
def test_scores_are_those_of_the_saved_model(job, trained):
    """A run that is scored again has the same scores and warnings."""
    run, settings, results = trained
    assert job.score_run(run, settings.decision, seed=settings.seed) == results.scores


def test_a_trainer_writes_nothing_before_its_epochs(job, tmp_path):
    run = Run(tmp_path / "run")
    job.build_trainer(run, settings_of(job, run.dir))
    assert not run.dir.exists()


@pytest.mark.slow
def test_a_run_in_parts_is_the_run_of_a_job(job, trained, tmp_path):
    run = Run(tmp_path / "run")
    settings = settings_of(job, run.dir)
    trainer = job.build_trainer(run, settings)
    job.start_run(run, settings, trainer)
    assert run.started and not run.finished
    trainer.run_epochs()
    results = job.finish_run(run, settings.decision, settings.seed, trainer)
    differing = {"run": "", "videos_per_s": 0.0}
    assert results.to_json() | differing == trained[2].to_json() | differing


@pytest.mark.slow
def test_trainings_of_one_job_differ_in_their_settings_alone(job, trained, tmp_path):
    run = Run(tmp_path / "run")
    results = job.run(run, settings_of(job, run.dir, seed=7, learning_rate=0.05))
    assert results.videos == trained[2].videos
    losses = [training.scores.validation.loss for training in (results, trained[2])]
    assert not np.isclose(*losses)

"""An ensemble of runs of different feature spaces: its model, its record, and what is refused."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from support.features import SPACE, draw_features
from support.training import train_quickly

from violence_detection.errors import CacheError, ConfigError
from violence_detection.evaluation.evaluation_set import open_features
from violence_detection.features import dataset, joined_features
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction.extraction_record import WeightsOrigin
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.models.classifier import build_classifier, probabilities
from violence_detection.models.heads import _ensemble
from violence_detection.models.run import Run
from violence_detection.training.config import EnsembleConfig
from violence_detection.training.ensemble import EnsembleStage

SHAPES = {"rgb": (6, 8), "motion": (6, 5)}


def draw_space(folder: Path, stream: str, *, seed: int = 0, frames: int = 6, **drawn) -> Path:
    """Features of a stream; videos of the same path have the same content in all spaces."""
    shape = (frames, SHAPES[stream][1])
    space = dataclasses.replace(SPACE, stream=stream, frames=frames, frame_size=32, dim=shape[1])
    features = draw_features(
        folder / space.name,
        shape=shape,
        seed=seed,
        feature_space=space.as_dict(),
        fingerprint=space.fingerprint,
        **drawn,
    )
    cache = FeatureCache(features)
    cache.write_manifest(
        dataclasses.replace(entry, digest=hashlib.sha256(entry.path.encode()).hexdigest())
        for entry in cache.entries()
    )
    return features


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """A run on each of two spaces of a dataset."""
    root = tmp_path_factory.mktemp("ensemble")
    spaces = [draw_space(root / "cache", stream, seed=seed) for seed, stream in enumerate(SHAPES)]
    return [
        Path(train_quickly(space, root / "runs", run=stream)["run"])
        for stream, space in zip(SHAPES, spaces, strict=True)
    ]


def ensemble_of(runs, **settings) -> EnsembleStage:
    config = EnsembleConfig(checkpoint_dir=str(Path(runs[0]).parent), **settings)
    return EnsembleStage([str(run) for run in runs], config, force=True)


def refusal(stage: EnsembleStage) -> str:
    with pytest.raises(ConfigError) as raised:
        stage.prepare()
    return str(raised.value)


@pytest.mark.slow
def test_it_predicts_the_mean_of_the_logits_at_each_temperature(runs):
    for run, temperature in zip(runs, (1.5, 0.5), strict=True):
        path = run / "training_results.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": temperature}))
    result = ensemble_of(runs, run="both").run()
    both = Run.open(result.run)
    cache = open_features(both)
    clips = dataset.read_dataset(cache, dataset.usable_entries(cache), both.record().classes)
    scores = both.load_classifier().uncalibrated(clips.features)
    logits = []
    for run in map(Run.open, runs):
        own = FeatureCache.open(run.record().features)
        of_run = dataset.read_dataset(own, dataset.usable_entries(own), run.record().classes)
        scored = run.load_classifier().probabilities(of_run.features)
        logits.append(np.log(scored[:, 1] / scored[:, 0]))
    expected = 1 / (1 + np.exp(-np.mean(logits, axis=0)))
    np.testing.assert_allclose(scores[:, 1], expected, atol=1e-5)
    record = both.record()
    assert [part.stream for part in record.feature_space.parts] == list(SHAPES)
    assert record.weights_parts == (WeightsOrigin("random", "0" * 64, 42),) * 2
    assert both.config()["ensemble"][0]["feature_space"].startswith("mobilenetv2-rgb-6f-")
    assert "An ensemble of 2 runs" in (both.dir / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_its_splits_are_those_of_the_runs(runs):
    result = ensemble_of(runs, run="both").run()
    videos = [
        {(row["path"], row["split"]) for row in Run.open(run).own_videos()}
        for run in (*runs, result.run)
    ]
    assert videos[0] == videos[1] == videos[2]
    assert result.videos == {"train": 16, "validation": 8, "test": 8}


@pytest.mark.slow
def test_runs_that_do_not_go_together_are_refused(runs, tmp_path):
    assert "must be two runs or more" in refusal(ensemble_of(runs[:1]))
    assert "`train --members N --ensemble` averages runs of one" in refusal(
        ensemble_of([runs[0], runs[0]])
    )
    more = draw_space(tmp_path / "cache", "motion", counts=(16, 8, 12))
    other = train_quickly(more, tmp_path / "runs")["run"]
    message = refusal(ensemble_of([runs[0], other]))
    assert message.startswith("Runs of an ensemble must be trained on the same videos with the ")
    assert "4 videos that differ, e.g. normal/test_10.mp4, absent in " in message
    longer = draw_space(tmp_path / "longer", "motion", frames=7)
    other = train_quickly(longer, tmp_path / "runs", run="longer")["run"]
    assert "must have the same `frames`" in refusal(ensemble_of([runs[0], other]))


@pytest.mark.slow
def test_a_video_that_one_run_trained_on_and_another_validates_is_refused(runs, tmp_path):
    space = draw_space(tmp_path / "cache", "motion")
    cache = FeatureCache(space)
    swapped = {"train": "validation", "validation": "train"}
    cache.write_manifest(
        dataclasses.replace(entry, split=swapped.get(entry.split, entry.split))
        for entry in cache.entries()
    )
    other = train_quickly(space, tmp_path / "runs")["run"]
    message = refusal(ensemble_of([runs[0], other]))
    assert "what one was trained on cannot be validation of another" in message


@pytest.mark.slow
def test_a_run_of_several_outputs_gives_its_probability_of_violence(runs, tmp_path):
    space = draw_space(tmp_path / "cache", "motion", seed=1)
    outputs = "classes(weight=0.5)+svdd+violence"
    several = train_quickly(space, tmp_path / "runs", run="several", outputs=outputs)["run"]
    result = ensemble_of([runs[0], several], run="mixed").run()
    mixed = Run.open(result.run)
    assert mixed.load_classifier().outputs.is_plain
    cache = open_features(mixed)
    clips = dataset.read_dataset(cache, dataset.usable_entries(cache), mixed.record().classes)
    parts = np.split(clips.features[:], [SHAPES["rgb"][1]], axis=-1)
    scored = [
        Run.open(run).load_classifier().scores(part)
        for run, part in zip((runs[0], several), parts, strict=True)
    ]
    logits = np.mean([np.log(score / (1 - score)) for score in scored], axis=0)
    predicted = mixed.load_classifier().uncalibrated(clips.features)[:, 1]
    np.testing.assert_allclose(predicted, 1 / (1 + np.exp(-logits)), atol=1e-5)


@pytest.mark.slow
def test_runs_that_say_what_is_unusual_alone_are_refused(runs, tmp_path):
    space = draw_space(tmp_path / "cache", "motion", seed=1)
    odd = train_quickly(space, tmp_path / "runs", run="odd", outputs="svdd")["run"]
    message = refusal(ensemble_of([runs[0], odd]))
    assert "must have the output `classes` or `violence`" in message


@pytest.mark.parametrize("classes", [2, 4])
def test_the_classes_of_several_outputs_are_as_the_run_answers(classes):
    rng = np.random.default_rng(classes)
    clips = rng.normal(size=(12, 6, 5)).astype(np.float16)
    settings = {"classes": classes, "recurrence": "loop", "outputs": "classes+violence"}
    model = build_classifier(head="linear", features=clips, **settings)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    plain = _ensemble.of_classes(model)
    expected = probabilities(model, clips)
    np.testing.assert_allclose(probabilities(plain, clips), expected, atol=1e-6)


# -- joined features


def test_joined_features_are_made_again_where_a_part_has_changed(tmp_path):
    spaces = [draw_space(tmp_path, stream, seed=seed) for seed, stream in enumerate(SHAPES)]
    caches = [FeatureCache(space) for space in spaces]
    joined = joined_features.join_features(caches)
    entry = joined.entries()[0]
    assert joined.read_array(entry, (6, 13)).shape == (6, 13)
    times = {path: path.stat().st_mtime_ns for path in joined.dir.rglob("*.npy")}
    changed = np.ones((6, 5), np.float16)
    digest = caches[1].write_arrays(entry.path, changed[None])[0]
    caches[1].write_manifest(
        dataclasses.replace(row, array_digest=digest) if row.path == entry.path else row
        for row in caches[1].entries()
    )
    again = joined_features.open_joined(joined.space(), tmp_path)
    after = {path: path.stat().st_mtime_ns for path in again.dir.rglob("*.npy")}
    assert [path for path in times if times[path] != after[path]] == [again.array_path(entry.path)]
    first = next(row for row in again.entries() if row.path == entry.path)
    array = again.read_array(first, (6, 13))
    np.testing.assert_array_equal(array[:, 8:], changed)
    np.testing.assert_array_equal(
        array[:, :8], caches[0].read_array(caches[0].entries()[0], (6, 8))
    )


def test_a_missing_part_is_named_with_the_command_that_makes_it(tmp_path):
    spaces = [FeatureCache(draw_space(tmp_path, stream)).space() for stream in SHAPES]
    absent = dataclasses.replace(spaces[1], backbone="vgg19")
    with pytest.raises(CacheError) as raised:
        joined_features.open_joined(FeatureSpace.joined([spaces[0], absent]), tmp_path)
    assert "extract-features --backbone vgg19 --stream 'motion' --frames 6" in str(raised.value)

"""Training from normal videos alone: what is learned from, the border, the threshold, the texts."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.training import train_quickly

from violence_detection import cli
from violence_detection.errors import CacheError, ConfigError, EvidenceError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.training.config import TrainConfig
from violence_detection.training.train import train_classifier


def train(features, folder, one_class="mahalanobis", **settings) -> Run:
    places = {"features": str(features), "checkpoint_dir": str(folder)}
    config = TrainConfig.from_flags({"run": "run", **places, "one_class": one_class, **settings})
    return Run(type(folder)(train_classifier(config, force=True).run))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Features of normal videos alone, 2 s each: 240 of validation."""
    folder = tmp_path_factory.mktemp("quiet") / "quiet" / "space"
    return draw_features(folder, counts=(80, 240, 8), labels=("normal",))


@pytest.mark.parametrize("name", ["mahalanobis", "knn"])
def test_videos_of_other_classes_are_left_out(name, features_dir, tmp_path):
    run = train(features_dir, tmp_path, name)
    assert {row["label"] for row in run.own_videos()} == {"normal"}
    record = run.record()
    assert record.classes == ["normal", "unusual"]
    assert record.one_class == name


@pytest.mark.slow
def test_the_score_of_the_quantile_of_validation_is_one_half(quiet, tmp_path):
    run = train(quiet, tmp_path)
    cache = FeatureCache.open(quiet)
    entries = [entry for entry in dataset.usable_entries(cache) if entry.split == "validation"]
    clips = dataset.read_dataset(cache, entries, ["normal"])
    score = run.load_classifier().scores(clips.features)
    assert np.quantile(score, 0.95) == pytest.approx(0.5, abs=0.002)
    assert run.record().threshold == 0.5


def test_a_clip_unlike_the_normal_ones_is_unusual(features_dir, tmp_path):
    run = train(features_dir, tmp_path)
    far = np.full((3, 6, 8), 20, np.float16)
    assert run.load_classifier().scores(far).min() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["svdd", "vae", "future"])
def test_an_anomaly_output_is_trained_on_normal_videos_alone(name, features_dir, tmp_path):
    run = train(features_dir, tmp_path, name, epochs=2, head="mean_pool")
    assert len(run.history()) == 2
    assert {row["label"] for row in run.own_videos()} == {"normal"}
    assert run.load_classifier().scores(np.full((3, 6, 8), 20, np.float16)).min() > 0.5


@pytest.mark.slow
def test_the_threshold_keeps_the_rate_on_validation(quiet, tmp_path):
    run = train(quiet, tmp_path, operating_point="false_positive_rate=0.02")
    point = run.results().scores.operating_point
    assert 0 < point.achieved["false_positive_rate"] <= 0.02
    assert "recall" not in point.achieved
    assert point.asked == "false_positive_rate=0.02"


@pytest.mark.slow
def test_false_alarms_per_hour_are_counted_on_validation(quiet, tmp_path):
    run = train(quiet, tmp_path, operating_point="false_alarms_per_hour=30")
    point = run.results().scores.operating_point
    assert point.hours == pytest.approx(240 * 2 / 3600)
    assert point.achieved["false_alarms_per_hour"] <= 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"operating_point": "false_alarms_per_hour=1"}, EvidenceError, "3 hours or more"),
        ({"operating_point": "recall=0.9"}, EvidenceError, "no violent ones"),
        ({"head": "linear"}, ConfigError, "`head` must not be given"),
        ({"outputs": "svdd"}, ConfigError, "`outputs` must not be given"),
    ],
)
def test_what_cannot_be_is_refused(quiet, tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        train(quiet, tmp_path, **settings)
    assert not (tmp_path / "run").exists()


def test_a_rate_that_few_videos_cannot_show_is_refused(features_dir, tmp_path):
    with pytest.raises(EvidenceError, match="59 normal videos"):
        train(features_dir, tmp_path, operating_point="false_positive_rate=0.05")


@pytest.mark.slow
def test_without_the_flag_one_class_is_refused_with_its_name(quiet, tmp_path):
    with pytest.raises(CacheError, match="--one-class"):
        train_quickly(quiet, tmp_path)


@pytest.mark.slow
def test_the_console_and_the_card_say_unusual_and_no_recall(quiet, tmp_path):
    words = f"train --features {quiet} --checkpoint-dir {tmp_path} --run r --one-class knn".split()
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    assert "finds what is unusual, not what is violent" in result.stdout
    assert "recall" not in result.stdout
    card = (tmp_path / "r" / "MODEL_CARD.md").read_text()
    assert "unusual, not what is violent" in card
    assert "AUC" not in card


@pytest.mark.slow
def test_the_json_names_the_detector(quiet, tmp_path):
    run = train(quiet, tmp_path, "knn(k=3)")
    assert json.loads(run.results_path.read_text())["one_class"] == "knn(k=3)"
    assert run.results().one_class == "knn(k=3)"

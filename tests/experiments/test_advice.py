"""The rules: numbers that are known for datasets of several sizes and balances."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.experiments.advising.advice import (
    GIVEN,
    MEASURED,
    RULE,
    UNKNOWN,
    DatasetFacts,
    advise,
    batch_size_for,
    with_given,
)
from violence_detection.training.config import TrainConfig


def facts(normal, violent, *, recordings_known=True, views=0) -> DatasetFacts:
    counts = {"normal": normal, "violent": violent}
    weights = {name: (normal + violent) / (2 * count) for name, count in counts.items()}
    return DatasetFacts(counts, counts, 40, recordings_known, views, weights)


def advised(dataset, gpus=0) -> dict:
    return {item.name: item for item in advise(dataset, gpus=gpus)}


def test_21845_videos_have_batches_of_64_and_342_steps():
    assert batch_size_for(21_845) == 64
    item = advised(facts(10_922, 10_923))["batch_size"]
    assert item.value == 64 and "342 steps" in item.reason


@given(st.integers(1, 200_000))
def test_an_epoch_has_300_to_500_steps_where_there_are_so_many_videos(videos):
    size = batch_size_for(videos)
    if 32 * 500 < videos <= 512 * 500 - 8000:
        assert 300 <= math.ceil(videos / size) <= 500
    if videos <= 32 * 500:
        assert size == 32


@pytest.mark.parametrize(
    "dataset, rate, source",
    [
        (facts(120, 119), 2e-4, MEASURED),
        (facts(1000, 999), 2e-4, MEASURED),
        (facts(3000, 3000), 2e-4, UNKNOWN),
        (facts(10_000, 11_000), 5e-4, RULE),
        (facts(4_800, 17_045), 2e-4, UNKNOWN),  # 22% and 78%
    ],
)
def test_the_learning_rate_is_high_only_for_large_balanced_datasets(dataset, rate, source):
    item = advised(dataset)["learning_rate"]
    assert (item.value, item.source) == (rate, source)


def test_weights_of_22_and_78_percent_are_in_the_reason():
    reason = advised(facts(220, 780))["use_class_weights"].reason
    assert "normal 22%, violent 78%" in reason and "normal 2.27, violent 0.64" in reason
    assert "alpha is 0.5" in advised(facts(220, 780))["loss"].reason


def test_sampling_changes_for_a_rare_class_and_recordings_and_views_only_where_known():
    assert advised(facts(950, 50))["sampling"].value == "sqrt"
    assert advised(facts(850, 150))["sampling"].value == "natural"
    assert advised(facts(50, 50))["recording_weights"].value == "sqrt"
    assert advised(facts(50, 50, recordings_known=False))["recording_weights"].value == "natural"
    assert advised(facts(50, 50))["augment"].value == "none"
    assert advised(facts(50, 50, views=2))["augment"].value == "views"
    assert advised(facts(5000, 5000), gpus=1)["mixed_precision"].value is True


def test_what_is_given_holds_and_is_named():
    items = with_given(advise(facts(50, 50), gpus=0), {"epochs": 7, "head": "tcn"})
    by_name = {item.name: item for item in items}
    assert by_name["epochs"].value == 7 and "the advice is 60" in by_name["epochs"].reason
    assert by_name["head"].value == "tcn" and by_name["head"].source == GIVEN


@pytest.mark.parametrize("dataset", [facts(120, 119), facts(200, 21_645), facts(9000, 9000)])
def test_train_takes_the_settings(dataset):
    values = {item.name: item.value for item in advise(dataset, gpus=2)}
    assert TrainConfig.from_settings(values).as_dict().items() >= values.items()

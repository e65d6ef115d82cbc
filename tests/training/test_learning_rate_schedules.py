"""The schedules of the learning rate against their closed forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError
from violence_detection.training.config import TrainConfig
from violence_detection.training.optimisation.learning_rate_schedules import (
    SCHEDULE_NAMES,
    constant,
    one_cycle,
    schedule_over_epochs,
    warmup_cosine,
)

STEPS = st.floats(0, 2000)

# -- golden


def test_schedule_matches_the_closed_form():
    rate = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    for step, value in {0: 0.0, 50: 0.5, 100: 1.0, 550: 0.5, 1000: 0.0}.items():
        assert rate(step) == pytest.approx(value, abs=1e-9)


def test_a_quarter_of_the_cosine_is_cos_of_45_degrees():
    rate = warmup_cosine(peak=2.0, warmup_steps=0, total_steps=400)
    assert rate(100) == pytest.approx(1 + 2**-0.5)


def test_one_cycle_matches_the_closed_form():
    rate = one_cycle(peak=1.0, warmup_steps=300, total_steps=1000)
    for step, value in {
        0: 0.04,
        150: 0.52,
        300: 1.0,
        650: 0.500002,
        1000: 4e-6,
    }.items():
        assert rate(step) == pytest.approx(value, rel=1e-6)


def test_constant_stays_at_the_peak():
    rate = constant(peak=2.0, warmup_steps=10, total_steps=100)
    assert [rate(step) for step in (0, 5, 10, 50, 100)] == [0, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("name", "epochs", "top"),
    [("warmup_cosine", 60, 5), ("warmup_cosine", 10, 2), ("one_cycle", 60, 18)],
)
def test_the_usual_warmup_ends_at_the_peak(name, epochs, top):
    asked = {"peak": 1.0, "warmup_epochs": None, "steps_per_epoch": 7}
    rate = schedule_over_epochs(name, epochs=epochs, **asked)
    assert rate(7 * top) == pytest.approx(1.0)
    assert max(rate(7 * top - 1), rate(7 * top + 1)) < 1.0


def test_the_command_offers_every_schedule():
    rules = {setting.name: setting.rule for setting in TrainConfig.settings()}
    assert rules["schedule"].choices == SCHEDULE_NAMES


# -- relation


@given(STEPS)
def test_doubling_the_peak_doubles_every_rate(step):
    once = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    twice = warmup_cosine(peak=2.0, warmup_steps=100, total_steps=1000)
    assert twice(step) == pytest.approx(2 * once(step))


def test_without_warmup_the_first_rate_is_the_peak():
    assert warmup_cosine(peak=0.3, warmup_steps=0, total_steps=10)(0) == 0.3


# -- property


@given(STEPS)
def test_rates_stay_between_zero_and_the_peak(step):
    rate = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    assert 0.0 <= rate(step) <= 1.0


@given(STEPS, STEPS)
def test_after_the_warmup_rates_only_fall(first, second):
    rate = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    early, late = sorted((100 + first, 100 + second))
    assert rate(early) >= rate(late)


# -- error


@pytest.mark.parametrize("warmup_steps", [-1, 10, 11])
def test_the_warmup_must_be_shorter_than_the_training(warmup_steps):
    with pytest.raises(
        ConfigError,
        match=f"< total_steps. Received: warmup_steps={warmup_steps}, total_steps=10",
    ):
        warmup_cosine(peak=1.0, warmup_steps=warmup_steps, total_steps=10)

"""The choice of the epoch that is kept, when a few recordings decide."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from violence_detection.errors import ConfigError
from violence_detection.metrics.intervals import standard_error
from violence_detection.training.saving.epoch_selection import EpochSelection, check_monitor
from violence_detection.training.saving.training_state import SelectionState


def offered(groups, epochs, *, tolerant=True) -> EpochSelection:
    selection = EpochSelection(np.array(list(groups)), tolerant=tolerant)
    for number, losses in enumerate(epochs, start=1):
        selection.offer(number, np.array(losses))
    return selection


def test_standard_error_of_single_videos_is_the_textbook_one(rng):
    values = rng.normal(size=50)
    textbook = values.std(ddof=1) / np.sqrt(50)
    assert standard_error(values, np.arange(50)) == pytest.approx(textbook)


def test_copies_of_a_video_in_its_recording_say_nothing_new(rng):
    values = rng.normal(size=20)
    once = standard_error(values, np.arange(20))
    assert standard_error(np.repeat(values, 5), np.repeat(np.arange(20), 5)) == pytest.approx(once)


def test_an_epoch_worse_in_every_recording_is_not_kept():
    epochs = [[0.5, 0.5, 0.5, 0.5], [0.7, 0.71, 0.69, 0.7]]
    assert offered("abcd", epochs).kept_epoch == 1


def test_an_epoch_that_one_recording_makes_worse_is_kept():
    epochs = [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.9]]
    assert offered("abcd", epochs).kept_epoch == 2


def test_one_recording_decides_nothing():
    assert offered("aaaa", [[0.1] * 4, [0.9] * 4]).kept_epoch == 2


def test_without_tolerance_the_first_of_the_best_is_kept():
    epochs = [[-0.8], [-0.9], [-0.9], [-0.7]]
    assert offered("abcd", epochs, tolerant=False).kept_epoch == 2


def test_a_restored_selection_goes_on_as_before(rng):
    epochs = rng.normal(size=(20, 12))
    groups = np.repeat(list("abcd"), 3)
    whole = offered(groups, epochs)
    half = offered(groups, epochs[:9])
    resumed = EpochSelection(groups, tolerant=True)
    resumed.restore(half.state())
    for number in range(9, 20):
        resumed.offer(number + 1, epochs[number])
    assert resumed.kept_epoch == whole.kept_epoch
    assert resumed.best_score_epoch == whole.best_score_epoch


def test_losses_that_stay_as_they_were_are_no_better_after_a_restore(rng):
    """As validation gives them, in float32."""
    for _ in range(50):
        losses = rng.random(17).astype(np.float32)
        groups = np.arange(17)
        selection = EpochSelection(groups, tolerant=True)
        selection.offer(1, losses)
        resumed = EpochSelection(groups, tolerant=True)
        state = json.loads(json.dumps(asdict(selection.state())))
        resumed.restore(SelectionState(**state))
        resumed.offer(2, losses)
        assert resumed.best_score_epoch == 1


# -- error


@pytest.mark.parametrize(("label", "side"), [(0, "normal"), (2, "violent")])
def test_an_area_under_the_curve_needs_both_sides(label, side):
    with pytest.raises(ConfigError, match=f"val_auc must have .* {side} videos"):
        check_monitor("val_auc", [label, label])
    check_monitor("val_loss", [label, label])
    check_monitor("val_auc", [0, label + 1])

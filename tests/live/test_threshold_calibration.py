"""Thresholds by false alarms an hour, from a camera's own quiet hours."""

import numpy as np
import pytest

from violence_detection.errors import EvidenceError
from violence_detection.inference.alert_policy import AlertSettings
from violence_detection.inference.prediction_records import Window
from violence_detection.live.replaying.threshold_calibration import (
    calibrate,
    false_alarms,
    with_threshold,
)

SETTINGS = AlertSettings(0.9, 0.675, confirm_windows=2, confirm_of=3, close_gaps_s=3.0)


def _stretch(scores, *, start_s=0.0):
    """Windows of 6 s one after the other."""
    times = start_s + 6.0 * np.arange(len(scores))
    return [
        Window(at, at + 6.0, score)
        for at, score in zip(times.tolist(), scores.tolist(), strict=True)
    ]


def _quiet_hours(hours, *, bursts, seed=0):
    """Low scores, and in them bursts of 4 windows with these scores, one an hour."""
    generator = np.random.default_rng(seed)
    stretches = []
    for hour in range(hours):
        scores = generator.beta(1, 12, 600)
        for number, score in enumerate(bursts[hour]):
            scores[100 * number + 50 : 100 * number + 54] = score
        stretches.append(_stretch(scores, start_s=3600.0 * hour))
    return stretches


def test_threshold_keeps_the_budget():
    bursts = [[0.93] if hour < 2 else [0.9] if hour < 6 else [0.8] for hour in range(12)]
    stretches = _quiet_hours(12, bursts=bursts)
    chosen = calibrate(stretches, SETTINGS, per_hour=0.3)
    assert 0.9 < chosen.threshold < 0.93  # 2 alarms in 12 hours; 0.9 has 6
    assert (chosen.alarms, chosen.alarms_before) == (2, 6)
    assert chosen.interval[0] < 2 / 12 < chosen.interval[1]
    for threshold in np.linspace(chosen.threshold, 0.999, 20):
        assert false_alarms(stretches, with_threshold(SETTINGS, threshold))[0] <= 3.6
    assert calibrate(stretches, SETTINGS, per_hour=0.6).threshold < 0.9


def test_endless_alarm_is_not_one():
    """A camera that is over any low threshold all the time must not get that threshold."""
    scores = np.full(4 * 600, 0.6)
    chosen = calibrate([_stretch(scores)], SETTINGS, per_hour=1.0)
    assert chosen.threshold > 0.6 and chosen.alarms == 0


@pytest.mark.parametrize(("hours", "per_hour"), [(2, 0.1), (0, 0.1)])
def test_too_few_hours_are_refused(hours, per_hour):
    stretches = _quiet_hours(hours, bursts=[[]] * hours)
    with pytest.raises(
        EvidenceError, match=rf"30 hours or more without violence. Received: {hours} "
    ):
        calibrate(stretches, SETTINGS, per_hour=per_hour)


def test_camera_that_no_threshold_calms():
    stretches = _quiet_hours(4, bursts=[[1.0, 1.0, 1.0]] * 4)
    with pytest.raises(EvidenceError, match="judge the events of this camera"):
        calibrate(stretches, SETTINGS, per_hour=1.0)

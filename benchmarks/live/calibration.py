"""F23: the rate of false alarms on other days, at thresholds that `watch calibrate` chooses.

Each draw has 30 quiet hours to choose on and 30 others to count on. Hours differ: how many bursts
of scores an hour has is drawn from a Poisson distribution whose rate is drawn for each day.

    python benchmarks/live/calibration.py --draws 50
"""

import argparse

import numpy as np

from violence_detection.inference.alert_policy import AlertSettings
from violence_detection.inference.prediction_records import Window
from violence_detection.live.replaying.threshold_calibration import (
    calibrate,
    false_alarms,
    with_threshold,
)
from violence_detection.metrics.rate_per_hour import poisson_interval

SETTINGS = AlertSettings(0.9, 0.675, confirm_windows=2, confirm_of=3, close_gaps_s=3.0)
WINDOW_S = 2.0


def draw_hours(
    generator: np.random.Generator, count: int, *, day_spread: float
) -> list[list[Window]]:
    """Hours of windows of 2 s, of which each has low scores and some bursts of high ones."""
    per_hour = int(3600 / WINDOW_S)
    hours = []
    for number in range(count):
        if number % 12 == 0:
            rate = 2.0 * np.exp(generator.normal(0, day_spread))
        scores = generator.beta(1, 12, per_hour)
        for _ in range(generator.poisson(rate)):
            start = int(generator.integers(per_hour - 5))
            scores[start : start + 5] = generator.beta(6, 2)
        times = 3600.0 * number + WINDOW_S * np.arange(per_hour)
        hours.append(
            [
                Window(at, at + WINDOW_S, score)
                for at, score in zip(times.tolist(), scores.tolist(), strict=True)
            ]
        )
    return hours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--per-hour", type=float, default=0.3)
    options = parser.parse_args()
    for day_spread in (0.0, 0.5):
        covered, rates = 0, []
        for seed in range(options.draws):
            generator = np.random.default_rng(seed)
            chosen = calibrate(
                draw_hours(generator, 30, day_spread=day_spread),
                SETTINGS,
                per_hour=options.per_hour,
            )
            settings = with_threshold(SETTINGS, chosen.threshold)
            other = draw_hours(generator, 30, day_spread=day_spread)
            alarms = int(false_alarms(other, settings)[0])
            low, high = poisson_interval(alarms, 30.0)
            covered += low <= options.per_hour <= high
            rates.append(alarms / 30)
        print(
            f"days differ by {day_spread:g} (sd of the log rate): the interval covers the budget "
            f"of {options.per_hour:g} an hour in {covered} of {options.draws} draws; held-out "
            f"rate {np.mean(rates):.2f} (sd {np.std(rates):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()

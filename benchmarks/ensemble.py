"""The cost of an ensemble against its members: CPU time of a window, the start not counted.

    python benchmarks/ensemble.py checkpoints/together camera_1.mp4 camera_2.mp4

The members are those of the record; each is timed by itself on the same videos, several rounds in
turn, and the least of the rounds counts. CPU time is that of this process, which encodes; decoding,
in processes of its own, is done once for an ensemble, and comes on top of each member. The sum is
what running the members one by one costs.
"""

import argparse
import time
from pathlib import Path

import machine

from violence_detection.inference.predictor import Predictor
from violence_detection.models.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    members = [entry["run"] for entry in Run.open(arguments.run).config()["ensemble"]]
    predictors = {folder: Predictor.load(folder, workers=1) for folder in [*members, arguments.run]}
    for predictor in predictors.values():
        predictor.predict_video(arguments.videos[0])  # prepares the engine
    seconds = {folder: [] for folder in predictors}
    for _ in range(arguments.rounds):
        for folder, predictor in predictors.items():
            seconds[folder].append(seconds_per_window(predictor, arguments.videos))
    least = {folder: min(times) for folder, times in seconds.items()}
    total = sum(least[folder] for folder in members)
    print(machine.describe()["cpu"])
    for folder in members:
        print(f"{Path(folder).name:20s} {1000 * least[folder]:7.0f} ms of CPU a window")
    together = least[arguments.run]
    print(
        f"{'together':20s} {1000 * together:7.0f} ms of CPU a window: {together / total:.2f} of "
        "the sum"
    )


def seconds_per_window(predictor: Predictor, videos: list[str]) -> float:
    start_s, windows = time.process_time(), 0
    for video in videos:
        windows += len(predictor.predict_video(video).windows)
    return (time.process_time() - start_s) / windows


if __name__ == "__main__":
    main()

"""Time to start, memory, and time of an epoch of a training on many videos.

    python benchmarks/training_scale.py [--videos 31209] [--train 21845]

Features are random, T = 20 and D = 1280, 1.6 GB for 31,209 videos. Each training is a process of
its own: the first packs the features, the second uses the packed ones. Memory is the peak of the
private memory of a process (RssAnon); pages of the mapped file, which the system can take back, do
not count. A training on 320 videos is measured for comparison, and trainings with several outputs.
The processor time of an epoch is that of all threads in its steps; on a busy machine compare that.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import drawn_cache
import numpy as np

FRAMES, DIM = 20, 1280
FEW = 320


def main() -> None:
    arguments = parse()
    if arguments.step:
        print(json.dumps(train(arguments)))
        return
    import machine

    print(json.dumps(machine.describe()))
    with tempfile.TemporaryDirectory() as folder:
        sizes = (("few", FEW), ("many", arguments.videos))
        for name, videos in sizes[arguments.once :]:
            fraction = arguments.train / arguments.videos
            fill(Path(folder) / name, videos, int(videos * fraction))
        trainings = [
            ("few", f"{FEW} videos"),
            ("many", f"{arguments.videos:,} videos, packing"),
            ("many", f"{arguments.videos:,} videos, packed"),
            ("many", f"{arguments.videos:,} videos, packed, again"),
        ]
        trainings = trainings[1:2] if arguments.once else trainings
        trainings += [("many", f"--outputs {outputs}") for outputs in arguments.outputs]
        for name, title in trainings:
            asked = title.removeprefix("--outputs ") if title.startswith("--") else "classes"
            done = in_own_process(Path(folder) / name, asked)
            print(
                f"{title:32s} first steps after {done['first_step_s']:5.1f} s, an epoch of "
                f"{done['train_videos']:,} videos {done['epoch_s']:5.1f} s, processor time "
                f"{done['epoch_cpu_s']:5.1f} s, memory "
                f"{done['imported_mb']:.0f} MB with TensorFlow imported, {done['peak_mb']:.0f} MB "
                f"at the peak",
                flush=True,
            )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=31_209)
    parser.add_argument("--train", type=int, default=21_845, help="of the videos")
    parser.add_argument("--outputs", nargs="*", default=["fusion", "multitask"])
    parser.add_argument("--once", action="store_true", help="the default once, and the outputs")
    parser.add_argument("--step", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def fill(folder: Path, videos: int, train: int) -> None:
    """Writes a cache of different arrays; a tenth of the videos not trained on validate."""
    from violence_detection.features.cache import FeatureCache, array_header

    cache = drawn_cache.start(folder, frames=FRAMES, dim=DIM)
    header, rng = array_header((FRAMES, DIM)), np.random.default_rng(0)
    noise = rng.random((FRAMES, DIM), np.float32).astype("<f2")
    entries = []
    for number in range(videos):
        split = "train" if number < train else "test"
        if split == "test" and number % 10 == 0:
            split = "validation"
        if number == noise.size:  # every rotation is used
            noise = -noise
        content = header + np.roll(noise, number).tobytes()
        entry = drawn_cache.entry(number, label=number % 2, split=split)
        path = cache.array_path(entry.path)
        path.write_bytes(content)  # a sync for each file would take minutes
        digest = hashlib.sha256(content).hexdigest()
        entries.append(dataclasses.replace(entry, array_digest=digest))
    FeatureCache(folder).write_manifest(entries)


def in_own_process(folder: Path, outputs: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", str(folder), "--outputs", outputs]
    started = {"STARTED_S": repr(time.time()), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **started})
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


# -- in a process of its own


def train(arguments: argparse.Namespace) -> dict[str, float]:
    """Trains one epoch by the code of the command."""
    logging.disable(logging.WARNING)
    from violence_detection.system import devices
    from violence_detection.training.config import TrainConfig
    from violence_detection.training.optimisation.step import TrainingStep
    from violence_detection.training.train import train_classifier

    devices.import_tensorflow()
    memory = Memory()
    imported = memory.now()
    first, cpu_s = [], []
    run = TrainingStep.run

    def timed(self, batches, steps):
        started_s = time.process_time()
        result = run(self, batches, steps)
        float(result["loss"][-1])
        cpu_s.append(time.process_time() - started_s)
        if not first:
            first.append(time.time() - float(os.environ["STARTED_S"]))
        return result

    TrainingStep.run = timed
    with memory, tempfile.TemporaryDirectory() as runs:
        results = train_classifier(
            TrainConfig.from_settings(
                {
                    "features": str(arguments.step),
                    "checkpoint_dir": runs,
                    "epochs": 1,
                    "outputs": arguments.outputs[0],
                    "calibrate_by": "validation",  # folds would train five times more
                }
            )
        )
    count = results.videos["train"]
    return {
        "first_step_s": first[0],
        "epoch_s": count / results.summary.videos_per_s,
        "epoch_cpu_s": sum(cpu_s),
        "train_videos": count,
        "imported_mb": imported / 2**20,
        "peak_mb": memory.peak / 2**20,
    }


class Memory:
    """Watches the private memory of this process.

    Attributes:
        peak: Bytes, while the context is entered.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def now(self) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if "RssAnon" in line) * 1024

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()


if __name__ == "__main__":
    main()

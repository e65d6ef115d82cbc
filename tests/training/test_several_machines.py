"""Two processes on loopback train as one device does, and none outlives the other."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.features import draw_features
from support.training import read_history

from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.classifier import load_model
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.training.config import TrainConfig
from violence_detection.training.trainer import Trainer
from violence_detection.training.training_data import read_splits

COMMAND = [
    sys.executable,
    "-c",
    "from violence_detection.cli import main; main()",
    "train",
]
# Other heads and sharpness-aware minimisation over two replicas are in test_equal_devices.py, too.
RECURRENT = "bilstm_attention(projection=6, units=5, feature_dropout=0.0, dropout=0.0)"
ALL_AT_ONCE = {
    "head": "linear",
    "batch_size": 7,  # of 26 videos: the last one has 5
    "epochs": 16,
    "learning_rate": 0.01,
    "early_stopping_patience": 0,
    "checkpoint_epochs": 0,  # but for the machines, which leave the last weights
    "ema_decay": 0.9,
    "gradient_accumulation": 2,
    "global_clipnorm": 0.1,
    "weight_decay": 0.3,
}


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """18 videos of one class and 8 of the other, so that class weights differ."""
    folder = tmp_path_factory.mktemp("cache") / "uneven"
    cache = FeatureCache.open(draw_features(folder, counts=(26, 4, 0), shift=0.3))
    rows = cache.entries()
    violent = [row for row in rows if row.label == "violent" and row.split == "train"]
    for row in violent[:5]:
        rows[rows.index(row)] = type(row)(**{**vars(row), "label": "normal"})
    cache.write_manifest(rows)
    return cache.dir


class Machines:
    """Two processes that train one run together."""

    def __init__(self, features: Path, folder: Path, settings: dict) -> None:
        self.run = Run(folder / "run")
        places = {"features": features, "checkpoint_dir": folder, "run": "run"}
        asked = settings | places | {"checkpoint_epochs": settings["epochs"]}
        self._flags = [
            str(word)
            for name, value in asked.items()
            for word in (f"--{name.replace('_', '-')}", value)
        ]

    def start(self, *more: str, by_variable: bool = False) -> None:
        """Start both, told who they are by flags or by TF_CONFIG."""
        with (
            socket.create_server(("127.0.0.1", 0)) as first,
            socket.create_server(("127.0.0.1", 0)) as second,
        ):
            ports = [sock.getsockname()[1] for sock in (first, second)]
        named = [f"127.0.0.1:{port}" for port in ports]
        self.processes = []
        for rank in range(2):
            task = {"type": "worker", "index": rank}
            config = {"cluster": {"worker": named}, "task": task}
            words, variables = ["--hosts", ",".join(named), "--rank", str(rank)], {}
            if by_variable:
                words, variables = [], {"TF_CONFIG": json.dumps(config)}
            with open(self._log_path(rank), "w") as log:
                process = subprocess.Popen(
                    [*COMMAND, *self._flags, *words, *more],
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"} | variables,
                )
            self.processes.append(process)

    def wait(self) -> None:
        for rank, process in enumerate(self.processes):
            assert process.wait(timeout=300) == 0, self._log_path(rank).read_text()

    def kill(self, victim: int, *, after_epochs: int) -> str:
        """The error of the other, once an epoch is done and one is killed."""
        while self._epochs() < after_epochs:
            assert [process.poll() for process in self.processes] == [None, None]
            time.sleep(0.05)
        self.processes[victim].send_signal(signal.SIGKILL)
        self.processes[victim].wait()
        assert self.processes[1 - victim].wait(timeout=15) == 1
        log = self._log_path(1 - victim).read_text().splitlines()
        (error,) = (line for line in log if line.startswith("Error: "))
        return error  # TensorFlow's own threads may say more after it

    def _log_path(self, rank: int) -> Path:
        return self.run.dir.with_name(f"{rank}.txt")

    def _epochs(self) -> int:
        return len(read_history(self.run.dir)) if self.run.history_path.is_file() else 0

    def last_weights(self, epochs: int) -> np.ndarray:
        classifier = load_model(self.run.checkpoint_path(epochs))
        return flat(classifier.trainable_variables)


@pytest.fixture
def machines(features, tmp_path):
    made = []

    def make(settings):
        made.append(Machines(features, tmp_path, settings))
        return made[-1]

    yield make
    for pair in made:
        for process in pair.processes:
            process.kill()
            process.wait()


def flat(variables) -> np.ndarray:
    return np.concatenate([np.ravel(variable.numpy()) for variable in variables])


def on_one_device(features, folder, settings) -> tuple[np.ndarray, np.ndarray]:
    """Weights before and after, the latter as they are kept."""
    cache, classes = FeatureCache.open(features), ["normal", "violent"]
    machine = devices.start(
        seed=42,
        mixed_precision=False,
        xla=False,
        virtual_devices=None,
        deterministic=False,
    )
    trainer = Trainer(
        Run(folder / "one"),
        TrainConfig.from_settings(settings).training,
        machine,
        clips=read_splits(cache, dataset.usable_entries(cache), classes),
        classes=classes,
    )
    before = flat(trainer.classifier.trainable_variables)
    trainer.run_epochs()
    with trainer.average.swapped_in():
        return before, flat(trainer.classifier.trainable_variables)


def check_equal(machines: Machines, features, folder, settings) -> None:
    before, of_one = on_one_device(features, folder, settings)
    distance = np.linalg.norm(of_one - before)
    assert distance > 0.1
    of_two = machines.last_weights(settings["epochs"])
    assert np.linalg.norm(of_two - of_one) <= 1e-5 * distance


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "more"),
    [
        ((0,), {}),
        pytest.param(
            (1, 0), {"head": RECURRENT, "sam_rho": 0.05, "epochs": 12}, marks=pytest.mark.thorough
        ),
    ],
)
def test_where_one_is_killed_the_other_leaves_and_all_go_on_to_the_weights_of_one_device(
    machines, features, tmp_path, killed, more
):
    settings = ALL_AT_ONCE | more
    two = machines(settings)
    two.start(by_variable=True)
    for number, victim in enumerate(killed, 1):
        assert f"Machine {victim} was lost" in two.kill(victim, after_epochs=3 * number)
        assert not two.run.finished
        two.start("--resume")
    two.wait()
    least = 3 * len(killed) - 1
    assert least <= two.run.results().summary.resumed_from_epoch < settings["epochs"]
    effective = two.run.results().effective
    assert (effective.machines, effective.replicas) == (2, 2)
    check_equal(two, features, tmp_path, settings)

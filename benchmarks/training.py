"""Speed of stage two in one table: heads, sizes, precisions, replicas, and two peers.

    python benchmarks/training.py [--rounds 2] [--json FILE]

Each row measures the training step with batches from the cache and with one constant batch: the
second is the limit of the first, as if reading cost nothing. The Keras example trains the same head
with `from_tensor_slices`, `shuffle`, `batch` and `fit`; PyTorch, if installed, trains the same
layers on rows gathered from the same array. Each measurement is a process of its own, and the table
is measured in rounds; the table has the smaller and the larger figure. Clips are random.
"""

import argparse
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 20
DEFAULT = "bilstm_attention"
WIDE = "bilstm_attention(layers=2, units=128, projection=256)"
WARM_STEPS, TURN_S = 8, 1.0
STEPS = 8  # a call, as in a training


@dataclass(frozen=True)
class Row:
    """A training whose speed is measured.

    Attributes:
        way: "cache" (this program), "slices" (the Keras example) or "torch".
    """

    way: str = "cache"
    head: str = DEFAULT
    dim: int = 1280
    batch_size: int = 32
    precision: str = "float32"
    xla: bool = False
    replicas: int = 1


def rows(heads: list[str]) -> Iterator[Row]:
    for head in heads:
        yield Row(head=head)
    for dim in (512, 4096):
        yield Row(dim=dim)
    yield Row(batch_size=64)
    yield Row(precision="bfloat16")
    yield Row(head=WIDE, precision="bfloat16")
    yield Row(xla=True)
    yield Row(replicas=2)
    yield Row(way="slices")
    yield Row(way="slices", head=WIDE)
    if importlib.util.find_spec("torch"):
        for head in (DEFAULT, WIDE):
            for precision in ("float32", "bfloat16"):
                yield Row(way="torch", head=head, precision=precision)


def main() -> None:
    arguments = parse()
    if arguments.row:
        print(json.dumps(measure(Row(**json.loads(arguments.row)), arguments)))
        return
    heads = arguments.heads or [*available_heads(), WIDE]
    table = {row: [] for row in rows(heads)}
    for number in range(1, arguments.rounds + 1):
        for row in table:
            print(f"round {number}: {title(row)}", file=sys.stderr)
            table[row].append(in_own_process(row, arguments))
    import machine

    description = machine.describe()
    print(json.dumps(description))
    print_table(table)
    if arguments.json:
        result = [{**asdict(row), "rounds": rounds} for row, rounds in table.items()]
        text = json.dumps({"machine": description, "rows": result}, indent=2)
        arguments.json.write_text(text + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each rate")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--heads", nargs="*", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parser.parse_args()


def available_heads() -> list[str]:
    from violence_detection import registry

    return registry.available("heads")


def in_own_process(row: Row, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--row", json.dumps(asdict(row))]
    command += ["--videos", str(arguments.videos), "--seconds", str(arguments.seconds)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet)
    if done.returncode:
        sys.exit(f"{title(row)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# -- in a process of its own


def measure(row: Row, arguments: argparse.Namespace) -> dict[str, float]:
    """Videos a second, by the source of the batches."""
    logging.disable(logging.WARNING)
    if row.way == "torch":
        import torch_training

        features, labels = random_clips(arguments.videos, row.dim)
        return torch_training.rates(
            features,
            labels,
            wide=row.head == WIDE,
            precision=row.precision,
            batch_size=row.batch_size,
            seconds=arguments.seconds,
        )
    from violence_detection.system import devices

    devices.import_tensorflow()
    if row.way == "slices":
        return keras_example_rate(row, arguments)
    with tempfile.TemporaryDirectory() as folder:
        return trainer_rates(row, arguments, Path(folder))


def random_clips(videos: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of random clips, float16 (N, T, D), and labels (N,)."""
    rng = np.random.default_rng(0)
    features = rng.random((videos, FRAMES, dim), np.float32).astype(np.float16)
    return features, np.arange(videos) % 2


def trainer_rates(row: Row, arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    trainer = build_trainer(row, arguments, folder)
    sources = {"cache": trainer.batches(), "constant": constant_batches(trainer)}
    for batches in sources.values():
        trainer.step.run(batches, WARM_STEPS)
    # In turns: the speed of a machine changes from second to second.
    turns = [
        {name: rate(batches, trainer.step, row.batch_size) for name, batches in sources.items()}
        for _ in range(max(1, round(arguments.seconds / TURN_S)))
    ]
    return {name: statistics.median(turn[name] for turn in turns) for name in sources}


def constant_batches(trainer) -> Iterator[Any]:
    """The first batch repeated, distributed over the replicas."""
    first = trainer.dataset().take(1).cache().repeat()
    return iter(trainer.device_setup.distributed(first))


def rate(batches: Iterator[Any], step, batch_size: int) -> float:
    """Videos a second, over a turn."""
    steps, start_s = 0, time.perf_counter()
    while True:
        result = step.run(batches, STEPS)
        np.asarray(result["loss"])  # waits for the steps, which run asynchronously
        steps += STEPS
        elapsed_s = time.perf_counter() - start_s
        if elapsed_s >= TURN_S:
            return steps * batch_size / elapsed_s


def build_trainer(row: Row, arguments: argparse.Namespace, folder: Path):
    """A trainer on a random cache, built by the code of the command."""
    import drawn_cache

    from violence_detection.features import dataset
    from violence_detection.models.run import Run
    from violence_detection.system import devices
    from violence_detection.training.config import TrainConfig
    from violence_detection.training.trainer import Trainer
    from violence_detection.training.training_data import read_splits

    device_setup = devices.start(
        seed=1,
        mixed_precision=row.precision != "float32",
        xla=row.xla,
        virtual_devices=row.replicas if row.replicas > 1 else None,
        deterministic=False,
    )
    if device_setup.xla != row.xla:
        sys.exit("XLA does not work here.")
    cache = drawn_cache.fill(folder / "cache", *random_clips(arguments.videos, row.dim))
    entries = dataset.usable_entries(cache)
    clips = read_splits(cache, entries, list(drawn_cache.CLASSES))
    config = TrainConfig.from_settings({"head": row.head, "batch_size": row.batch_size})
    return Trainer(
        Run(folder / "run"),
        config.training,
        device_setup,
        clips=clips,
        classes=list(drawn_cache.CLASSES),
    )


def keras_example_rate(row: Row, arguments: argparse.Namespace) -> dict[str, float]:
    """Videos a second as in the examples on keras.io: all in memory, a video at a time, `fit`."""
    import keras
    import tensorflow as tf

    from violence_detection.models.classifier import build_classifier

    features, labels = random_clips(arguments.videos, row.dim)
    classifier = build_classifier(head=row.head, features=features, classes=2, recurrence="loop")
    classifier.compile(
        optimizer=keras.optimizers.AdamW(1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    dataset = tf.data.Dataset.from_tensor_slices(
        (features.astype(np.float32), labels[:, None].astype(np.float32))
    )
    dataset = dataset.shuffle(1024).batch(row.batch_size).prefetch(tf.data.AUTOTUNE)
    classifier.fit(dataset.take(WARM_STEPS), verbose=0)
    videos, start_s = 0, time.perf_counter()
    while True:
        classifier.fit(dataset, verbose=0)
        videos += arguments.videos
        elapsed_s = time.perf_counter() - start_s
        if elapsed_s >= arguments.seconds:
            return {"cache": videos / elapsed_s}


# -- the table


def title(row: Row) -> str:
    ways = {"cache": "", "slices": "Keras example, ", "torch": "PyTorch, "}
    details = [f"D={row.dim}", f"batch {row.batch_size}", row.precision]
    details += ["XLA"] * row.xla + [f"{row.replicas} replicas"] * (row.replicas > 1)
    return f"{ways[row.way]}{row.head}, {', '.join(details)}"


def print_table(table: dict[Row, list[dict[str, float]]]) -> None:
    print(f"{'videos/s, T = 20':82s} {'from the cache':>16s} {'ms a step':>10s} ", end="")
    print(f"{'constant batch':>16s} {'ratio':>6s}")
    for row, rounds in table.items():
        cache = [figures["cache"] for figures in rounds]
        line = f"{title(row):82s} {span(cache):>16s} {1000 * row.batch_size / max(cache):10.1f} "
        if "constant" in rounds[0]:
            constant = [figures["constant"] for figures in rounds]
            ratios = [a / b for a, b in zip(cache, constant, strict=True)]
            line += f"{span(constant):>16s} {np.mean(ratios):6.2f}"
        print(line)
    print()
    for name, ours, theirs in comparisons(table):
        pairs = zip(table[ours], table[theirs], strict=True)
        ratios = [a["cache"] / b["cache"] for a, b in pairs]
        print(f"{name:60s} {min(ratios):.2f} to {max(ratios):.2f} times")


def comparisons(table: dict[Row, Any]) -> Iterator[tuple[str, Row, Row]]:
    for theirs in table:
        ours = Row(**{**asdict(theirs), "way": "cache"})
        if theirs.way != "cache" and ours in table:
            peer = {"slices": "the Keras example", "torch": "PyTorch"}[theirs.way]
            yield f"over {peer}, {theirs.head}, {theirs.precision}", ours, theirs


def span(values: list[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f}"


if __name__ == "__main__":
    main()

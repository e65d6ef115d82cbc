"""Speed of stage two in one table: each head, size, precision and number of replicas, the limit of
its pipeline, and two peers.

    python benchmarks/training.py [--rounds 2] [--json FILE]

Of each row the step is measured from the cache and on one batch that never changes: the second is
what the first would be if reading cost nothing. The Keras-example way trains the same head with
`from_tensor_slices`, `shuffle`, `batch` and `fit`; PyTorch, where it is installed, the same layers
fed by rows gathered from the same array. Each measurement is a process of its own, and the table
is gone through in rounds; the smaller and the larger figure are given. Clips are drawn.
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
AT_ONCE = 8  # steps, as a training runs them


@dataclass(frozen=True)
class Row:
    """What is measured.

    Attributes:
        way: "cache" (this program), "slices" (the Keras-example way) or "torch".
    """

    way: str = "cache"
    head: str = DEFAULT
    dim: int = 1280
    batch_size: int = 32
    precision: str = "float32"
    xla: bool = False
    replicas: int = 1


def rows(asked_heads: list[str]) -> Iterator[Row]:
    for head in asked_heads:
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

    described = machine.describe()
    print(json.dumps(described))
    print_table(table)
    if arguments.json:
        result = [{**asdict(row), "rounds": rounds} for row, rounds in table.items()]
        text = json.dumps({"machine": described, "rows": result}, indent=2)
        arguments.json.write_text(text + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each rate")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--heads", nargs="*", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, too")
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


# -- a process of its own


def measure(row: Row, arguments: argparse.Namespace) -> dict[str, float]:
    """Videos in a second, by what they were fed from."""
    logging.disable(logging.WARNING)
    if row.way == "torch":
        import torch_training

        features, labels = drawn(arguments.videos, row.dim)
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
        return example_way(row, arguments)
    with tempfile.TemporaryDirectory() as folder:
        return our_way(row, arguments, Path(folder))


def drawn(videos: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips, float16 (N, T, D), and labels."""
    rng = np.random.default_rng(0)
    features = rng.random((videos, FRAMES, dim), np.float32).astype(np.float16)
    return features, np.arange(videos) % 2


def our_way(row: Row, arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    trainer = trainer_of(row, arguments, folder)
    fed = {"cache": trainer.batches(), "constant": constant(trainer)}
    for batches in fed.values():
        trainer.step.run(batches, WARM_STEPS)
    # In turns: this machine is not as fast in one second as in the next.
    turns = [
        {name: rate(one, trainer.step, row.batch_size) for name, one in fed.items()}
        for _ in range(max(1, round(arguments.seconds / TURN_S)))
    ]
    return {name: statistics.median(turn[name] for turn in turns) for name in fed}


def constant(trainer) -> Iterator[Any]:
    """The first batch again and again, dealt out to the replicas."""
    first = trainer.dataset().take(1).cache().repeat()
    return iter(trainer.device_setup.distributed(first))


def rate(batches: Iterator[Any], step, batch_size: int) -> float:
    """Videos in a second, over a turn."""
    steps, start_s = 0, time.perf_counter()
    while True:
        result = step.run(batches, AT_ONCE)
        np.asarray(result["loss"])  # what was only asked for is not done
        steps += AT_ONCE
        passed_s = time.perf_counter() - start_s
        if passed_s >= TURN_S:
            return steps * batch_size / passed_s


def trainer_of(row: Row, arguments: argparse.Namespace, folder: Path):
    """A trainer on a drawn cache, as the command makes it."""
    import drawn_cache

    from violence_detection.features import dataset
    from violence_detection.models.run import Run
    from violence_detection.system import devices
    from violence_detection.training.config import TrainConfig
    from violence_detection.training.trainer import Trainer
    from violence_detection.training.training_data import read_splits

    machine = devices.start(
        seed=1,
        mixed_precision=row.precision != "float32",
        xla=row.xla,
        virtual_devices=row.replicas if row.replicas > 1 else None,
        deterministic=False,
    )
    if machine.xla != row.xla:
        sys.exit("XLA does not work here.")
    cache = drawn_cache.fill(folder / "cache", *drawn(arguments.videos, row.dim))
    entries = dataset.usable_entries(cache)
    clips = read_splits(cache, entries, list(drawn_cache.CLASSES))
    config = TrainConfig(head=row.head, batch_size=row.batch_size)
    return Trainer(
        Run(folder / "run"),
        config,
        machine,
        clips=clips,
        classes=list(drawn_cache.CLASSES),
    )


def example_way(row: Row, arguments: argparse.Namespace) -> dict[str, float]:
    """As the examples on keras.io do it: everything in memory, a video at a time, `fit`."""
    import keras
    import tensorflow as tf

    from violence_detection.models.classifier import build_classifier

    features, labels = drawn(arguments.videos, row.dim)
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
        passed_s = time.perf_counter() - start_s
        if passed_s >= arguments.seconds:
            return {"cache": videos / passed_s}


# -- the table


def title(row: Row) -> str:
    ways = {"cache": "", "slices": "Keras-example way, ", "torch": "PyTorch, "}
    more = [f"D={row.dim}", f"batch {row.batch_size}", row.precision]
    more += ["XLA"] * row.xla + [f"{row.replicas} replicas"] * (row.replicas > 1)
    return f"{ways[row.way]}{row.head}, {', '.join(more)}"


def print_table(table: dict[Row, list[dict[str, float]]]) -> None:
    print(f"{'videos/s, T = 20':82s} {'from the cache':>16s} {'ms a step':>10s} ", end="")
    print(f"{'constant batch':>16s} {'ratio':>6s}")
    for row, rounds in table.items():
        cache = [one["cache"] for one in rounds]
        line = f"{title(row):82s} {span(cache):>16s} {1000 * row.batch_size / max(cache):10.1f} "
        if "constant" in rounds[0]:
            constant = [one["constant"] for one in rounds]
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
            peer = {"slices": "the Keras-example way", "torch": "PyTorch"}[theirs.way]
            yield f"over {peer}, {theirs.head}, {theirs.precision}", ours, theirs


def span(values: list[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f}"


if __name__ == "__main__":
    main()

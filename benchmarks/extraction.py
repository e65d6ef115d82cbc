"""Speed of stage one in one table: decoding, encoding on each engine, both, and a peer.

    python benchmarks/extraction.py VIDEO_DIR --backbone vgg19 --weights PATH

The ideal rate of the whole is 1 / (1/decode + 1/encode) on the same cores. The roofline of encoding
is the rate at which this CPU multiplies large matrices in that precision, over the FLOPs of a
frame. The peer is the same network in PyTorch, if PyTorch is installed. Each rate is measured in
two rounds over the whole table; the table has the smaller and the larger rate.
"""

import argparse
import dataclasses
import functools
import importlib.util
import itertools
import logging
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count
from pathlib import Path
from typing import Any

import flops
import machine
import numpy as np

from violence_detection import registry
from violence_detection.datasets import video_folder
from violence_detection.datasets.videos import Video
from violence_detection.features import engine_choice
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction import extract
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system import devices, files
from violence_detection.video.clip_reader import ClipReader

ROUNDS = 2
ENGINES = ("tensorflow", "openvino")
NO_TORCH = (
    "PyTorch is not installed, so there is no peer: pip install torch "
    "--index-url https://download.pytorch.org/whl/cpu"
)


def main() -> None:
    arguments = parse()
    logging.disable(logging.WARNING)
    devices.import_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        benchmark = Benchmark(arguments, Path(folder))
        rates = list(benchmark.rates())
        for number in range(1, ROUNDS + 1):
            for rate in rates:
                print(f"round {number}: {rate.title}", file=sys.stderr)
                rate.per_s.append(rate.measure())
    result = benchmark.result(rates)
    print_table(result)
    if arguments.json:
        files.write_json(arguments.json, result)


def parse() -> argparse.Namespace:
    default = ExtractConfig()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video_dir", type=Path)
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--stream", default=default.stream)
    parser.add_argument("--engine", default=default.engine, help="for the row `whole`")
    parser.add_argument("--mixed-precision", action="store_true", help="for the row `whole`")
    parser.add_argument("--videos", type=int, default=60, help="at most so many, drawn evenly")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each rate of encoding")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    return parser.parse_args()


@dataclass
class Rate:
    """A rate that is measured once a round.

    Attributes:
        what: "decode only", "encode only", "whole" or "matrix product".
        by: The engine or library.
        precision: "float32", "bfloat16" or "float16".
        measure: Returns frames a second; for a matrix product, FLOP a second.
        on_cpu: Whether it runs on the CPU, whose matrix rate is then the roofline.
        per_s: The measured rates, one a round.
    """

    what: str
    by: str
    precision: str
    measure: Callable[[], float]
    on_cpu: bool = True
    per_s: list[float] = field(default_factory=list)

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.what, self.by, self.precision)))


class Benchmark:
    """The videos, the network, and the rates to measure.

    Attributes:
        frames_of_a_video: Images of a video that the backbone encodes: T of each stream.
        notes: Reasons for rows that are missing, and other remarks.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self._seconds = arguments.seconds
        self._video_dir = folder / "videos"
        self._videos = link_videos(arguments.video_dir, self._video_dir, arguments.videos)
        self._config = ExtractConfig(
            cache_dir=str(folder / "cache"),
            backbone=arguments.backbone,
            weights=arguments.weights,
            stream=arguments.stream,
            engine=engine_choice.choose_engine(arguments.engine),
            mixed_precision=arguments.mixed_precision,
        )
        part = registry.module("backbones", arguments.backbone)
        self._reader = ClipReader(
            stream=self._config.stream,
            frames=self._config.frames,
            frame_size=part.FRAME_SIZE,
        )
        self.frames_of_a_video = self._config.frames * len(self._reader.stream_set.streams)
        network = part.build(frame_size=part.FRAME_SIZE, weights=None)
        self._size = {
            "params": network.count_params(),
            "flops": flops.count_flops(network),
            "dim": part.DIM,
        }
        shape = (self._config.batch_size, part.FRAME_SIZE, part.FRAME_SIZE, 3)
        self._images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        self._machine = machine.describe()  # before this benchmark loads it
        self.notes: list[str] = []
        if self._machine["load"] > 0.5:
            self.notes.append(
                "Another program ran in the minute before the start (load "
                f"{self._machine['load']:.1f}): the figures may be too low."
            )

    def rates(self) -> Iterator[Rate]:
        """All rates; engines and networks are compiled before they are measured."""
        precisions = ["float32"] + ["bfloat16"] * devices.cpu_has_bfloat16()
        yield Rate("decode only", "", "", self._decode)
        yield from self._engines()
        yield from self._peers(precisions)
        yield self._whole()
        yield from self._matrix_products(precisions)

    def _decode(self) -> float:
        def read(video: Video) -> None:
            path = self._video_dir / video.path
            self._reader.read(path, video.start_s, video.end_s)

        with ThreadPoolExecutor(cpu_count()) as pool:
            passes_per_s = machine.calls_per_s(
                lambda: list(pool.map(read, self._videos)), seconds=0.0
            )
        return passes_per_s * len(self._videos) * self.frames_of_a_video

    def _engines(self) -> Iterator[Rate]:
        """Encoding alone on each installed engine, in each precision that it supports."""
        import tensorflow as tf

        for engine in ENGINES:
            part = registry.module("engines", engine)
            if part.missing():
                self.notes.append(f"Not installed: {part.missing()}")
                continue
            on_cpu = not (part.ON_GPU and tf.config.list_physical_devices("GPU"))
            policies = (engine_choice.choose_precision(engine, mixed) for mixed in (False, True))
            for policy in dict.fromkeys(policies):
                precision = policy.removeprefix("mixed_")
                measure = self._encode_with(engine, policy)
                yield Rate("encode only", engine, precision, measure, on_cpu)

    def _encode_with(self, engine: str, policy: str) -> Callable[[], float]:
        extractor = FeatureExtractor.build(
            backbone=self._config.backbone,
            weights=self._config.weights,
            stream=self._config.stream,
            frames=self._config.frames,
            frame_size=None,
            engine=engine,
            precision=policy,
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            # The folder of extraction, so that the rows `whole` reuse the converted network.
            engine_dir=Path(self._config.cache_dir) / ".engines",
        )
        extractor.encode(self._images)  # the first call converts or traces

        def measure() -> float:
            batches_per_s = machine.calls_per_s(
                lambda: extractor.encode(self._images), seconds=self._seconds
            )
            return len(self._images) * batches_per_s

        return measure

    def _whole(self) -> Rate:
        """Extraction by the stage of the command, into a new cache each round."""
        config, number = self._config, itertools.count()
        policy = engine_choice.choose_precision(
            config.engine, config.mixed_precision, backbone=config.backbone
        )

        def measure() -> float:
            fresh = dataclasses.replace(config, dataset_name=f"round-{next(number)}")
            done = extract.extract_features(self._video_dir, fresh)
            return done.extracted * self.frames_of_a_video / done.seconds

        return Rate("whole", config.engine, policy.removeprefix("mixed_"), measure)

    def _matrix_products(self, precisions: list[str]) -> Iterator[Rate]:
        libraries = {"tensorflow": machine.tensorflow_flops_per_s}
        if not registry.module("engines", "openvino").missing():
            libraries["openvino"] = machine.openvino_flops_per_s
        for library, measure in libraries.items():
            for precision in precisions:
                call = functools.partial(measure, precision)
                yield Rate("matrix product", library, precision, call)

    def _peers(self, precisions: list[str]) -> Iterator[Rate]:
        """PyTorch: the same network in each mode, and its matrix products."""
        if importlib.util.find_spec("torch") is None:
            self.notes.append(NO_TORCH)
            return
        backbone, child = self._config.backbone, PeerProcess()
        for precision in precisions:
            call = functools.partial(child.call, "matrix_flops_per_s", precision)
            yield Rate("matrix product", "torch", precision, call)
        if backbone not in child.call("available"):
            self.notes.append(f"There is no PyTorch peer of {backbone}.")
            return
        size = child.call("size_of", backbone, frame_size=self._images.shape[1])
        if size != self._size:
            sys.exit(
                f"The PyTorch peer of {backbone} must be the same network. Received: {size} "
                f"and, in Keras, {self._size}"
            )
        modes = child.call("modes")
        if "compiled" not in modes:
            self.notes.append("torch.compile must have a C++ compiler. Received: none.")
        for precision, mode in itertools.product(precisions, modes):
            call = functools.partial(
                child.call,
                "images_per_s",
                backbone,
                precision=precision,
                mode=mode,
                images=self._images,
                seconds=self._seconds,
            )
            yield Rate("encode only", f"torch {mode}", precision, call)

    def result(self, rates: list[Rate]) -> dict[str, Any]:
        """The figures, each as the smallest and the largest of the rounds."""
        products = [rate for rate in rates if rate.what == "matrix product"]
        others = [rate for rate in rates if rate.what != "matrix product"]
        best: dict[str, float] = {}
        for rate in products:
            best[rate.precision] = max(best.get(rate.precision, 0.0), *rate.per_s)
        rooflines = {key: per_s / self._size["flops"] for key, per_s in best.items()}
        return {
            "machine": self._machine,
            "backbone": self._config.backbone,
            "stream": self._config.stream,
            "videos": len(self._videos),
            "frames_of_a_video": self.frames_of_a_video,
            "gflop_of_a_frame": self._size["flops"] / 1e9,
            "matrix_products": [
                {
                    "by": rate.by,
                    "precision": rate.precision,
                    "gflop_per_s": span(per_s / 1e9 for per_s in rate.per_s),
                }
                for rate in products
            ],
            "rates": [self._row(rate, rooflines) for rate in others],
            "whole_over_ideal": span(fractions_of_ideal(rates)),
            "notes": self.notes,
        }

    def _row(self, rate: Rate, rooflines: dict[str, float]) -> dict[str, Any]:
        row = {
            "what": rate.what,
            "by": rate.by,
            "precision": rate.precision,
            "frames_per_s": span(rate.per_s),
            "videos_per_s": span(per_s / self.frames_of_a_video for per_s in rate.per_s),
        }
        if rate.what == "encode only" and rate.on_cpu and rate.precision in rooflines:
            roofline = rooflines[rate.precision]
            row["over_roofline"] = span(per_s / roofline for per_s in rate.per_s)
        return row


class PeerProcess:
    """A process for torch_peers, which cannot be imported beside TensorFlow."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(
            1,
            multiprocessing.get_context("spawn"),
            initializer=logging.disable,
            initargs=(logging.WARNING,),
        )

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """The result of the function `name` of torch_peers in that process."""
        return self._pool.submit(call_peers, name, arguments, options).result()


def call_peers(name: str, arguments: tuple, options: dict[str, Any]) -> Any:
    import torch_peers

    return getattr(torch_peers, name)(*arguments, **options)


def link_videos(video_dir: Path, folder: Path, count: int) -> list[Video]:
    """At most `count` videos, drawn evenly from `video_dir`, as a dataset in `folder`."""
    listed = video_folder.read_folder(video_dir).videos
    count = min(count, len(listed))
    sample = [listed[number * len(listed) // count] for number in range(count)]
    for path in {video.path for video in sample}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to((video_dir / path).resolve())
    columns = ("path", "label", "group", "start_s", "end_s")
    rows = map(dataclasses.asdict, sample)
    files.write_csv(folder / "videos.csv", columns, rows)
    return sample


def fractions_of_ideal(rates: list[Rate]) -> list[float]:
    """The rate of the whole over its ideal rate, for each round."""
    decode = next(rate for rate in rates if rate.what == "decode only")
    whole = next(rate for rate in rates if rate.what == "whole")
    encode = next(
        rate
        for rate in rates
        if (rate.what, rate.by, rate.precision) == ("encode only", whole.by, whole.precision)
    )
    rounds = zip(whole.per_s, decode.per_s, encode.per_s, strict=True)
    return [rate * (1 / decoding + 1 / encoding) for rate, decoding, encoding in rounds]


def span(values: Iterable[float]) -> list[float]:
    """The smallest and the largest value."""
    values = list(values)
    return [min(values), max(values)]


def print_table(result: dict[str, Any]) -> None:
    described = result["machine"]
    flags = ", ".join(described["flags"]) or "neither avx512_bf16 nor amx"
    versions = described["versions"].items()
    print(f"{described['cpu']}, {described['cores']} cores, {flags}")
    print(", ".join(f"{name} {version}" for name, version in versions))
    print(
        f"{result['backbone']}, {result['stream']}, {result['frames_of_a_video']} frames "
        f"a video, {result['gflop_of_a_frame']:.2f} GFLOP a frame, {result['videos']} videos"
    )
    print(f"\n{'':38}{'frames/s':>16}{'videos/s':>16}{'of roofline':>16}")
    for row in result["rates"]:
        title = " ".join((row["what"], row["by"], row["precision"]))
        figures = [row["frames_per_s"], row["videos_per_s"]]
        figures += [row["over_roofline"]] if "over_roofline" in row else []
        print(f"{title:38}" + "".join(f"{format_span(figure):>16}" for figure in figures))
    print(f"{'whole over its ideal':38}{format_span(result['whole_over_ideal']):>16}")
    print(f"\n{'':38}{'GFLOP/s':>16}")
    for row in result["matrix_products"]:
        title = f"matrix product {row['by']} {row['precision']}"
        print(f"{title:38}{format_span(row['gflop_per_s']):>16}")
    for note in result["notes"]:
        print(note)


def format_span(values: list[float]) -> str:
    digits = 0 if values[1] >= 100 else 1 if values[1] >= 10 else 2
    return " to ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    main()

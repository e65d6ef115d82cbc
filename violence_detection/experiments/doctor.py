"""The doctor: checks of this machine and, with a dataset, a rehearsal of a training on it."""

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import training_readiness, video_folder
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.errors import ViolenceDetectionError
from violence_detection.experiments.doctor_config import DoctorConfig
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache, array_bytes
from violence_detection.features.extraction.extract import ExtractionStage
from violence_detection.system import (
    devices,
    files,
    machine_checks,
    processes,
    provenance,
    requirements,
)
from violence_detection.system.check_list import CheckList, CheckResult, Outcome
from violence_detection.system.processes import DedicatedProcess
from violence_detection.training.batching import further_views
from violence_detection.training.checks import rehearsal, replica_check
from violence_detection.training.checks.rehearsal import Rehearsal
from violence_detection.units import counted
from violence_detection.video import frame_series
from violence_detection.video.decoding import codec_trials
from violence_detection.video.decoding.codec_trials import CodecTrial

log = logging.getLogger(__name__)

_TYPICAL_SHAPE = (20, 1280)  # T and D of features that are not extracted yet
_RUN_BYTES = 100_000_000  # of a run with its checkpoints
_EXTRACTION_PROCESS_BYTES = 300_000_000
_VALIDATION_FRACTION = 0.25  # of the videos of a rehearsal


@dataclass(frozen=True)
class Diagnosis:
    """The result of `doctor`.

    Attributes:
        checks: All checks, in their order.
        versions: Versions of Python, this package and the libraries, by name.
        devices: The machine.
        codecs: The trial of each codec.
    """

    checks: Sequence[CheckResult]
    versions: dict[str, str]
    devices: dict[str, Any]
    codecs: Sequence[CodecTrial]

    @property
    def findings(self) -> list[CheckResult]:
        """The checks that failed."""
        return [result for result in self.checks if result.status == "failed"]

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": not self.findings,
            "findings": [
                {"what": result.name, "why": result.text, "help": result.help}
                for result in self.findings
            ],
            "versions": self.versions,
            "devices": self.devices,
            "codecs": [trial.to_json() for trial in self.codecs],
            "checks": [result.to_json() for result in self.checks],
        }


class DoctorStage:
    """The checks of `doctor`; nothing stays on disk."""

    def __init__(self, config: DoctorConfig) -> None:
        self._config = config
        self._checks = CheckList()
        self._codecs: list[CodecTrial] = []

    def run(self) -> Diagnosis:
        """Runs all checks; whatever fails is a finding, not an error."""
        self._check_machine()
        train = self._config.train
        if train.features is not None:
            Rehearsal(train, self._checks).run()
        elif train.dataset_path is not None:
            with tempfile.TemporaryDirectory() as folder:
                self._rehearse_videos(Path(folder))
        processes.end_idle_processes()
        return Diagnosis(
            self._checks.results,
            provenance.versions(),
            provenance.describe_machine().to_json(),
            self._codecs,
        )

    # -- the machine

    def _check_machine(self) -> None:
        checks, config = self._checks, self._config
        checks.run("libraries", machine_checks.check_libraries)
        for extra in sorted(filter(None, requirements.by_extra())):
            checks.run(f"extra {extra}", lambda name=extra: machine_checks.check_extra(name))
        # A start in another way comes before the first use of TensorFlow.
        virtual = config.train.devices.virtual_devices
        if virtual:
            devices.start(seed=config.seed, **config.train.devices.as_dict())
        checks.run("devices", machine_checks.check_devices)
        checks.run("precision", machine_checks.check_precision)
        checks.run("xla", machine_checks.check_xla)
        checks.run("cudnn", machine_checks.check_cudnn)
        checks.run(
            "replicas",
            self._replicas if config.replicas else lambda: Outcome.skipped("--no-replicas"),
            help="train on one device: CUDA_VISIBLE_DEVICES=0",
        )
        memory, features = self._needs()
        checks.run("memory", lambda: machine_checks.check_memory(memory))
        cache_dir = Path(config.train.extract.cache_dir)
        for name, folder, needed, option in (
            ("cache folder", cache_dir, features, "--cache-dir"),
            (
                "checkpoint folder",
                Path(config.train.checkpoint_dir),
                _RUN_BYTES,
                "--checkpoint-dir",
            ),
        ):
            checks.run(
                name,
                lambda folder=folder, needed=needed, option=option: machine_checks.check_folder(
                    folder, needed, option
                ),
            )
        checks.run("codecs", self._check_codecs, help="pip install --force-reinstall av")

    def _replicas(self) -> Outcome:
        virtual = None if devices.gpu_count() else 2
        if devices.gpu_count() == 1:
            return Outcome.skipped("one GPU")
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        with DedicatedProcess("the process of the replicas", environment) as process:
            replicas, difference = process(replica_check.difference_to_one_device, virtual)
        kind = "parts of the CPU" if virtual else "GPUs"
        text = f"a small training divided over {replicas} {kind} gives"
        if not difference <= replica_check.ROUNDING:
            return Outcome.failed(
                f"{text} other weights than one on a single device: they differ by "
                f"{difference:.2g} of the way that they went",
                "train on one device: CUDA_VISIBLE_DEVICES=0",
            )
        return Outcome.ok(f"{text} the same weights as one on a single device")

    def _needs(self) -> tuple[int, int]:
        """Estimates of the memory, and of the disk space for features, in bytes."""
        train, videos, shape = self._config.train, 0, _TYPICAL_SHAPE
        try:
            if train.features is not None:
                cache = FeatureCache.open(train.features)
                videos, space = len(dataset.usable_entries(cache)), cache.space()
                shape = space.shape
                # The arrays are there; their copy in one file may not be.
                return machine_checks.MEMORY_BYTES, videos * array_bytes(shape)
            if train.dataset_path is not None:
                videos = len(self._folder.videos)
        except (ViolenceDetectionError, OSError) as error:  # a check of its own fails by it, too
            log.info(f"Memory and disk space are estimated without the videos: {error}")
        workers = train.extract.workers or len(os.sched_getaffinity(0))
        memory = machine_checks.MEMORY_BYTES
        if train.dataset_path is not None:
            memory += workers * _EXTRACTION_PROCESS_BYTES
        return memory, max(machine_checks.DISK_BYTES, 2 * videos * array_bytes(shape))

    def _check_codecs(self) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            self._codecs = codec_trials.try_codecs(Path(folder))
        read = [trial.codec for trial in self._codecs if trial.status == "ok"]
        failed = [trial for trial in self._codecs if trial.status == "failed"]
        if failed:
            texts = [f"{trial.codec} in {trial.container}: {trial.text}" for trial in failed]
            return Outcome.failed("; ".join(texts), "pip install --force-reinstall av")
        text = f"a drawn clip is read in {', '.join(read)}"
        skipped = [trial.codec for trial in self._codecs if trial.status == "skipped"]
        if skipped:
            text += f"; not tried: {', '.join(skipped)}"
        return Outcome.ok(text)

    # -- a folder of videos

    @property
    def _folder(self) -> VideoFolder:
        train = self._config.train
        return video_folder.read_folder(
            Path(train.dataset_path),
            group_pattern=train.extract.group_pattern,
            frames_fps=train.extract.frames_fps,
        )

    def _rehearse_videos(self, folder: Path) -> None:
        """Extracts the features of a few videos into a temporary cache, and rehearses on them."""
        checks = self._checks
        checks.run("videos", self._check_videos, help="violence-detection check names what to mend")

        def extract() -> Outcome:
            subset = few_videos_of(self._folder, folder / "videos")
            config = self._config.train.extract.with_settings(
                cache_dir=str(folder / "cache"),
                dataset_name="doctor",
                group_pattern=None,
                validation_fraction=_VALIDATION_FRACTION,
                test_fraction=0.0,
                max_failures=1.0,
                views=further_views(self._config.train.batches.augment),
            )
            result = ExtractionStage(subset, config).run()
            self._features = result.features
            text = f"{counted(result.extracted, 'video')}, {result.videos_per_s:.1f} videos/s, "
            text += f"{result.engine} in {result.precision}"
            if result.failed:
                path, reason = result.failures[0]
                return Outcome.failed(
                    f"{text}; {counted(result.failed, 'video')} cannot be read, e.g. "
                    f"{path}: {reason}",
                    "violence-detection check lists all of them",
                )
            return Outcome.ok(text)

        help = "--backbone and --weights are those of the rehearsal; check lists unreadable videos"
        checks.run("extraction", extract, needs=("videos",), help=help)
        features = getattr(self, "_features", None)
        if features is None:
            return
        names = rehearsed_names(self._config)
        settings = {name: self._config.train.as_dict()[name] for name in names}
        train = type(self._config.train).from_settings(
            settings | {"features": str(features)}, given=names
        )
        Rehearsal(train, checks).run()

    def _check_videos(self) -> Outcome:
        folder, train = self._folder, self._config.train
        obstacles = training_readiness.obstacles(
            folder.videos, train.extract.split, normal_class=train.normal_class
        )
        if obstacles:
            return Outcome.failed(
                f"train will refuse: {obstacles[0]}", "violence-detection check says more"
            )
        counts = Counter(video.label for video in folder.videos)
        by_class = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        text = f"{counted(len(folder.videos), 'video')} ({by_class})"
        if folder.recordings_warning:
            text += "; the recording of each is not known"
        return Outcome.ok(text)


def rehearsed_names(config: DoctorConfig) -> list[str]:
    """The given settings of `train` that go with `features`."""
    train = config.train
    idle = train.names_in("extract") | train.names_in("split") | {"dataset_path", "features"}
    return sorted(train.given - idle)


def few_videos_of(folder: VideoFolder, target: Path) -> Path:
    """A folder of links to about `rehearsal.VIDEOS` videos, with a videos.csv of their recordings.

    Of a video that is kept as pictures, there is a folder of links to them.

    Args:
        folder: All videos.
        target: The folder to make.
    """
    labels = np.array([folder.labels.index(video.label) for video in folder.videos])
    rows = []
    for number in dataset.balanced_rows(labels, rehearsal.VIDEOS).tolist():
        video = folder.videos[number]
        source = folder.root / video.path
        name = f"{number:06d}"
        if series := frame_series.read_series(source):
            links = {target / name / picture.name: picture for picture in series.pictures}
            name = frame_series.with_rate(name, series.fps)
        else:
            name += source.suffix
            links = {target / name: source}
        for link, file in links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.absolute())
        # A recording that is not known is the path of its video. It is named, too: a warning would
        # seem to be about all videos.
        times = {"start_s": video.start_s, "end_s": video.end_s}
        rows.append({"path": name, "label": video.label, "group": video.group, **times})
    columns = list(rows[0])
    files.write_csv(target / "videos.csv", columns, rows)
    return target

"""The model that leaves the house: written, opened again by others' software, and held to what the
run answers at home."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.errors import (
    ConfigError,
    DatasetError,
    ExportError,
    VideoError,
)
from violence_detection.export import conversion, parity
from violence_detection.export.config import ExportConfig
from violence_detection.export.export_job import Clip, ExportJob
from violence_detection.export.formats._format import PROBABILITIES, PROBABILITY
from violence_detection.system import files, progress
from violence_detection.system.processes import DedicatedProcess

log = logging.getLogger(__name__)

_ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}
# One thread, as latency is told.
_ALONE = _ON_CPU | dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"
)
_EXAMPLES = 24  # clips that fewer bits are calibrated on


def export_run(run_dir: str, config: ExportConfig, *, force: bool = False) -> dict[str, Any]:
    """Write a run's model in a format, and prove that it answers as the run does.

    Args:
        run_dir: What training left.
        config: Which format, and what is in it.
        force: Whether an earlier export may be replaced.

    Returns:
        What parity.json holds: the keys of the `export` command, and more.

    Raises:
        RunError, CacheError, WeightsError: If run, features or weights cannot be used.
        ConfigError: If the format is not installed, or an export is there already.
        DatasetError: If the videos, which an end-to-end export is checked on, are not there.
        ExportError: If the format cannot express the model, or its answers are too far off;
            nothing is left then.
    """
    # -- of what, on which clips, and where to
    subject = ExportJob.of(run_dir, config)
    folder = _folder(subject, force=force)
    files.ensure_writable(folder.parent)
    files.sweep_dead(folder.parent)
    beside = folder.with_name(f"{folder.name}{files.temporary_mark()}")
    path = beside / subject.format.FILE
    try:
        beside.mkdir()
        with contextlib.ExitStack() as running:
            with DedicatedProcess(_named(config, "The converter"), _ON_CPU) as home:
                # -- the file
                home(conversion.begin, subject.request())
                interface = _written(home, subject, path)

                # -- what it says, opened anew, and what the run says
                away = DedicatedProcess(_named(config, "The runtime"), _ALONE)
                running.enter_context(away)
                away(conversion.load, config.format, path)
                answers = _Answers.of(subject, home, away)
            latency_ms = away(conversion.latency_ms, answers.example)

        # -- how far apart that is
        found = answers.compared(subject)
        tolerance = subject.format.TOLERANCES[config.precision]
        if past := parity.describe_excess(found, answers.away, tolerance):
            nearer = "" if config.precision == "float32" else " (float32 is nearer)"
            raise ExportError(
                f"An exported model must answer as the run does. Received: {past}{nearer}; "
                "nothing was kept"
            )
        result = {
            "format": config.format,
            "scope": config.scope,
            "path": str(folder / subject.format.FILE),
            **_sizes(beside),
            "videos_checked": len(answers.rows),
            **found,
            "latency_ms": latency_ms,
            "precision": config.precision,
            "prune": config.prune,
            "cluster": config.cluster or 0,
            "features": subject.source,
            "unreadable": answers.unreadable,
            "run": str(subject.run.dir),
        }

        # -- what stays
        files.write_json(beside / "parity.json", result)
        files.write_json(beside / "model.json", subject.described(interface))
        _put(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return result


def plan(run_dir: str, config: ExportConfig, *, force: bool = False) -> dict[str, Any]:
    """What `export` would do; nothing is written."""
    subject = ExportJob.of(run_dir, config)
    return {
        "dry_run": True,
        "format": config.format,
        "scope": config.scope,
        "path": str(_folder(subject, force=force) / subject.format.FILE),
        "videos": len(subject.entries),
    }


def _named(config: ExportConfig, what: str) -> str:
    """How the line begins that says a process died."""
    return f"{what} of {config.format} in {config.precision}"


def _folder(subject: ExportJob, *, force: bool) -> Path:
    """Where it goes, `end-to-end-tflite-int8`, once that may be written."""
    config = subject.config
    words = [config.scope, config.format]
    if config.precision != "float32":
        words.append(config.precision)
    if config.prune:
        words.append(f"pruned{config.prune:g}")
    if config.cluster:
        words.append(f"clustered{config.cluster}")
    folder = Path(config.output or subject.run.dir / "export") / "-".join(words)
    if folder.exists() and not (folder / "parity.json").is_file():
        raise ConfigError(f"Where an export goes must be nothing, or an export. Received: {folder}")
    if folder.exists() and not force:
        raise ConfigError(f"An export is replaced with --force only. Received: {folder}")
    return folder


def _put(beside: Path, folder: Path) -> None:
    """Give a folder its name; one that is there is out of the way for a moment."""
    former = folder.with_name(f"{folder.name}{files.temporary_mark()}")
    try:
        if folder.exists():
            os.replace(folder, former)
        os.replace(beside, folder)
    except OSError as error:
        raise files.write_error(folder, error) from error
    finally:
        shutil.rmtree(former, ignore_errors=True)


def _sizes(folder: Path) -> dict[str, int]:
    """`bytes` of what was written, and how many it has zipped."""
    written = [path for path in folder.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory() as scratch:
        zipped = shutil.make_archive(str(Path(scratch, "zipped")), "zip", folder)
        zipped_bytes = Path(zipped).stat().st_size
    total = sum(path.stat().st_size for path in written)
    return {"bytes": total, "zipped_bytes": zipped_bytes}


# -- writing


def _written(home: DedicatedProcess, subject: ExportJob, path: Path) -> dict[str, Any]:
    """Write the file; names, shapes and types of what goes in and comes out."""
    log.info(f"Converting to {subject.config.format}")
    with tempfile.TemporaryDirectory() as scratch:
        examples = []
        if subject.config.precision != "float32":
            for clip in _readable(subject, home, _EXAMPLES):
                examples.append(Path(scratch, f"{len(examples)}.npy"))
                np.save(examples[-1], clip.inputs)
            if not examples:
                raise DatasetError(
                    "At least one validation video must be readable. Received: "
                    f"{subject.places[0][0]}"
                )
        return home(conversion.write, path, examples)


def _readable(subject: ExportJob, home: DedicatedProcess, most: int) -> Iterator[Clip]:
    """Clips, evenly over all of them."""
    step = -(-len(subject.entries) // most)
    for number in range(0, len(subject.entries), step):
        try:
            yield subject.clip(number, home)
        except VideoError:
            continue


# -- comparing


@dataclass(frozen=True)
class _Answers:
    """What is said of N clips, each float64 (N, K).

    Attributes:
        rows: Their numbers.
        run: By the run, to float32 features.
        cached: By the run, to the features that the cache has.
        own: By the model that was written, in Keras.
        away: By the file.
        unreadable: The other videos, and why.
        example: One of the inputs.
    """

    rows: list[int]
    run: np.ndarray
    cached: np.ndarray
    own: np.ndarray
    away: np.ndarray
    unreadable: list[dict[str, str]]
    example: np.ndarray

    @classmethod
    def of(cls, subject: ExportJob, home: DedicatedProcess, away: DedicatedProcess) -> "_Answers":
        """
        Raises:
            DatasetError: If no video can be read.
        """
        rows, run, own, there, unreadable = [], [], [], [], []
        with progress.track("Checking", len(subject.entries), "videos") as step:
            for number, entry in enumerate(subject.entries):
                try:
                    clip = subject.clip(number, home)
                except VideoError as error:
                    log.warning(f"Cannot read {entry.path}: {error}")
                    unreadable.append({"path": entry.path, "reason": str(error)})
                    continue
                rows.append(number)
                run.append(home(conversion.answers, clip.features))
                pictures = clip.pictures if subject.given else None
                own.append(home(conversion.own_answers, clip.features, pictures))
                there.append(_by_class(away(conversion.run, clip.inputs)))
                example = clip.inputs
                step()
        if not rows:
            raise DatasetError(
                f"At least one validation video must be readable. Received: {unreadable[0]}"
            )
        cached = home(conversion.answers, np.stack([subject.cached.features[row] for row in rows]))
        joined = map(np.concatenate, (run, own, there))
        first, second, third = joined
        return cls(rows, first, cached, second, third, unreadable, example)

    def compared(self, subject: ExportJob) -> dict[str, Any]:
        """The figures; what a changed model costs, where it is one."""
        config = subject.config
        violent = subject.cached.labels[self.rows] > 0
        threshold = subject.run.record().threshold
        found = parity.compare_predictions(
            self.own, self.away, violent=violent, threshold=threshold
        )
        found["auc_before"] = parity.auc(violent, self.run)
        drift = parity.compare_predictions(
            self.run, self.cached, violent=violent, threshold=threshold
        )
        found["drift_of_cached_features"] = {
            "max_abs_difference": drift["max_abs_difference"],
            "mean_abs_difference": drift["mean_abs_difference"],
            "equal_decisions": drift["equal_decisions"],
            "auc": drift["auc_after"],
        }
        if config.precision == "int8" or config.prune or config.cluster:
            found["cost"] = parity.measure_cost(
                self.run,
                self.away,
                violent=violent,
                groups=subject.cached.groups[self.rows],
                threshold=threshold,
                resamples=config.bootstrap,
                seed=config.seed,
            )
        return found


def _by_class(answers: dict[str, np.ndarray]) -> np.ndarray:
    """float64 (1, K) of what a file gives by name."""
    if PROBABILITIES in answers:
        return answers[PROBABILITIES].astype(np.float64)
    violent = answers[PROBABILITY].astype(np.float64)
    return np.concatenate([1 - violent, violent], axis=1)

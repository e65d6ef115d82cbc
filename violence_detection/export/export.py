"""The stage that exports a run and checks the exported model against the original."""

import contextlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.errors import ConfigError, DatasetError, ExportError, VideoError
from violence_detection.export import parity
from violence_detection.export.config import ExportConfig
from violence_detection.export.conversion import Converter, ExportedModel
from violence_detection.export.export_job import ExportJob
from violence_detection.export.formats._format import PROBABILITIES, PROBABILITY
from violence_detection.models.outputs.classes import is_violent
from violence_detection.system import files, progress
from violence_detection.system.processes import DedicatedProcess

log = logging.getLogger(__name__)

_ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}
# Latency is measured on one thread.
_ON_ONE_THREAD = _ON_CPU | dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"
)
_CALIBRATION_CLIPS = 24  # for float16 and int8


class ExportStage:
    """Writes a run's model in a format, and checks the file on the validation videos."""

    def __init__(self, run_dir: str, config: ExportConfig, *, force: bool = False) -> None:
        """
        Args:
            run_dir: The folder of a run.
            config: The format, and what the model contains.
            force: An earlier export may be replaced.
        """
        self._run_dir, self._config, self._force = run_dir, config, force

    def prepare(self) -> dict[str, Any]:
        """Opens run, features and videos, and checks the output folder.

        Returns:
            The object of `--dry-run`: `dry_run`, `format`, `scope`, `path`, `videos` (count).

        Raises:
            RunError, CacheError, WeightsError: If run, features or weights cannot be used.
            ConfigError: If the format is not installed, or an export exists and `force` is not
                given.
            DatasetError: If the videos, which an end-to-end export is checked on, do not exist.
        """
        self._job = ExportJob.from_config(self._run_dir, self._config)
        self._folder = self._choose_folder()
        return {
            "dry_run": True,
            "format": self._config.format,
            "scope": self._config.scope,
            "path": str(self._folder / self._job.format.FILE),
            "videos": len(self._job.entries),
        }

    def run(self) -> dict[str, Any]:
        """Exports the run.

        Returns:
            The content of parity.json: the keys of the `export` command, and more.

        Raises:
            ExportError: If the format cannot express the model, or its predictions differ too
                much; no file is left then.
            ViolenceDetectionError: See `prepare`.
        """
        # -- what is exported, and to where
        self.prepare()
        job, config, folder = self._job, self._config, self._folder
        files.ensure_writable(folder.parent)
        files.sweep_dead(folder.parent)
        temporary = folder.with_name(f"{folder.name}{files.temporary_mark()}")
        path = temporary / job.format.FILE
        try:
            temporary.mkdir()
            with contextlib.ExitStack() as running:
                with DedicatedProcess(self._process_name("The converter"), _ON_CPU) as converter:
                    # -- the file
                    converter.construct(Converter, job.request())
                    interface = self._convert(converter, path)

                    # -- predictions of the original and of the file
                    exported = DedicatedProcess(self._process_name("The runtime"), _ON_ONE_THREAD)
                    running.enter_context(exported)
                    exported.construct(ExportedModel, config.format, path)
                    predictions = _predict_clips(job, converter, exported)
                latency_ms = exported.call_method(
                    ExportedModel.measure_latency_ms, predictions.example
                )

            # -- how much they differ
            figures = _compare(predictions, job)
            tolerance = job.format.TOLERANCES[config.precision]
            excess = parity.describe_excess(figures, predictions.exported, tolerance)
            if excess:
                closer = "" if config.precision == "float32" else " (float32 is closer)"
                raise ExportError(
                    "An exported model must predict as the run does. Received: "
                    f"{excess}{closer}; the file was removed"
                )
            result = {
                "format": config.format,
                "scope": config.scope,
                "path": str(folder / job.format.FILE),
                **_sizes(temporary),
                "videos_checked": len(predictions.rows),
                **figures,
                "latency_ms": latency_ms,
                "precision": config.precision,
                "prune": config.prune,
                "cluster": config.cluster or 0,
                "features": job.source,
                "unreadable": predictions.unreadable,
                "run": str(job.run.dir),
            }

            # -- the files that stay
            files.write_json(temporary / "parity.json", result)
            files.write_json(temporary / "model.json", job.describe_model(interface))
            _replace_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return result

    def _choose_folder(self) -> Path:
        """The folder of the export, such as `end-to-end-tflite-int8`.

        Raises:
            ConfigError: If it exists and must not be replaced.
        """
        config = self._config
        words = [config.scope, config.format]
        if config.precision != "float32":
            words.append(config.precision)
        if config.prune:
            words.append(f"pruned{config.prune:g}")
        if config.cluster:
            words.append(f"clustered{config.cluster}")
        folder = Path(config.output or self._job.run.dir / "export") / "-".join(words)
        if folder.exists() and not (folder / "parity.json").is_file():
            raise ConfigError(
                f"The folder of an export must be new, or hold an export. Received: {folder}"
            )
        if folder.exists() and not self._force:
            raise ConfigError(f"--force replaces an export. Received: {folder} (it exists)")
        return folder

    def _process_name(self, program: str) -> str:
        """The subject of the message if the process crashes."""
        return f"{program} of {self._config.format} in {self._config.precision}"

    def _convert(self, converter: DedicatedProcess, path: Path) -> dict[str, Any]:
        """Writes the file; returns names, shapes and dtypes of its inputs and outputs."""
        log.info(f"Converting to {self._config.format}")
        with tempfile.TemporaryDirectory() as scratch:
            examples = []
            if self._config.precision != "float32":
                examples = _save_calibration_clips(self._job, converter, Path(scratch))
            return converter.call_method(Converter.write, path, examples)


def export_run(run_dir: str, config: ExportConfig, *, force: bool = False) -> dict[str, Any]:
    """Exports a run; see `ExportStage.run`."""
    return ExportStage(run_dir, config, force=force).run()


# -- files


def _save_calibration_clips(
    job: ExportJob, converter: DedicatedProcess, folder: Path
) -> list[Path]:
    """Saves the inputs of up to 24 clips, evenly spaced over all, as `.npy` files.

    Raises:
        DatasetError: If none of them can be read.
    """
    paths = []
    step = -(-len(job.entries) // _CALIBRATION_CLIPS)
    for number in range(0, len(job.entries), step):
        try:
            clip = job.read_clip(number)
        except VideoError:
            continue
        if clip.frames is not None:
            inputs = clip.frames[None]
        else:
            inputs = converter.call_method(Converter.encode_clip, clip)
        paths.append(folder / f"{len(paths)}.npy")
        np.save(paths[-1], inputs)
    if not paths:
        raise DatasetError(
            f"At least one validation video must be readable. Received: {job.parts[0].path}"
        )
    return paths


def _replace_folder(temporary: Path, folder: Path) -> None:
    """Renames a folder; an existing one is moved away first, and removed last."""
    former = folder.with_name(f"{folder.name}{files.temporary_mark()}")
    try:
        if folder.exists():
            os.replace(folder, former)
        os.replace(temporary, folder)
    except OSError as error:
        raise files.write_error(folder, error) from error
    finally:
        shutil.rmtree(former, ignore_errors=True)


def _sizes(folder: Path) -> dict[str, int]:
    """`bytes` of the files in a folder, and `zipped_bytes`."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory() as scratch:
        archive = shutil.make_archive(str(Path(scratch, "zipped")), "zip", folder)
        zipped_bytes = Path(archive).stat().st_size
    return {"bytes": sum(path.stat().st_size for path in paths), "zipped_bytes": zipped_bytes}


# -- predictions


@dataclass(frozen=True)
class _Predictions:
    """The predictions of N clips, each float64 (N, K).

    Attributes:
        rows: Numbers of the clips.
        reference: By the run, of float32 features.
        cached: By the run, of the features in the cache.
        source: By the model that was converted, in Keras.
        exported: By the file.
        unreadable: `path` and `reason` of the other videos.
        example: The input of one clip.
    """

    rows: list[int]
    reference: np.ndarray
    cached: np.ndarray
    source: np.ndarray
    exported: np.ndarray
    unreadable: list[dict[str, str]]
    example: np.ndarray


def _predict_clips(
    job: ExportJob, converter: DedicatedProcess, exported: DedicatedProcess
) -> _Predictions:
    """Predicts every readable clip with the original and with the file.

    Raises:
        DatasetError: If no clip can be read.
    """
    rows, reference, source, by_file, unreadable = [], [], [], [], []
    with progress.track("Checking", len(job.entries), "videos") as step:
        for number, entry in enumerate(job.entries):
            try:
                clip = job.read_clip(number)
            except VideoError as error:
                log.warning(f"Cannot read {entry.path}: {error}")
                unreadable.append({"path": entry.path, "reason": str(error)})
                continue
            predictions = converter.call_method(Converter.predict_clip, clip)
            inputs = predictions.features if clip.frames is None else clip.frames[None]
            rows.append(number)
            reference.append(predictions.reference)
            source.append(predictions.source)
            by_file.append(_by_class(exported.call_method(ExportedModel.predict, inputs)))
            step()
    if not rows:
        raise DatasetError(
            f"At least one validation video must be readable. Received: {unreadable[0]}"
        )
    features = np.stack([job.cached.features[row] for row in rows])
    return _Predictions(
        rows=rows,
        reference=np.concatenate(reference),
        cached=converter.call_method(Converter.predict_features, features),
        source=np.concatenate(source),
        exported=np.concatenate(by_file),
        unreadable=unreadable,
        example=inputs,
    )


def _by_class(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """The probabilities of all classes, float64 (1, K), of the outputs of a file."""
    if PROBABILITIES in outputs:
        return outputs[PROBABILITIES].astype(np.float64)
    violent = outputs[PROBABILITY].astype(np.float64)
    return np.concatenate([1 - violent, violent], axis=1)


def _compare(predictions: _Predictions, job: ExportJob) -> dict[str, Any]:
    """The figures of parity.json; with `cost` if the weights are int8 or compressed."""
    config, threshold = job.config, job.record.threshold
    violent = is_violent(job.cached.labels[predictions.rows])
    figures = parity.compare_predictions(
        predictions.source, predictions.exported, violent=violent, threshold=threshold
    )
    figures["auc_before"] = parity.auc(violent, predictions.reference)
    drift = parity.compare_predictions(
        predictions.reference, predictions.cached, violent=violent, threshold=threshold
    )
    figures["drift_of_cached_features"] = {
        "max_abs_difference": drift["max_abs_difference"],
        "mean_abs_difference": drift["mean_abs_difference"],
        "equal_decisions": drift["equal_decisions"],
        "auc": drift["auc_after"],
    }
    if config.precision == "int8" or config.prune or config.cluster:
        figures["cost"] = parity.measure_cost(
            predictions.reference,
            predictions.exported,
            violent=violent,
            groups=job.cached.groups[predictions.rows],
            threshold=threshold,
            resamples=config.bootstrap,
            seed=config.seed,
        )
    return figures

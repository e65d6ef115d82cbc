"""The stage that exports a run and checks the exported file against the run."""

import contextlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.errors import ConfigError, ExportError, VideoError, ViolenceDetectionError
from violence_detection.evaluation import evaluation_set
from violence_detection.export import parity, validation_check
from violence_detection.export.config import ExportConfig
from violence_detection.export.conversion import Converter, ExportedModel, Interface, Latency
from violence_detection.export.export_job import READER_BYTES, ExportJob
from violence_detection.export.export_result import ExportPlan, ExportResult
from violence_detection.export.validation_check import CheckedVideos, nothing_readable
from violence_detection.models.outputs.classes import is_violent
from violence_detection.models.run import Run
from violence_detection.reports import model_card
from violence_detection.system import files, provenance
from violence_detection.system.processes import DedicatedProcess, ProcessPool

log = logging.getLogger(__name__)

_ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}
# Latency is measured on one thread.
_ON_ONE_THREAD = _ON_CPU | dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"
)
_CALIBRATION_CLIPS = 24  # for float16 and int8


class ExportStage:
    """Writes a run's model in a format, and checks the file on the validation videos."""

    def __init__(
        self,
        run_dir: str,
        config: ExportConfig,
        *,
        force: bool = False,
        kept_features: Path | None = None,
    ) -> None:
        """
        Args:
            run_dir: The folder of a run.
            config: The format, and what the model contains.
            force: An earlier export may be replaced.
            kept_features: See `Converter`.
        """
        self._run_dir, self._config, self._force = run_dir, config, force
        self._kept_features = kept_features

    def prepare(self) -> dict[str, Any]:
        """Opens run, features and videos, and checks the output folder; the object of `--dry-run`,
        see `ExportPlan`.

        Raises:
            RunError, CacheError, WeightsError: If run, features or weights cannot be used.
            ConfigError: If the format is not installed, or an export exists and `force` is not
                given.
            DatasetError: If the videos, which an end-to-end export is checked on, do not exist.
        """
        config = self._config
        self._job = ExportJob.open(
            self._run_dir,
            format=config.format,
            precision=config.precision,
            end_to_end=config.scope == "end-to-end",
            clips=config.videos_to_check,
            size=(config.height, config.width) if config.height else None,
            fps=config.fps,
            features=config.features,
            videos=config.dataset_path,
            weights=config.weights,
            prune=config.prune,
            cluster=config.cluster,
        )
        self._folder = self._choose_folder()
        path = str(self._folder / self._job.format.FILE)
        return ExportPlan(config.format, config.scope, path, len(self._job.entries)).to_json()

    def identity(self) -> dict[str, str]:
        """The digests of the model and of the videos that the file is checked on; `prepare` comes
        first."""
        return evaluation_set.identity_of(self._job.run, self._job.entries)

    def run(self) -> ExportResult:
        """Exports the run.

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
                    converter.construct(Converter, job.request, self._kept_features)
                    interface = self._convert(converter, path)

                    # -- predictions of the run and of the file
                    exported = DedicatedProcess(self._process_name("The runtime"), _ON_ONE_THREAD)
                    running.enter_context(exported)
                    exported.construct(ExportedModel, config.format, path)
                    scratch = Path(running.enter_context(tempfile.TemporaryDirectory()))
                    if job.parts is None:
                        checked = validation_check.check_features(job, converter, exported)
                    else:
                        checked = validation_check.check_videos(job, converter, exported, scratch)
                latency = exported.call_method(ExportedModel.measure_latency, checked.example)

            # -- how much they differ
            result = self._compare(checked, latency, _sizes(temporary))

            # -- the files that stay
            files.write_json(temporary / "parity.json", result.to_json())
            files.write_json(temporary / "model.json", job.describe_model(interface).to_json())
            _replace_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        write_model_card(job.run)
        return result

    def _compare(
        self, checked: CheckedVideos, latency: Latency, sizes: tuple[int, int]
    ) -> ExportResult:
        """The result.

        Raises:
            ExportError: If the file differs by more than its format and precision may.
        """
        job, config, threshold = self._job, self._config, self._job.record.threshold
        violent = is_violent(job.cached.labels[checked.rows])
        equal_inputs = parity.compare_predictions(
            checked.source,
            checked.exported,
            violent=violent[checked.video_of_window],
            threshold=threshold,
        )
        tolerance = job.format.TOLERANCES[config.precision]
        excess = parity.describe_excess(equal_inputs, checked.exported, tolerance)
        if excess:
            closer = "" if config.precision == "float32" else " (float32 is closer)"
            raise ExportError(
                "An exported model must predict as the run does. Received: "
                f"{excess}{closer}; the file was removed"
            )
        as_they_are = parity.compare_as_they_are(
            checked.videos, violent=violent, threshold=threshold
        )
        cost = None
        if config.precision == "int8" or job.request.is_compressed:
            cost = parity.measure_cost(
                checked.videos.given,
                checked.videos.exported,
                violent=violent,
                groups=job.cached.groups[checked.rows],
                threshold=threshold,
                resamples=config.bootstrap,
                seed=config.seed,
            )
        taken = job.request.frame_input.size_and_rate() if job.request.frame_input else ""
        warnings = [
            parity.describe_changes(as_they_are, config.max_decision_change, taken),
            parity.describe_few(as_they_are),
        ]
        return ExportResult(
            format=config.format,
            scope=config.scope,
            path=str(self._folder / job.format.FILE),
            precision=config.precision,
            prune=config.prune,
            cluster=config.cluster or 0,
            bytes=sizes[0],
            zipped_bytes=sizes[1],
            run=str(job.run.dir),
            videos_checked=len(checked.rows),
            windows_checked=len(checked.video_of_window),
            windows_left_out=checked.left_out,
            equal_inputs=equal_inputs,
            as_they_are=as_they_are,
            taken=taken,
            latency=latency,
            machine=provenance.describe_machine().cpu,
            cost=cost,
            unreadable=list(checked.unreadable),
            warnings=[warning for warning in warnings if warning],
        )

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

    def _convert(self, converter: DedicatedProcess, path: Path) -> Interface:
        """Writes the file."""
        log.info(f"Converting to {self._config.format}")
        with tempfile.TemporaryDirectory() as scratch:
            examples = []
            if self._config.precision != "float32":
                examples = _save_calibration_clips(self._job, Path(scratch))
            return converter.call_method(Converter.write, path, examples)


def export_run(run_dir: str, config: ExportConfig, *, force: bool = False) -> ExportResult:
    """Exports a run; see `ExportStage.run`."""
    return ExportStage(run_dir, config, force=force).run()


# -- files


def _save_calibration_clips(job: ExportJob, folder: Path) -> list[Path]:
    """The inputs of up to 24 clips, evenly spaced over all, as `.npy` files.

    Raises:
        DatasetError: If none of them can be read.
    """
    paths = []
    step = -(-len(job.entries) // _CALIBRATION_CLIPS)
    with ProcessPool(READER_BYTES) as call:
        for number in range(0, len(job.entries), step):
            if job.parts is None:
                paths.append(folder / f"{number}.npy")
                clip = np.float32(job.cached.features[number])
                if clip.ndim == 3:  # a video in segments
                    clip = clip[number % len(clip)]
                np.save(paths[-1], clip[None])
                continue
            with contextlib.suppress(VideoError):
                video = job.read_video(number, call, folder)
                paths.append(video.windows[len(video.windows) // 2].frames)
                for window in video.windows:
                    if window.frames != paths[-1]:
                        window.frames.unlink()
    if not paths:
        raise nothing_readable(str(job.parts[0].path))
    return paths


def write_model_card(run: Run) -> None:
    """Writes the card of the run again, with the warnings of its exports."""
    try:
        model_card.write_model_card(run)
    except ViolenceDetectionError as error:  # a run that was moved to a folder without rights
        log.warning(f"The model card was not written: {error}")


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


def _sizes(folder: Path) -> tuple[int, int]:
    """Bytes of the files in a folder, and of a ZIP file of them."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory() as scratch:
        archive = shutil.make_archive(str(Path(scratch, "zipped")), "zip", folder)
        zipped_bytes = Path(archive).stat().st_size
    return sum(path.stat().st_size for path in paths), zipped_bytes

"""Tries several ways to make an exported file smaller and faster, and keeps the fastest that
fits."""

import dataclasses
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection import registry
from violence_detection.errors import ConfigError, ExportError, ViolenceDetectionError
from violence_detection.export.config import ExportConfig
from violence_detection.export.export import ExportStage, write_model_card
from violence_detection.export.fit_folder import ExportOutcome, FitFolder, MeasuredFile
from violence_detection.export.fit_limits import Limit, parse_limits, unmet
from violence_detection.models.run import Run
from violence_detection.system import files, provenance
from violence_detection.training.config import TrainConfig
from violence_detection.units import format_duration

log = logging.getLogger(__name__)

_PRUNED, _CLUSTERED = 0.5, 32
_SMALL_HEAD = "linear"
_DISTILLED = "distilled"


@dataclass(frozen=True)
class ExportVariant:
    """A way to export a run.

    Attributes:
        name: In words.
        settings: Of `ExportConfig`, beside those of the user.
        distilled: Export a small head that has learned from the run.
    """

    name: str
    settings: dict[str, Any]
    distilled: bool = False


@dataclass(frozen=True)
class TriedVariant:
    """A variant that was tried.

    Attributes:
        name: In words.
        mb, zipped_mb: Size in 10^6 bytes; None if there is no file.
        ms: Time of a clip on one thread: on the clock or, where that is less, of the processor.
        auc: AUC of the file minus that of the run, on the validation videos.
        breaks: The limits that it breaks.
        error: Why there is no file.
    """

    name: str
    mb: float | None = None
    zipped_mb: float | None = None
    ms: float | None = None
    auc: float | None = None
    breaks: Sequence[str] = ()
    error: str = ""


@dataclass(frozen=True)
class FitResult:
    """The content of fit.json: the variants, and the one that was kept.

    Attributes:
        run, format, scope: Of the export.
        limits: The limits, as texts.
        tried: Every variant.
        kept: Name of the fastest that fits; empty for none.
        path: Its file; empty for none.
        reason: Why nothing fits, in words; empty if something does.
    """

    run: str
    format: str
    scope: str
    limits: Sequence[str]
    tried: Sequence[TriedVariant]
    kept: str
    path: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class FitStage:
    """Exports a run in several ways, and keeps the fastest file within the limits."""

    def __init__(self, run_dir: str, config: ExportConfig, *, force: bool = False) -> None:
        """
        Args:
            run_dir: The folder of a run.
            config: Of the export, with `fit`.
            force: An earlier export may be replaced.
        """
        self._run_dir, self._config, self._force = run_dir, config, force

    def prepare(self) -> dict[str, Any]:
        """Opens the run and lists the variants.

        Raises:
            ConfigError: If what may be kept would replace an export or a run, without `force`.
            ViolenceDetectionError: See `ExportStage.prepare`.
        """
        self._run = Run.open(self._run_dir)
        self._output = Path(self._config.output or self._run.dir / "export")
        self._limits = parse_limits(self._config.fit)
        self._variants = list(self._list_variants())
        stage = ExportStage(self._run_dir, self._asked({}), force=self._force)
        plan = stage.prepare()
        self._check_places()
        names = [variant.name for variant in self._variants]
        self._digests = {
            **stage.identity(),
            **{"variants": names, "versions": provenance.versions()},
            "processor": provenance.describe_machine().cpu,
        }
        return plan | {"limits": [str(limit) for limit in self._limits], "tries": names}

    def run(self) -> FitResult:
        """Tries all variants; after an interruption those that an earlier start has not tried.

        Raises:
            ViolenceDetectionError: If the run cannot be exported as it is.
        """
        self.prepare()
        with FitFolder.opened(self._output, self._config, self._digests) as self._tried:
            outcomes = [self._tried.read(number) for number in range(1, len(self._variants) + 1)]
            left = outcomes.count(None)
            if left < len(outcomes):
                log.info(
                    f"Going on: {len(outcomes) - left} of {len(outcomes)} variants were tried "
                    "before"
                )
            started_s, done = time.monotonic(), 0
            for number, variant in enumerate(self._variants, 1):
                if outcomes[number - 1] is not None:
                    continue
                rest_s = (time.monotonic() - started_s) / max(done, 1) * (left - done)
                about = f"; about {format_duration(rest_s)} left" if done else ""
                log.info(f"Trying {number} of {len(outcomes)}: {variant.name}{about}")
                outcomes[number - 1] = self._outcome_of(variant, number)
                done += 1
            measured = [outcome.file for outcome in outcomes]
            rows = [
                self._compared(variant.name, outcome, measured[0])
                for variant, outcome in zip(self._variants, outcomes, strict=True)
            ]
            result = self._keep_best(rows, measured)
            if result.kept:  # else other limits are answered from what was tried
                self._tried.remove()
        return result

    def _check_places(self) -> None:
        """Raises an error for the place of a file or of the distilled run that is taken."""
        exports = self._output.glob(f"{self._config.scope}-{self._config.format}*")
        places = [folder for folder in exports if (folder / "parity.json").is_file()]
        if any(variant.distilled for variant in self._variants):
            places += [self._place_of_student()]
        for place in [] if self._force else places:
            if place.exists():
                raise ConfigError(_replaces(place))

    def _list_variants(self) -> Iterator[ExportVariant]:
        config, record = self._config, self._run.record()
        part = registry.module("formats", config.format)
        *_, smallest = precisions = list(part.TOLERANCES)
        for precision in precisions:
            yield ExportVariant(precision, {"precision": precision})
        words = "" if smallest == "float32" else f"{smallest}, "
        few = {"precision": smallest}
        yield ExportVariant(f"{words}half pruned", few | {"prune": _PRUNED})
        yield ExportVariant(f"{words}{_CLUSTERED} values a layer", few | {"cluster": _CLUSTERED})
        small = {"prune": _PRUNED, "cluster": _CLUSTERED}
        yield ExportVariant(f"{words}half pruned, {_CLUSTERED} values", few | small)
        frames = record.frame_format
        if config.scope == "end-to-end" and frames and config.height is None:
            height, width = (max(16, side // 4 * 2) for side in (frames.height, frames.width))
            size = {"height": height, "width": width}
            if not part.ANY_SIZE and config.fps is None:
                yield ExportVariant(f"{words}frames of {width}x{height}", few | size)
            elif part.ANY_SIZE:
                yield ExportVariant(f"{words}frames of {width}x{height} alone", few | size)
        if record.head != _SMALL_HEAD and not record.one_class:
            yield ExportVariant(f"head {_SMALL_HEAD}, distilled", {}, distilled=True)
            if words:
                yield ExportVariant(f"{words}head {_SMALL_HEAD}, distilled", few, distilled=True)

    def _asked(self, changed: dict[str, Any]) -> ExportConfig:
        return self._config.with_settings(fit=None, **changed)

    def _outcome_of(self, variant: ExportVariant, number: int) -> ExportOutcome:
        """Exports a variant; its outcome is kept unless another try may end otherwise.

        Raises:
            ViolenceDetectionError: If it is the first, the run as it is, and fails.
        """
        try:
            outcome = ExportOutcome(self._export(variant, number))
        except ViolenceDetectionError as error:
            if number == 1:
                self._tried.remove()
                raise
            outcome = ExportOutcome(None, str(error))
            if not isinstance(error, ExportError):
                return outcome
        self._tried.keep(number, outcome)
        return outcome

    def _export(self, variant: ExportVariant, number: int) -> MeasuredFile:
        """Exports a variant, and measures the file."""
        folder = self._tried.of_variant(number)
        shutil.rmtree(folder, ignore_errors=True)
        run_dir = self._distilled() if variant.distilled else self._run_dir
        config = self._asked(variant.settings | {"output": str(folder)})
        result = ExportStage(run_dir, config, kept_features=self._tried.features).run()
        videos = result.as_they_are
        return MeasuredFile(
            path=Path(result.path),
            mb=result.bytes / 1e6,
            zipped_mb=result.zipped_bytes / 1e6,
            # Other programs make the time on the clock longer, and not for all variants alike.
            ms=min(result.latency.ms, result.latency.cpu_ms),
            auc_of_file=videos.auc_of_file,
            auc_of_run=videos.auc_of_run,
        )

    def _distilled(self) -> str:
        """A run with a small head that learned from the run, trained at the first call."""
        student = Run(self._tried.student.resolve())
        if not student.finished:
            from violence_detection.training.train import train_classifier

            shutil.rmtree(student.dir, ignore_errors=True)
            names = {setting.name for setting in TrainConfig.settings()}
            record = self._run.record()
            recorded = TrainConfig.complete_record(record.settings)
            settings = {name: value for name, value in recorded.items() if name in names} | {
                **{"dataset_path": None, "features": self._config.features or record.features},
                **{"checkpoint_dir": str(student.dir.parent), "run": student.dir.name},
                **{"resume": False, "members": 1, "ensemble": False, "init_from": None},
                **{"hosts": None, "rank": None, "profile": None, "tracker": None},
                **{"head": _SMALL_HEAD, "outputs": "classes", "teacher": str(self._run.dir)},
                **{"teacher_features": None, "calibrate_by": "validation"},
            }
            changed = TrainConfig.names_in("split") if record.own_split else ()
            train_classifier(TrainConfig.from_settings(settings, given=changed))
        return str(student.dir)

    def _compared(self, name: str, outcome: ExportOutcome, own: MeasuredFile) -> TriedVariant:
        """A row of the table; `own` is the file of the run as it is."""
        file = outcome.file
        if file is None:
            return TriedVariant(name, error=outcome.error)
        known = own.auc_of_run is not None and file.auc_of_file is not None
        values = {
            "mb": file.mb,
            "zipped_mb": file.zipped_mb,
            "ms": file.ms,
            "auc": file.auc_of_file - own.auc_of_run if known else None,
        }
        broken = tuple(str(limit) for limit in unmet(self._limits, values))
        return TriedVariant(name, **values, breaks=broken)

    def _keep_best(
        self, rows: Sequence[TriedVariant], measured: Sequence[MeasuredFile | None]
    ) -> FitResult:
        """Moves the fastest file that fits to its place, and writes fit.json."""
        tried = zip(rows, measured, self._variants, strict=True)
        fitting = [entry for entry in tried if entry[1] is not None and not entry[0].breaks]
        kept, path = "", ""
        if fitting:
            row, file, variant = min(fitting, key=lambda entry: entry[0].ms)
            kept, path = row.name, self._move(file, variant)
        fit = FitResult(
            run=str(self._run.dir),
            format=self._config.format,
            scope=self._config.scope,
            limits=[str(limit) for limit in self._limits],
            tried=rows,
            kept=kept,
            path=path,
            reason="" if kept else _why_nothing_fits(self._limits, rows, self._config.format),
        )
        files.write_json(self._output / "fit.json", fit.to_json())
        return fit

    def _move(self, file: MeasuredFile, variant: ExportVariant) -> str:
        """Moves a tried export into the folder of exports; its file there."""
        source, run = file.path.parent, self._run
        folder = self._output / source.name
        if variant.distilled:
            run = Run(self._place_of_student())
            folder = folder.with_name(f"{source.name}-{_DISTILLED}")
            _replace(self._tried.student, run.dir, force=self._force)
        place = {"path": str(folder / file.path.name), "run": str(run.dir)}
        described = files.read_json(source / "parity.json")
        files.write_json(source / "parity.json", described | place)
        _replace(source, folder, force=self._force)
        write_model_card(self._run)
        return place["path"]

    def _place_of_student(self) -> Path:
        return self._run.dir.with_name(f"{self._run.dir.name}-{_DISTILLED}")


def _replaces(folder: Path) -> str:
    return f"--force replaces an export, and its distilled run. Received: {folder} (it exists)"


def _replace(source: Path, folder: Path, *, force: bool) -> None:
    if folder.exists():
        if not force:
            raise ConfigError(_replaces(folder))
        shutil.rmtree(folder)
    shutil.move(source, folder)


def _why_nothing_fits(
    limits: Sequence[Limit], rows: Sequence[TriedVariant], format_name: str
) -> str:
    """The limits that no file keeps, with the best that there is; or that they exclude each
    other. A format of one precision says which has more."""
    precisions = registry.module("formats", format_name).TOLERANCES
    more = "" if len(precisions) > 1 else "; --format tflite has float16 and int8 as well"
    alone = []
    for limit in limits:
        values = [getattr(row, limit.measure) for row in rows]
        values = [value for value in values if value is not None]
        best = min(values, key=limit.excess, default=None)
        if limit.excess(best) > 0:
            shown = "not known" if best is None else f"{best:.3g}"
            alone.append(f"{limit} (the best is {shown})")
    if alone:
        return f"no variant keeps {' or '.join(alone)}{more}"
    return f"no variant keeps {', '.join(map(str, limits))} together{more}"

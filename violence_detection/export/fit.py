"""Tries several ways to make an exported file smaller and faster, and keeps the fastest that
fits."""

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection import registry
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.export.config import ExportConfig
from violence_detection.export.export import ExportStage
from violence_detection.export.export_result import ExportResult
from violence_detection.export.fit_limits import Limit, parse_limits, unmet
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training.config import TrainConfig
from violence_detection.units import format_duration

log = logging.getLogger(__name__)

_PRUNED, _CLUSTERED = 0.5, 32
_SMALL_HEAD = "linear"
_TRIED, _DISTILLED = "fit-tried", "distilled"


@dataclass(frozen=True)
class Variant:
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
        ms: Latency of a clip on one thread.
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
        """Opens the run and lists the variants; see `ExportStage.prepare` for the errors."""
        self._run = Run.open(self._run_dir)
        self._output = Path(self._config.output or self._run.dir / "export")
        self._limits = parse_limits(self._config.fit)
        self._variants = list(self._list_variants())
        plan = ExportStage(self._run_dir, self._asked({}), force=self._force).prepare()
        names = [variant.name for variant in self._variants]
        return plan | {"limits": [str(limit) for limit in self._limits], "tries": names}

    def run(self) -> FitResult:
        """Tries all variants.

        Raises:
            ViolenceDetectionError: If the run cannot be exported as it is.
        """
        self.prepare()
        tried: list[tuple[TriedVariant, ExportResult | None, Variant]] = []
        scratch = self._output / _TRIED
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            own_auc, started_s = None, time.monotonic()
            for number, variant in enumerate(self._variants, 1):
                left = ""
                if number > 1:
                    each_s = (time.monotonic() - started_s) / (number - 1)
                    rest_s = each_s * (len(self._variants) - number + 1)
                    left = f"; about {format_duration(rest_s)} left"
                log.info(f"Trying {number} of {len(self._variants)}: {variant.name}{left}")
                try:
                    result = self._export(variant, scratch / str(number))
                except ViolenceDetectionError as error:
                    if number == 1:
                        raise
                    tried.append((TriedVariant(variant.name, error=str(error)), None, variant))
                    continue
                own_auc = result.as_they_are.auc_of_run if number == 1 else own_auc
                tried.append((self._measured(variant, result, own_auc), result, variant))
            return self._keep_best(tried)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _list_variants(self) -> Iterator[Variant]:
        config, record = self._config, self._run.record()
        part = registry.module("formats", config.format)
        *_, smallest = precisions = list(part.TOLERANCES)
        for precision in precisions:
            yield Variant(precision, {"precision": precision})
        words = "" if smallest == "float32" else f"{smallest}, "
        few = {"precision": smallest}
        yield Variant(f"{words}half of the weights pruned", few | {"prune": _PRUNED})
        yield Variant(f"{words}{_CLUSTERED} values a layer", few | {"cluster": _CLUSTERED})
        small = {"prune": _PRUNED, "cluster": _CLUSTERED}
        yield Variant(f"{words}pruned, {_CLUSTERED} values a layer", few | small)
        frames = record.frame_format
        if config.scope == "end-to-end" and frames and config.height is None:
            height, width = (max(16, side // 4 * 2) for side in (frames.height, frames.width))
            size = {"height": height, "width": width}
            if not part.ANY_SIZE and config.fps is None:
                yield Variant(f"{words}frames of {width}x{height}", few | size)
            elif part.ANY_SIZE:
                yield Variant(f"{words}frames of {width}x{height} alone", few | size)
        if record.settings.get("head") != _SMALL_HEAD and not record.settings.get("one_class"):
            yield Variant(f"head {_SMALL_HEAD}, distilled", {}, distilled=True)
            if words:
                yield Variant(f"{words}head {_SMALL_HEAD}, distilled", few, distilled=True)

    def _asked(self, changed: dict[str, Any]) -> ExportConfig:
        return self._config.with_settings(fit=None, **changed)

    def _export(self, variant: Variant, output: Path) -> ExportResult:
        run_dir = self._run_dir
        if variant.distilled:
            run_dir = self._distilled()
        config = self._asked(variant.settings | {"output": str(output)})
        return ExportStage(run_dir, config).run()

    def _distilled(self) -> str:
        """A run with a small head that learned from the run, trained at the first call."""
        folder = self._output / _TRIED / _DISTILLED
        student = Run((folder / "run").resolve())
        if not student.finished:
            from violence_detection.training.train import train_classifier

            names = {setting.name for setting in TrainConfig.settings()}
            record = self._run.record()
            recorded = TrainConfig.complete_record(record.settings)
            settings = {name: value for name, value in recorded.items() if name in names} | {
                **{"dataset_path": None, "features": self._config.features or record.features},
                **{"checkpoint_dir": str(folder), "run": "run", "resume": False, "members": 1},
                **{"ensemble": False, "init_from": None, "hosts": None, "rank": None},
                **{"head": _SMALL_HEAD, "outputs": "classes", "teacher": str(self._run.dir)},
                **{"teacher_features": None, "calibrate_by": "validation"},
                **{"profile": None, "tracker": None},
            }
            changed = TrainConfig.names_in("split") if self._run.config().get("own_split") else ()
            train_classifier(TrainConfig.from_settings(settings, given=changed))
        return str(student.dir)

    def _measured(
        self, variant: Variant, result: ExportResult, own_auc: float | None
    ) -> TriedVariant:
        of_file = result.as_they_are.auc_of_file
        known = own_auc is not None and of_file is not None
        values = {
            "mb": result.bytes / 1e6,
            "zipped_mb": result.zipped_bytes / 1e6,
            "ms": result.latency.ms,
            "auc": of_file - own_auc if known else None,
        }
        broken = tuple(str(limit) for limit in unmet(self._limits, values))
        return TriedVariant(variant.name, **values, breaks=broken)

    def _keep_best(
        self, tried: list[tuple[TriedVariant, ExportResult | None, Variant]]
    ) -> FitResult:
        """Moves the fastest file that fits to its place, and writes fit.json."""
        rows = [row for row, _, _ in tried]
        fitting = [entry for entry in tried if entry[1] is not None and not entry[0].breaks]
        kept, path = "", ""
        if fitting:
            row, result, variant = min(fitting, key=lambda entry: entry[0].ms)
            kept, path = row.name, self._move(result, variant)
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

    def _move(self, result: ExportResult, variant: Variant) -> str:
        """Moves a tried export into the output folder; its file there."""
        source = Path(result.path).parent
        if variant.distilled:
            student = self._run.dir.with_name(f"{self._run.dir.name}-{_DISTILLED}")
            _replace(Path(self._distilled()), student, force=self._force)
        name = f"{source.name}-{_DISTILLED}" if variant.distilled else source.name
        folder = self._output / name
        _replace(source, folder, force=self._force)
        path = folder / Path(result.path).name
        described = json.loads((folder / "parity.json").read_text())
        files.write_json(folder / "parity.json", described | {"path": str(path)})
        return str(path)


def _replace(source: Path, folder: Path, *, force: bool) -> None:
    if folder.exists():
        if not force:
            raise ConfigError(f"--force replaces an export. Received: {folder} (it exists)")
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

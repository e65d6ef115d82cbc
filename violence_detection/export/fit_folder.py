"""The folder in which `export --fit` keeps what it has tried, until a file is within the limits."""

import contextlib
import dataclasses
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from violence_detection.errors import ConfigError
from violence_detection.export.config import ExportConfig
from violence_detection.system import files
from violence_detection.system.study_folder import StudyFolder, StudyIdentity

log = logging.getLogger(__name__)

FIT_FOLDER = "fit-tried"
_RECORD, _OUTCOME = "fit-tried.json", "outcome.json"
# Limits are compared with what was measured, so others need no new measurement.
_FREE = ("fit", "output")


@dataclass(frozen=True)
class MeasuredFile:
    """A file that was exported and measured.

    Attributes:
        path: The file.
        mb, zipped_mb: Sizes in 10^6 bytes.
        ms: Time of a clip on one thread.
        auc_of_file, auc_of_run: On the validation videos; None if they have one class.
    """

    path: Path
    mb: float
    zipped_mb: float
    ms: float
    auc_of_file: float | None
    auc_of_run: float | None


class ExportOutcome(NamedTuple):
    """The outcome of a variant: a file, or the reason why there is none."""

    file: MeasuredFile | None
    error: str = ""


@dataclass(frozen=True)
class FitFolder:
    """Exported files by the number of their variant, the features of their windows, and a run.

    The same command continues in it after an interruption; another run, other videos or settings
    than the limits begin anew.

    Attributes:
        dir: `fit-tried` in the folder of exports.
    """

    dir: Path

    @classmethod
    @contextlib.contextmanager
    def opened(cls, exports: Path, config: ExportConfig, digests: dict[str, Any]) -> Iterator[Self]:
        """Context manager: the folder, locked; see `remove` for its end.

        Args:
            exports: Folder of the exports.
            config: Settings of the command.
            digests: Of the run, its videos and the variants, by name.

        Raises:
            ConfigError: If another process works in it.
        """
        study = StudyFolder(
            exports / FIT_FOLDER, "fit", _RECORD, ExportConfig, "use another --output"
        )
        settings = {name: value for name, value in config.as_dict().items() if name not in _FREE}
        identity = StudyIdentity(digests, settings)
        with study.lock():
            files.sweep_dead(exports)
            try:
                study.start(identity, force=False)
            except ConfigError as error:
                log.info(f"Beginning anew: {error}")
                study.start(identity, force=True)
            yield cls(study.dir)

    def of_variant(self, number: int) -> Path:
        """The folder of a variant's export."""
        return self.dir / str(number)

    @property
    def features(self) -> Path:
        """The folder of the features that the run's backbone makes of windows."""
        return self.dir / "features"

    @property
    def student(self) -> Path:
        """The run with a distilled head."""
        return self.dir / "distilled" / "run"

    def read(self, number: int) -> ExportOutcome | None:
        """The outcome of an earlier start; None if that was not completed."""
        folder = self.of_variant(number)
        if not (folder / _OUTCOME).is_file():
            return None
        row = files.read_json(folder / _OUTCOME)
        if error := row.get("error"):
            return ExportOutcome(None, error)
        path = folder / row.pop("path")
        return ExportOutcome(MeasuredFile(path, **row)) if path.exists() else None

    def keep(self, number: int, outcome: ExportOutcome) -> None:
        """Records an outcome, so that it is not tried again; a file is below `of_variant`."""
        folder, row = self.of_variant(number), {"error": outcome.error}
        if outcome.file:
            path = str(outcome.file.path.relative_to(folder))
            row = dataclasses.asdict(outcome.file) | {"path": path}
        files.write_json(folder / _OUTCOME, row)

    def remove(self) -> None:
        """Removes the folder, when a file was kept."""
        # Under another name first: after a kill in between, no outcome is left without its record.
        gone = self.dir.with_name(f"{self.dir.name}{files.temporary_mark()}")
        with contextlib.suppress(OSError):
            os.replace(self.dir, gone)
            shutil.rmtree(gone, ignore_errors=True)

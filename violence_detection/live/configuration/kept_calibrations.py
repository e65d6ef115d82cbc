"""Thresholds that `watch calibrate` has chosen, in a file beside the event store."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.errors import RunError
from violence_detection.models.run import Run
from violence_detection.system import files

NAME = "calibration.json"


@dataclass(frozen=True)
class KeptCalibration:
    """A threshold of a camera.

    Attributes:
        threshold: On the probability of violence.
        per_hour: False alarms an hour that it was chosen for.
        hours: Quiet hours that it was chosen on.
        alarms: False alarms at the threshold in them.
        run_digest: Of the run whose scores they are: another run needs another threshold.
        at_ms: When it was chosen, UTC.
        by: Login name of the person who chose it.
    """

    threshold: float
    per_hour: float
    hours: float
    alarms: int
    run_digest: str
    at_ms: int
    by: str


def run_digest(run: Path) -> str:
    """Digest of the model of a run, as the event store keeps it."""
    return files.sha256_of_file(Run(run).model_path)[:16]


def read_calibrations(data: Path) -> dict[str, KeptCalibration]:
    """The kept thresholds by the name of their camera; none without the file.

    Raises:
        RunError: If the file is there and not readable.
    """
    path = data / NAME
    if not path.exists():
        return {}
    try:
        rows: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return {camera: KeptCalibration(**row) for camera, row in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} must be as `watch calibrate` wrote it. Received: {error}"
        ) from error


def keep_calibration(data: Path, camera: str, calibration: KeptCalibration) -> None:
    """Writes the threshold of a camera in place of an earlier one.

    Raises:
        RunError: If the file is there and not readable.
    """
    kept = read_calibrations(data) | {camera: calibration}
    rows = {name: dataclasses.asdict(row) for name, row in sorted(kept.items())}
    files.write_text(data / NAME, json.dumps(rows, indent=2) + "\n")

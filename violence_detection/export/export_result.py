"""The records of an export: what is planned, and the file with its differences from the run."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from violence_detection.datasets.videos import Problem
from violence_detection.export.conversion import Latency
from violence_detection.export.parity import AsTheyAre, Comparison, Cost


@dataclass(frozen=True)
class ExportPlan:
    """The object of `--dry-run`.

    Attributes:
        format, scope: Format and scope of the file.
        path: The file.
        videos: Number of validation videos that it is checked on.
    """

    format: str
    scope: str
    path: str
    videos: int

    def to_json(self) -> dict[str, Any]:
        """The values by name, and `dry_run`."""
        return {"dry_run": True} | dataclasses.asdict(self)


@dataclass(frozen=True)
class ExportResult:
    """The content of parity.json: an exported file, and its differences from the run.

    Attributes:
        format, scope, path, precision, prune, cluster: The file, and the settings that made it;
        bytes, zipped_bytes: Sizes of the file.
        run: The run.
        videos_checked, windows_checked: Counts; of a classifier a clip counts as a window.
        windows_left_out: Windows of long videos that were not checked.
        equal_inputs: The file and the model that it was converted from, for equal windows.
        as_they_are: The file and the run, for the validation videos as they are.
        taken: The frames that the file takes, in words; empty for a classifier.
        latency: The time that a clip takes on the processor `machine`.
        machine: The processor that the latency was measured on.
        cost: The cost of int8, pruning and clustering; None without them.
        unreadable: The other videos.
        warnings: In words; empty if there is nothing to warn of.
    """

    format: str
    scope: str
    path: str
    precision: str
    prune: float
    cluster: int
    bytes: int
    zipped_bytes: int
    run: str
    videos_checked: int
    windows_checked: int
    windows_left_out: int
    equal_inputs: Comparison
    as_they_are: AsTheyAre
    taken: str
    latency: Latency
    machine: str
    cost: Cost | None
    unreadable: list[Problem]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """The object of parity.json: the figures of equal windows and the latency are in it by
        name, without an object of their own."""
        values = dataclasses.asdict(self)
        values["unreadable"] = [video._asdict() for video in self.unreadable]
        figures, latency = values.pop("equal_inputs"), values.pop("latency")
        if self.cost is None:
            del values["cost"]
        return (
            values
            | figures
            | {
                "latency_ms": latency["ms"],
                "latency_rounds": latency["rounds"],
                "latency_threads": latency["threads"],
            }
        )

"""The plan of an extraction, and its result."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.datasets.splitting.split_counts import SplitCounts


@dataclass(frozen=True)
class ExtractionPlan:
    """The work of an extraction, as its dry run counts it.

    Attributes:
        features: The folder of the cache; None if its name depends on ImageNet weights that are
            not on this machine.
        weights_to_download: True if the ImageNet weights are not on this machine.
        videos: Number of videos: those to extract, those that are not there, the reused and the
            failed ones.
    """

    features: Path | None
    weights_to_download: bool
    videos: int
    to_extract: int
    not_there: int
    reused: int
    failed: int

    def to_json(self) -> dict[str, Any]:
        """The object of `--dry-run`."""
        features = "" if self.features is None else str(self.features)
        return {"dry_run": True, **dataclasses.asdict(self), "features": features}


@dataclass(frozen=True)
class ExtractionResult:
    """The result of an extraction; `videos` = `extracted` + `reused` + `failed`.

    Attributes:
        features: The folder of the cache.
        failures: Path and reason of each video that cannot be read.
        frames: Frames that were encoded.
        slowest: Path and seconds of the videos whose decoding took longest.
        complete: True if no shard is missing.
        seconds: Time that the extraction took.
        engine, precision: Those that ran the backbone.
        splits: The counts of each split; empty while a shard is missing.
    """

    features: Path
    videos: int
    extracted: int
    reused: int
    failures: tuple[tuple[str, str], ...]
    frames: int
    slowest: tuple[tuple[str, float], ...]
    complete: bool
    seconds: float
    engine: str
    precision: str
    splits: tuple[SplitCounts, ...] = ()

    @property
    def failed(self) -> int:
        return len(self.failures)

    @property
    def videos_per_s(self) -> float:
        return self.extracted / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        return {
            "features": str(self.features),
            "videos": self.videos,
            "extracted": self.extracted,
            "reused": self.reused,
            "failed": self.failed,
            "failures": [{"path": path, "reason": reason} for path, reason in self.failures],
            "slowest": [
                {"path": path, "seconds": round(seconds, 3)} for path, seconds in self.slowest
            ],
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "videos_per_s": round(self.videos_per_s, 3),
            "engine": self.engine,
            "precision": self.precision,
            "splits": {
                counts.split: {"videos": counts.videos, "recordings": counts.recordings}
                for counts in self.splits
            },
            "complete": self.complete,
        }

"""The dry run of a training: what it would train on, and with which settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from violence_detection.system.cluster_spec import ClusterSpec
from violence_detection.training.calibration_folds import CalibrationPlan

if TYPE_CHECKING:
    from violence_detection.features.extraction.extraction_result import ExtractionPlan


@dataclass(frozen=True)
class TrainingPlan:
    """The result of the first half of a training.

    Attributes:
        run: The folder of the run.
        settings: The settings that have an effect, by name.
        cluster: The machines that train together; None for this one alone.
        extraction: The dry run of the extraction that comes first; None for a training on
            existing features, which alone knows the following values.
        classes: Names, the normal class first.
        videos: Number of videos of each split.
        calibration: The further trainings for temperature and threshold.
        members: Number of models whose mean the run predicts.
    """

    run: str
    settings: Mapping[str, Any]
    cluster: ClusterSpec | None = None
    extraction: "ExtractionPlan | None" = None
    classes: Sequence[str] = ()
    videos: Mapping[str, int] | None = None
    calibration: CalibrationPlan = CalibrationPlan()
    members: int = 1

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `train --dry-run`."""
        plan: dict[str, Any] = {"dry_run": True, "run": self.run}
        if self.cluster:
            plan |= {"machines": list(self.cluster.addresses), "rank": self.cluster.rank}
        if self.extraction:
            plan |= self.extraction.to_json()
        else:
            plan |= {
                "classes": list(self.classes),
                "videos": dict(self.videos or {}),
                "calibration": self.calibration.to_json(self.members),
            }
        return plan | {"settings": dict(self.settings)}

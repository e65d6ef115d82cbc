"""The threshold of a run: its own, or one that is chosen anew and may be kept in it."""

from pathlib import Path
from typing import Any

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.normal_footage import NormalFootage, list_videos, score_footage
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.inference.config import PredictConfig
from violence_detection.metrics import calibration, threshold_selection
from violence_detection.metrics.operating_points import FALSE_ALARMS_PER_HOUR, OperatingPoint
from violence_detection.models.classifier import probabilities
from violence_detection.models.run import Run
from violence_detection.units import counted


class ThresholdChooser:
    """What decides where the threshold of an evaluation is.

    Args:
        run: Of which it is.
        cache: Features with the run's validation videos; none is read where nothing is chosen.

    Raises:
        CacheError: If the videos that something is to be chosen on are not all there.
        EvidenceError: If they cannot support what is asked for.
        DatasetError: If there is no normal footage where some is asked for.
    """

    def __init__(self, run: Run, cache: FeatureCache, config: EvaluateConfig) -> None:
        self._run, self._cache, self._config = run, cache, config
        self._point = config.operating_point and OperatingPoint.of(config.operating_point)
        self._classes = run.config()["classes"]
        self._entries = validation_entries(run, cache) if self._point else []
        if config.normal_footage is not None:
            list_videos(Path(config.normal_footage))
        if self._point and self._point.kind != FALSE_ALARMS_PER_HOUR:
            violent = [entry.label != self._classes[0] for entry in self._entries]
            groups = [entry.group for entry in self._entries]
            threshold_selection.check_support(config.operating_point, violent, groups)
        self._draw = {"resamples": config.bootstrap, "seed": config.seed}

    def footage(self) -> NormalFootage | None:
        """The normal footage, watched; None where none is given."""
        if self._config.normal_footage is None:
            return None
        found = score_footage(
            self._run,
            Path(self._config.normal_footage),
            PredictConfig(weights=self._config.weights, seed=self._config.seed),
        )
        if self._point and self._point.kind == FALSE_ALARMS_PER_HOUR:
            found.watched.check_support(self._point.goal)
        return found

    def choose(self, classifier: Any, footage: NormalFootage | None) -> dict[str, Any]:
        """`threshold`, `threshold_reason`, and `operating_point` where it is known."""
        if self._point is None:
            results = self._run.results()
            found = {"threshold": results["threshold"]}
            found["threshold_reason"] = results.get("threshold_reason", "")
            if "operating_point" in results:
                found["operating_point"] = results["operating_point"]
            return found
        chosen = self._chosen(classifier, footage)
        return {
            "threshold": chosen["threshold"],
            "threshold_reason": chosen["reason"],
            "operating_point": chosen,
        }

    def keep(self, chosen: dict[str, Any]) -> None:
        """Write a choice into the run, if that is asked for."""
        if self._config.set_threshold:
            self._run.write_results(self._run.results() | chosen)

    def _chosen(self, classifier: Any, footage: NormalFootage | None) -> dict[str, Any]:
        clips = dataset.read_dataset(self._cache, self._entries, self._classes)
        answers = probabilities(classifier, clips.features)
        score = 1 - calibration.apply_temperature(answers, self._run.temperature)[:, 0]
        columns = clips.labels > 0, score, clips.groups
        if self._point.kind != FALSE_ALARMS_PER_HOUR:
            return threshold_selection.choose_operating_point(
                self._config.operating_point, *columns, **self._draw
            )
        return self._by_footage(footage, columns)

    def _by_footage(self, footage: NormalFootage, columns: tuple) -> dict[str, Any]:
        """The point that normal footage gives, and what it finds of the validation videos."""
        watched = footage.watched
        threshold, reason = watched.choose(self._point.goal)
        rates, intervals = threshold_selection.achieved_rates(*columns, threshold, **self._draw)
        told = watched.told(threshold, **self._draw)
        return {
            "asked": str(self._point),
            "threshold": threshold,
            "reason": reason,
            "interval": watched.threshold_interval(self._point.goal, **self._draw),
            "achieved": {FALSE_ALARMS_PER_HOUR: told["alarms_per_hour"], **rates},
            "achieved_ci": {FALSE_ALARMS_PER_HOUR: told["alarms_per_hour_ci"], **intervals},
            "from": f"{told['hours']:.1f} h of normal footage; what is found, on validation",
            "videos": len(self._entries),
            "recordings": len({entry.group for entry in self._entries}),
            "hours": told["hours"],
        }


def validation_entries(run: Run, cache: FeatureCache) -> list[ManifestEntry]:
    """The videos that the run was validated on, as its features have them now.

    Raises:
        CacheError: If one is not there, or has changed.
    """
    wanted = {
        (row["path"], row["digest"]): row["label"]
        for row in run.own_videos()
        if row["split"] == "validation"
    }
    found = [
        entry
        for entry in dataset.usable_entries(cache)
        if wanted.get((entry.path, entry.digest)) == entry.label
    ]
    if len(found) < len(wanted):
        raise CacheError(
            "--operating-point must have the run's validation videos to choose on, as they were. "
            f"Received: {cache.dir} (it lacks {len(wanted) - len(found)} of "
            f"{counted(len(wanted), 'video')})"
        )
    return found

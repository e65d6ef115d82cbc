"""The stage that predicts videos of any length with a trained run."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference import video_sources
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.outputs import Outputs
from violence_detection.inference.prediction_records import SourcePrediction, VideoPrediction
from violence_detection.inference.predictor import Predictor
from violence_detection.models.run import Run
from violence_detection.system import devices, progress

log = logging.getLogger(__name__)


class PredictionStage:
    """Predicts every video that the arguments name, and writes the files that are asked for."""

    def __init__(
        self, run_dir: str, arguments: Sequence[str], config: PredictConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            run_dir: The folder of a run.
            arguments: See `video_sources.list_sources`.
            config: How videos are read and scored, and what is written.
            force: Existing files may be replaced.
        """
        self._run_dir, self._arguments = run_dir, arguments
        self._config, self._force = config, force

    def prepare(self) -> dict[str, Any]:
        """Opens the run, lists the videos and checks the output paths.

        Returns:
            The object of `--dry-run`: `dry_run` (true), `run`, `videos` (names), `writes` (paths).

        Raises:
            ConfigError: If there is no video, a stream has no time limit, or a file exists and
                `force` is not given, among others.
            RunError: If the run cannot be used.
        """
        config = self._config
        self._run = Run.open(self._run_dir)
        self._sources = video_sources.list_sources(self._arguments, sys.stdin)
        if not self._sources:
            raise ConfigError("There must be a video to predict. Received: an empty list")
        video_sources.check_time_limits(self._sources, config.max_duration_s)
        self._outputs = Outputs(
            self._sources,
            csv=config.csv,
            subtitles=config.subtitles,
            timeline=config.timeline,
            annotate=config.annotate,
            video_timeout_s=config.video_timeout,
        )
        self._outputs.check_unoccupied(force=self._force)
        return {
            "dry_run": True,
            "run": str(self._run.dir),
            "videos": [source.name for source in self._sources],
            "writes": [str(path) for path in self._outputs.paths],
        }

    def run(self) -> dict[str, Any]:
        """Predicts the videos.

        Returns:
            The object of `--json`: `videos`, a row for each source in the order given, with its
            `error` if it cannot be read; `engine`; `threshold`, `lower_threshold`; `written`, the
            files.

        Raises:
            VideoError: If no video can be read.
            WeightsError: If the backbone's weights are missing, or are others.
            ViolenceDetectionError: If something cannot be written; and see `prepare`.
        """
        # -- what is predicted, and where the files go
        self.prepare()
        self._outputs.check(force=self._force)

        # -- the predictions, and the files of each video
        devices.import_tensorflow()
        predictor = Predictor(self._run, self._config, with_attention=self._outputs.annotates)
        predictions = self._predict(predictor)

        # -- the table and the result
        self._outputs.write_table(predictions, classes=predictor.classes)
        unreadable = [source for source in predictions if source.prediction is None]
        if len(unreadable) == len(predictions):
            rest = f" and {len(unreadable) - 1} more" if unreadable[1:] else ""
            raise VideoError(
                f"At least one video must be readable. Received: {unreadable[0].path} "
                f"({unreadable[0].error}){rest}"
            )
        return {
            "videos": [source.as_dict(predictor.classes) for source in predictions],
            "engine": predictor.engine,
            "threshold": predictor.threshold,
            "lower_threshold": predictor.lower_threshold,
            "written": [str(path) for path in self._outputs.paths if path.exists()],
        }

    def _predict(self, predictor: Predictor) -> list[SourcePrediction]:
        """The predictions of all sources, in their order; writes the files of each."""
        predictions: dict[int, SourcePrediction] = {}
        with progress.track("Predicting", len(self._sources), "videos") as step:
            for number, result in predictor.predict_all(self._sources):
                name = self._sources[number].name
                if isinstance(result, VideoPrediction):
                    if result.damage:
                        log.warning(f"{name}: {result.damage}")
                    error = self._outputs.write(
                        number, result, threshold=predictor.threshold, violent=predictor.violent
                    )
                    predictions[number] = SourcePrediction(name, result, error)
                else:
                    log.warning(f"Cannot read {name}: {result}")
                    predictions[number] = SourcePrediction(name, None, str(result))
                step()
        return [predictions[number] for number in range(len(self._sources))]


def predict_videos(
    run_dir: str, arguments: Sequence[str], config: PredictConfig, *, force: bool = False
) -> dict[str, Any]:
    """Predicts every video that the arguments name; see `PredictionStage.run`."""
    return PredictionStage(run_dir, arguments, config, force=force).run()

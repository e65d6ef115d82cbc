"""The stage that predicts videos of any length with a trained run."""

import contextlib
import logging
import sys
from collections.abc import Sequence
from datetime import datetime

from violence_detection import __version__, units
from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference import video_sources, wall_clock
from violence_detection.inference.alert_policy import AlertPolicy
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.output_files.explanation import Explainer
from violence_detection.inference.output_files.outputs import Outputs
from violence_detection.inference.prediction_records import (
    PredictionPlan,
    PredictionResult,
    Segment,
    SourcePrediction,
    VideoPrediction,
    Window,
)
from violence_detection.inference.predictor import Predictor
from violence_detection.inference.segments import ended_segments
from violence_detection.inference.video_sources import Source
from violence_detection.models.neighbours.training_clips import missing_line
from violence_detection.models.run import Run
from violence_detection.system import progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video import video_file

log = logging.getLogger(__name__)

_LONG_S = 60.0  # of a video whose segments are logged when they are found


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

    def prepare(self) -> PredictionPlan:
        """Opens the run, lists the videos and checks the output paths.

        Raises:
            ConfigError: If there is no video, a stream has no time limit, or a file exists and
                `force` is not given, among others.
            RunError: If the run cannot be used.
        """
        config = self._config
        self._run = Run.open(self._run_dir)
        self._sources = video_sources.list_sources(self._arguments, sys.stdin, config.frames_fps)
        video_sources.check_time_limits(self._sources, config.max_duration_s)
        if config.start_time not in (None, "auto") and len(self._sources) > 1:
            raise ConfigError(
                "`start_time` must be `auto` if there are several videos. Received: "
                f"{config.start_time} for {len(self._sources)}"
            )
        self._outputs = Outputs(
            self._sources,
            csv=config.csv,
            label_next=config.label_next,
            subtitles=config.subtitles,
            timeline=config.timeline,
            annotate=config.annotate,
            explain=config.explain,
            video_timeout_s=config.video_timeout_s,
        )
        self._outputs.check_unoccupied(force=self._force)
        return PredictionPlan(
            self._run.dir,
            tuple(source.name for source in self._sources),
            tuple(self._outputs.paths),
        )

    def run(self) -> PredictionResult:
        """Predicts the videos and writes their files.

        Raises:
            VideoError: If no video can be read.
            WeightsError: If the backbone's weights are missing, or are others.
            ViolenceDetectionError: If something cannot be written; and see `prepare`.
        """
        # -- what is predicted, and where the files go
        self.prepare()
        self._outputs.check(force=self._force)
        date = datetime.now().astimezone().isoformat(timespec="seconds")

        # -- the predictions, and the files of each video
        settings = self._config.predictor_settings()
        explains = self._outputs.explains
        self._trained_on = self._run.trained_digests()
        predictor = Predictor(
            self._run,
            with_attention=self._outputs.annotates or explains,
            with_nearest=explains,
            **settings,
        )
        self._explainer = (
            Explainer(self._run, video_timeout_s=self._config.video_timeout_s) if explains else None
        )
        predictions = self._predict(predictor, self._start_times())

        # -- the table and the result
        self._outputs.write_table(predictions, classes=predictor.classes)
        self._outputs.write_suggestions(predictions, threshold=predictor.threshold)
        unreadable = [source for source in predictions if source.prediction is None]
        if len(unreadable) == len(predictions):
            rest = f" and {len(unreadable) - 1} more" if unreadable[1:] else ""
            raise VideoError(
                f"At least one video must be readable. Received: {unreadable[0].path} "
                f"({unreadable[0].error}){rest}"
            )
        return PredictionResult(
            videos=tuple(predictions),
            classes=tuple(predictor.classes),
            engine=predictor.engine,
            threshold=predictor.threshold,
            lower_threshold=predictor.lower_threshold,
            class_thresholds=predictor.class_thresholds,
            written=tuple(path for path in self._outputs.paths if path.exists()),
            run=self._run.dir,
            version=__version__,
            date=date,
            novelty_note="" if predictor.knows_novelty else missing_line(self._run),
        )

    def _start_times(self) -> list[datetime | None]:
        """The date and time at which each source starts, where it is asked for and known.

        That of a stream or a camera that does not end is known only once it is read.
        """
        asked, count = self._config.start_time, len(self._sources)
        if asked is None:
            return [None] * count
        if asked != "auto":
            return [datetime.fromisoformat(asked)] * count
        starts = [
            None if source.is_live else wall_clock.start_from_name(source.path.name)
            for source in self._sources
        ]
        with ProcessPool() as call:
            for number, source in enumerate(self._sources):
                if starts[number] is None and not source.is_live:
                    with contextlib.suppress(VideoError):
                        starts[number] = call(
                            wall_clock.start_from_container,
                            source.path,
                            timeout_s=self._config.video_timeout_s,
                        )
        unknown = [
            source.name
            for source, start in zip(self._sources, starts, strict=True)
            if start is None and source.ends
        ]
        if unknown:
            log.warning(
                f"The start of {units.counted(len(unknown), 'video')} is not known, e.g. "
                f"{unknown[0]}: there is no date and time in its name or in the file."
            )
        return starts

    def _predict(
        self, predictor: Predictor, starts: Sequence[datetime | None]
    ) -> list[SourcePrediction]:
        """The predictions of all sources, in their order; writes the files of each."""
        predictions: dict[int, SourcePrediction] = {}
        with progress.track("Predicting", len(self._sources), "videos") as step:
            live = _LiveProgress(self._sources, predictor, step)
            for number, result in predictor.predict_all(self._sources, live.add):
                live.end(number)
                name, start = self._sources[number].name, starts[number]
                if isinstance(result, VideoPrediction):
                    if self._config.start_time == "auto" and not self._sources[number].ends:
                        start = result.started_at
                    for text in filter(None, (result.damage, *result.notes)):
                        log.warning(f"{name}: {text}")
                    error = self._outputs.write(
                        number,
                        result,
                        threshold=predictor.threshold,
                        violent=predictor.violent,
                        scored=predictor.scored,
                        start=start,
                        explainer=self._explainer,
                    )
                    split = self._training_split(self._sources[number])
                    predictions[number] = SourcePrediction(name, result, error, start, split)
                else:
                    log.warning(f"Cannot read {name}: {result}")
                    predictions[number] = SourcePrediction(name, None, str(result), start)
                step()
        return [predictions[number] for number in range(len(self._sources))]

    def _training_split(self, source: Source) -> str | None:
        """The split of the run's training that has the bytes of a file: train or validation."""
        if source.is_live or not self._trained_on or not video_file.exists(source.path):
            return None
        try:
            return self._trained_on.get(video_file.digest_of(source.path))
        except (OSError, VideoError):  # it went away, or may no longer be read
            return None


class _LiveProgress:
    """Shows how far videos are while they are predicted, and logs the segments of long ones."""

    def __init__(
        self, sources: Sequence[Source], predictor: Predictor, step: progress.Steps
    ) -> None:
        self._sources, self._predictor, self._step = sources, predictor, step
        self._fractions: dict[int, float] = {}  # by the number of a source in progress
        self._policies: dict[int, AlertPolicy] = {}

    def add(self, number: int, window: Window, video_s: float) -> None:
        """Notes the next window of a source that is `video_s` long; 0.0 if that is unknown."""
        if 0 < video_s < _LONG_S:
            return
        position = units.format_duration(window.end_s)
        if video_s:
            self._fractions[number] = min(window.end_s / video_s, 1.0)
            position += f" of {units.format_duration(video_s)}"
        name = self._sources[number].path.name if len(self._sources) > 1 else ""
        self._step.within(sum(self._fractions.values()), f"{name} {position}".strip())
        if number not in self._policies:
            self._policies[number] = self._predictor.alert_policy()
        for segment in ended_segments(self._policies[number].add(window)):
            self._log(number, segment)

    def end(self, number: int) -> None:
        """Logs the last segment of a source, which its end finishes."""
        self._fractions.pop(number, None)
        policy = self._policies.pop(number, None)
        for segment in ended_segments(policy.finish() if policy else ()):
            self._log(number, segment)

    def _log(self, number: int, segment: Segment) -> None:
        log.info(
            f"{self._sources[number].name}: {self._predictor.violent} "
            f"{units.format_duration(segment.start_s)} to {units.format_duration(segment.end_s)}, "
            f"up to {segment.peak:.3f}"
        )


def predict_videos(
    run_dir: str, arguments: Sequence[str], config: PredictConfig, *, force: bool = False
) -> PredictionResult:
    """Predicts every video that the arguments name; see `PredictionStage.run`."""
    return PredictionStage(run_dir, arguments, config, force=force).run()

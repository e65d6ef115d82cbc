"""Scores a run on long videos with annotated events: frame by frame, and event by event."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.datasets import video_folder
from violence_detection.datasets.labels import label_mapping
from violence_detection.datasets.videos import Problem, Video
from violence_detection.errors import ConfigError, DatasetError
from violence_detection.evaluation.config import EventsConfig
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.predict import PredictionStage
from violence_detection.inference.prediction_records import VideoPrediction
from violence_detection.metrics.localisation import (
    LocalisationScores,
    Span,
    Timeline,
    localisation_scores,
    overlaps,
)
from violence_detection.models.run import Run
from violence_detection.system import files

_FOLDER = "events"
_COLUMNS = ("path", "start_s", "end_s", "label", "detected", "delay_s", "peak")


@dataclass(frozen=True)
class EventRow:
    """An annotated event.

    Attributes:
        path: Its video.
        start_s, end_s: In seconds.
        label: Its class.
        detected: Whether one of the run's events overlaps it.
        delay_s: Seconds from its start to the first alarm; None without one.
        peak: The highest probability of a window that overlaps it; 0.0 without one.
    """

    path: str
    start_s: float
    end_s: float
    label: str
    detected: bool
    delay_s: float | None
    peak: float


@dataclass(frozen=True)
class EventsResult:
    """The result of `evaluate-events`.

    Attributes:
        run: The run's folder.
        videos, recordings: How many were scored.
        threshold: Of a window that raises an alarm.
        scores: Rates over all videos.
        table: Path of the table of events.
        left_out: Videos that were not scored, with the reason.
    """

    run: str
    videos: int
    recordings: int
    threshold: float
    scores: LocalisationScores
    table: str
    left_out: Sequence[Problem]

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "videos": self.videos,
            "recordings": self.recordings,
            "threshold": self.threshold,
            **dataclasses.asdict(self.scores),
            "table": self.table,
            "left_out": [problem._asdict() for problem in self.left_out],
        }


class EventsStage:
    """Predicts the annotated videos of a folder, and compares the run's events with theirs."""

    def __init__(
        self, run_dir: str, video_dir: str, config: EventsConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            run_dir: The folder of a run.
            video_dir: A folder with a `videos.csv` whose parts are events, as
                `import-annotations` leaves it.
            config: How videos are read and decided on.
            force: An earlier result may be replaced.
        """
        self._run_dir, self._root = run_dir, Path(video_dir)
        self._config, self._force = config, force

    def prepare(self) -> dict[str, Any]:
        """Reads the annotated videos, and checks the run.

        Raises:
            ConfigError: If there is a result already.
            DatasetError, CacheError: If the folder has no annotated videos, or other classes.
            RunError: If the run cannot be used.
        """
        self._run = Run.open(self._run_dir)
        self._folder = self._run.dir / "evaluation" / _FOLDER
        if (self._folder / "events.json").is_file() and not self._force:
            raise ConfigError(
                "The folder of the result must be new, or --force be given. Received: "
                f"{self._folder} (it has one)"
            )
        classes = self._run.record().classes
        videos = [
            video
            for video in video_folder.read_folder(
                self._root, frames_fps=self._config.frames_fps
            ).videos
            if self._config.split in ("all", video.split)
        ]
        mapping = label_mapping(classes, (video.label for video in videos)) if videos else {}
        self._events, self._groups, self._left_out = _events_by_file(
            videos, {label for label, name in mapping.items() if name == classes[0]}
        )
        if not self._events:
            raise DatasetError(
                "There must be videos whose events are parts in videos.csv, or normal ones. "
                f"Received: none in {self._root} (import-annotations makes such parts)"
            )
        settings = {
            name: value
            for name, value in self._config.as_dict().items()
            if name not in ("bootstrap", "split")
        }
        given = self._config.given & settings.keys()
        self._stage = PredictionStage(
            self._run_dir,
            [str(self._root / path) for path in self._events],
            PredictConfig.from_settings(settings, given=given),
        )
        self._stage.prepare()
        return {
            "dry_run": True,
            "run": str(self._run.dir),
            "videos": len(self._events),
            "events": sum(map(len, self._events.values())),
            "left_out": [problem._asdict() for problem in self._left_out],
        }

    def run(self) -> EventsResult:
        """Predicts, scores, and writes events.json and events.csv.

        Raises:
            VideoError: If no video can be read; and see `prepare`.
        """
        self.prepare()
        predicted = self._stage.run()
        timelines, rows, groups, left_out = [], [], [], list(self._left_out)
        for (path, events), source in zip(self._events.items(), predicted.videos, strict=True):
            if source.prediction is None:
                left_out.append(Problem(path, source.error))
                continue
            spans = [(video.start_s, video.end_s) for video in events]
            line = timeline_of(spans, source.prediction, threshold=predicted.threshold)
            timelines.append(line)
            groups.append(self._groups[path])
            rows += [
                _row(video, line, source.prediction, detected)
                for video, detected in zip(events, line.detected(), strict=True)
            ]
        scores = localisation_scores(
            timelines, groups, resamples=self._config.bootstrap, seed=self._config.seed
        )
        table = self._folder / "events.csv"
        files.write_csv(table, _COLUMNS, [vars(row) for row in rows])
        result = EventsResult(
            str(self._run.dir),
            len(timelines),
            len(set(groups)),
            predicted.threshold,
            scores,
            str(table),
            tuple(left_out),
        )
        files.write_json(self._folder / "events.json", result.to_json())
        return result


def timeline_of(
    events: Sequence[Span], prediction: VideoPrediction, *, threshold: float
) -> Timeline:
    """The timeline of a predicted video with annotated events."""
    return Timeline.from_windows(
        events,
        [(window.start_s, window.end_s) for window in prediction.windows],
        [window.probability for window in prediction.windows],
        [(segment.start_s, segment.end_s) for segment in prediction.segments],
        threshold=threshold,
        duration_s=prediction.duration_s,
    )


def _row(video: Video, line: Timeline, prediction: VideoPrediction, detected: bool) -> EventRow:
    event = (video.start_s, video.end_s)
    alone = dataclasses.replace(line, events=(event,))
    peaks = [
        window.probability
        for window in prediction.windows
        if overlaps((window.start_s, window.end_s), event)
    ]
    delays_s = alone.delays_s()
    return EventRow(
        video.path,
        video.start_s,
        video.end_s,
        video.label,
        detected,
        round(delays_s[0], 3) if delays_s else None,
        max(peaks, default=0.0),
    )


def _events_by_file(
    videos: Sequence[Video], normal: set[str]
) -> tuple[dict[str, list[Video]], dict[str, str], list[Problem]]:
    """The events of each file in order, its recording, and the files without a place of their
    events.

    Args:
        videos: Videos of a folder, whole files and parts.
        normal: Labels of the normal class.
    """
    by_file = defaultdict(list)
    for video in videos:
        by_file[video.path].append(video)
    events, groups, left_out = {}, {}, []
    for path, parts in sorted(by_file.items()):
        violent = [video for video in parts if video.label not in normal]
        if any(video.start_s is None for video in violent):
            left_out.append(Problem(path, f"it is {violent[0].label}, but not said where"))
            continue
        events[path] = sorted(violent, key=lambda video: video.span_s)
        groups[path] = parts[0].group
    return events, groups, left_out

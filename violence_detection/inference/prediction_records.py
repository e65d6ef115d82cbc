"""Predictions of videos: windows, segments, and a record for each video and each source."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from violence_detection.inference.wall_clock import iso_time
from violence_detection.models.neighbours.near_clip import NearClip


@dataclass(frozen=True)
class WindowOutputs:
    """The answers of a run's outputs on a window, besides the probability of violence.

    Attributes:
        class_name: The likeliest class by the output `classes`; None without that output.
        confidence: The probability that `classes` gives it, in [0, 1]; None without that output.
        anomaly_scores: The score of each anomaly output by its name, in [0, 1]; at 0.5 a clip is as
            odd as the oddest 5% of the normal training clips.
    """

    class_name: str | None
    confidence: float | None
    anomaly_scores: Mapping[str, float]

    @property
    def anomaly_score(self) -> float | None:
        """The mean of the anomaly scores; None without anomaly outputs."""
        scores = self.anomaly_scores.values()
        return sum(scores) / len(scores) if scores else None

    def columns(self) -> dict[str, Any]:
        """`class`, `confidence`, `anomaly_score` and `anomaly_<output>`, as far as they exist."""
        return {
            name: value
            for name, value in {
                "class": self.class_name,
                "confidence": _rounded(self.confidence),
                "anomaly_score": _rounded(self.anomaly_score),
                **{
                    f"anomaly_{name}": _rounded(score)
                    for name, score in self.anomaly_scores.items()
                },
            }.items()
            if value is not None
        }

    def as_dict(self) -> dict[str, Any]:
        """`class`, `confidence`, `anomaly_score` and `anomaly_scores`, as far as they exist."""
        row = {k: v for k, v in self.columns().items() if not k.startswith("anomaly_")}
        if self.anomaly_scores:
            row["anomaly_score"] = _rounded(self.anomaly_score)
            row["anomaly_scores"] = _rounded_values(self.anomaly_scores)
        return row


@dataclass(frozen=True)
class Window:
    """A window of a video, with its probability of violence.

    Attributes:
        start_s, end_s: Seconds from the start of the video.
        probability: The probability of violence, in [0, 1].
        probabilities: The probability of each class by its name; None where there are two classes.
        attention: Weight of each of the T frames, sum 1; empty where it was not asked for or the
            head has none.
        novelty: Distance to the training clips; above 1 the window is unlike anything that the run
            was trained on. None where the run does not know its training clips.
        nearest: The nearest training clips, the nearest first; empty where not asked for.
        outputs: What the further outputs of the run say; None where `classes` is the only one.
    """

    start_s: float
    end_s: float
    probability: float
    probabilities: Mapping[str, float] | None = None
    attention: tuple[float, ...] = ()
    novelty: float | None = None
    nearest: tuple[NearClip, ...] = ()
    outputs: WindowOutputs | None = None

    @property
    def is_novel(self) -> bool:
        """True if it is unlike anything that the run was trained on."""
        return self.novelty is not None and self.novelty > 1

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    def rounded(self) -> Self:
        """The window with seconds and novelty rounded to 1e-3, and probabilities to 1e-6."""
        return dataclasses.replace(
            self,
            start_s=round(self.start_s, 3),
            end_s=round(self.end_s, 3),
            probability=round(self.probability, 6),
            probabilities=_rounded_values(self.probabilities),
            novelty=None if self.novelty is None else round(self.novelty, 3),
        )

    def as_dict(self) -> dict[str, Any]:
        """`start_s`, `end_s`, `probability`; with several classes also `probabilities`, `novelty`
        where it is known, and what further outputs say."""
        row = {"start_s": self.start_s, "end_s": self.end_s, "probability": self.probability}
        if self.novelty is not None:
            row["novelty"] = self.novelty
        outputs = self.outputs.as_dict() if self.outputs else {}
        return row | _optional_probabilities(self.probabilities) | outputs


@dataclass(frozen=True)
class Segment:
    """A violent interval of a video.

    Attributes:
        start_s, end_s: Seconds from the start of the video.
        peak: The highest probability of its windows.
        peak_s: The middle of the window that has it.
    """

    start_s: float
    end_s: float
    peak: float
    peak_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def contains(self, window: Window) -> bool:
        return self.start_s <= window.start_s and window.end_s <= self.end_s

    def rounded(self) -> Self:
        """The segment with seconds rounded to the millisecond and the peak to 1e-6."""
        return type(self)(
            round(self.start_s, 3), round(self.end_s, 3), round(self.peak, 6), round(self.peak_s, 3)
        )

    def as_dict(self) -> dict[str, float]:
        """`start_s`, `end_s`, `peak`, `peak_s`."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class VideoPrediction:
    """The prediction of one video, rounded for people to read.

    Attributes:
        probability: The probability of violence, in [0, 1]: that of the most violent window.
        label: Name of a class, by the threshold.
        segments, windows: Ascending.
        duration_s: Seconds that were read.
        fps: Frames per second that were read.
        damage: Description of what is wrong with the file; mostly empty.
        notes: What is odd about the file, although it is read: its rate, several video streams.
        probabilities: The probability of each class in the most violent window; None where there
            are two classes.
        started_at: Time by the clock of this machine at which a stream or a camera started; None
            for a file.
        nearest: The training clips nearest to the most violent window; empty where not asked for.
    """

    probability: float
    label: str
    segments: tuple[Segment, ...]
    windows: tuple[Window, ...]
    duration_s: float
    fps: float
    damage: str
    probabilities: Mapping[str, float] | None = None
    notes: tuple[str, ...] = ()
    started_at: datetime | None = None
    nearest: tuple[NearClip, ...] = ()

    @property
    def outputs(self) -> WindowOutputs | None:
        """The answers of further outputs: the class of the most violent window, and the scores of
        the oddest; None where `classes` is the only output."""
        if not self.windows or self.windows[0].outputs is None:
            return None
        peak = max(self.windows, key=lambda window: window.probability).outputs
        oddest = max(self.windows, key=lambda window: window.outputs.anomaly_score or 0.0).outputs
        return dataclasses.replace(peak, anomaly_scores=oddest.anomaly_scores)

    @property
    def novel_windows(self) -> int | None:
        """The number of windows that are unlike anything that the run was trained on; None where
        that is not known."""
        if any(window.novelty is None for window in self.windows):
            return None
        return sum(window.is_novel for window in self.windows)

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON and the Python interface have it; attention is left out."""
        novel = self.novel_windows
        return {
            "probability": self.probability,
            "label": self.label,
            "segments": [segment.as_dict() for segment in self.segments],
            "windows": [window.as_dict() for window in self.windows],
            **_optional_probabilities(self.probabilities),
            **(self.outputs.as_dict() if self.outputs else {}),
            "duration_s": self.duration_s,
            "fps": self.fps,
            "damage": self.damage,
            "notes": list(self.notes),
            **({} if novel is None else {"novel_windows": novel}),
            **({"nearest": [clip._asdict() for clip in self.nearest]} if self.nearest else {}),
        }


@dataclass(frozen=True)
class SourcePrediction:
    """The prediction of a source of the command line, or the reason why there is none.

    Attributes:
        path: The source as it was given, with passwords masked.
        prediction: None where the source could not be read.
        error: Why it could not be read or annotated; None without an error.
        start: Date and time at which the video starts; None where it is not known.
        training_split: "train" or "validation" if this very file was among the videos of that split
            when the run was trained: its probability says nothing about new footage. Else None.
    """

    path: str
    prediction: VideoPrediction | None
    error: str | None = None
    start: datetime | None = None
    training_split: str | None = None

    def as_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """The row of the command's JSON.

        With a `start`, the row and its segments have `start_time`, and segments `end_time`, in
        ISO 8601. A file of the run's training has `training_split`. What is not known of an
        unreadable source is None, and its `duration_s` 0.0.

        Args:
            classes: Names of all classes.
        """
        if self.prediction is None:
            several = dict.fromkeys(classes) if len(classes) > 2 else None
            return {
                "path": self.path,
                "probability": None,
                "label": None,
                "windows": [],
                "segments": [],
                **_optional_probabilities(several),
                "duration_s": 0.0,
                "fps": None,
                "damage": "",
                "notes": [],
                "error": self.error,
            }
        row = {"path": self.path, **self.prediction.as_dict(), "error": self.error}
        if self.training_split:
            row["training_split"] = self.training_split
        if self.start is None:
            return row
        segments = [
            segment.as_dict()
            | {
                "start_time": iso_time(self.start, segment.start_s),
                "end_time": iso_time(self.start, segment.end_s),
            }
            for segment in self.prediction.segments
        ]
        return row | {"segments": segments, "start_time": iso_time(self.start, 0.0)}


@dataclass(frozen=True)
class PredictionPlan:
    """The sources and the files of a prediction, before it is made.

    Attributes:
        run: The folder of the run.
        videos: Names of the sources.
        writes: The files that would be written.
    """

    run: Path
    videos: tuple[str, ...]
    writes: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """The object of `--dry-run`."""
        return {
            "dry_run": True,
            "run": str(self.run),
            "videos": list(self.videos),
            "writes": [str(path) for path in self.writes],
        }


@dataclass(frozen=True)
class PredictionResult:
    """The predictions of all sources, and what they were made with.

    Attributes:
        videos: The prediction of each source, in the order given.
        classes: Names of all classes of the run.
        engine: Name and precision of the engine that ran the backbone.
        threshold, lower_threshold: On the probability of violence.
        class_thresholds: Of single classes by name, see `ClassThresholds`.
        written: The files.
        run: The folder of the run.
        novelty_note: A line on why novelty is not known; empty where it is. Not in JSON.
        version: The version of this program.
        date: The date and time of the prediction, in ISO 8601.
    """

    videos: tuple[SourcePrediction, ...]
    classes: tuple[str, ...]
    engine: str
    threshold: float
    lower_threshold: float
    written: tuple[Path, ...]
    run: Path
    version: str
    date: str
    novelty_note: str = ""
    class_thresholds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        return {
            "videos": [source.as_dict(self.classes) for source in self.videos],
            "engine": self.engine,
            "threshold": self.threshold,
            "lower_threshold": self.lower_threshold,
            **({"class_thresholds": dict(own)} if (own := self.class_thresholds) else {}),
            "written": [str(path) for path in self.written],
            "run": str(self.run),
            "version": self.version,
            "date": self.date,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _rounded_values(by_class: Mapping[str, float] | None) -> dict[str, float] | None:
    if by_class is None:
        return None
    return {name: round(value, 6) for name, value in by_class.items()}


def _optional_probabilities(by_class: Mapping[str, float | None] | None) -> dict[str, Any]:
    return {} if by_class is None else {"probabilities": dict(by_class)}

"""The files that `predict` writes: a table, subtitles, timelines and annotated videos."""

import contextlib
import logging
import mimetypes
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.video_files import EXTENSIONS
from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference import video_sources
from violence_detection.inference.output_files import subtitles
from violence_detection.inference.output_files.annotation import PredictionTimeline, annotate
from violence_detection.inference.output_files.explanation import Explainer
from violence_detection.inference.prediction_records import (
    Segment,
    SourcePrediction,
    VideoPrediction,
    Window,
)
from violence_detection.inference.video_sources import Source
from violence_detection.inference.wall_clock import iso_time
from violence_detection.metrics.label_suggestions import suggest_labels
from violence_detection.reports.plots import timeline_figure
from violence_detection.reports.plots.explanation_figure import draw_explanation
from violence_detection.system import files, progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video.writing import video_writer

log = logging.getLogger(__name__)

_CLOCK_COLUMNS = ("start_time", "end_time")  # with --start-time
_COLUMNS = ("path", "start_s", "end_s", "probability", "segment", "error")
_SUGGESTION_COLUMNS = ("path", "start_s", "end_s", "probability", "novelty", "reason", "new_label")
_SUGGESTED = 50  # windows to label next
_MEMORY_BYTES = 3 * 2**30  # of a process that decodes and encodes: 4K takes 1 to 2 GB
_VIDEO_SUFFIX = ".mp4"
_SUBTITLE_SUFFIXES = (".vtt", ".srt")


class Outputs:
    """The output files of each source, and the functions that write them.

    Attributes:
        paths: Every file, in the order of the sources.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        csv: str | None = None,
        label_next: str | None = None,
        subtitles: str | None = None,
        timeline: str | None = None,
        annotate: str | None = None,
        explain: str | None = None,
        video_timeout_s: float | None = None,
    ) -> None:
        """
        Args:
            sources: The sources that are predicted.
            csv: File of the table.
            label_next: File of the windows to label next.
            subtitles: Folder.
            timeline: A .png file, or a folder.
            annotate: An .mp4 file, or a folder.
            explain: A .png file, or a folder.
            video_timeout_s: Seconds that the next frames of an annotated video may take.

        Raises:
            ConfigError: If one file is asked for and there are several sources, if a folder has
                the name of a file, a stream is to be annotated, or a source's name cannot be
                written.
        """
        self._sources, self._video_timeout_s = sources, video_timeout_s
        self._csv = Path(csv) if csv else None
        self._label_next = Path(label_next) if label_next else None
        stems = video_sources.output_stems(sources)
        _check_folder("subtitles", subtitles, "a folder")
        self._subtitles = _paths_in(subtitles, stems)
        self._timelines = _one_for_each("timeline", timeline, ".png", stems)
        self._annotated = _one_for_each("annotate", annotate, _VIDEO_SUFFIX, stems)
        self._explained = _one_for_each(
            "explain", explain, ".png", [f"{stem}-explained" for stem in stems]
        )
        if self.paths:
            video_sources.check_writable_names(sources)
        live = [source.name for source in sources if source.is_live]
        if annotate and live:
            raise ConfigError(
                f"--annotate must have files, which are read a second time. Received: {live[0]}"
            )

    @property
    def annotates(self) -> bool:
        return bool(self._annotated)

    @property
    def explains(self) -> bool:
        return bool(self._explained)

    @property
    def paths(self) -> list[Path]:
        subtitle_files = [path for stem in self._subtitles for path in _subtitle_paths(stem)]
        tables = filter(None, (self._csv, self._label_next))
        return [*tables, *subtitle_files, *self._timelines, *self._annotated, *self._explained]

    def check(self, *, force: bool) -> None:
        """Checks before hours of work that all files can be written and none is lost.

        Raises:
            ConfigError: See `check_unoccupied`.
            ViolenceDetectionError: If a folder cannot be written to, or PyAV cannot encode video.
        """
        self.check_unoccupied(force=force)
        for folder in sorted({path.parent for path in self.paths}):
            new = [place for place in (folder, *folder.parents) if not place.exists()]
            files.ensure_writable(folder)
            # The first file makes it: none may come. Another process may have begun to use it.
            with contextlib.suppress(OSError):
                for place in new:
                    place.rmdir()
        if self.annotates:
            video_writer.choose_codec()

    def check_unoccupied(self, *, force: bool) -> None:
        """Checks that no output replaces a file that must stay.

        Raises:
            ConfigError: If a file exists and `force` is not given, or is one of the sources.
        """
        videos = {source.path.resolve() for source in self._sources if not source.is_live}
        for path in self.paths:
            if path.resolve() in videos:
                raise ConfigError(f"An output must not replace a video. Received: {path}")
            if path.exists() and not path.is_file():
                raise ConfigError(
                    f"An output must be a file. Received: {path} (it exists and is not a file)"
                )
            if path.exists() and not force:
                raise ConfigError(
                    f"An output must be a new file, or --force be given. Received: {path} "
                    "(it exists)"
                )

    def write(
        self,
        number: int,
        prediction: VideoPrediction,
        *,
        threshold: float,
        violent: str,
        scored: str = "Probability of violence",
        start: datetime | None = None,
        explainer: Explainer | None = None,
    ) -> str | None:
        """Writes the files of one source; returns the error of its annotation, or None.

        Args:
            number: The number of the source.
            prediction: The prediction of the source; its windows have attention if it is annotated.
            threshold: On the probability.
            violent: Name of what segments show.
            scored: Name of the probability in figures.
            start: Date and time of the video's start, for the timeline; None if it is not known.
            explainer: Explains the prediction, if figures of that are asked for.
        """
        name = self._sources[number].name
        if self._subtitles:
            webvtt, srt = _subtitle_paths(self._subtitles[number])
            files.write_text(webvtt, subtitles.webvtt(prediction.segments, violent))
            files.write_text(srt, subtitles.srt(prediction.segments, violent))
        if self._timelines:
            timeline_figure.draw_timeline(
                self._timelines[number],
                [(row.start_s, row.end_s, row.probability) for row in prediction.windows],
                [(row.start_s, row.end_s) for row in prediction.segments],
                threshold=threshold,
                title=name,
                scored=scored,
                start=start,
            )
        if self._explained and explainer:
            source = self._sources[number]
            draw_explanation(
                self._explained[number],
                explainer.explain(source, prediction, threshold=threshold, scored=scored),
            )
        if not self._annotated:
            return None
        timeline = PredictionTimeline(
            prediction.windows,
            prediction.segments,
            threshold,
            prediction.fps,
            prediction.duration_s,
        )
        return self._annotate(number, timeline)

    def _annotate(self, number: int, timeline: PredictionTimeline) -> str | None:
        source, output = self._sources[number], self._annotated[number]
        log.info(f"Annotating {source.name}")
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            with ProcessPool(_MEMORY_BYTES) as call:
                for _ in call.stream(
                    annotate,
                    source.path,
                    output,
                    timeline,
                    timeout_s=self._video_timeout_s,
                    timeout_option="--video-timeout-s",
                ):
                    progress.stop.check()
        except VideoError as error:
            return f"it could not be annotated: {error}"
        return None

    def write_suggestions(
        self, predictions: Iterable[SourcePrediction], *, threshold: float
    ) -> None:
        """Writes the windows to label next, the most useful first, one of each stretch of a video
        as long as a window; without any, the header alone.

        Args:
            predictions: The predictions of all sources.
            threshold: Of the decision.
        """
        if self._label_next is None:
            return
        windows = [
            (source.path, window)
            for source in predictions
            if source.prediction
            for window in source.prediction.windows
        ]
        novelty = [window.novelty for _, window in windows]

        def stretch(row: int) -> tuple[str, int]:
            path, window = windows[row]
            return path, int(window.middle_s // max(window.end_s - window.start_s, 1e-3))

        suggestions = suggest_labels(
            np.array([window.probability for _, window in windows]),
            None if None in novelty else np.array(novelty),
            threshold,
            count=_SUGGESTED,
            place_of=stretch,
        )
        rows = []
        for row, reason in suggestions:
            path, window = windows[row]
            values = vars(window) | {"path": path, "reason": reason, "new_label": ""}
            rows.append({name: values[name] for name in _SUGGESTION_COLUMNS})
        files.write_csv(self._label_next, _SUGGESTION_COLUMNS, rows)

    def write_table(
        self, predictions: Iterable[SourcePrediction], *, classes: Sequence[str]
    ) -> None:
        """Writes the table: a row for each window, and a row for each source with an error.

        Args:
            predictions: The predictions of all sources.
            classes: Names of all classes; more than two have a column each.
        """
        if self._csv:
            predictions = list(predictions)
            columns = [*_COLUMNS]
            if len(classes) > 2:
                columns += [f"probability_{name}" for name in classes]
            columns += _output_columns(predictions)
            if any(
                window.novelty is not None
                for source in predictions
                if source.prediction
                for window in source.prediction.windows
            ):
                columns.append("novelty")
            if any(source.start for source in predictions):
                columns += _CLOCK_COLUMNS
            files.write_csv(self._csv, columns, _table_rows(predictions))


def _paths_in(folder: str | None, stems: list[str], suffix: str = "") -> list[Path]:
    return [Path(folder, f"{stem}{suffix}") for stem in stems] if folder else []


def _one_for_each(option: str, value: str | None, suffix: str, stems: list[str]) -> list[Path]:
    """The file `value`, or a file for each source in the folder `value`."""
    if value is None or not value.lower().endswith(suffix):
        _check_folder(option, value, f"a {suffix} file or a folder")
        return _paths_in(value, stems, suffix)
    if len(stems) != 1:
        raise ConfigError(
            f"`{option}` must be a folder if there are several videos. Received: {value} "
            f"for {len(stems)}"
        )
    return [Path(value)]


def _check_folder(option: str, value: str | None, wanted: str) -> None:
    """Refuses a folder with the name of a file: who asks for out.jpg does not want a folder."""
    if value is None or Path(value).is_dir():
        return
    is_file = Path(value).suffix.lower() in (*EXTENSIONS, *_SUBTITLE_SUFFIXES)
    if is_file or mimetypes.guess_type(Path(value).name)[0]:
        raise ConfigError(f"`{option}` must be {wanted}. Received: {value}")


def _subtitle_paths(stem: Path) -> tuple[Path, Path]:
    return stem.with_name(f"{stem.name}.vtt"), stem.with_name(f"{stem.name}.srt")


def _table_rows(predictions: Iterable[SourcePrediction]) -> Iterator[dict[str, Any]]:
    for source in predictions:
        if source.error:
            yield {"path": source.path, "error": source.error}
        if source.prediction is None:
            continue
        for window in source.prediction.windows:
            by_class = window.probabilities or {}
            clock = {}
            if source.start:
                times_s = (window.start_s, window.end_s)
                texts = [iso_time(source.start, time_s) for time_s in times_s]
                clock = dict(zip(_CLOCK_COLUMNS, texts, strict=True))
            yield {
                "path": source.path,
                "start_s": window.start_s,
                "end_s": window.end_s,
                "probability": window.probability,
                "segment": _number_of_segment(source.prediction.segments, window),
                **{f"probability_{name}": value for name, value in by_class.items()},
                **(window.outputs.columns() if window.outputs else {}),
                **({} if window.novelty is None else {"novelty": window.novelty}),
                **clock,
            }


def _output_columns(predictions: Iterable[SourcePrediction]) -> list[str]:
    """The columns of what further outputs of the run say; none where `classes` is the only one."""
    for source in predictions:
        if source.prediction and source.prediction.outputs:
            return list(source.prediction.outputs.columns())
    return []


def _number_of_segment(segments: Sequence[Segment], window: Window) -> int | None:
    """The number, from 1, of the segment that contains a window; None where none does."""
    numbers = (n for n, segment in enumerate(segments, start=1) if segment.contains(window))
    return next(numbers, None)

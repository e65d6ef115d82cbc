"""The files that `predict` writes: a table, subtitles, pictures and annotated videos."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference import subtitles, video_sources
from violence_detection.inference.annotation import Timeline, annotate
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.video_sources import Source
from violence_detection.reports import figures
from violence_detection.system import files, progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video import video_writers

log = logging.getLogger(__name__)

_COLUMNS = ("path", "start_s", "end_s", "probability", "segment", "error")
_MEMORY_BYTES = 3 * 2**30  # of who decodes and encodes: 4K takes 1 to 2 GB
_ANNOTATED = ".mp4"


class Outputs:
    """What is written of each source, and where.

    Attributes:
        paths: Every file, in the order of the sources.
    """

    def __init__(self, config: PredictConfig, listed: Sequence[Source]) -> None:
        """
        Raises:
            ConfigError: If one file is asked for and there are several sources, if a stream is
                to be annotated, or a source's name cannot be written.
        """
        self._config, self._listed = config, listed
        stems = video_sources.output_stems(listed)
        self._subtitles = self._in_folder(config.subtitles, stems)
        self._timelines = self._one_each("timeline", ".png", stems)
        self._annotated = self._one_each("annotate", _ANNOTATED, stems)
        self._encoder = ""
        if self.paths:
            video_sources.check_writable_names(listed)
        if config.annotate:
            live = [one.name for one in listed if one.is_live]
            if live:
                raise ConfigError(
                    f"--annotate must have files, which are read a second time. Received: {live[0]}"
                )

    @property
    def annotates(self) -> bool:
        return bool(self._annotated)

    @property
    def paths(self) -> list[Path]:
        return list(self._all())

    def _all(self) -> Iterator[Path]:
        if self._config.csv:
            yield Path(self._config.csv)
        for stem in self._subtitles:
            yield from _subtitle_paths(stem)
        yield from self._timelines
        yield from self._annotated

    @staticmethod
    def _in_folder(folder: str | None, stems: list[str], ending: str = "") -> list[Path]:
        return [Path(folder, f"{stem}{ending}") for stem in stems] if folder else []

    def _one_each(self, name: str, ending: str, stems: list[str]) -> list[Path]:
        """The file that is asked for, or one for each source in the folder that is."""
        asked = getattr(self._config, name)
        if asked is None or not asked.lower().endswith(ending):
            return self._in_folder(asked, stems, ending)
        if len(stems) != 1:
            raise ConfigError(
                f"`{name}` must be a folder where there are several videos. Received: {asked} "
                f"for {len(stems)}"
            )
        return [Path(asked)]

    def check(self, *, force: bool) -> None:
        """Nothing that is there is lost, and all of it can be written, before hours of work.

        Raises:
            ConfigError: See `check_free`.
            ViolenceDetectionError: If a folder cannot be written to.
        """
        self.check_free(force=force)
        for folder in sorted({path.parent for path in self.paths}):
            files.ensure_writable(folder)
        if self.annotates:
            self._encoder, lacking = video_writers.choose_encoder()
            if lacking:
                log.warning(f"Annotated videos have {lacking}.")

    def check_free(self, *, force: bool) -> None:
        """Nothing that is there is lost.

        Raises:
            ConfigError: If a file is there and `force` is not given, or is one of the sources.
        """
        given = {one.path.resolve() for one in self._listed if not one.is_live}
        for path in self.paths:
            if path.resolve() in given:
                raise ConfigError(f"What is written must not replace a video. Received: {path}")
            if path.exists() and not path.is_file():
                raise ConfigError(
                    f"What is written must be a file. Received: {path} (something else is there)"
                )
            if path.exists() and not force:
                raise ConfigError(f"--force replaces a file. Received: {path}")

    def write(
        self,
        number: int,
        answer: dict[str, Any],
        attention: Sequence[Sequence[float]],
        *,
        threshold: float,
        violent: str,
    ) -> str:
        """Write what is asked for of one source; the error of annotating it, mostly none.

        Args:
            number: Of the source.
            answer: What was seen in it.
            attention: Of each window, the weights of its moments.
            threshold: On the probability.
            violent: What is seen in segments.
        """
        name = self._listed[number].name
        if self._subtitles:
            webvtt, srt = _subtitle_paths(self._subtitles[number])
            files.write_text(webvtt, subtitles.webvtt(answer["segments"], violent))
            files.write_text(srt, subtitles.srt(answer["segments"], violent))
        if self._timelines:
            figures.draw_timeline(
                self._timelines[number],
                answer["windows"],
                answer["segments"],
                threshold=threshold,
                title=name,
            )
        if not self._annotated:
            return ""
        windows = [
            {**window, "attention": list(weights)}
            for window, weights in zip(answer["windows"], attention, strict=True)
        ]
        told = (answer["fps"], answer["duration_s"])
        story = Timeline(windows, answer["segments"], threshold, *told)
        return self._annotate(number, story)

    def _annotate(self, number: int, story: Timeline) -> str:
        log.info(f"Annotating {self._listed[number].name}")
        asked = (self._listed[number].path, self._annotated[number], story)
        try:
            with ProcessPool(_MEMORY_BYTES) as call:
                for _ in call.stream(
                    annotate,
                    *asked,
                    self._encoder,
                    timeout_s=self._config.video_timeout,
                ):
                    progress.stop.check()
        except VideoError as error:
            return f"it could not be annotated: {error}"
        return ""

    def write_table(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write the table: a row for each window, one for a source that could not be read."""
        if self._config.csv:
            files.write_csv(Path(self._config.csv), _columns(rows), _table(rows))


def _subtitle_paths(stem: Path) -> tuple[Path, Path]:
    return stem.with_name(f"{stem.name}.vtt"), stem.with_name(f"{stem.name}.srt")


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    classes = next((row["probabilities"] for row in rows if "probabilities" in row), {})
    return [*_COLUMNS, *(f"probability_{name}" for name in classes)]


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["error"]:
            yield {"path": row["path"], "error": row["error"]}
        for window in row["windows"]:
            by_class = window.get("probabilities", {})
            yield {
                "path": row["path"],
                **{name: window[name] for name in ("start_s", "end_s", "probability")},
                "segment": _segment_of(window, row["segments"]),
                **{f"probability_{name}": value for name, value in by_class.items()},
            }


def _segment_of(window: dict[str, float], segments: Sequence[dict[str, float]]) -> int | None:
    """The number of the segment that a window lies in, from 1."""
    for number, one in enumerate(segments, start=1):
        if one["start_s"] <= window["start_s"] and window["end_s"] <= one["end_s"]:
            return number
    return None

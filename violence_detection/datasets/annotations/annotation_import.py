"""Writes the parts that annotations describe into the videos.csv of a folder of videos."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.datasets import video_files
from violence_detection.datasets.annotations import annotation_formats
from violence_detection.datasets.annotations.annotated_parts import (
    AnnotatedParts,
    FileLength,
    parts_of,
)
from violence_detection.datasets.annotations.annotation_formats import Annotation
from violence_detection.datasets.class_names import normal_class
from violence_detection.datasets.config import AnnotationConfig
from violence_detection.datasets.table_files import table_file
from violence_detection.datasets.table_files.label_table import LabelRow, LabelTable
from violence_detection.datasets.videos import Problem, Video
from violence_detection.errors import ConfigError, DatasetError
from violence_detection.system import files, locks
from violence_detection.video import frame_series
from violence_detection.video.decoding import container, decoder
from violence_detection.video.decoding.decoder import FALLBACK_FPS

_COLUMNS = ("path", "label", "split", "group", "start_s", "end_s")


@dataclass(frozen=True)
class ImportResult:
    """Annotations that were written to videos.csv, or would be.

    Attributes:
        videos_csv: The table.
        formats: The format of each annotation file, in words.
        videos: Number of annotated videos.
        events: Number of events in them.
        parts: Number of rows of these videos.
        kept: Number of rows of other videos, which stay.
        per_class: Number of rows of each class, of the annotated videos.
        left_out: Annotations and videos that are not used, with the reason.
        frames_fps: Rate of the videos that are kept as numbered pictures.
        dry_run: Whether nothing was written.
    """

    videos_csv: str
    formats: Sequence[str]
    videos: int
    events: int
    parts: int
    kept: int
    per_class: dict[str, int]
    left_out: Sequence[Problem]
    frames_fps: float | None = None
    dry_run: bool = True

    def to_json(self) -> dict[str, Any]:
        left_out = [problem._asdict() for problem in self.left_out]
        return dataclasses.asdict(self) | {"left_out": left_out}


class ImportStage:
    """Reads annotation files, checks them against the videos, and writes their parts."""

    def __init__(
        self,
        video_dir: str,
        annotation_files: Sequence[str],
        config: AnnotationConfig,
        *,
        force: bool = False,
    ) -> None:
        """
        Args:
            video_dir: Folder of the videos.
            annotation_files: Files of annotations.
            config: Settings of `import-annotations`.
            force: Rows that videos.csv has of the annotated videos are replaced.
        """
        self._root, self._force = Path(video_dir), force
        self._files, self._config = [Path(file) for file in annotation_files], config

    def prepare(self) -> ImportResult:
        """Reads and checks everything; the result of `run`, with `dry_run`.

        Raises:
            ConfigError: If the folder does not exist, or videos.csv has rows of these videos.
            DatasetError: If an annotation file or videos.csv cannot be read, or no annotation is
                of a video of the folder.
        """
        if not self._root.is_dir():
            raise ConfigError(f"VIDEO_DIR must be a folder. Received: {self._root}")
        read = [annotation_formats.read_annotations(path) for path in self._files]
        annotations = [annotation for _, of_file in read for annotation in of_file]
        self._table = self._open_table()
        known = {row.video.path: row.video for row in self._table.rows if row.video.start_s is None}
        labels = {row.video.label for row in self._table.rows}
        normal = self._normal_class(labels, annotations)
        annotations = [_with_normal(annotation, normal) for annotation in annotations]
        self._parts = parts_of(
            annotations,
            video_files.find_files(self._root, self._config.frames_fps).videos,
            lambda path: _length_of(self._root / path),
            normal=normal,
            classes=() if self._config.new_class else sorted(labels),
            known=known,
        )
        if not self._parts.videos:
            reasons = "; ".join(f"{path}: {reason}" for path, reason in self._parts.left_out[:3])
            raise DatasetError(
                f"An annotation must be of a video in {self._root}. Received: none ({reasons})"
            )
        annotated = {video.path for video in self._parts.videos}
        replaced = [row for row in self._table.rows if row.video.path in annotated]
        if replaced and not self._table.is_new and not self._force:
            raise ConfigError(
                f"{self._table.path.name} must have no rows of annotated videos, or --force be "
                f"given, which replaces them. Received: {len(replaced)} rows, e.g. of "
                f"{replaced[0].video.path}"
            )
        return self._result(self._parts, len(self._table.rows) - len(replaced))

    def run(self) -> ImportResult:
        """Writes videos.csv.

        Raises:
            ConfigError, DatasetError: See `prepare`.
        """
        self.prepare()
        busy = f"Another process is writing labels in {self._root}; try again."
        with locks.locked(self._root / video_files.LABEL_LOCK, busy):
            result = self.prepare()  # another may have written meanwhile
            annotated = {video.path for video in self._parts.videos}
            rows = [row.cells for row in self._table.rows if row.video.path not in annotated]
            rows += [_cells(video, self._config.split) for video in self._parts.videos]
            needed = [name for name in _COLUMNS if any(row.get(name) for row in rows)]
            columns = self._table.columns
            columns += [name for name in needed if name not in columns]
            if self._table.file:
                table_file.write_table(self._table.file, columns, rows)
            else:
                files.write_csv(self._table.path, columns, rows)
        return dataclasses.replace(result, dry_run=False)

    def _open_table(self) -> LabelTable:
        """The table of the folder; one without rows where the folder has no classes."""
        frames_fps = self._config.frames_fps
        if table_file.find_table(self._root):
            return LabelTable.of_dataset(self._root, {}, frames_fps)
        try:
            return LabelTable.of_dataset(self._root, {}, frames_fps)
        except DatasetError:  # a folder of videos without classes, which the annotations give
            rows: list[LabelRow] = []
            return LabelTable(self._root / table_file.TABLE, ["path", "label"], rows, is_new=True)

    def _normal_class(self, labels: set[str], annotations: Sequence[Annotation]) -> str:
        """The normal class: as asked, that of the dataset, or that of the annotations."""
        if self._config.normal_class:
            return self._config.normal_class
        if labels:
            return normal_class(labels)
        given = {annotation.label for annotation in annotations if annotation.label}
        recognised = sorted(label for label in given if _is_normal(label))
        return recognised[0] if recognised else "normal"

    def _result(self, parts: AnnotatedParts, kept: int) -> ImportResult:
        labels = [video.label for video in parts.videos]
        return ImportResult(
            videos_csv=str(self._table.path),
            formats=[annotation_formats.read_annotations(path)[0] for path in self._files],
            videos=len({video.path for video in parts.videos}),
            events=parts.events,
            parts=len(labels),
            kept=kept,
            per_class={label: labels.count(label) for label in sorted(set(labels))},
            left_out=parts.left_out,
            frames_fps=self._config.frames_fps,
        )


def _is_normal(label: str) -> bool:
    try:
        return normal_class([label, "violent"]) == label
    except ConfigError:
        return False


def _with_normal(annotation: Annotation, normal: str) -> Annotation:
    """The annotation with the dataset's name of the normal class, where its label means that."""
    if annotation.label and annotation.label != normal and _is_normal(annotation.label):
        return dataclasses.replace(annotation, label=normal)
    return annotation


def _length_of(path: Path) -> FileLength:
    """Length and rate of a file, from its header and its packets, or of numbered pictures.

    Raises:
        VideoError: If it cannot be opened.
    """
    if series := frame_series.read_series(path):
        # Where every tenth frame was kept, annotations count the others too, as the names do.
        return FileLength(series.duration_s, series.fps * series.step)
    with decoder.open_video(path) as video:
        fps, declared = video.fps, video.declared_frames
    duration_s = container.read_container(path).duration_s
    return FileLength(duration_s or max(declared, 0) / (fps or FALLBACK_FPS), fps)


def _cells(video: Video, split: str | None) -> dict[str, str]:
    cells = {
        "path": video.path,
        "label": video.label,
        "split": split or video.split,
        "group": "" if video.group == video.path else video.group,
        "camera": video.camera,
        "recorded_at": video.recorded_at,
    }
    if video.start_s is not None:
        cells |= {"start_s": f"{video.start_s:.10g}", "end_s": f"{video.end_s:.10g}"}
    return cells

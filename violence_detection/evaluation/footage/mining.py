"""Hard negatives: the surest false alarms in quiet footage, for a person to look at and label."""

import csv
import shlex
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.table_files.label_table import LabelTable
from violence_detection.datasets.video_folder import names_in_paths
from violence_detection.datasets.videos import Problem
from violence_detection.errors import ConfigError, DatasetError, VideoError
from violence_detection.evaluation.footage.mining_config import MineConfig
from violence_detection.evaluation.footage.normal_footage import score_videos
from violence_detection.evaluation.labels.excerpts import excerpts_of
from violence_detection.evaluation.labels.label_sheet import NEW_LABEL
from violence_detection.evaluation.mistakes.frame_images import frame_images
from violence_detection.inference import video_sources
from violence_detection.inference.prediction_records import PredictionPlan, Window
from violence_detection.metrics.non_maximum_suppression import KeptWindows, suppress_non_maxima
from violence_detection.models.run import Run
from violence_detection.reports import mined_page
from violence_detection.reports.mined_page import MinedWindow
from violence_detection.system import files
from violence_detection.video import video_file
from violence_detection.video.frame_series import rate_in
from violence_detection.video.video_file import VideoPart

FOLDER, TABLE, PAGE = "mined", "windows.csv", "windows.html"
_READ_COLUMNS = ("path", "start_s", "end_s", "probability")
_COLUMNS = (*_READ_COLUMNS, "recording", "label_command", "fight_command")
_SHEET_COLUMNS = ("group", "split", NEW_LABEL)  # for `label --table`


@dataclass(frozen=True)
class MineResult:
    """The windows to look at.

    Attributes:
        run: The folder of the run.
        threshold: The lowest probability of a window that is listed.
        videos: The number that was read.
        hours: Their length.
        alarms: The number of their windows at or above the threshold.
        windows: Those to look at, the surest first.
        left_out: The number of other windows at or above the threshold, by the reason.
        unreadable: Videos that could not be read; they do not count.
        table, page: The files that were written.
        warnings: A line each.
        is_one_class: The run learned from normal videos alone: its score says what is unusual.
    """

    run: Path
    threshold: float
    videos: int
    hours: float
    alarms: int
    windows: Sequence[MinedWindow]
    left_out: Mapping[str, int]
    unreadable: Sequence[Problem]
    table: Path
    page: Path
    warnings: Sequence[str] = ()
    is_one_class: bool = False

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`; without the pictures."""
        return {
            "run": str(self.run),
            "threshold": self.threshold,
            "videos": self.videos,
            "hours": self.hours,
            "alarms": self.alarms,
            "windows": [window.as_dict() for window in self.windows],
            "left_out": dict(self.left_out),
            "unreadable": [video._asdict() for video in self.unreadable],
            "table": str(self.table),
            "report": str(self.page),
            "warnings": list(self.warnings),
        }


class MineStage:
    """Lists the surest windows of quiet footage, with pictures and the commands that label them.

    It labels nothing: a person must say that there is no violence in a window.
    """

    def __init__(
        self, run_dir: str, arguments: Sequence[str], config: MineConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            run_dir: The folder of a run.
            arguments: Files, folders or patterns of quiet videos; none with `predictions`.
            config: Which windows are listed, and where.
            force: Existing files may be replaced.
        """
        self._run_dir, self._arguments = run_dir, arguments
        self._config, self._force = config, force

    def prepare(self) -> PredictionPlan:
        """Opens the run, lists the videos and checks the output paths.

        Raises:
            ConfigError: If there is no video, one is a stream, or a file exists and `force` is not
                given.
            RunError: If the run cannot be used.
        """
        config = self._config
        self._run = Run.open(self._run_dir)
        self._record = self._run.record()
        if bool(config.predictions) == bool(self._arguments):
            raise ConfigError(
                "Quiet footage must be VIDEOs or --predictions, and not both. Received: "
                f"{'both' if self._arguments else 'neither'}"
            )
        self._saved = _read_predictions(Path(config.predictions)) if config.predictions else None
        if self._saved is not None:
            names = list(self._saved)
        else:
            sources = video_sources.list_sources(self._arguments, sys.stdin, config.frames_fps)
            if live := next((source.name for source in sources if source.is_live), None):
                raise ConfigError(f"VIDEO must be a file. Received: {live}")
            video_sources.check_writable_names(sources)
            names = [str(source.path) for source in sources]
        self._recordings = self._recordings_of(names)
        folder = Path(config.output) if config.output else self._run.dir / FOLDER
        self._table, self._page = folder / TABLE, folder / PAGE
        for path in (self._table, self._page):
            if path.exists() and not self._force:
                raise ConfigError(
                    f"An output must be a new file, or --force be given. Received: {path} "
                    "(it exists)"
                )
        return PredictionPlan(self._run.dir, tuple(names), (self._table, self._page))

    def run(self) -> MineResult:
        """Scores the videos, chooses the windows, and writes the table and the page.

        Raises:
            VideoError: If no video can be read.
            ViolenceDetectionError: If something cannot be written; and see `prepare`.
        """
        plan = self.prepare()
        files.ensure_writable(self._table.parent)
        threshold = self._config.threshold
        threshold = self._record.threshold if threshold is None else threshold
        of_video, unreadable = self._scored(plan.videos)
        labelled, warnings = self._labelled_parts(list(of_video))
        alarms = [
            (name, window)
            for name, windows in of_video.items()
            for window in windows
            if window.probability >= threshold
        ]
        new = [alarm for alarm in alarms if not _is_labelled(alarm[1], labelled[alarm[0]])]
        chosen = self._choose(new)
        shown = [new[row] for row in chosen.rows]
        result = MineResult(
            run=self._run.dir,
            threshold=threshold,
            videos=len(of_video),
            hours=sum(rows[-1].end_s - rows[0].start_s for rows in of_video.values()) / 3600,
            alarms=len(alarms),
            windows=[
                self._mined(name, window, pictures)
                for (name, window), pictures in zip(shown, self._pictures(shown), strict=True)
            ],
            left_out={
                "labelled": len(alarms) - len(new),
                "near": chosen.near,
                "of_full_recordings": chosen.of_full_recordings,
                "beyond_count": chosen.beyond,
            },
            unreadable=unreadable,
            table=self._table,
            page=self._page,
            warnings=warnings,
            is_one_class=bool(self._record.one_class),
        )
        rows = [window.as_dict() | {NEW_LABEL: ""} for window in result.windows]
        files.write_csv(self._table, (*_COLUMNS, *_SHEET_COLUMNS), rows)
        mined_page.write_page(
            self._page,
            result.windows,
            run=self._run.dir.name,
            threshold=threshold,
            hours=result.hours,
            alarms=result.alarms,
            normal_class=self._record.normal_class,
            is_one_class=result.is_one_class,
            table_command=self._table_command(),
            blurred=self._config.blur_faces,
        )
        return result

    def _recordings_of(self, names: Sequence[str]) -> dict[str, str]:
        """The name of the recording of each video."""
        sources = [video_sources.parse_source(name) for name in names]
        own = dict(zip(names, video_sources.output_stems(sources), strict=True))
        if self._config.group_pattern is None:
            return own
        matched = names_in_paths(self._config.group_pattern, names)
        return {name: match or own[name] for name, match in zip(names, matched, strict=True)}

    def _scored(self, names: Sequence[str]) -> tuple[Mapping[str, Sequence[Window]], list[Problem]]:
        if self._saved is not None:
            return self._saved, []
        files_of = {name: Path(name) for name in names}
        scored, unreadable = score_videos(
            self._run, files_of, weights=self._config.weights, seed=self._config.seed
        )
        if not scored:
            raise VideoError(
                f"At least one video must be readable. Received: {unreadable[0].path} "
                f"({unreadable[0].reason})"
            )
        return scored, unreadable

    def _choose(self, alarms: Sequence[tuple[str, Window]]) -> KeptWindows:
        return suppress_non_maxima(
            np.array([window.probability for _, window in alarms]),
            np.array([[window.start_s, window.end_s] for _, window in alarms]).reshape(-1, 2),
            [name for name, _ in alarms],
            [self._recordings[name] for name, _ in alarms],
            count=self._config.count,
            per_recording=self._config.per_recording,
            apart_s=self._config.apart_s,
        )

    # -- the dataset

    @property
    def _root(self) -> Path:
        return Path(self._config.dataset_path or self._record.dataset.dir)

    def _labelled_parts(
        self, names: Sequence[str]
    ) -> tuple[dict[str, list[tuple[float, float]]], list[str]]:
        """Start and end of the parts of each video that the dataset has a label of, in seconds; and
        a warning where the dataset is not here."""
        parts: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._known: set[str] = set()  # names of videos that the dataset has rows of
        if not self._root.is_dir():
            text = f"{self._root} is not here: windows that are labelled already are listed too"
            return parts, [text]
        by_path: dict[str, list[tuple[float, float]]] = defaultdict(list)
        try:
            frames_fps = rate_in(row["path"] for row in self._run.videos_trained_on())
            for row in LabelTable.of_dataset(self._root, {}, frames_fps).rows:
                by_path[row.video.path].append(row.video.span_s)
        except DatasetError as error:
            return parts, [f"Windows that are labelled already are listed too: {error}"]
        sizes = {path: _size(self._root / path) for path in by_path}
        for name in names:
            source = Path(name)
            for path, spans_s in by_path.items():
                file = self._root / path
                if sizes[path] == _size(source) != 0 and (
                    source.resolve() == file.resolve()
                    or video_file.digest_of(source) == video_file.digest_of(file)
                ):
                    parts[name] += spans_s
            if parts[name]:
                self._known.add(name)
            elif source.is_file():
                parts[name] += excerpts_of(source, by_path)
        return parts, []

    # -- what is shown

    def _mined(self, name: str, window: Window, pictures: tuple[str, ...] | str) -> MinedWindow:
        _, *others = self._record.classes
        # Else the person says which: a detector of the unusual has no violent class.
        violent = others[0] if len(others) == 1 and not self._record.one_class else "CLASS"
        return MinedWindow(
            path=name,
            start_s=window.start_s,
            end_s=window.end_s,
            probability=window.probability,
            recording=self._recordings[name],
            label_command=self._command(name, window, self._record.normal_class),
            fight_command=self._command(name, window, violent),
            frames=() if isinstance(pictures, str) else pictures,
            missing_reason=pictures if isinstance(pictures, str) else "",
            group="" if name in self._known else self._recordings[name],
            split="" if name in self._known else "train",
        )

    def _command(self, name: str, window: Window, label: str) -> str:
        """The command that gives a window a label. A part of a file that the dataset knows keeps
        its recording and split; of another file it gets its own, and is learned from."""
        words = ["violence-detection", "label", str(self._run.dir.resolve())]
        words += [str(Path(name).resolve()), label]
        words += ["--start-s", f"{window.start_s:.10g}", "--end-s", f"{window.end_s:.10g}"]
        if name not in self._known:
            words += ["--group", self._recordings[name], "--split", "train", "--excerpt"]
        if self._config.dataset_path:
            words += ["--dataset-path", self._config.dataset_path]
        return shlex.join(words)

    def _table_command(self) -> str:
        """The command that writes the labels of the table."""
        words = ["violence-detection", "label", str(self._run.dir.resolve())]
        words += ["--table", str(self._table.resolve()), "--excerpt"]
        if self._config.dataset_path:
            words += ["--dataset-path", self._config.dataset_path]
        return shlex.join(words)

    def _pictures(self, shown: Sequence[tuple[str, Window]]) -> list[tuple[str, ...] | str]:
        """The frames of each window as data URIs, or the reason why there are none."""
        if not self._config.show_frames:
            return ["--no-show-frames was given"] * len(shown)
        parts = [VideoPart(Path(name), window.start_s, window.end_s) for name, window in shown]
        blur = self._config.blur_faces
        return frame_images(parts, blur=blur, title="Showing windows", unit="windows")


def _read_predictions(path: Path) -> dict[str, list[Window]]:
    """The windows of each readable video of a table of `predict --csv`.

    Raises:
        ConfigError: If it is no such table.
    """
    windows: dict[str, list[Window]] = defaultdict(list)
    try:
        for row in files.read_csv(path):
            if row.get("probability"):
                numbers = (float(row[name]) for name in _READ_COLUMNS[1:])
                windows[row["path"]].append(Window(*numbers))
    except (OSError, KeyError, ValueError, csv.Error) as error:
        reason = f"no column {error}" if isinstance(error, KeyError) else error
        if isinstance(error, OSError):
            reason = error.strerror
        raise ConfigError(
            f"--predictions must be a table of `predict --csv`. Received: {path} ({reason})"
        ) from error
    if not windows:
        raise ConfigError(
            f"--predictions must have windows ({', '.join(_READ_COLUMNS)}). Received: {path}"
        )
    return dict(windows)


def _is_labelled(window: Window, parts: Sequence[tuple[float, float]]) -> bool:
    return any(start_s < window.end_s and window.start_s < end_s for start_s, end_s in parts)


def _size(path: Path) -> int:
    """Bytes of a video; 0 where it is not there."""
    try:
        return video_file.state_of(path).size
    except (OSError, VideoError):
        return 0

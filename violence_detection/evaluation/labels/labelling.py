"""Writes a reviewer's label of a video to the dataset's videos.csv, with name and time."""

import contextlib
import dataclasses
import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from violence_detection import units
from violence_detection.datasets import video_files
from violence_detection.datasets.table_files.label_table import LabelRow, LabelTable
from violence_detection.datasets.videos import Video
from violence_detection.errors import ConfigError, DatasetError, VideoError
from violence_detection.evaluation.config import LabelConfig
from violence_detection.evaluation.labels.excerpts import JUDGED_DIR, copy_excerpt, plan_excerpt
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.models.run import Run
from violence_detection.system import files, locks, processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video import video_file
from violence_detection.video.clip_reader import ClipReader, end_of_video_s
from violence_detection.video.decoding import damage
from violence_detection.video.frame_series import rate_in, with_rate

_FRAMES, _SIDE_PX = 4, 32  # decoded to check that a video can be read
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class LabelResult:
    """A label that was written, or would be.

    Attributes:
        video: Its name in the dataset.
        label: The class that the reviewer gave.
        was: The label before; empty for a video that was not in the dataset.
        group: The recording; empty if it is not known.
        split: The split that the dataset gives it; empty if it gives none.
        by: The reviewer.
        at: The time, UTC.
        videos_csv: Path of the table.
        created: Whether the table is new.
        copied: Whether the video is copied into the dataset.
        overlaps: Rows of other labels that overlap with this part.
        extraction: The settings with which `extract-features` brings the features up to date; None
            where the features are gone.
        dry_run: Whether nothing was written.
    """

    video: str
    label: str
    was: str
    group: str
    split: str
    by: str
    at: str
    videos_csv: str
    created: bool
    copied: bool
    overlaps: list[str]
    extraction: ExtractConfig | None
    dry_run: bool = True

    def to_json(self) -> dict[str, Any]:
        changed = self.extraction.changed() if self.extraction else {}
        return dataclasses.asdict(self) | {"extraction": changed}


class LabelStage:
    """Writes a reviewer's label of a video into the dataset of a run or of features.

    A video of the dataset gets the label in its row. A part of a video and a video from another
    folder get a row of their own; the latter is copied into `judged/` of the dataset, unless the
    dataset has a file with the same bytes. A dataset of class folders gets a `videos.csv` with the
    labels of its folders. Earlier labels are kept in `labels_history.csv`.
    """

    def __init__(
        self, run_dir: str, video: str, label: str, config: LabelConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            run_dir: Folder of the run, or of features; it names the dataset and the classes.
            video: A path, absolute or within the dataset; or a part as reports name it.
            label: The class that the reviewer gives.
            config: The part of the video, and the reviewer.
            force: Whether the label of another reviewer may be replaced.
        """
        self._run_dir, self._video, self._label = run_dir, video, label
        self._config, self._force = config, force

    def prepare(self) -> LabelResult:
        """Finds and checks the video; the result of `run`, with `dry_run`.

        Raises:
            ConfigError: If the label is not a known class, the part is not within the video,
                or another reviewer gave another label.
            DatasetError: If the dataset does not exist or cannot be read.
            VideoError: If the video cannot be read.
        """
        self._open_dataset()
        return self._find_video()

    def run(self) -> LabelResult:
        """Writes the label.

        Raises:
            ConfigError, DatasetError, VideoError: See `prepare`.
        """
        self._open_dataset()
        busy = f"Another process is writing labels in {self._root}; try again."
        with locks.locked(self._root / video_files.LABEL_LOCK, busy):
            result = self._find_video()
            if self._excerpt and not copy_excerpt(self._excerpt, self._root):
                result = self._find_video(excerpt=False)
            if result.copied and self._excerpt is None:
                files.copy_file(self._source, self._root / self._cells["path"])
            self._table.write_row(self._row, self._cells)
        return dataclasses.replace(result, dry_run=False)

    def _open_dataset(self) -> None:
        """Checks the label, and finds the folder of the dataset."""
        cache = FeatureCache(Path(self._run_dir))
        self._labelled = cache if cache.extraction_path.is_file() else Run.open(self._run_dir)
        record, label = self._labelled.record(), self._label
        if label not in record.classes and not self._config.new_class:
            raise ConfigError(
                f"LABEL must be a known class, {', '.join(record.classes)}; --new-class "
                f"allows others. Received: {label}"
            )
        if not label.strip() or label != label.strip() or not units.is_utf8(label):
            raise ConfigError(f"LABEL must be a name in UTF-8. Received: {label!r}")
        self._root = Path(self._config.dataset_path or record.dataset.dir)
        if not self._root.is_dir():
            raise DatasetError(
                "The dataset's folder must exist; --dataset-path names its new place. Received: "
                f"{self._root}"
            )
        self._by = self._config.reviewer or _login_name()

    def _find_video(self, *, excerpt: bool = True) -> LabelResult:
        """Finds the video and its row, checks them, and describes what is written.

        Args:
            excerpt: Whether a part may be copied alone, where that was asked for.
        """
        recordings = self._recordings()
        self._frames_fps = rate_in(recordings)
        self._table = LabelTable.of_dataset(self._root, recordings, self._frames_fps)
        self._source, row = self._locate(self._video)
        part = self._part(row)
        _check_readable(self._source, *part)
        path, copied = self._path_in_dataset(row)
        self._excerpt = None
        if copied and excerpt and self._config.excerpt and part[0] is not None:
            self._excerpt = plan_excerpt(self._source, *part)
        if self._excerpt:
            path, part = self._excerpt.path, self._excerpt.span_s
        video = Video(path, self._label, "", "", *part)
        self._row = self._table.row_of(video.key)
        if self._row and not self._force:
            self._check_replaceable(self._row)
        self._cells = self._new_cells(video)
        group = self._cells.get("group") or (path if video.start_s is not None else "")
        return LabelResult(
            video=video.key,
            label=self._label,
            was=self._row.cells["label"] if self._row else "",
            group=group,
            split=self._cells.get("split", ""),
            by=self._by,
            at=self._cells["judged_at"],
            videos_csv=str(self._table.path),
            created=self._table.is_new,
            copied=copied,
            overlaps=self._table.conflicts_of(video),
            extraction=self._repeated_config(),
        )

    def _repeated_config(self) -> ExtractConfig | None:
        """See `LabelResult.extraction`."""
        features = self._labelled
        if isinstance(features, Run):
            features = FeatureCache(Path(features.record().features))
        if not features.extraction_path.is_file():
            return None
        cache_dir, default = features.dir.parent.parent, ExtractConfig().cache_dir
        is_default = cache_dir == Path(default).resolve()
        return features.record().repeated_config(default if is_default else str(cache_dir))

    def _recordings(self) -> dict[str, str]:
        """The recording of each video, by path."""
        if isinstance(self._labelled, FeatureCache):
            return {entry.path: entry.group for entry in self._labelled.entries()}
        return {row["path"]: row["group"] for row in self._labelled.videos_trained_on()}

    # -- the video

    def _locate(self, text: str) -> tuple[Path, LabelRow | None]:
        """The file of a name, and its row; of several rows of a file, that of the whole file."""
        row = self._table.row_of(text)
        if row:
            return self._root / row.video.path, row
        names = [text]
        if self._frames_fps:
            names.append(with_rate(text, self._frames_fps))
        for path in (folder / name for name in names for folder in (Path(), self._root)):
            if video_file.exists(path):
                rows = [row for row in self._table.rows if self._is_file_of(row, path)]
                whole = [row for row in rows if row.video.start_s is None]
                return path, (whole or rows or [None])[0]
        raise VideoError(
            f"VIDEO must be a file, or a video of {self._root}. Received: {text} (no such file)"
        )

    def _is_file_of(self, row: LabelRow, path: Path) -> bool:
        row_path = self._root / row.video.path
        if rate_in([row.video.path]):
            return path.resolve() == row_path.resolve()
        with contextlib.suppress(OSError):
            return path.samefile(row_path)
        return False

    def _part(self, row: LabelRow | None) -> tuple[float | None, float | None]:
        start_s, end_s = self._config.start_s, self._config.end_s
        if (start_s is None) != (end_s is None):
            raise ConfigError(
                "--start-s and --end-s must be given together. Received: "
                f"start_s={start_s}, end_s={end_s}"
            )
        if start_s is not None and not start_s < end_s:
            raise ConfigError(
                f"`start_s` must be < end_s. Received: start_s={start_s}, end_s={end_s}"
            )
        if start_s is None and row is not None:
            return row.video.start_s, row.video.end_s
        return start_s, end_s

    def _path_in_dataset(self, row: LabelRow | None) -> tuple[str, bool]:
        """The video's path in the dataset, and whether it must be copied there."""
        if row is not None:
            return row.video.path, False
        source = self._source
        with contextlib.suppress(ValueError):
            inside = source.resolve().relative_to(self._root.resolve()).as_posix()
            if not any(part.startswith(".") for part in Path(inside).parts):
                return inside, False
        digest = video_file.digest_of(source)
        for path in self._videos_of_size(video_file.state_of(source).size):
            if video_file.digest_of(self._root / path) == digest:
                return path, False
        if rate_in([source.name]):
            raise ConfigError(
                "Numbered pictures must lie in the dataset's folder to be labelled; copy them "
                f"there. Received: {source} (the dataset is {self._root})"
            )
        name = source.name
        if (self._root / JUDGED_DIR / name).exists():
            name = f"{source.stem}-{digest[:8]}{source.suffix}"
        return f"{JUDGED_DIR}/{name}", True

    def _videos_of_size(self, size: int) -> list[str]:
        paths = []
        for path in video_files.find_files(self._root, self._frames_fps).videos:
            with contextlib.suppress(OSError, VideoError):
                if video_file.state_of(self._root / path).size == size:
                    paths.append(path)
        return paths

    # -- the row

    def _check_replaceable(self, row: LabelRow) -> None:
        reviewer = row.cells.get("judged_by", "")
        if reviewer not in ("", self._by) and row.cells["label"] != self._label:
            raise ConfigError(
                "The label of another reviewer is replaced with --force only. Received: "
                f"{row.video.key} ({row.cells['label']} by {reviewer})"
            )

    def _new_cells(self, video: Video) -> dict[str, str]:
        """The cells of the row. A new part takes split and recording from the other rows of its
        file."""
        if self._row:
            cells = dict(self._row.cells)
        else:
            siblings = self._table.rows_of_file(video.path)
            sibling = siblings[0].cells if siblings else {}
            cells = {"path": video.path}
            cells["split"] = self._config.split or sibling.get("split", "")
            cells["group"] = self._config.group or sibling.get("group", "")
            if video.start_s is not None:
                cells["start_s"] = f"{video.start_s:.10g}"
                cells["end_s"] = f"{video.end_s:.10g}"
        if self._row:
            given = {"group": self._config.group, "split": self._config.split}
            cells |= {name: value for name, value in given.items() if value}
        return cells | {"label": video.label, "judged_by": self._by, "judged_at": _utc_now()}


def withdraw_label(
    run_dir: str, key: str, *, judged_by: str, by: str, dataset_path: str | None = None
) -> bool:
    """Removes the row that a reviewer's label added, and the copy of its video in `judged/`.

    Args:
        run_dir: Folder of the run; it names the dataset.
        key: The row, as `LabelResult.video` names it.
        judged_by: Whose label it is: the label that another has given since stays.
        by: Who takes it back, for the history.
        dataset_path: The dataset's folder; None for the one that the run names.

    Returns:
        False if there is no such row, or the label is another's.

    Raises:
        RunError, DatasetError: If the run or the dataset cannot be read.
    """
    run = Run.open(run_dir)
    root = Path(dataset_path or run.record().dataset.dir)
    frames_fps = rate_in(row["path"] for row in run.videos_trained_on())
    busy = f"Another process is writing labels in {root}; try again."
    with locks.locked(root / video_files.LABEL_LOCK, busy):
        table = LabelTable.of_dataset(root, {}, frames_fps)
        row = table.row_of(key)
        if row is None or row.cells.get("judged_by") != judged_by:
            return False
        table.remove_row(row, by=by, at=_utc_now())
        path = row.video.path
        if path.startswith(f"{JUDGED_DIR}/") and not table.rows_of_file(path):
            (root / path).unlink(missing_ok=True)
    return True


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _check_readable(source: Path, start_s: float | None, end_s: float | None) -> None:
    """Raises VideoError if a video, or a part of it, cannot be decoded."""
    try:
        with ProcessPool() as call:
            duration_s = call(end_of_video_s, source, timeout_s=_TIMEOUT_S)
            if end_s is not None and damage.describe_part_damage(duration_s, start_s, end_s):
                raise ConfigError(
                    f"`end_s` must be within the video. Received: end_s={end_s:g} "
                    f"({source} ends at {duration_s:.1f} s)"
                )
            reader = ClipReader(stream="rgb", frames=_FRAMES, frame_size=_SIDE_PX)
            call(reader.read, source, start_s, end_s, timeout_s=_TIMEOUT_S)
    except VideoError as error:
        raise VideoError(f"VIDEO must be readable. Received: {source} ({error})") from error
    finally:
        processes.end_idle_processes()


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise ConfigError(
            "--reviewer must name the reviewer, because this system has no login name"
        ) from error

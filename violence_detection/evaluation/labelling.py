"""A person's judgement of a video goes back into the dataset: a row of its `videos.csv`, with who
gave it and when."""

import contextlib
import getpass
import logging
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import units
from violence_detection.datasets import video_folder
from violence_detection.datasets.label_table import LabelRow, LabelTable
from violence_detection.datasets.video_folder import Video
from violence_detection.errors import ConfigError, DatasetError, VideoError
from violence_detection.evaluation.config import LabelConfig
from violence_detection.models.run import Run
from violence_detection.system import files, locks, processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video import decoder
from violence_detection.video.clip_reader import ClipReader

log = logging.getLogger(__name__)

JUDGED_DIR = "judged"  # where videos from elsewhere are copied to
_LOCK = ".labels.lock"
_FRAMES, _SIDE_PX = 4, 32  # decoded to check that a video can be read
_TIMEOUT_S = 600.0


def label_video(
    run_dir: str,
    video: str,
    name: str,
    config: LabelConfig,
    *,
    plan: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Write what a person says of a video into its dataset.

    A video of the dataset gets the label in its row; a part of one, and a video from elsewhere,
    get a row of their own. A video from elsewhere is copied into `judged/` of the dataset, unless
    the dataset has the same bytes already. A dataset of class folders gets a `videos.csv` that
    says of every video what its folder said. What a label was before is in `labels_history.csv`.

    Args:
        run_dir: What training left; it names the dataset and the classes.
        video: A path, as it is or below the dataset's folder; or a part as reports name it.
        name: The class that the person has seen.
        config: Which part, by whom.
        plan: Say what would be done; nothing is written.
        force: Whether a label that somebody else has judged may be replaced.

    Returns:
        `video` (its name in the dataset), `label`, `was` (the label before, or nothing), `group`
        (the recording, nothing where it is not known), `split` (where the dataset gives one),
        `by`, `at`, `videos_csv`, `created` (that table), `copied`, and `overlaps`, rows of other
        labels that share a part with this one.

    Raises:
        ConfigError: If the label is no class of the run, the part is none of the video, or
            somebody else has judged otherwise.
        DatasetError: If the dataset is not there, or cannot be read.
        VideoError: If the video cannot be read.
    """
    run = Run.open(run_dir)
    classes = run.record().classes
    if name not in classes and not config.new_class:
        raise ConfigError(
            f"LABEL must be one of the run's classes, {', '.join(classes)}, or --new-class be "
            f"given. Received: {name}"
        )
    if not name.strip() or name != name.strip() or not units.is_utf8(name):
        raise ConfigError(f"LABEL must be a name in UTF-8. Received: {name!r}")
    root = _dataset_dir(run, config)
    busy = f"One label must be given at a time. Received: {root} (another is being written)"
    with contextlib.nullcontext() if plan else locks.locked(root / _LOCK, busy):
        return _LabelJob(run, root, config).of(video, name, plan=plan, force=force)


def _dataset_dir(run: Run, config: LabelConfig) -> Path:
    root = Path(config.dataset_path or run.record().dataset["dir"])
    if not root.is_dir():
        raise DatasetError(
            f"The dataset's folder must be there; --dataset-path says where it is now. Received: "
            f"{root}"
        )
    return root


class _LabelJob:
    """One label, on its way into a dataset."""

    def __init__(self, run: Run, root: Path, config: LabelConfig) -> None:
        self._root, self._config = root, config
        recordings = {}
        if not (root / video_folder.TABLE).is_file():
            recordings = {row["path"]: row["group"] for row in run.videos_trained_on()}
        self._table = LabelTable.of_dataset(root, recordings)
        self._by = config.by or _login_name()

    def of(self, text: str, name: str, *, plan: bool, force: bool) -> dict[str, Any]:
        """Find the video, check it, and write."""
        source, row = self._located(text)
        part = self._part(row)
        self._check_readable(source, part)
        target, copied = self._target(source, row)
        asked = Video(target, name, "", "", *part)
        row = self._table.row_of(asked.key)
        if row and not force:
            self._check_replaceable(row, name)
        was = row.cells["label"] if row else ""
        siblings = self._table.rows_of_file(target)
        written = self._judged(row, siblings, asked)
        known = written.get("group") or (target if asked.start_s is not None else "")
        conflicts = self._table.conflicts_of(asked)
        if not plan:
            if copied:
                _copy(source, self._root / target)
            self._table.write_row(row, written)
        return {
            "video": asked.key,
            "label": name,
            "was": was,
            "group": known,
            "split": written.get("split", ""),
            "by": self._by,
            "at": written["judged_at"],
            "videos_csv": str(self._table.path),
            "created": self._table.is_new,
            "copied": copied,
            "overlaps": conflicts,
            "dry_run": plan,
        }

    # -- which video

    def _located(self, text: str) -> tuple[Path, LabelRow | None]:
        """The file, and the row that its name alone tells."""
        named = self._table.row_of(text)
        if named:
            return self._root / named.video.path, named
        for path in (Path(text), self._root / text):
            if path.exists():
                same = [row for row in self._table.rows if self._is(path, row)]
                whole = [row for row in same if row.video.start_s is None]
                return path, (whole or same or [None])[0]
        raise VideoError(
            f"VIDEO must be a file, or a video of {self._root}. Received: {text} (not there)"
        )

    def _is(self, path: Path, row: LabelRow) -> bool:
        with contextlib.suppress(OSError):
            return path.samefile(self._root / row.video.path)
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

    def _check_readable(self, source: Path, part: tuple[float | None, float | None]) -> None:
        """Whether the video, or the part of it, is there and can be decoded."""
        try:
            with ProcessPool() as call:
                ends_s = call(_ends_s, source, timeout_s=_TIMEOUT_S)
                if part[1] is not None and decoder.describe_part_damage(ends_s, *part):
                    raise ConfigError(
                        f"`end_s` must be within the video. Received: end_s={part[1]:g} "
                        f"({source} ends at {ends_s:.1f} s)"
                    )
                reader = ClipReader(stream="rgb", frames=_FRAMES, frame_size=_SIDE_PX)
                call(reader.read, source, *part, timeout_s=_TIMEOUT_S)
        except VideoError as error:
            raise VideoError(f"VIDEO must be readable. Received: {source} ({error})") from error
        finally:
            processes.end_idle_processes()

    def _target(self, source: Path, row: LabelRow | None) -> tuple[str, bool]:
        """The video's path in the dataset, and whether it must be copied there."""
        if row is not None:
            return row.video.path, False
        with contextlib.suppress(ValueError):
            inside = source.resolve().relative_to(self._root.resolve()).as_posix()
            if not any(part.startswith(".") for part in Path(inside).parts):
                return inside, False
        digest = files.sha256_of_unchanged(source)
        for path in self._same_size(source):
            if files.sha256_of_unchanged(self._root / path) == digest:
                return path, False
        name = source.name
        if (self._root / JUDGED_DIR / name).exists():
            name = f"{source.stem}-{digest[:8]}{source.suffix}"
        return f"{JUDGED_DIR}/{name}", True

    def _same_size(self, source: Path) -> list[str]:
        """Videos of the dataset that may have the same bytes."""
        found, size = [], source.stat().st_size
        for path in dict.fromkeys(video_folder.find_videos(self._root)[0]):
            with contextlib.suppress(OSError):
                if (self._root / path).stat().st_size == size:
                    found.append(path)
        return found

    def _check_replaceable(self, row: LabelRow, name: str) -> None:
        judge = row.cells.get("judged_by", "")
        if judge not in ("", self._by) and row.cells["label"] != name:
            raise ConfigError(
                "What somebody else has judged is replaced with --force only. Received: "
                f"{row.video.key} ({row.cells['label']} by {judge})"
            )

    # -- what is written

    def _judged(
        self, row: LabelRow | None, siblings: Sequence[LabelRow], asked: Video
    ) -> dict[str, str]:
        """The cells of the row to be. A new part follows the other rows of its file."""
        if row:
            cells = dict(row.cells)
        else:
            near = siblings[0].cells if siblings else {}
            cells = {"path": asked.path, "split": near.get("split", "")}
            cells["group"] = self._config.group or near.get("group", "")
            if asked.start_s is not None:
                cells["start_s"] = f"{asked.start_s:.10g}"
                cells["end_s"] = f"{asked.end_s:.10g}"
        if row and self._config.group:
            cells["group"] = self._config.group
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return cells | {"label": asked.label, "judged_by": self._by, "judged_at": at}


def _ends_s(path: Path) -> float:
    """Where a video ends, in seconds; in a child.

    Raises:
        VideoError: If it cannot be opened.
    """
    times_s, _ = decoder.read_packets(path)
    with decoder.open_video(path) as video:
        frame_s = 1 / (video.fps or decoder.FALLBACK_FPS)
        if len(times_s) and np.isfinite(times_s).all() and times_s.max() > 0:
            return float(times_s.max()) + frame_s
        return max((time_s for _, time_s in video), default=0.0) + frame_s


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as read, files.writing(target) as written:
        shutil.copyfileobj(read, written, 1 << 20)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise ConfigError(
            "--by must say who judged: this system has no login name. Received: none"
        ) from error

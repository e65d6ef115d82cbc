"""Imports features of another program, or of `cache export`, as a feature cache."""

import contextlib
import dataclasses
import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import units
from violence_detection.datasets import video_folder
from violence_detection.datasets.dataset_origin import DatasetOrigin
from violence_detection.datasets.splitting import splits
from violence_detection.datasets.splitting.split_store import SplitStore
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Problem, Video
from violence_detection.errors import CacheError, ConfigError, DatasetError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.cache_config import CacheImportConfig
from violence_detection.features.exchange.imported_file import (
    ImportedFile,
    open_imported,
    to_float16,
)
from violence_detection.features.exchange.imported_rows import check_names, relative_rows
from violence_detection.features.extraction import shards
from violence_detection.features.extraction.extraction_record import ExtractionRecord, WeightsOrigin
from violence_detection.features.feature_space import IMPORTED, FeatureSpace
from violence_detection.system import files, progress, provenance
from violence_detection.units import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheImportResult:
    """The result of an import, or of its dry run.

    Attributes:
        dry_run: True if nothing was written.
        features: The folder of the cache.
        dataset: The name of the dataset.
        videos: Number of clips in the files.
        left_out: Clips that cannot be used; the others are imported.
        shape: T and D.
        classes: Names of all classes.
        grouped: True if the recording of every clip is known.
        padded: Number of clips of which some frames are all zeros; they are imported.
    """

    dry_run: bool
    features: Path
    dataset: str
    videos: int
    left_out: tuple[Problem, ...]
    shape: tuple[int, int]
    classes: tuple[str, ...]
    grouped: bool
    padded: int

    @property
    def imported(self) -> int:
        return self.videos - len(self.left_out)

    def to_json(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "features": str(self.features),
            "dataset": self.dataset,
            "videos": self.videos,
            "imported": self.imported,
            "left_out": [problem._asdict() for problem in self.left_out],
            "shape": list(self.shape),
            "classes": list(self.classes),
            "grouped": self.grouped,
            "padded": self.padded,
        }


class CacheImport:
    """Makes a feature cache of files of features.

    The files are read twice: first to check every clip, then to write them.

    Args:
        paths: `.npy` or HDF5 files of one program, for instance one for each part of the split.
        labels_paths: A file of labels for each; empty where they are found beside or inside.
        config: Settings of the command.
        force: An import of the same name is replaced.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels_paths: Sequence[str],
        config: CacheImportConfig,
        *,
        force: bool,
    ) -> None:
        if labels_paths and len(labels_paths) != len(paths):
            raise ConfigError(
                f"--labels must be given once for each FILE. Received: {len(labels_paths)} for "
                f"{counted(len(paths), 'file')}"
            )
        given = labels_paths or [None] * len(paths)
        self._sources = [
            (Path(path).absolute(), label and Path(label).absolute())
            for path, label in zip(paths, given, strict=True)
        ]
        self._config, self._force = config, force

    # -- the first half

    def prepare(self) -> CacheImportResult:
        """Reads and checks every clip; nothing is written.

        Raises:
            ConfigError, CacheError: If a file or a setting cannot be used.
            DatasetError: If no clip can be used, or all are of one class.
        """
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(self._open(*source)) for source in self._sources]
            self._check_same_shape(opened)
            self._video_dir, self._rows = relative_rows(self._sources[0][0], opened)
            self._group(opened)
            check_names(self._rows)
            digest, padded = self._check_clips(opened)
            exported = opened[0].record
            shape = opened[0].features.shape[1:]
            self._space = self._space_of(exported, shape, str(opened[0].features.dtype), digest)
            self._record = self._record_of(exported)
            self._sources_of_split = {
                row.path: source
                for file in opened
                for row, source in zip(file.rows, file.split_sources, strict=False)
            }
        self._check_usable()
        name = self._record.dataset.name
        self._dataset_dir = Path(self._config.cache_dir) / name
        self._cache = FeatureCache(self._dataset_dir / self._space.name)
        self._store = SplitStore(self._dataset_dir)
        config = self._config
        split = config.split
        self._store.check_settings(
            self._video_dir,
            asked={name: value for name, value in split.as_dict().items() if name in split.given},
            redraw=config.redraw_splits,
            force=self._force,
        )
        if self._cache.manifest_path.is_file() and not self._force:
            raise ConfigError(
                "An import must have a new name (--dataset-name), or --force be given. Received: "
                f"{self._cache.dir} (it exists)"
            )
        left_out = [row for row in self._rows if not row.usable]
        self._log_notes(left_out, padded, exported)
        return CacheImportResult(
            dry_run=True,
            features=self._cache.dir,
            dataset=name,
            videos=len(self._rows),
            left_out=tuple(Problem(row.path, row.error) for row in left_out),
            shape=self._space.shape,
            classes=self._record.classes,
            grouped=self._record.has_all_recordings,
            padded=padded,
        )

    def _open(
        self, path: Path, labels_path: Path | None
    ) -> contextlib.AbstractContextManager[ImportedFile]:
        config = self._config
        names = [name.strip() for name in (config.classes or "").split(",")]
        if config.classes is not None and (not all(names) or len(set(names)) < len(names)):
            raise ConfigError(
                f"--classes must be names, separated by commas. Received: {config.classes!r}"
            )
        return open_imported(
            path,
            labels_path=labels_path,
            classes=names if config.classes is not None else [],
            features_key=config.features_key,
            labels_key=config.labels_key,
        )

    def _check_same_shape(self, opened: Sequence[ImportedFile]) -> None:
        if len(opened) > 1 and any(file.record for file in opened):
            raise ConfigError(
                "A file of `cache export` must be imported alone. Received: "
                f"{counted(len(opened), 'file')}"
            )
        shapes = {file.features.shape[1:]: file.path.name for file in opened}
        if len(shapes) > 1:
            listed = ", ".join(f"{shape} in {name}" for shape, name in shapes.items())
            raise CacheError(f"All files must have the same (T, D). Received: {listed}")

    def _group(self, opened: Sequence[ImportedFile]) -> None:
        """Names the recordings: as given, else by the pattern; a clip without counts as its own."""
        exported, pattern = opened[0].record, self._config.group_pattern
        self._grouping = exported.grouping if exported else "imported"
        self._ungrouped = exported.ungrouped if exported else 0
        if pattern is not None:
            names = video_folder.names_in_paths(pattern, [row.path for row in self._rows])
            self._grouping = "--group-pattern"
        elif exported:
            return
        else:
            names = [row.group or None for row in self._rows]
        self._ungrouped = sum(name is None for name in names)
        if self._ungrouped == len(names):
            self._grouping = "none"
        self._rows = [
            dataclasses.replace(row, group=name or row.group or row.path)
            for row, name in zip(self._rows, names, strict=True)
        ]

    def _check_clips(self, opened: Sequence[ImportedFile]) -> tuple[str, int]:
        """Marks the clips that cannot be used; the digest of all, and how many are padded."""
        digest, padded, rows = hashlib.sha256(), 0, iter(self._rows)
        checked: list[ManifestEntry] = []
        with progress.track("Checking", len(self._rows), "clips") as step:
            for file in opened:
                for block in file.blocks():
                    clips, reasons = to_float16(block)
                    digest.update(clips.tobytes())
                    empty = ~clips.any(axis=-1).reshape(len(clips), -1)
                    padded += int((empty.any(axis=1) & ~empty.all(axis=1)).sum())
                    for reason in reasons:
                        row = next(rows)
                        if reason:
                            row = dataclasses.replace(row, status="failed", error=reason)
                        checked.append(row)
                        step()
        self._rows = checked
        return digest.hexdigest(), padded

    def _space_of(
        self, exported: ExtractionRecord | None, shape: tuple[int, ...], dtype: str, digest: str
    ) -> FeatureSpace:
        """The recorded feature space, or one that stands for the program that made the files."""
        maker = self._config.made_by
        if exported and exported.space.shape != tuple(shape):
            raise CacheError(
                f"Features must be of the file's feature space, {exported.space.shape}. Received: "
                f"{tuple(shape)}"
            )
        if exported:
            return exported.space
        if maker is not None and not units.is_name(maker):
            raise ConfigError(f"`made_by` must be usable as a name. Received: {maker!r}")
        return FeatureSpace.imported(shape, dtype, digest, maker)

    def _record_of(self, exported: ExtractionRecord | None) -> ExtractionRecord:
        """The record of the new cache, that of the file where it has one; not yet complete."""
        config, first = self._config, self._sources[0][0]
        default = first.stem if len(self._sources) == 1 else first.parent.name
        name = config.dataset_name or (exported.dataset.name if exported else default)
        if not units.is_name(name):
            raise ConfigError(f"`dataset_name` must be the name of a folder. Received: {name!r}")
        common = {
            "dataset": DatasetOrigin(name, str(self._video_dir)),
            "grouping": self._grouping,
            "ungrouped": self._ungrouped,
            "classes": tuple(sorted({row.label for row in self._rows})),
            "imported": tuple(str(path) for path, _ in self._sources),
            "complete": False,
            "stopped": "the import was interrupted",
        }
        if exported:
            return dataclasses.replace(exported, **common)
        return ExtractionRecord(
            space=self._space,
            weights=WeightsOrigin(IMPORTED, self._space.weights_digest, config.seed),
            settings=config.as_dict(),
            effective={"engine": IMPORTED, "precision": self._space.precision},
            versions=provenance.versions(),
            **common,
        )

    def _check_usable(self) -> None:
        usable = [row for row in self._rows if row.usable]
        if not usable:
            raise DatasetError(
                f"At least one clip must be usable. Received: {len(self._rows)} that are not, e.g. "
                f"{self._rows[0].path} ({self._rows[0].error})"
            )
        classes = {row.label for row in usable}
        if len(classes) < 2:
            raise DatasetError(
                f"There must be two classes or more. Received: one class, {classes.pop()}, "
                f"{counted(len(usable), 'clip')}"
            )

    def _log_notes(
        self, left_out: Sequence[ManifestEntry], padded: int, exported: ExtractionRecord | None
    ) -> None:
        for reason, count in Counter(row.error for row in left_out).items():
            log.warning(f"Left out: {counted(count, 'clip')}, because {reason}.")
        if padded:
            log.warning(
                f"Some frames of {counted(padded, 'clip')} are all zeros, as of padding; they are "
                "imported as they are."
            )
        if self._grouping == "none":
            log.warning(
                "Recordings are not known, so each clip counts as its own: clips of one recording "
                "may land on both sides of the split. Name them in the column `group` of --labels, "
                "or by --group-pattern where paths are known."
            )
        elif self._ungrouped:
            log.warning(
                f"The recording of {counted(self._ungrouped, 'clip')} is not known, so each of "
                "them counts as its own: clips of one may land on both sides of the split."
            )
        if exported is None:
            log.info(
                "Runs that are trained on these features can be evaluated and compared. They "
                "cannot see videos: only the program that made the features can make more."
            )

    # -- the second half

    def run(self) -> CacheImportResult:
        """Writes the arrays, the split and the manifest.

        Raises:
            ConfigError, CacheError, DatasetError: See `prepare`.
            ViolenceDetectionError: If the cache cannot be written.
        """
        result = self.prepare()
        files.ensure_writable(self._dataset_dir)
        with shards.locked_folder(self._cache.dir):
            files.sweep_temporary(self._cache.dir)
            before = self._cache.entries()
            self._cache.write_record(self._record)
            entries = self._write_arrays()
            kept = {entry.path for entry in entries if entry.usable}
            for entry in before:
                if entry.path not in kept:
                    self._cache.drop_arrays(entry.path)
            assigned = self._resolve_splits(entries)
            self._cache.write_manifest(
                dataclasses.replace(entry, split=assigned[entry.path]) for entry in entries
            )
            self._cache.write_record(dataclasses.replace(self._record, complete=True, stopped=""))
        return dataclasses.replace(result, dry_run=False)

    def _write_arrays(self) -> list[ManifestEntry]:
        entries, rows = [], iter(self._rows)
        with contextlib.ExitStack() as stack:
            step = stack.enter_context(progress.track("Importing", len(self._rows), "clips"))
            for source in self._sources:
                file = stack.enter_context(self._open(*source))
                for block in file.blocks():
                    clips, reasons = to_float16(block)
                    for clip, reason in zip(clips, reasons, strict=True):
                        entries.append(self._write(next(rows), clip, reason))
                        step()
        if len(entries) != len(self._rows):
            raise CacheError(f"FILE must stay as it is while it is read. Received: {file.path}")
        return entries

    def _write(self, row: ManifestEntry, clip: np.ndarray, reason: str) -> ManifestEntry:
        if (row.status == "failed") != bool(reason):
            raise CacheError(f"FILE must stay as it is while it is read. Changed: {row.path}")
        if reason:
            return row
        (digest,) = self._cache.write_arrays(row.path, clip[None])
        # Without a video, the same features stand for the same video in the search for leaks.
        return dataclasses.replace(row, array_digest=digest, digest=row.digest or digest, views="")

    def _resolve_splits(self, entries: Sequence[ManifestEntry]) -> dict[str, str]:
        """Keeps the given and the drawn parts of the split, and draws what is missing."""
        given = {
            row.path: row.split
            for row in entries
            if self._sources_of_split.get(row.path, splits.GIVEN) == splits.GIVEN
        }
        drawn = {row.path: row.split for row in entries if row.path not in given and row.split}
        videos = [Video(row.path, row.label, row.group, given.get(row.path, "")) for row in entries]
        path = self._dataset_dir / "splits.csv"
        if drawn and not path.is_file():
            kept = [video for video in videos if video.key in drawn]
            splits.write_splits_csv(path, kept, drawn)
        folder = VideoFolder(self._video_dir, tuple(videos), self._grouping, self._ungrouped)
        by_path = {entry.path: entry for entry in entries}
        return self._store.update(
            folder,
            by_path,
            **self._config.split.as_dict(),
            redraw=self._config.redraw_splits,
        )

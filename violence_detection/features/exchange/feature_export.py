"""Writes the features of a cache into one HDF5 file, in the format that `hdf5` describes."""

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.datasets import class_names
from violence_detection.datasets.splitting import splits
from violence_detection.datasets.videos import Problem
from violence_detection.errors import ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.exchange.hdf5 import FORMAT, FORMAT_VERSION, MANIFEST_TYPES
from violence_detection.system import files, progress

if TYPE_CHECKING:
    import h5py

_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class CacheExportResult:
    """The result of an export, or of its dry run.

    Attributes:
        dry_run: True if nothing was written.
        path: The file.
        shape: N, T and D; of videos in segments their number comes after N.
        bytes: The size of the file; of a dry run, that of the features in it.
        left_out: Videos without features.
    """

    dry_run: bool
    path: Path
    shape: tuple[int, ...]
    bytes: int
    left_out: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "format": "h5",
            "path": str(self.path),
            "videos": self.shape[0],
            "shape": list(self.shape),
            "bytes": self.bytes,
            "left_out": [problem._asdict() for problem in self.left_out],
        }


class CacheExport:
    """Writes the features of a cache into one HDF5 file.

    Args:
        features: The folder that extract-features left.
        output: The file; None for the folder's name and `.h5`, in the working folder.
        force: A file that exists is replaced.
    """

    def __init__(self, features: str, *, output: str | None, force: bool) -> None:
        self._features, self._force = features, force
        self._output = output

    def prepare(self) -> CacheExportResult:
        """Reads the manifest and checks the output; nothing is written.

        Raises:
            CacheError: If the features are not those of a finished extraction.
            ConfigError: If the file exists and `force` is not given.
        """
        self.cache = FeatureCache.open(self._features)
        self.entries = sorted(dataset.usable_entries(self.cache), key=lambda entry: entry.path)
        space = self.cache.space()
        self.shape = (len(self.entries), *space.shape)
        self.path = Path(self._output or f"{self.cache.dir.name}.h5").absolute()
        if self.path.is_dir():
            raise ConfigError(f"--output must name a file. Received: {self.path} (a folder)")
        if self.path.exists() and not self._force:
            raise ConfigError(
                f"--output must not exist, or --force be given. Received: {self.path}"
            )
        failed = [entry for entry in self.cache.entries() if not entry.usable]
        return CacheExportResult(
            dry_run=True,
            path=self.path,
            shape=self.shape,
            bytes=2 * math.prod(self.shape),
            left_out=tuple(Problem(entry.path, entry.error) for entry in failed),
        )

    def run(self) -> CacheExportResult:
        """Writes the file; a reader never sees it before it is whole.

        Raises:
            CacheError: See `prepare`; also if an array is missing or altered.
            ViolenceDetectionError: If the file cannot be written.
        """
        import h5py

        result = self.prepare()
        temporary = self.path.with_name(f"{self.path.name[:20]}{files.temporary_mark()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(temporary, "w") as file:
                self._write(file)
            files.replace(temporary, self.path)
        except OSError as error:
            raise files.write_error(self.path, _with_errno(error)) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return dataclasses.replace(result, dry_run=False, bytes=self.path.stat().st_size)

    def _write(self, file: "h5py.File") -> None:
        import h5py

        text = h5py.string_dtype()
        record, entries = self.cache.record(), self.entries
        classes = _ordered_classes(entry.label for entry in entries)
        # -- attributes
        attributes = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "dataset": record.dataset.name,
            "fingerprint": record.space.fingerprint,
            "extraction": json.dumps(record.to_json(), ensure_ascii=False),
            **{name: value for name, value in record.space.as_dict().items() if name != "parts"},
        }
        file.attrs.update(attributes)
        file.attrs.create("classes", classes, dtype=text)
        # -- a row a video
        file["labels"] = np.array([classes.index(entry.label) for entry in entries], np.int64)
        sources = {
            row["path"]: row["source"]
            for row in splits.read_splits_csv(self.cache.dir.parent / "splits.csv")
        }
        columns = {
            "paths": [entry.path for entry in entries],
            "groups": [entry.group for entry in entries],
            "splits": [entry.split for entry in entries],
            "split_sources": [sources.get(entry.path, splits.GIVEN) for entry in entries],
        }
        for name, values in columns.items():
            file.create_dataset(name, data=values, dtype=text)
        for name, kind in MANIFEST_TYPES.items():
            values = [getattr(entry, name) for entry in entries]
            stored = text if kind is str else kind
            file.create_dataset(f"manifest/{name}", data=values, dtype=stored)
        self._write_features(file.create_dataset("features", self.shape, np.dtype("<f2")))

    def _write_features(self, features: "h5py.Dataset") -> None:
        rows = max(1, _BLOCK_BYTES // (2 * math.prod(self.shape[1:])))
        with progress.track("Exporting", len(self.entries), "videos") as step:
            for first in range(0, len(self.entries), rows):
                block = []
                for entry in self.entries[first : first + rows]:
                    block.append(self.cache.read_array(entry, self.shape[1:]))
                    step()
                features[first : first + len(block)] = np.stack(block)


def _ordered_classes(names: Iterator[str]) -> list[str]:
    """Class names, the normal class first where it is recognised by its name, else sorted."""
    classes = sorted(set(names))
    with contextlib.suppress(ConfigError):
        normal = class_names.normal_class(classes)
        classes.sort(key=lambda name: name != normal)
    return classes


def _with_errno(error: OSError) -> OSError:
    """The system's own error, where HDF5 wrapped it: its number is in the text only."""
    if error.errno is None:
        for part in str(error).split("errno = ")[1:]:
            digits = part.split(",")[0]
            if digits.isdigit():
                return OSError(int(digits), str(error))
    return error

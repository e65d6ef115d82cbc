"""The datasets and feature spaces in a cache: their size, their state, checks and removal."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from violence_detection import registry
from violence_detection.errors import CacheError, ConfigError, ViolenceDetectionError
from violence_detection.features.cache import FeatureCache
from violence_detection.system import files, locks, progress
from violence_detection.units import counted

log = logging.getLogger(__name__)

RunsByFeatures = Mapping[Path, Sequence[str]]


@dataclass(frozen=True)
class SpaceSummary:
    """One feature space of a dataset.

    Attributes:
        name: The name of the folder.
        features: Absolute path of the folder.
        videos: Videos that have an array.
        bytes: The size of all files in the folder.
        complete: True if the extraction was finished.
        used_by: Absolute paths of the runs that were trained on it.
    """

    name: str
    features: str
    videos: int
    bytes: int
    complete: bool
    used_by: tuple[str, ...]


@dataclass(frozen=True)
class DatasetSummary:
    """One dataset of a cache, with its feature spaces."""

    name: str
    dir: Path
    bytes: int
    spaces: tuple[SpaceSummary, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "bytes": self.bytes,
            "spaces": [asdict(space) | {"used_by": list(space.used_by)} for space in self.spaces],
        }


@dataclass(frozen=True)
class ArrayFinding:
    """A problem of an array, or of a whole feature space.

    Attributes:
        features: The folder of the feature space.
        path: The video; empty where the problem is that of the whole space.
        reason: What is wrong.
    """

    features: str
    path: str
    reason: str


@dataclass(frozen=True)
class VerifyResult:
    """The result of a verification.

    Attributes:
        spaces, videos, arrays: How many were checked.
        findings: In the order in which they were found.
    """

    spaces: int
    videos: int
    arrays: int
    findings: tuple[ArrayFinding, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"findings": [asdict(finding) for finding in self.findings]}


@dataclass(frozen=True)
class PruneResult:
    """Folders that are removed from a cache.

    Attributes:
        dry_run: True if nothing was removed.
        removed: Absolute paths of the folders.
        bytes: The size of their files.
        used_by: Absolute paths of the runs that were trained on them, sorted.
    """

    dry_run: bool
    removed: tuple[str, ...]
    bytes: int
    used_by: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"removed": list(self.removed), "used_by": list(self.used_by)}


def list_datasets(cache_dir: Path, runs: RunsByFeatures) -> list[DatasetSummary]:
    """Reads a cache folder, returns its datasets by name.

    Files, hidden folders, links and folders of anything else are passed over.

    Args:
        cache_dir: The folder; it need not exist.
        runs: Paths of runs by the real path of the features that they were trained on.

    Raises:
        CacheError: If the folder cannot be read.
    """
    try:
        folders = sorted(filter(_is_plain_folder, cache_dir.iterdir()))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CacheError(f"{cache_dir} must be a readable folder. ({error.strerror})") from error
    return [
        _summarise_dataset(folder, runs)
        for folder in folders
        if (folder / "splits.csv").is_file() or any(folder.glob("*/extraction.json"))
    ]


def _summarise_dataset(folder: Path, runs: RunsByFeatures) -> DatasetSummary:
    spaces = [
        _summarise_space(path.parent, runs)
        for path in sorted(folder.glob("*/extraction.json"))
        if _is_plain_folder(path.parent)
    ]
    return DatasetSummary(folder.name, folder.resolve(), _bytes_of(folder), tuple(spaces))


def _summarise_space(folder: Path, runs: RunsByFeatures) -> SpaceSummary:
    cache, videos, complete = FeatureCache(folder), 0, False
    try:
        videos = sum(entry.usable for entry in cache.entries())
        complete = cache.record().complete and cache.manifest_path.is_file()
    except ViolenceDetectionError as error:
        log.warning(str(error))
    return SpaceSummary(
        name=folder.name,
        features=str(cache.dir),
        videos=videos,
        bytes=_bytes_of(folder),
        complete=complete,
        used_by=tuple(runs.get(cache.dir, ())),
    )


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def _bytes_of(folder: Path) -> int:
    """Bytes of the files below a folder; what another process removes meanwhile counts as 0."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total


def choose_spaces(
    datasets: Sequence[DatasetSummary], names: Sequence[str], cache_dir: Path
) -> list[SpaceSummary]:
    """The feature spaces that names stand for, each once; all of them without a name.

    Raises:
        ConfigError: If a name is not in the cache.
    """
    if not names:
        return [space for dataset in datasets for space in dataset.spaces]
    places = [_find(datasets, name, cache_dir) for name in names]
    return list(dict.fromkeys(space for _, _, spaces in places for space in spaces))


def verify_arrays(spaces: Sequence[SpaceSummary]) -> VerifyResult:
    """Reads every array again and compares it with the digest in its manifest."""
    counts, findings = Counter(), []
    with progress.track("Verifying", sum(space.videos for space in spaces), "videos") as step:
        for space in spaces:

            def add(path: str, reason: str, features: str = space.features) -> None:
                findings.append(ArrayFinding(features, path, reason))

            try:
                _verify_space(space, add, counts, step)
            except ViolenceDetectionError as error:
                add("", str(error))
    return VerifyResult(len(spaces), counts["videos"], counts["arrays"], tuple(findings))


def _verify_space(
    space: SpaceSummary,
    add: Callable[[str, str], None],
    counts: Counter[str],
    step: Callable[[], None],
) -> None:
    cache = FeatureCache.open(space.features)
    shape = cache.space().shape
    if not space.complete:
        add("", "the extraction was not finished; start extract-features again")
    entries = [entry for entry in cache.entries() if entry.usable]
    for entry in entries:
        for view in range(len(entry.digests)):
            try:
                cache.read_content(entry, shape, view)
            except CacheError as error:
                add(entry.path, str(error))
        counts["videos"] += 1
        counts["arrays"] += len(entry.digests)
        step()
    listed = {
        cache.array_path(entry.path, view)
        for entry in (*entries, *cache.former_entries())
        for view in range(len(entry.digests))
    }
    for path in sorted(set(cache.dir.rglob("*.npy")) - listed):
        add(path.relative_to(cache.dir).as_posix(), "the manifest does not list this array")


class PruneStage:
    """Removes datasets and feature spaces from a cache.

    Args:
        cache_dir: The folder of the cache.
        names: Each `DATASET`, `DATASET/SPACE` or the path of a features folder.
        runs: Paths of runs by the real path of the features that they were trained on.
        force: Features that a run was trained on are removed as well.
    """

    def __init__(
        self, cache_dir: Path, names: Sequence[str], runs: RunsByFeatures, *, force: bool
    ) -> None:
        self._cache_dir, self._names, self._runs, self._force = cache_dir, names, runs, force
        self._folders: list[Path] = []

    def prepare(self) -> PruneResult:
        """Finds what the names stand for; nothing is removed.

        Raises:
            ConfigError: If a name is not in the cache, or a run was trained on the features and
                `force` is not given.
        """
        datasets = list_datasets(self._cache_dir, self._runs)
        sizes: dict[Path, int] = {}
        used_by: set[str] = set()
        for name in self._names:
            folder, size, spaces = _find(datasets, name, self._cache_dir)
            sizes[folder] = size
            used_by.update(run for space in spaces for run in space.used_by)
        # A dataset and one of its spaces may be named together.
        inside = {folder for folder in sizes if set(folder.parents) & sizes.keys()}
        self._folders = [folder for folder in sizes if folder not in inside]
        if used_by and not self._force:
            raise ConfigError(
                "What a run was trained on is removed with --force only: without its features it "
                "cannot be evaluated or resumed. Received: features of "
                f"{counted(len(used_by), 'run')}, e.g. {min(used_by)}"
            )
        return PruneResult(
            dry_run=True,
            removed=tuple(map(str, self._folders)),
            bytes=sum(sizes[folder] for folder in self._folders),
            used_by=tuple(sorted(used_by)),
        )

    def run(self) -> PruneResult:
        """Removes the folders.

        Raises:
            ConfigError: See `prepare`; also if an extraction works in one of the folders.
            ViolenceDetectionError: If the system refuses.
        """
        result = self.prepare()
        for folder in self._folders:
            if (folder / "extraction.json").is_file():
                _remove_space(folder)
            else:
                for path in sorted(folder.glob("*/extraction.json")):
                    _remove_space(path.parent)
                _remove(folder)
        return replace(result, dry_run=False)


def _find(
    datasets: Sequence[DatasetSummary], name: str, cache_dir: Path
) -> tuple[Path, int, Sequence[SpaceSummary]]:
    """The folder of a name, its bytes and its feature spaces."""
    places: dict[str, tuple[Path, int, Sequence[SpaceSummary]]] = {}
    for dataset in datasets:
        places[dataset.name] = (dataset.dir, dataset.bytes, dataset.spaces)
        for space in dataset.spaces:
            place = (Path(space.features), space.bytes, (space,))
            places[f"{dataset.name}/{space.name}"] = place
    by_path = {str(folder): place for place in places.values() for folder in place[:1]}
    wanted = name.rstrip("/")
    place = places.get(wanted) or by_path.get(os.path.realpath(name))
    if place is None:
        names = [dataset.name for dataset in datasets]
        hint = registry.did_you_mean(wanted, names) or registry.did_you_mean(wanted, list(places))
        raise ConfigError(
            "NAME must be DATASET, DATASET/SPACE or the path of features in the cache (cache list "
            f"shows them).{hint} Received: {name} (not in {cache_dir})"
        )
    return place


def _remove_space(folder: Path) -> None:
    """Removes a feature space in which no extraction works."""
    busy = (
        f"Features in which an extraction works are not removed. Received: {folder} (wait for it, "
        "or stop it)"
    )
    with locks.locked(folder / ".lock", busy):
        if not all(locks.is_free(FileLock(path)) for path in folder.glob(".shard-*.lock")):
            raise ConfigError(busy)
        # Without its manifest it is no cache any more; while extraction.json is there, `cache
        # list` shows it. So a removal that is killed can be started again.
        (folder / "manifest.csv").unlink(missing_ok=True)
        for path in folder.iterdir():
            if path.name not in ("extraction.json", ".lock"):
                _remove(path)
    _remove(folder)


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise files.write_error(path, error) from error

"""Leakage between training and test: shared recordings, identical files and near-duplicates."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.splitting.recordings import NearDuplicates
from violence_detection.datasets.summaries import perceptual_hash
from violence_detection.datasets.summaries.summary_cache import AvailableSummaries
from violence_detection.datasets.table_files import manifest
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files


@dataclass(frozen=True)
class Leaks:
    """The leaks between training videos and evaluated videos, or between folds.

    Attributes:
        recordings: Names of recordings that are on both sides.
        identical: Paths of videos whose bytes are on the other side too.
        near_duplicates: By path of a video, the path of its near-duplicate on the other side;
            only pairs of different recordings and different bytes.
        searched: Whether every video was searched for near-duplicates.
        reason: Why not.
    """

    recordings: Collection[str] = ()
    identical: Collection[str] = ()
    near_duplicates: Mapping[str, str] = field(default_factory=dict)
    searched: bool = False
    reason: str = ""

    @property
    def clean(self) -> bool:
        return not (self.recordings or self.identical or self.near_duplicates)

    @property
    def lines(self) -> list[str]:
        """A line for each leak, sorted within its kind."""
        return [
            *(f"recording {name}" for name in sorted(self.recordings)),
            *(f"content of {path}" for path in sorted(self.identical)),
            *(
                f"near-duplicate of {duplicate}: {path}"
                for path, duplicate in sorted(self.near_duplicates.items())
            ),
        ]

    @property
    def counts(self) -> dict[str, int]:
        """The number of leaks of each kind."""
        return {
            "recordings": len(self.recordings),
            "identical": len(self.identical),
            "near_duplicates": len(self.near_duplicates),
        }

    def to_json(self) -> dict[str, Any]:
        """`clean`, `leaks`, `leak_counts`, `near_duplicates_searched` and
        `near_duplicates_reason`."""
        return {
            "clean": self.clean,
            "leaks": self.lines,
            "leak_counts": self.counts,
            "near_duplicates_searched": self.searched,
            "near_duplicates_reason": self.reason,
        }


def find_leaks(
    run: Run,
    cache: FeatureCache,
    entries: Sequence[ManifestEntry],
    split: str,
    *,
    same_dataset: bool | None = None,
    groups: Mapping[str, str] | None = None,
    read_videos: bool = True,
    max_bits: float = 4.0,
) -> Leaks:
    """Finds which of some videos the run was trained or tuned on.

    Names of recordings are compared within one dataset only; contents and near-duplicates always.

    Args:
        run: The trained run.
        cache: Features of the videos.
        entries: Rows of the videos.
        split: The split that they are; validation videos are compared with training videos only.
        same_dataset: Whether equal names mean the same recording; None to detect it.
        groups: Recordings by path, in place of those of the run and of `entries`.
        read_videos: Whether videos that still exist may be decoded for near-duplicates.
        max_bits: Distance of near-duplicates, in bits of 64.
    """
    trained_splits = ("train",) if split == "validation" else ("train", "validation")
    trained_on, unlisted = _videos_trained_on(run, cache)
    rows = [row for row in trained_on if row["split"] in trained_splits]
    groups = groups or {}
    trained_groups, own_groups = set(), {}
    if is_same_dataset(run, cache) if same_dataset is None else same_dataset:
        trained_groups = {groups.get(row["path"], row["group"]) for row in rows} - {""}
        own_groups = {entry.path: groups.get(entry.path, entry.group) for entry in entries}
    digests = {row["digest"] for row in rows}
    identical = {entry.path for entry in entries if entry.digest in digests}
    duplicates, reason = {}, "--no-read-videos was given"
    if read_videos:
        duplicates, reason = _near_duplicates(run, cache, entries, rows, max_bits)
    reason = "; ".join(filter(None, (unlisted, reason)))
    return Leaks(
        trained_groups & set(own_groups.values()),
        identical,
        {
            path: duplicate
            for path, duplicate in duplicates.items()
            if path not in identical and own_groups.get(path) not in trained_groups
        },
        read_videos and not reason,
        reason,
    )


def _videos_trained_on(run: Run, cache: FeatureCache) -> tuple[list[Mapping[str, str]], str]:
    """Rows of the videos that a run was trained and validated on; and the reason why some of them
    are not listed, or "".

    A federated run lists none. Features of one of its sites, which it tells by their digest, have
    those of that site.
    """
    if not run.record().federation:
        return run.videos_trained_on(), ""
    reason = "the run is federated and lists no videos of other sites"
    if not _is_site(run, cache):
        return [], reason
    names = ("path", "group", "split", "digest")
    own = dataset.usable_entries(cache)
    return [{name: getattr(entry, name) for name in names} for entry in own], reason


def _is_site(run: Run, cache: FeatureCache) -> bool:
    """True if features are those of a site that a federated run was trained over."""
    federation = run.record().federation
    if not federation:
        return False
    digests = {site.videos_digest for site in federation.sites}
    return manifest.contents_digest(dataset.usable_entries(cache)) in digests


def find_leaks_between_folds(
    entries: Sequence[ManifestEntry], draws: Sequence[np.ndarray], near_duplicates: NearDuplicates
) -> Leaks:
    """Finds recordings, files and near-duplicates that are in several folds of a draw.

    Args:
        entries: N videos.
        draws: For each draw, the fold of each video, int (N,); -1 for none.
        near_duplicates: Among the videos.
    """
    row_of = {entry.path: row for row, entry in enumerate(entries)}

    def in_several_folds(names: Sequence[str]) -> set[str]:
        """The names whose videos are in several folds."""
        leaked = set()
        for folds in draws:
            folds_of = defaultdict(set)
            for name, fold in zip(names, folds.tolist(), strict=True):
                if name and fold >= 0:
                    folds_of[name].add(fold)
            leaked |= {name for name, members in folds_of.items() if len(members) > 1}
        return leaked

    recordings = in_several_folds([entry.group for entry in entries])
    digests = in_several_folds([entry.digest for entry in entries])
    duplicates = {}
    for path, duplicate in near_duplicates.pairs:
        row, other_row = row_of[path], row_of[duplicate]
        apart = any(folds[row] != folds[other_row] for folds in draws)
        same_group = entries[row].group == entries[other_row].group
        if apart and not same_group and entries[row].digest != entries[other_row].digest:
            duplicates |= {path: duplicate, duplicate: path}
    identical = {entry.path for entry in entries if entry.digest in digests}
    return Leaks(
        recordings, identical, duplicates, near_duplicates.searched, near_duplicates.reason
    )


def is_same_dataset(run: Run, cache: FeatureCache) -> bool:
    """Checks whether features are of the dataset that the run was trained on: the folder is the
    same, or any file, or they are those of a site of a federated run. Equal names then mean the
    same recording."""
    if cache.origin == run.record().dataset or _is_site(run, cache):
        return True
    digests = {row["digest"] for row in files.read_own_csv(run.videos_path, ("digest",))}
    return any(entry.digest in digests for entry in dataset.usable_entries(cache))


def _near_duplicates(
    run: Run,
    cache: FeatureCache,
    entries: Sequence[ManifestEntry],
    rows: Sequence[Mapping[str, str]],
    max_bits: float,
) -> tuple[dict[str, str], str]:
    """By path of a video, the path of the most similar training video within `max_bits`; and the
    reason why not every video was searched, or ""."""
    wanted = {(row["path"], row["digest"]) for row in rows}
    trained_entries, trained_cache = _training_entries(run, cache, wanted)
    available, trained = cache.summaries(entries), None
    if trained_entries:
        trained = trained_cache.summaries(trained_entries)
    reasons = [available.missing_reason] if available.missing_reason else []
    if len(trained_entries) < len(wanted):
        missing = len(wanted) - len(trained_entries)
        reasons.append(f"{missing} of {len(wanted)} training videos have no features")
    if trained and trained.missing_reason:
        reasons.append(f"training videos: {trained.missing_reason}")
    nearest: dict[str, tuple[float, str]] = {}
    if trained:
        paths, hashes = _hashes(entries, available)
        trained_paths, trained_hashes = _hashes(trained_entries, trained)
        for row, column, bits in perceptual_hash.near_duplicate_pairs(
            hashes, trained_hashes, max_bits
        ):
            path, duplicate = paths[row], trained_paths[column]
            if path != duplicate or cache.dir.parent != trained_cache.dir.parent:
                nearest[path] = min(nearest.get(path, (np.inf, "")), (bits, duplicate))
    return {path: duplicate for path, (_, duplicate) in nearest.items()}, "; ".join(reasons)


def _training_entries(
    run: Run, cache: FeatureCache, wanted: Collection[tuple[str, str]]
) -> tuple[list[ManifestEntry], FeatureCache]:
    """Rows of the training videos, in the given features or in those of the training."""
    if not is_same_dataset(run, cache):
        try:
            cache = FeatureCache.open(Path(run.record().features))
        except CacheError:
            return [], cache
    entries = [entry for entry in cache.entries() if (entry.path, entry.digest) in wanted]
    return entries, cache


def _hashes(
    entries: Sequence[ManifestEntry], available: AvailableSummaries
) -> tuple[list[str], np.ndarray]:
    """Paths and hashes, uint64 (M, 8), of the videos whose frames are not uniform."""
    rows = np.flatnonzero(~available.summaries.is_uniform)
    return [entries[available.rows[row]].path for row in rows], available.summaries.hashes[rows]

"""What is on both sides of a split: recordings, identical files, and videos that look alike."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import perceptual_hash
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.recordings import NearDuplicates
from violence_detection.datasets.summary_cache import AvailableSummaries
from violence_detection.errors import CacheError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files


@dataclass(frozen=True)
class Leaks:
    """What was found on both sides.

    Attributes:
        recordings: Names.
        identical: Paths of videos whose bytes are on the other side too.
        near_duplicates: Path of a video, and of the one on the other side that it looks like;
            of other recordings, and other bytes.
        searched: Whether all videos could be looked at for these.
        reason: Why not.
    """

    recordings: Collection[str] = ()
    identical: Collection[str] = ()
    near_duplicates: Mapping[str, str] = ()
    searched: bool = False
    reason: str = ""

    @property
    def clean(self) -> bool:
        return not (self.recordings or self.identical or self.near_duplicates)

    @property
    def words(self) -> list[str]:
        """A line each, sorted within its kind."""
        return [
            *(f"recording {name}" for name in sorted(self.recordings)),
            *(f"content of {path}" for path in sorted(self.identical)),
            *(
                f"look-alike of {other}: {path}"
                for path, other in sorted(dict(self.near_duplicates).items())
            ),
        ]

    def as_dict(self) -> dict[str, Any]:
        """`clean`, `leaks`, `leak_counts`, and whether near-duplicates were looked for."""
        return {
            "clean": self.clean,
            "leaks": self.words,
            "leak_counts": {
                "recordings": len(self.recordings),
                "identical": len(self.identical),
                "near_duplicates": len(self.near_duplicates),
            },
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
    pictures: bool = True,
    most_bits: float = 4.0,
) -> Leaks:
    """What of some videos the run has learned or chosen from.

    Names of recordings are compared within one dataset only; contents and looks always.

    Args:
        run: Which has learned.
        cache: Features of the videos.
        entries: The videos.
        split: Which of the run's they are; validation is compared with train alone.
        same_dataset: Whether names of recordings mean the same; None finds out.
        groups: Recordings by path, where they are not those of the run and of `entries`.
        pictures: Whether videos are looked at, where they are still there.
        most_bits: Of 64, by which those that look alike may differ.
    """
    learned = ("train",) if split == "validation" else ("train", "validation")
    rows = [row for row in run.known_videos() if row["split"] in learned]
    groups = groups or {}
    names, mine = set(), {}
    if is_same_dataset(run, cache) if same_dataset is None else same_dataset:
        names = {groups.get(row["path"], row["group"]) for row in rows} - {""}
        mine = {entry.path: groups.get(entry.path, entry.group) for entry in entries}
    digests = {row["digest"] for row in rows}
    identical = {entry.path for entry in entries if entry.digest in digests}
    found, searched, reason = {}, False, "--no-pictures was given"
    if pictures:
        found, reason = _near_duplicates(run, cache, entries, rows, most_bits)
        searched = not reason
    return Leaks(
        names & set(mine.values()),
        identical,
        {
            path: other
            for path, other in found.items()
            if path not in identical and mine.get(path) not in names
        },
        searched,
        reason,
    )


def find_leaks_between_folds(
    entries: Sequence[ManifestEntry], draws: Sequence[np.ndarray], found: NearDuplicates
) -> Leaks:
    """What of some videos is in several folds of a draw.

    Args:
        entries: N videos.
        draws: The fold of each, int (N,), -1 for none; once for each draw.
        found: Which of the videos look alike.
    """
    row_of = {entry.path: row for row, entry in enumerate(entries)}

    def torn(kind: Sequence[str]) -> set[str]:
        """Names whose videos are in several folds."""
        names = set()
        for folds in draws:
            sides = defaultdict(set)
            for name, fold in zip(kind, folds.tolist(), strict=True):
                if name and fold >= 0:
                    sides[name].add(fold)
            names |= {name for name, on in sides.items() if len(on) > 1}
        return names

    recordings = torn([entry.group for entry in entries])
    digests = torn([entry.digest for entry in entries])
    lookalikes = {}
    for pair in found.pairs:
        one, other = (row_of[path] for path in pair)
        apart = any(folds[one] != folds[other] for folds in draws)
        same = entries[one].group == entries[other].group
        if apart and not same and entries[one].digest != entries[other].digest:
            lookalikes |= {pair[0]: pair[1], pair[1]: pair[0]}
    identical = {entry.path for entry in entries if entry.digest in digests}
    return Leaks(recordings, identical, lookalikes, found.searched, found.reason)


def is_same_dataset(run: Run, cache: FeatureCache) -> bool:
    """Whether names of recordings mean the same: by the dataset's folder, or by any content."""
    if cache.settings().get("dataset") == run.record().dataset:
        return True
    learned = {row["digest"] for row in files.read_own_csv(run.videos_path, ("digest",))}
    return any(entry.digest in learned for entry in dataset.usable_entries(cache))


def _near_duplicates(
    run: Run,
    cache: FeatureCache,
    entries: Sequence[ManifestEntry],
    rows: Sequence[Mapping[str, str]],
    most_bits: float,
) -> tuple[dict[str, str], str]:
    """By path, what a video looks like most of what was learned from; and why not all videos
    could be looked at."""
    wanted = {(row["path"], row["digest"]) for row in rows}
    theirs, their_cache = _training_entries(run, cache, wanted)
    here, there = cache.summaries(entries), None
    if theirs:
        there = their_cache.summaries(theirs)
    reasons = [here.missing_reason] if here.missing_reason else []
    if len(theirs) < len(wanted):
        gone = len(wanted) - len(theirs)
        reasons.append(f"{gone} of {len(wanted)} videos learned from have no features")
    if there and there.missing_reason:
        reasons.append(f"of those learned from, {there.missing_reason}")
    found: dict[str, tuple[float, str]] = {}
    if there:
        paths, hashes = _hashes(entries, here)
        other_paths, other_hashes = _hashes(theirs, there)
        for row, column, bits in perceptual_hash.near_duplicate_pairs(
            hashes, other_hashes, most_bits
        ):
            path, other = paths[row], other_paths[column]
            if path != other or cache.dir.parent != their_cache.dir.parent:
                found[path] = min(found.get(path, (np.inf, "")), (bits, other))
    return {path: other for path, (_, other) in found.items()}, "; ".join(reasons)


def _training_entries(
    run: Run, cache: FeatureCache, wanted: Collection[tuple[str, str]]
) -> tuple[list[ManifestEntry], FeatureCache]:
    """Rows of what was learned from, in the features at hand or in those of the training."""
    if not is_same_dataset(run, cache):
        own = Path(run.record().features)
        try:
            cache = FeatureCache.open(own)
        except CacheError:
            return [], cache
    known = cache.entries()
    return [one for one in known if (one.path, one.digest) in wanted], cache


def _hashes(
    entries: Sequence[ManifestEntry], seen: AvailableSummaries
) -> tuple[list[str], np.ndarray]:
    rows = np.flatnonzero(~seen.summaries.is_uniform)
    return [entries[seen.rows[row]].path for row in rows], seen.summaries.hashes[rows]

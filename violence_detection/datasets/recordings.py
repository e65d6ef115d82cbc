"""Which recording a video is of: as extraction noted it, by a pattern on its path, or with all that
look alike."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from violence_detection.datasets import perceptual_hash, summary_cache, video_folder
from violence_detection.datasets.manifest import ManifestEntry, part_suffix
from violence_detection.datasets.summary_cache import AvailableSummaries
from violence_detection.errors import EvidenceError


@dataclass(frozen=True)
class NearDuplicates:
    """Videos that look alike, as far as they could be looked at.

    Attributes:
        pairs: By two paths, the smaller first: bits that they are apart.
        searched: Whether all of them were looked at.
        reason: Why not.
    """

    pairs: Mapping[tuple[str, str], float]
    searched: bool
    reason: str

    @classmethod
    def nowhere(cls, reason: str) -> "NearDuplicates":
        """Where nothing was looked at."""
        return cls({}, False, reason)


def near_duplicates_of(
    entries: Sequence[ManifestEntry], seen: AvailableSummaries, most_bits: float
) -> NearDuplicates:
    """The pairs among some videos that look alike.

    Args:
        entries: N videos.
        seen: Of them.
        most_bits: Of 64, that may differ.
    """
    rows = np.flatnonzero(~seen.sights.is_dull)
    paths = [entries[seen.rows[row]].path for row in rows]
    hashes = seen.sights.hashes[rows]
    pairs = {
        tuple(sorted((paths[one], paths[other]))): round(bits, 2)
        for one, other, bits in perceptual_hash.near_duplicate_pairs(hashes, hashes, most_bits)
        if one < other
    }
    return NearDuplicates(pairs, not seen.left_out, seen.left_out)


@dataclass(frozen=True)
class Grouping:
    """The recordings of a dataset's videos, as they are taken.

    Attributes:
        groups: By path.
        known: Whether the recording of every video is.
        source: Where they come from, in words; empty where extraction noted them.
    """

    groups: Mapping[str, str]
    known: bool
    source: str

    def of(self, entries: Sequence[ManifestEntry]) -> list[ManifestEntry]:
        """The same videos, with these recordings."""
        return [
            dataclasses.replace(entry, group=self.groups.get(entry.path, entry.group))
            for entry in entries
        ]


def choose_recordings(
    entries: Sequence[ManifestEntry],
    *,
    known: bool,
    pattern: str | None,
    by_likeness: NearDuplicates | None,
) -> Grouping:
    """The recordings as they are asked for.

    Args:
        entries: All videos of a dataset.
        known: Whether extraction noted the recording of every video.
        pattern: Regular expression on the path; None keeps what extraction noted.
        by_likeness: Join the recordings of what looks alike, too.

    Raises:
        ConfigError: If the pattern is none, or matches nothing.
        EvidenceError: If some of the videos could not be looked at.
    """
    groups = {entry.path: entry.group for entry in entries}
    source = ""
    if pattern is not None:
        paths = [entry.path.removesuffix(part_suffix(entry.path)) for entry in entries]
        names = video_folder.match_recordings(pattern, paths)
        known, source = all(names), "--group-pattern"
        for entry, name in zip(entries, names, strict=True):
            groups[entry.path] = name or entry.group
    if by_likeness is not None:
        if not by_likeness.searched:
            raise EvidenceError(
                "--group-near-duplicates must have all videos to look at. Received: "
                f"{by_likeness.reason}"
            )
        groups = _joined(groups, by_likeness.pairs)
        source = " and ".join(filter(None, (source, "likeness")))
    return Grouping(groups, known, source)


def find_near_duplicates(
    entries: Sequence[ManifestEntry],
    *,
    video_dir: Path,
    kept: Path,
    pictures: bool,
    most_bits: float,
) -> tuple[NearDuplicates, AvailableSummaries | None]:
    """The near-duplicates among some videos, and the videos' summaries.

    Args:
        entries: The videos.
        video_dir: Their folder.
        kept: The file of the summaries made before.
        pictures: Whether the videos may be decoded.
        most_bits: Of 64, that may differ.
    """
    if not pictures:
        return NearDuplicates.nowhere("--no-pictures was given"), None
    seen = summary_cache.summaries_of(entries, video_dir=video_dir, kept=kept)
    return near_duplicates_of(entries, seen, most_bits), seen


def _joined(groups: Mapping[str, str], pairs: Mapping[tuple[str, str], float]) -> dict[str, str]:
    """Recordings joined where a video of the one looks like one of the other; a joined one has
    the first name of its own."""
    names = sorted(set(groups.values()))
    place = {name: number for number, name in enumerate(names)}
    links = [(place[groups[one]], place[groups[other]]) for one, other in pairs]
    rows, columns = np.array(links, int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), (len(names),) * 2)
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return {path: names[first[component[place[name]]]] for path, name in groups.items()}

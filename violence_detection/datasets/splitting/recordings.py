"""The recordings of videos in a cache: from extraction, a pattern on paths, or near-duplicates.

The default is what extraction noted. `video_folder` decides it there: it reads the `group` of
videos.csv, or a pattern on paths; a video without either is a recording of its own.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from violence_detection.datasets import video_folder
from violence_detection.datasets.summaries import perceptual_hash, summary_cache
from violence_detection.datasets.summaries.summary_cache import AvailableSummaries
from violence_detection.datasets.table_files.manifest import ManifestEntry, part_suffix
from violence_detection.errors import EvidenceError


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of videos that are near-duplicates, as far as their videos could be read.

    Attributes:
        pairs: Distance in bits, by the two paths, the smaller first.
        searched: Whether all videos were compared.
        reason: Why not; empty if they were.
    """

    pairs: Mapping[tuple[str, str], float]
    searched: bool
    reason: str

    @classmethod
    def not_searched(cls, reason: str) -> "NearDuplicates":
        return cls({}, False, reason)


@dataclass(frozen=True)
class Grouping:
    """The recordings of a dataset's videos.

    Attributes:
        groups: The recording of each video, by path.
        complete: Whether every video has a recording that was named or found.
        source: The source of the recordings, in words; empty if extraction noted them.
    """

    groups: Mapping[str, str]
    complete: bool
    source: str

    def apply_to(self, entries: Sequence[ManifestEntry]) -> list[ManifestEntry]:
        """The same videos, with these recordings."""
        return [
            dataclasses.replace(entry, group=self.groups.get(entry.path, entry.group))
            for entry in entries
        ]


def choose_recordings(
    entries: Sequence[ManifestEntry],
    *,
    complete: bool,
    pattern: str | None,
    joined_by: NearDuplicates | None,
) -> Grouping:
    """The recordings of videos, by the settings of an evaluation.

    Args:
        entries: All videos of a dataset.
        complete: Whether extraction noted the recording of every video.
        pattern: Regular expression on the path; None keeps what extraction noted.
        joined_by: Near-duplicates whose recordings become one; None joins none.

    Raises:
        ConfigError: If the pattern is no regular expression, or matches nothing.
        EvidenceError: If not all videos were searched for near-duplicates.
    """
    groups = {entry.path: entry.group for entry in entries}
    source = ""
    if pattern is not None:
        paths = [entry.path.removesuffix(part_suffix(entry.path)) for entry in entries]
        names = video_folder.names_in_paths(pattern, paths)
        complete, source = all(names), "--group-pattern"
        for entry, name in zip(entries, names, strict=True):
            groups[entry.path] = name or entry.group
    if joined_by is not None:
        if not joined_by.searched:
            raise EvidenceError(
                "--group-near-duplicates must have the files of all videos. Received: "
                f"{joined_by.reason}"
            )
        groups = _joined(groups, joined_by.pairs)
        source = " and ".join(filter(None, (source, "likeness")))
    return Grouping(groups, complete, source)


def find_near_duplicates(
    entries: Sequence[ManifestEntry],
    *,
    video_dir: Path,
    summaries_path: Path,
    read_videos: bool,
    max_bits: float,
) -> tuple[NearDuplicates, AvailableSummaries | None]:
    """The near-duplicates among some videos, and the videos' summaries.

    Args:
        entries: The videos.
        video_dir: Their folder.
        summaries_path: The file of summaries; those of other videos are added to it.
        read_videos: Whether videos may be decoded; without it nothing is searched.
        max_bits: Largest distance of near-duplicates, of the 64 bits of a frame's hash.
    """
    if not read_videos:
        return NearDuplicates.not_searched("--no-read-videos was given"), None
    available = summary_cache.summaries_of(entries, video_dir=video_dir, path=summaries_path)
    # Uniform videos have hashes that say nothing about them.
    rows = np.flatnonzero(~available.summaries.is_uniform)
    paths = [entries[available.rows[row]].path for row in rows]
    hashes = available.summaries.hashes[rows]
    pairs = {
        tuple(sorted((paths[first], paths[second]))): round(bits, 2)
        for first, second, bits in perceptual_hash.near_duplicate_pairs(hashes, hashes, max_bits)
        if first < second
    }
    reason = available.missing_reason
    return NearDuplicates(pairs, not reason, reason), available


def _joined(groups: Mapping[str, str], pairs: Mapping[tuple[str, str], float]) -> dict[str, str]:
    """Recordings, joined where they have near-duplicate videos.

    Joined recordings are the connected components of the graph of pairs; a component is named
    by the first of its recordings.
    """
    names = sorted(set(groups.values()))
    place = {name: number for number, name in enumerate(names)}
    links = [(place[groups[first]], place[groups[second]]) for first, second in pairs]
    rows, columns = np.array(links, int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), (len(names),) * 2)
    _, component = connected_components(graph, directed=False)
    _, first_of = np.unique(component, return_index=True)
    return {path: names[first_of[component[place[name]]]] for path, name in groups.items()}

"""A video of a dataset: a file, or a part of a file."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Video:
    """A video of a dataset: a file, or a part of a file.

    Attributes:
        path: Relative to the dataset's folder, with `/`.
        group: The recording.
        split: Empty if the dataset gives none.
        start_s, end_s: Start and end of a part, in seconds; None for a whole file.
        camera, recorded_at, kind: See `ManifestEntry`.
    """

    path: str
    label: str
    group: str
    split: str = ""
    start_s: float | None = None
    end_s: float | None = None
    camera: str = ""
    recorded_at: str = ""
    kind: str = ""

    @property
    def key(self) -> str:
        """The name in the cache: the path, and `@start-end` for a part of a file."""
        if self.start_s is None:
            return self.path
        return f"{self.path}@{self.start_s:.10g}-{self.end_s:.10g}"

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end of the part; 0 and infinity for a whole file."""
        if self.start_s is None:
            return 0.0, math.inf
        return self.start_s, self.end_s


class Problem(NamedTuple):
    """A video, or a part of one, with what is wrong with it."""

    path: str
    reason: str


def contradictions(videos: Iterable[Video]) -> list[tuple[Video, Video]]:
    """Pairs of parts of one file that overlap and have different labels, in their order."""
    by_path = defaultdict(list)
    for video in videos:
        by_path[video.path].append(video)
    pairs = []
    for parts in by_path.values():
        parts.sort(key=lambda video: video.span_s)
        for number, video in enumerate(parts):
            for later in parts[number + 1 :]:
                if later.span_s[0] >= video.span_s[1]:
                    break
                if later.label != video.label:
                    pairs.append((video, later))
    return sorted(pairs, key=lambda pair: (pair[0].path, pair[0].span_s))

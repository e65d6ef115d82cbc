"""The split into train, validation and test: drawn by recording, stratified by class.

A recording (`group`) is never on two sides of a drawn split: clips cut from one recording are so
similar that a model which was trained on one of them does well on the others.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError
from violence_detection.system import files

SPLIT_COLUMNS = ("path", "label", "group", "split", "source")
GIVEN, DRAWN = "given", "drawn"
_PLACEMENTS = 200_000  # of recordings into splits, in all tries together
_MISSING_COST = {"train": 1e9, "validation": 1e6, "test": 1e3}  # of a class that a split lacks


@dataclass
class _Parts:
    """The number of videos by split and class: those placed so far, and those wanted."""

    wanted: Mapping[str, Mapping[str, float]]
    have: dict[str, Counter] = field(default_factory=lambda: {name: Counter() for name in SPLITS})

    def cost(self) -> float:
        """Squared distance to the wanted numbers; a class that a split lacks costs most."""
        total = 0.0
        for split, classes in self.wanted.items():
            for label, wanted in classes.items():
                have = self.have[split][label]
                total += (have - wanted) ** 2 / max(wanted, 0.5)
                if wanted > 0 and not have:
                    total += _MISSING_COST[split]
        return total

    def cost_with(self, recording: Counter, split: str) -> float:
        self.have[split] += recording
        cost = self.cost()
        self.have[split].subtract(recording)
        return cost


def assign_splits(
    videos: Sequence[Video],
    *,
    kept: Mapping[str, str],
    leads: Mapping[str, str],
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[str, str]:
    """The split of every video.

    A given split stays. The other videos are drawn by recording, stratified by class, around
    earlier draws:

    - A new video goes where its recording is, else to the split that lacks most.
    - A recording that is in several splits, because groups were renamed, moves to one of them.
    - If `train` and `test` are given, validation is drawn from `train`.
    - If `train` and `validation` are given, there is no test split.
    - If only `train` is given, it is divided as if no split were given.

    Args:
        videos: The dataset.
        kept: Split by key, from earlier draws.
        leads: Split by recording, of videos that were drawn earlier and are gone.
        validation_fraction: Fraction of the drawn videos for validation.
        test_fraction: Fraction of the drawn videos for the test.
        seed: Seed of the draw.

    Returns:
        Split by key.
    """
    given = {video.split for video in videos if video.split}
    loose = [video for video in videos if not video.split]
    if not loose and "validation" not in given:
        loose = [video for video in videos if video.split == "train"]
    fractions = _fractions(given, validation_fraction, test_fraction)
    if loose and loose[0].split:  # given as train: never moved to a split that is given too
        kept = {key: split for key, split in kept.items() if split in fractions}
        leads = {group: split for group, split in leads.items() if split in fractions}
    movable = {video.key for video in loose}
    placed = {video.key: video.split for video in videos if video.key not in movable}
    follow = {v.group: placed[v.key] for v in videos if v.key in placed and _may_lead(v, loose)}
    for group, sides in _kept_sides(loose, kept).items():
        follow.setdefault(group, sides.most_common(1)[0][0])
    follow = {**leads, **follow}
    placed |= {v.key: follow[v.group] for v in loose if v.group in follow}
    rest = [video for video in loose if video.key not in placed]
    if rest:
        drawn = _draw(rest, _placed_counts(videos, placed), fractions, seed)
        placed |= {video.key: drawn[video.group] for video in rest}
    return {video.key: placed[video.key] for video in videos}


def _may_lead(video: Video, loose: Sequence[Video]) -> bool:
    """True if the rest of its recording goes where `video` is.

    Given splits lead videos without a split; where `train` is divided, only its videos lead.
    """
    return video.split == loose[0].split if loose and loose[0].split else True


def _kept_sides(loose: Sequence[Video], kept: Mapping[str, str]) -> dict[str, Counter]:
    """The earlier splits of each recording; several if groups were renamed."""
    sides = defaultdict(Counter)
    for video in loose:
        if video.key in kept:
            sides[video.group][kept[video.key]] += 1
    return sides


def leaked_recordings(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """Recordings that are in more than one split, sorted."""
    sides = defaultdict(set)
    for row in rows:
        sides[row["group"]].add(row["split"])
    return sorted(group for group, splits in sides.items() if len(splits - {""}) > 1)


def missing_classes(videos: Iterable[Video], assigned: Mapping[str, str]) -> list[str]:
    """A text for each split that lacks a class: `test has no videos of violent`."""
    videos = list(videos)
    labels = sorted({video.label for video in videos})
    present = {(assigned[video.key], video.label) for video in videos}
    texts = []
    for split in SPLITS:
        missing = [label for label in labels if (split, label) not in present]
        if missing == labels:
            texts.append(f"{split} has no videos")
        elif missing:
            texts.append(f"{split} has no videos of {' and '.join(missing)}")
    return texts


def read_splits_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a splits.csv; none if the file does not exist.

    Raises:
        ViolenceDetectionError: If a row is not as it was written.
    """
    rows = files.read_own_csv(path, SPLIT_COLUMNS) if path.is_file() else []
    for row in rows:
        if row["split"] not in SPLITS:
            raise CacheError(
                f"`split` in {path} must be one of {', '.join(SPLITS)}. "
                f"Received: {row['split']} ({row['path']})"
            )
    return rows


def write_splits_csv(
    path: Path,
    videos: Sequence[Video],
    assigned: Mapping[str, str],
    gone: Iterable[Mapping[str, str]] = (),
) -> None:
    """Writes splits.csv: a row for each video, and the rows of videos that are gone.

    Those that are gone keep their split in case they come back.
    """
    rows = [
        {
            "path": video.key,
            "label": video.label,
            "group": video.group,
            "split": assigned[video.key],
            "source": GIVEN if video.split == assigned[video.key] else DRAWN,
        }
        for video in videos
    ]
    rows = sorted([*rows, *gone], key=lambda row: row["path"])
    files.write_csv(path, SPLIT_COLUMNS, rows)


def _fractions(given: set[str], validation: float, test: float) -> dict[str, float]:
    """The fraction of each split that is drawn; given splits, and fractions of 0, are not."""
    if "validation" in given or "test" in given:
        test = 0.0
    if "validation" in given:
        validation = 0.0
    fractions = {"train": 1 - validation - test, "validation": validation, "test": test}
    return {split: fraction for split, fraction in fractions.items() if fraction > 0}


def _placed_counts(videos: Sequence[Video], placed: Mapping[str, str]) -> dict[str, Counter]:
    have = {name: Counter() for name in SPLITS}
    for video in videos:
        if video.key in placed:
            have[placed[video.key]][video.label] += 1
    return have


def _draw(
    videos: Sequence[Video],
    have: dict[str, Counter],
    fractions: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """The split of each recording: the best of several greedy placements, largest first."""
    recordings = defaultdict(Counter)
    for video in videos:
        recordings[video.group][video.label] += 1
    totals = sum(recordings.values(), Counter())
    for split in fractions:
        totals += have[split]
    wanted = {
        split: {label: fraction * count for label, count in totals.items()}
        for split, fraction in fractions.items()
    }
    best: tuple[float, dict[str, str]] | None = None
    tries = max(1, min(100, _PLACEMENTS // (len(recordings) * len(fractions))))
    for attempt in range(tries):
        order = sorted(recordings)
        random.Random(seed * 1000 + attempt).shuffle(order)
        order.sort(key=lambda group: -sum(recordings[group].values()))
        state = _Parts(wanted, {split: Counter(counts) for split, counts in have.items()})
        placed = {group: _place(state, recordings[group]) for group in order}
        if best is None or state.cost() < best[0]:
            best = state.cost(), placed
    return best[1] if best else {}


def _place(state: _Parts, recording: Counter) -> str:
    split = min(state.wanted, key=lambda name: state.cost_with(recording, name))
    state.have[split] += recording
    return split

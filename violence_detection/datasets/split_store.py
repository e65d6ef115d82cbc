"""The split of a dataset on disk: one for all its feature spaces, drawn once, then kept."""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from violence_detection.datasets import splits
from violence_detection.datasets.config import SplitConfig
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_folder import SPLITS, Video, VideoFolder
from violence_detection.errors import CacheError, ConfigError
from violence_detection.system import files, locks
from violence_detection.units import counted

log = logging.getLogger(__name__)

SETTINGS = ("validation_fraction", "test_fraction", "split_seed")
_LOCK = ".lock"


class SplitStore:
    """splits.csv of a dataset, and splits.json, which says of what and with what it was drawn."""

    def __init__(self, dataset_dir: Path) -> None:
        self._dir = dataset_dir
        self._path = dataset_dir / "splits.csv"
        self._settings_path = dataset_dir / "splits.json"

    def read(self) -> dict[str, str]:
        """Split by key; empty before the first draw."""
        return {row["path"]: row["split"] for row in splits.read_splits(self._path)}

    def check(self, video_dir: Path, config: SplitConfig, *, force: bool) -> None:
        """A split stays as drawn, and a dataset's name with its folder.

        Raises:
            ConfigError: If another fraction or seed was asked for, without --redraw-splits;
                or the name is another folder's, without --force.
        """
        drawn_with = self._drawn_with() or {}
        owner = drawn_with.get("dir", "")
        taken = Path(owner).is_dir() and not Path(owner).samefile(video_dir)
        if owner and taken and not force:
            raise ConfigError(
                "--dataset-name must not be another folder's. Received: "
                f"{self._dir.name}, which is {owner}'s (extract-features --force gives it to "
                f"{video_dir})"
            )
        for name in SETTINGS if drawn_with and not config.redraw_splits else ():
            asked = getattr(config, name)
            if name in config.given and asked != drawn_with[name]:
                raise ConfigError(
                    f"`{name}` must be what the split was drawn with, {drawn_with[name]}, "
                    "or --redraw-splits given (train --features draws for one run alone). "
                    f"Received: {name}={asked}"
                )

    def resolve(
        self, folder: VideoFolder, entries: Mapping[str, ManifestEntry], config: SplitConfig
    ) -> dict[str, str]:
        """Draw what is not drawn yet, and keep it; split by key.

        A part that lacks a class, and a video that had to move, are said in the log.
        """
        usable = [video for video in folder.videos if entries[video.key].usable]
        present = {video.key for video in folder.videos}
        with locks.locked_after_waiting(
            self._dir / _LOCK, f"Another extraction works in {self._dir}; waiting for it."
        ):
            rows = [] if config.redraw_splits else splits.read_splits(self._path)
            before = {row["path"]: row["split"] for row in rows}
            gone = [row for row in rows if row["path"] not in present]
            settings = {name: getattr(config, name) for name in SETTINGS}
            if before:
                settings |= self._drawn_with() or {}
            draw = {
                "leads": {
                    row["group"]: row["split"] for row in gone if row["source"] == splits.DRAWN
                },
                "validation_fraction": settings["validation_fraction"],
                "test_fraction": settings["test_fraction"],
                "seed": settings["split_seed"],
            }
            # The readable ones first, so that each part has both classes of those.
            kept = before | splits.assign_splits(usable, kept=before, **draw)
            assigned = splits.assign_splits(folder.videos, kept=kept, **draw)
            settings["dir"] = str(folder.root.resolve())
            files.write_json(self._settings_path, settings)
            splits.write_splits(self._path, folder.videos, assigned, gone)
        _warn_of_moves(before, assigned)
        lacking = splits.missing_classes(usable, assigned)
        if lacking:
            log.warning(
                f"In the split, {'; '.join(lacking)}. More recordings, or a split column in "
                "videos.csv, help."
            )
        return assigned

    def _drawn_with(self) -> dict[str, Any] | None:
        if not self._settings_path.is_file():
            return None
        try:
            settings = json.loads(self._settings_path.read_text())
            numbers = [settings[name] for name in SETTINGS]
            sound = all(type(number) in (int, float) for number in numbers)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise CacheError(
                f"splits.json must hold {', '.join(SETTINGS)}. Received: {self._settings_path} "
                "(it was altered; put it back, or remove it and give --redraw-splits)"
            )
        return settings


def draw_for_one_run(
    dataset_dir: Path, entries: Sequence[ManifestEntry], config: SplitConfig
) -> list[ManifestEntry]:
    """The entries with a split drawn for one run; splits.csv stays as it is.

    What the dataset gives (folders, videos.csv) stays given, everything else is drawn as if
    for the first time.

    Raises:
        ConfigError: If every video has a given split, so that there is nothing to draw.
    """
    rows = splits.read_splits(dataset_dir / "splits.csv")
    given = {row["path"]: row["split"] for row in rows if row["source"] == splits.GIVEN}
    if all(entry.path in given for entry in entries):
        asked = min(config.given.intersection(SETTINGS), default=SETTINGS[0])
        raise ConfigError(
            f"`{asked}` must go with a split that is drawn. Received: {asked}="
            f"{getattr(config, asked)}, and a dataset that gives each video's split"
        )
    videos = [
        Video(entry.path, entry.label, entry.group, given.get(entry.path, "")) for entry in entries
    ]
    assigned = splits.assign_splits(
        videos,
        kept={},
        leads={},
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.split_seed,
    )
    counts = Counter(assigned.values())
    listed = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
    log.info(f"The split is this run's own: {listed}. The dataset's stays as it is.")
    fixed = set(given.values()) & {"validation", "test"}
    if fixed:
        log.warning(
            f"The dataset gives {' and '.join(sorted(fixed))} videos; a fraction does not "
            "change that."
        )
    return [dataclasses.replace(one, split=assigned[one.path]) for one in entries]


def _warn_of_moves(before: Mapping[str, str], assigned: Mapping[str, str]) -> None:
    moved = [key for key in assigned if before.get(key, assigned[key]) != assigned[key]]
    if moved:
        first = min(moved)
        log.warning(
            f"{counted(len(moved), 'video')} moved to another part of the split, because their "
            f"recording or given split changed, e.g. {first} from {before[first]} to "
            f"{assigned[first]}. Runs from before may have learned from them."
        )

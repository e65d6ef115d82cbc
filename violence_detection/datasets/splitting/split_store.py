"""The split of a dataset on disk: drawn once, then kept, for all its feature spaces."""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from violence_detection.datasets.splitting import splits
from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError, ConfigError
from violence_detection.system import files, locks
from violence_detection.units import counted

log = logging.getLogger(__name__)

SETTINGS = ("validation_fraction", "test_fraction", "split_seed")
_LOCK = ".lock"


class SplitStore:
    """splits.csv of a dataset, and splits.json with the settings that it was drawn with."""

    def __init__(self, dataset_dir: Path) -> None:
        self._dir = dataset_dir
        self._path = dataset_dir / "splits.csv"
        self._settings_path = dataset_dir / "splits.json"

    def split_by_key(self) -> dict[str, str]:
        """The split of each video, by its key; empty before the first draw."""
        return {row["path"]: row["split"] for row in splits.read_splits_csv(self._path)}

    def check_settings(
        self, video_dir: Path, *, asked: Mapping[str, float], redraw: bool, force: bool
    ) -> None:
        """Checks that a split is not asked for with other settings than it was drawn with.

        Args:
            video_dir: The folder of the videos.
            asked: Fractions and seed that the user gave, by name.
            redraw: Whether the split is drawn again.
            force: Whether the dataset's name may go to another folder.

        Raises:
            ConfigError: If a setting differs from that of the draw, without `redraw`; or the
                dataset's name belongs to another folder, without `force`.
        """
        drawn_with = self._drawn_with() or {}
        owner = drawn_with.get("dir", "")
        is_own = video_dir.exists() and Path(owner).is_dir() and Path(owner).samefile(video_dir)
        if owner and Path(owner).is_dir() and not is_own and not force:
            raise ConfigError(
                "--dataset-name must not be another folder's. Received: "
                f"{self._dir.name}, which is {owner}'s (extract-features --force gives it to "
                f"{video_dir})"
            )
        for name, value in asked.items() if drawn_with and not redraw else ():
            if value != drawn_with[name]:
                raise ConfigError(
                    f"`{name}` must be what the split was drawn with, {drawn_with[name]}, "
                    "or --redraw-splits given (train --features draws for one run alone). "
                    f"Received: {name}={value}"
                )

    def update(
        self,
        folder: VideoFolder,
        entries: Mapping[str, ManifestEntry],
        *,
        validation_fraction: float,
        test_fraction: float,
        split_seed: int,
        redraw: bool,
    ) -> dict[str, str]:
        """Draws a split for the videos that have none, and writes it.

        Warns of a part that lacks a class, and of a video that moved to another part.

        Args:
            folder: The videos.
            entries: Their rows of the manifest, by key.
            validation_fraction, test_fraction, split_seed: Settings of the first draw; later
                draws use those in splits.json.
            redraw: Forget the splits that were drawn before.

        Returns:
            Split by key.
        """
        usable = [video for video in folder.videos if entries[video.key].usable]
        present = {video.key for video in folder.videos}
        with locks.locked_after_waiting(
            self._dir / _LOCK, f"Another extraction works in {self._dir}; waiting for it."
        ):
            rows = [] if redraw else splits.read_splits_csv(self._path)
            before = {row["path"]: row["split"] for row in rows}
            gone = [row for row in rows if row["path"] not in present]
            values = (validation_fraction, test_fraction, split_seed)
            settings = dict(zip(SETTINGS, values, strict=True))
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
            # The readable videos first, so that each part has both classes of them.
            kept = before | splits.assign_splits(usable, kept=before, **draw)
            assigned = splits.assign_splits(folder.videos, kept=kept, **draw)
            settings["dir"] = str(folder.root.resolve())
            files.write_json(self._settings_path, settings)
            splits.write_splits_csv(self._path, folder.videos, assigned, gone)
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
            settings = json.loads(self._settings_path.read_text(encoding="utf-8"))
            numbers = [settings[name] for name in SETTINGS]
            sound = all(type(number) in (int, float) for number in numbers)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise CacheError(
                f"splits.json must hold {', '.join(SETTINGS)}. Received: {self._settings_path} "
                "(it was edited; restore it, or remove it and give --redraw-splits)"
            )
        return settings


def draw_for_one_run(
    dataset_dir: Path,
    entries: Sequence[ManifestEntry],
    *,
    validation_fraction: float,
    test_fraction: float,
    split_seed: int,
    given: Collection[str] = (),
) -> list[ManifestEntry]:
    """The entries with a split that is drawn for one run; splits.csv stays as it is.

    Splits that the dataset gives (folders, videos.csv) stay, all others are drawn anew.

    Args:
        dataset_dir: The folder of the dataset in the cache.
        entries: Its videos.
        validation_fraction, test_fraction, split_seed: Settings of the draw.
        given: Names of the settings that the user gave, for the error.

    Raises:
        ConfigError: If the dataset gives every video's split, so that there is nothing to draw.
    """
    rows = splits.read_splits_csv(dataset_dir / "splits.csv")
    fixed = {row["path"]: row["split"] for row in rows if row["source"] == splits.GIVEN}
    if all(entry.path in fixed for entry in entries):
        values = (validation_fraction, test_fraction, split_seed)
        settings = dict(zip(SETTINGS, values, strict=True))
        name = min(settings.keys() & given, default=SETTINGS[0])
        raise ConfigError(
            f"`{name}` must go with a split that is drawn. Received: {name}={settings[name]}, "
            "and a dataset that gives each video's split"
        )
    videos = [
        Video(entry.path, entry.label, entry.group, fixed.get(entry.path, "")) for entry in entries
    ]
    assigned = splits.assign_splits(
        videos,
        kept={},
        leads={},
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=split_seed,
    )
    counts = Counter(assigned.values())
    listed = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
    log.info(f"The split is drawn for this run: {listed}. The dataset keeps its own.")
    held_out = set(fixed.values()) & {"validation", "test"}
    if held_out:
        log.warning(
            f"The dataset gives {' and '.join(sorted(held_out))} videos; a fraction does not "
            "change that."
        )
    return [dataclasses.replace(entry, split=assigned[entry.path]) for entry in entries]


def _warn_of_moves(before: Mapping[str, str], assigned: Mapping[str, str]) -> None:
    moved = [key for key in assigned if before.get(key, assigned[key]) != assigned[key]]
    if moved:
        first = min(moved)
        log.warning(
            f"{counted(len(moved), 'video')} moved to another part of the split, because their "
            f"recording or given split changed, e.g. {first} from {before[first]} to "
            f"{assigned[first]}. Earlier runs may have been trained on them."
        )

"""The split of a dataset on disk: one for all its feature spaces, drawn once, then kept."""

import json
from collections.abc import Mapping
from pathlib import Path

from violence_detection import files, splits
from violence_detection.cache import Entry, alone
from violence_detection.config import FeatureConfig
from violence_detection.errors import CacheError, ConfigError
from violence_detection.videos import VideoFolder

_SETTINGS = ("validation_fraction", "test_fraction", "split_seed")


class KeptSplits:
    """splits.csv of a dataset, and splits.json, which says what it was drawn with."""

    def __init__(self, dataset_dir: Path) -> None:
        self._dir = dataset_dir
        self._path = dataset_dir / "splits.csv"
        self._settings_path = dataset_dir / "splits.json"

    def read(self) -> dict[str, str]:
        """Split by key; empty before the first draw."""
        return splits.read(self._path)

    def check(self, config: FeatureConfig) -> None:
        """A split stays as drawn.

        Raises:
            ConfigError: If another fraction or seed was asked for, without --redraw-splits.
        """
        if config.redraw_splits:
            return
        drawn_with = self._drawn_with() or {}
        for name in _SETTINGS if drawn_with else ():
            asked = getattr(config, name)
            if name in config.given and asked != drawn_with.get(name):
                raise ConfigError(
                    f"`{name}` must be what the split was drawn with, {drawn_with.get(name)}, "
                    f"or --redraw-splits given. Received: {name}={asked}"
                )

    def resolve(
        self, folder: VideoFolder, entries: Mapping[str, Entry], config: FeatureConfig
    ) -> dict[str, str]:
        """Draw what is not drawn yet, and keep it; split by key."""
        usable = [video for video in folder.videos if entries[video.key].usable]
        with alone(self._dir):
            kept = {} if config.redraw_splits else self.read()
            settings = {name: getattr(config, name) for name in _SETTINGS}
            settings = (kept and self._drawn_with()) or settings
            draw = {
                "validation_fraction": settings["validation_fraction"],
                "test_fraction": settings["test_fraction"],
                "seed": settings["split_seed"],
            }
            # The readable ones first, so that each part has both classes of those.
            kept |= splits.assign(usable, kept=kept, **draw)
            assigned = splits.assign(folder.videos, kept=kept, **draw)
            files.write_json(self._settings_path, settings)
            splits.write(self._path, folder.videos, assigned)
        return assigned

    def _drawn_with(self) -> dict[str, float] | None:
        if not self._settings_path.is_file():
            return None
        try:
            return json.loads(self._settings_path.read_text())
        except ValueError as error:
            raise CacheError(
                f"splits.json must be readable JSON. Received: {self._settings_path}"
            ) from error

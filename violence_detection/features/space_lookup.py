"""Finds the folder of a feature space, also by the name of its dataset."""

import re
from pathlib import Path

from violence_detection.errors import CacheError

_RECORD = "extraction.json"
_DIGITS = re.compile(r"-[0-9a-f]{8}")


def find_space(folder: str | Path, *, cache_dir: str | Path = "feature_cache") -> Path:
    """The folder of a feature space.

    Args:
        folder: The folder itself; or the folder of a dataset with a single feature space, with or
            without the digits at its end; or only the name of the dataset.
        cache_dir: The folder of the datasets, for a name.

    Returns:
        The feature space; `folder` as it is, if it names neither.

    Raises:
        CacheError: If the dataset has several feature spaces, or several datasets have this name.
    """
    folder = Path(folder)
    places = [folder] if len(folder.parts) != 1 else [folder, Path(cache_dir) / folder]
    for place in places:
        if (place / _RECORD).is_file():
            return place
        spaces = sorted(path.parent for path in place.glob(f"*/{_RECORD}"))
        if not spaces and place.parent.is_dir() and not place.exists():
            spaces = sorted(
                path.parent
                for path in place.parent.glob(f"*/*/{_RECORD}")
                if path.parent.parent.name.startswith(place.name)
                and _DIGITS.fullmatch(path.parent.parent.name[len(place.name) :])
            )
        if len(spaces) > 1:
            raise CacheError(
                f"Features must be of one feature space. Received: {folder}, which has "
                f"{len(spaces)}: {', '.join(map(str, spaces))}"
            )
        if spaces:
            return spaces[0]
    return folder

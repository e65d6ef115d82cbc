"""Finds the folder of a feature space, also by the folder or the name of its dataset."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from violence_detection import registry, units
from violence_detection.errors import CacheError

_RECORD = "extraction.json"
_DIGITS = re.compile(r"-[0-9a-f]{8}")
_MOST = 20  # feature spaces that an error lists


def find_space(folder: str | Path, *, cache_dir: str | Path = "feature_cache") -> Path:
    """The folder of a feature space.

    Args:
        folder: The folder itself; or the folder of a dataset with a single feature space, with or
            without the digits at its end; or only the name of the dataset, in `cache_dir`. A path
            from the root into the current folder may be a name as well: settings hold paths so.
        cache_dir: The folder of the datasets, for a name.

    Returns:
        The feature space; `folder` as it is, if it names neither.

    Raises:
        CacheError: If the dataset has several feature spaces, or several datasets have this name.
    """
    folder = Path(folder)
    for place in _places(folder, Path(cache_dir)):
        if (place / _RECORD).is_file():
            return place
        spaces = sorted(_spaces(place))
        if len(spaces) > 1:
            raise _several(folder, spaces)
        if spaces:
            return spaces[0]
    return folder


def resolved(text: str) -> str:
    """The value of a setting that names features: the folder of the feature space, where it is one.

    Raises:
        CacheError: See `find_space`.
    """
    return str(find_space(text)) if text and "\0" not in text else text


def shortest_path(space: str | Path) -> Path:
    """The folder of the dataset of a feature space if it has no other, else the space itself."""
    space = Path(space)
    return space if len(list(space.parent.glob(f"*/{_RECORD}"))) > 1 else space.parent


def advice(folder: str | Path, *, cache_dir: str | Path = "feature_cache") -> str:
    """The dataset of the nearest name, for an error; empty if none is near."""
    names = [path.parent.parent.name for path in Path(cache_dir).glob(f"*/*/{_RECORD}")]
    return registry.nearest(Path(folder).name, sorted({_DIGITS.sub("", name) for name in names}))


def _places(folder: Path, cache_dir: Path) -> Sequence[Path]:
    is_name = len(folder.parts) == 1 or folder.parent == Path.cwd()
    return [folder, cache_dir / folder.name] if is_name else [folder]


def _spaces(place: Path) -> Iterator[Path]:
    """The feature spaces of a dataset, or of the datasets of a cache, at a place."""
    for pattern in (f"*/{_RECORD}", f"*/*/{_RECORD}"):
        spaces = [path.parent for path in place.glob(pattern)]
        if spaces:
            yield from spaces
            return
    if place.exists():
        return
    for path in place.parent.glob(f"*/*/{_RECORD}"):
        dataset = path.parent.parent.name
        if dataset.startswith(place.name) and _DIGITS.fullmatch(dataset[len(place.name) :]):
            yield path.parent


def _several(folder: Path, spaces: Sequence[Path]) -> CacheError:
    listed = [shlex.quote(units.shown_path(space)) for space in spaces[:_MOST]]
    hidden = f" ({len(spaces) - _MOST} more are not listed)" if len(spaces) > _MOST else ""
    return CacheError(
        f"Features must be of one feature space. Received: {units.shown_path(folder)}, which has "
        f"{len(spaces)}{hidden}",
        listed,
    )

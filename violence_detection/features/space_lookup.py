"""Finds the folder of a feature space, also by the folder or the name of its dataset."""

import glob
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
    spaces = _named_spaces(folder, Path(cache_dir))
    if len(spaces) > 1:
        raise _several(folder, spaces)
    return spaces[0] if spaces else folder


def resolved(text: str, *, cache_dir: str | Path = "feature_cache") -> str:
    """The value of a setting that names features, as a path that means the same from every folder.

    Args:
        text, cache_dir: As `find_space` takes them.

    Returns:
        The feature space; the folder of a dataset that has several; `text` as it is, if it names
        neither.
    """
    if not text or "\0" in text:
        return text
    spaces = _named_spaces(Path(text), Path(cache_dir))
    if len(spaces) == 1:
        return str(spaces[0])
    datasets = {space.parent for space in spaces}
    return str(datasets.pop()) if len(datasets) == 1 else text


def shortest_path(space: str | Path) -> Path:
    """The folder of the dataset of a feature space if it has no other, else the space itself."""
    space = Path(space)
    return space if len(list(space.parent.glob(f"*/{_RECORD}"))) > 1 else space.parent


def advice(folder: str | Path, *, cache_dir: str | Path = "feature_cache") -> str:
    """The dataset of the nearest name, for an error; empty if none is near."""
    names = [path.parent.parent.name for path in Path(cache_dir).glob(f"*/*/{_RECORD}")]
    return registry.did_you_mean(
        Path(folder).name, sorted({_DIGITS.sub("", name) for name in names})
    )


def _named_spaces(folder: Path, cache_dir: Path) -> list[Path]:
    """The feature spaces that a path or a name stands for; empty if it is neither."""
    is_name = len(folder.parts) == 1 or folder.parent == Path.cwd()
    for place in (folder, cache_dir / folder.name) if is_name else (folder,):
        if (place / _RECORD).is_file():
            return [place]
        spaces = sorted(_spaces(place))
        if spaces:
            return spaces
    return []


def _spaces(place: Path) -> Iterator[Path]:
    """The feature spaces of a dataset, or of the datasets of a cache, at a place."""
    for pattern in (f"*/{_RECORD}", f"*/*/{_RECORD}"):
        spaces = [path.parent for path in place.glob(pattern)]
        if spaces:
            yield from spaces
            return
    if place.exists():
        return
    for path in place.parent.glob(f"{glob.escape(place.name)}-*/*/{_RECORD}"):
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

"""The files that the paths of a table mean, where they are written in another way.

Tables come from Windows (`violent\\a.mp4`, `D:\\cctv\\violent\\a.mp4`), from a Mac (decomposed
accents), from another machine (`/data/cctv/violent/a.mp4`), or hold names alone (`a.mp4`).
"""

import difflib
import itertools
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from violence_detection.datasets import video_files
from violence_detection.units import counted
from violence_detection.video import video_file
from violence_detection.video.frame_series import without_rate

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_MAX_COMPARED = 5000  # paths, in the search for a similar one


@dataclass(frozen=True)
class MatchedPaths:
    """The paths of a table, and the files that they mean.

    Attributes:
        paths: The file by the path as it is written; relative to the folder, with `/`. A path
            whose file is not there stays as it is written.
        rewritten: The paths that mean a file which is written in another way.
        missing: The paths whose file is not there, in their order.
        suggestion: A file that may be meant by the first of these; empty if none is similar.
    """

    paths: dict[str, str]
    rewritten: tuple[str, ...]
    missing: tuple[str, ...]
    suggestion: str

    @property
    def missing_text(self) -> str:
        """The paths that are not there, in words; empty if all are."""
        if not self.missing:
            return ""
        are = "path is" if len(self.missing) == 1 else "paths are"
        text = f"{len(self.missing)} {are} not there, e.g. {self.missing[0]}"
        return f"{text}; {self.suggestion} is: did you mean it?" if self.suggestion else text

    @property
    def rewritten_text(self) -> str:
        """The paths that are written in another way, in words; empty if there are none."""
        if not self.rewritten:
            return ""
        first = self.rewritten[0]
        return (
            f"{counted(len(self.rewritten), 'path')} of the table are read as the file that must "
            f"be meant, e.g. {first} as {self.paths[first]}."
        )


def match_paths(written: Iterable[str], root: Path, known: Sequence[str]) -> MatchedPaths:
    """The files that the paths of a table mean, where only one can be meant.

    Args:
        written: The paths.
        root: The folder of the table.
        known: The files below the folder that are not hidden, relative to it.
    """
    index = _Index(root, known)
    written = list(dict.fromkeys(written))
    exact = {path: index.exact(path) for path in written}
    similar = {path: index.similar(path) for path in written if exact[path] is None}
    # Paths of another machine have one place of the folder in common.
    places = Counter(place for _, place in similar.values() if place)
    place = places.most_common(1)[0][0] if places else ""
    meant = {path: file for path, (file, at) in similar.items() if file and at in ("", place)}
    missing = tuple(path for path in similar if path not in meant)
    return MatchedPaths(
        {path: exact[path] or meant.get(path) or index.relative(path.strip()) for path in written},
        tuple(path for path in written if path in meant),
        missing,
        index.suggestion(missing[0], {*exact.values(), *meant.values()}) if missing else "",
    )


def is_absolute(path: str) -> bool:
    """True for an absolute path of this system or of Windows."""
    return path.startswith("/") or bool(_DRIVE.match(path))


class _Index:
    """Files below a folder, by their spelling, name and stem."""

    def __init__(self, root: Path, known: Sequence[str]) -> None:
        self._root, self._known = root, set(known)
        self._by_spelling, self._by_name = defaultdict(list), defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._series = {without_rate(path): path for path in known if without_rate(path) != path}
        for path in sorted(known):
            spelling = _spelling(path)
            self._by_spelling[spelling].append(path)
            self._by_name[spelling.rpartition("/")[2]].append(path)
            if video_files.has_video_ending(spelling):
                self._by_stem[os.path.splitext(spelling)[0]].append(path)
                self._by_stem[os.path.splitext(spelling.rpartition("/")[2])[0]].append(path)

    def relative(self, written: str) -> str:
        """A path as it is written, relative to the folder where it is absolute and below it."""
        if not written:
            return ""
        path, root = PurePosixPath(written), self._root.absolute().as_posix()
        return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()

    def exact(self, written: str) -> str | None:
        """The file of a path that is there as it is written, blanks around it aside."""
        for text in dict.fromkeys((written, written.strip())):
            path = self.relative(text)
            if not text.strip() or "\0" in path or path.startswith("/"):
                continue
            if path in self._series:
                return self._series[path]
            if path in self._known or os.path.lexists(self._root / path):
                return path
            if without_rate(path) != path and video_file.exists(self._root / path):
                return path
        return None

    def similar(self, written: str) -> tuple[str, str]:
        """The only file that a path can mean, and the absolute place that was left out of it."""
        spelling = _spelling(written)
        parts = [part for part in spelling.split("/") if part]
        if not parts or ".." in parts:
            return "", ""
        if is_absolute(written.strip()):
            for start in range(1, len(parts)):
                if file := self._only("/".join(parts[start:])):
                    return file, "/".join(parts[:start])
            return "", ""
        if file := self._only("/".join(parts)):
            return file, ""
        if parts[0] == _spelling(self._root.absolute().name) and len(parts) > 1:
            return self._only("/".join(parts[1:])), ""
        if len(parts) == 1 and (file := _only(self._by_name[parts[0]])):
            return file, ""
        return _only(self._by_stem["/".join(parts)]), ""

    def _only(self, spelling: str) -> str:
        return _only(self._by_spelling.get(spelling, ()))

    def suggestion(self, written: str, named: Collection[str | None]) -> str:
        """A file of the same name, or of the most similar path; empty if there is none.

        Args:
            written: The path.
            named: The files that other paths mean.
        """
        spelling = _spelling(written)
        same = self._by_name.get(spelling.rpartition("/")[2], ())
        if free := [path for path in same if path not in named]:
            return free[0]
        free = (name for name, paths in self._by_spelling.items() if paths[0] not in named)
        compared = list(itertools.islice(free, _MAX_COMPARED))
        close = difflib.get_close_matches(spelling, compared, n=1)
        return self._by_spelling[close[0]][0] if close else ""


def _only(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else ""


def _spelling(path: str) -> str:
    """A path for comparisons: with `/`, composed, without case and without blanks around it."""
    text = path.strip().lstrip("=").replace("\\", "/")
    text = PurePosixPath(text).as_posix() if text else text
    return unicodedata.normalize("NFC", text).casefold()

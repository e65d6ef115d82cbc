"""Expands arguments of `predict` into sources: paths, folders, patterns, lists, URLs, cameras."""

import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TextIO
from urllib.parse import urlsplit

from violence_detection import units
from violence_detection.datasets import video_folder
from violence_detection.errors import ConfigError

log = logging.getLogger(__name__)

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://", re.ASCII)
_CAMERA = re.compile(r"(?:/dev/video)?(\d{1,3})", re.ASCII)
_USER = re.compile(r"(://[^/@:]*):[^/]*@")
_SECRET = re.compile(
    r"((?:pass(?:word|wd)?|pwd|secret|token|auth|sig(?:nature)?|[a-z_]*key)=)[^&#;]*",
    re.IGNORECASE,
)
_MASK = "***"
_PATTERN = set("*?[")
_FINITE_SCHEMES = ("http", "https", "ftp")  # of files on a server, most likely


@dataclass(frozen=True)
class Source:
    """A video file, a stream or a camera.

    Attributes:
        name: As it was given, with passwords masked.
        target: The path, the URL, or the number of a camera.
        is_live: True for a stream or a camera.
    """

    name: str
    target: str | int
    is_live: bool = False

    def __repr__(self) -> str:  # the target may hold a password
        return f"Source({self.name!r})"

    @property
    def path(self) -> Path:
        return Path(str(self.target))

    @property
    def ends(self) -> bool:
        """True if the source ends, or most likely does: a file, also on a server."""
        return not self.is_live or self.name.lower().startswith(_FINITE_SCHEMES)

    @property
    def stem(self) -> str:
        """The name of its output files, without suffix."""
        if isinstance(self.target, int):
            return f"camera_{self.target}"
        if not self.is_live:
            return self.path.stem
        parts = urlsplit(self.name)
        name = f"{parts.hostname or 'stream'}_{PurePosixPath(parts.path).stem}"
        return re.sub(r"[^\w.-]+", "_", name).strip("_.")[:100]


def mask_passwords(argument: str) -> str:
    """The argument; if it is a URL, with its passwords and keys masked."""
    if not _URL.match(argument):
        return argument
    return _SECRET.sub(rf"\1{_MASK}", _USER.sub(rf"\1:{_MASK}@", argument))


def parse_source(argument: str) -> Source:
    """The file, stream or camera that an argument names; a file need not exist."""
    if _URL.match(argument) and not argument.lower().startswith("file:"):
        return Source(mask_passwords(argument), argument, is_live=True)
    if (match := _CAMERA.fullmatch(argument)) and not Path(argument).is_file():
        return Source(argument, int(match[1]), is_live=True)
    return Source(argument, argument)


def list_sources(arguments: Iterable[str], stdin: TextIO) -> list[Source]:
    """All sources that arguments name, in their order.

    A folder names the videos in it, a pattern the files that it matches, `-` the lines of
    `stdin`. A path that does not exist is a source too; reading it is an error with its name.
    """
    return list(_expand(arguments, stdin))


def _expand(arguments: Iterable[str], stdin: TextIO) -> Iterator[Source]:
    for argument in arguments:
        is_pattern = bool(_PATTERN & set(argument)) and not _URL.match(argument)
        if argument == "-":
            lines = (line.rstrip("\r\n") for line in stdin)
            yield from _expand((line for line in lines if line not in ("", "-")), stdin)
        elif Path(argument).is_dir():
            yield from _expand_folder(argument)
        elif is_pattern and not os.path.lexists(argument):
            yield from _expand_pattern(argument)
        else:
            yield parse_source(argument)


def _expand_folder(folder: str) -> Iterator[Source]:
    names, notes = video_folder.find_videos(Path(folder))
    for note in notes:
        log.info(f"{folder}: {note}")
    for path in [os.path.join(folder, name) for name in names] or [folder]:
        yield Source(path, path)


def _expand_pattern(pattern: str) -> Iterator[Source]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute ones too)
    if not matches:
        yield Source(pattern, pattern)
    for match in matches:
        if Path(match).is_dir():
            # The pattern `**` also matches every folder above the files that it matches.
            if "**" not in pattern:
                yield from _expand_folder(match)
        elif Path(match).suffix.lower() in video_folder.EXTENSIONS:
            yield Source(match, match)


def output_stems(sources: Iterable[Source]) -> list[str]:
    """The name, without suffix, of the output files of each source; all names differ."""
    taken: set[str] = set()
    stems = []
    for source in sources:
        stem, number = source.stem, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{source.stem}-{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def check_time_limits(sources: Iterable[Source], max_duration_s: float | None) -> None:
    """Rejects endless streams for which no time limit is set.

    Raises:
        ConfigError: If a source does not end, and `max_duration_s` is None.
    """
    endless = [source for source in sources if not source.ends]
    if endless and max_duration_s is None:
        raise ConfigError(
            "--max-duration-s must be given for a stream or camera, which does not end. "
            f"Received: {endless[0].name}"
        )


def check_writable_names(sources: Iterable[Source]) -> None:
    """Checks that the names of sources can be written into files.

    Raises:
        ConfigError: If a name is not UTF-8.
    """
    for source in sources:
        if not units.is_utf8(source.name):
            raise ConfigError(
                "Output files contain the paths of videos, which must be UTF-8. Received: "
                f"{source.name!r}"
            )

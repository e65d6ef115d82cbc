"""What a word on the command line of `predict` stands for: videos, a folder of them, a pattern, a
list, a stream or a camera."""

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
_SHOWN = "***"
_PATTERN = set("*?[")
_WITH_AN_END = ("http", "https", "ftp")


@dataclass(frozen=True)
class Source:
    """Something that videos come from.

    Attributes:
        name: As it was given, with passwords masked.
        target: The path, the URL, or the number of a camera.
        is_live: Whether it is a stream or a camera.
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
        """Whether it is known to end, or likely: a file, or one on a server."""
        return not self.is_live or self.name.lower().startswith(_WITH_AN_END)

    @property
    def stem(self) -> str:
        """A file name for what is written about it, without an ending."""
        if isinstance(self.target, int):
            return f"camera_{self.target}"
        if not self.is_live:
            return self.path.stem
        parts = urlsplit(self.name)
        named = f"{parts.hostname or 'stream'}_{PurePosixPath(parts.path).stem}"
        return re.sub(r"[^\w.-]+", "_", named).strip("_.")[:100]


def mask_passwords(word: str) -> str:
    """A word without the passwords of a URL."""
    if not _URL.match(word):
        return word
    return _SECRET.sub(rf"\1{_SHOWN}", _USER.sub(rf"\1:{_SHOWN}@", word))


def parse_source(word: str) -> Source:
    """The one thing that a word stands for; a file need not be there."""
    if _URL.match(word) and not word.lower().startswith("file:"):
        return Source(mask_passwords(word), word, is_live=True)
    if (match := _CAMERA.fullmatch(word)) and not Path(word).is_file():
        return Source(word, int(match[1]), is_live=True)
    return Source(word, word)


def list_sources(words: Iterable[str], stdin: TextIO) -> list[Source]:
    """Everything that words stand for, in their order.

    A folder stands for the videos in it, a pattern for what it matches, `-` for the lines
    of `stdin`. What is not there stays, to be told of.
    """
    return list(_listed(words, stdin))


def _listed(words: Iterable[str], stdin: TextIO) -> Iterator[Source]:
    for word in words:
        if word == "-":
            lines = (line.rstrip("\r\n") for line in stdin)
            yield from _listed((line for line in lines if line not in ("", "-")), stdin)
        elif Path(word).is_dir():
            yield from _of_folder(word)
        elif _PATTERN & set(word) and not os.path.lexists(word) and not _URL.match(word):
            yield from _of_pattern(word)
        else:
            yield parse_source(word)


def _of_folder(folder: str) -> Iterator[Source]:
    found, notes = video_folder.find_videos(Path(folder))
    for note in notes:
        log.info(f"{folder}: {note}")
    for path in [os.path.join(folder, one) for one in found] or [folder]:
        yield Source(path, path)


def _of_pattern(pattern: str) -> Iterator[Source]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute ones too)
    if not matches:
        yield Source(pattern, pattern)
    for match in matches:
        if Path(match).is_dir():
            # The pattern `**` names every folder above the files that it names too.
            if "**" not in pattern:
                yield from _of_folder(match)
        elif Path(match).suffix.lower() in video_folder.EXTENSIONS:
            yield Source(match, match)


def output_stems(sources: Iterable[Source]) -> list[str]:
    """A name for the files that are written about each source, each another one."""
    taken: set[str] = set()
    found = []
    for source in sources:
        stem, number = source.stem, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{source.stem}-{number}"
        taken.add(stem.casefold())
        found.append(stem)
    return found


def check_time_limits(sources: Iterable[Source], max_duration_s: float | None) -> None:
    """Nothing is read for ever.

    Raises:
        ConfigError: If a stream has no end that is known, and none is set.
    """
    endless = [one for one in sources if not one.ends]
    if endless and max_duration_s is None:
        raise ConfigError(
            "--max-duration-s must say how long a stream or camera is watched, which has no end. "
            f"Received: {endless[0].name}"
        )


def check_writable_names(sources: Iterable[Source]) -> None:
    """What is written about a source names it.

    Raises:
        ConfigError: If a name is not UTF-8.
    """
    for source in sources:
        if not units.is_utf8(source.name):
            raise ConfigError(
                "What is written names its videos, whose paths must be UTF-8. Received: "
                f"{source.name!r}"
            )

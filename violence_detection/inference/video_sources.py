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
from violence_detection.datasets import video_files
from violence_detection.errors import ConfigError
from violence_detection.system import files
from violence_detection.video.frame_series import names_by_video, with_rate, without_rate

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
            name = without_rate(self.path.name)
            return self.path.stem if name == self.path.name else name
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


def list_sources(
    arguments: Iterable[str], stdin: TextIO, frames_fps: float | None = None
) -> list[Source]:
    """All sources that arguments name, in their order.

    A folder names the videos in it, a pattern the files that it matches, `-` the lines of
    `stdin`. A path that does not exist is a source too; reading it is an error with its name. A
    file that is named several times is one source.

    Args:
        arguments: As they were given.
        stdin: Read for `-`.
        frames_fps: The rate at which numbered pictures are read as videos; None does not.

    Raises:
        ConfigError: If the lines of `stdin` cannot be decoded, no source is named, or a folder
            holds numbered pictures alone and `frames_fps` is not given.
    """
    sources: dict[str, Source] = {}
    ignored: list[str] = []
    for source in _expand(arguments, stdin, ignored, frames_fps):
        target = str(source.target) if source.is_live else os.path.realpath(source.target)
        first = sources.setdefault(target, source)
        if first is not source:
            log.info(f"{source.name} is named twice and predicted once, as {first.name}.")
    if not sources:
        raise ConfigError(
            f"There must be a video to predict. Received: {'; '.join(ignored) or 'an empty list'}"
        )
    return list(sources.values())


def _expand(
    arguments: Iterable[str], stdin: TextIO, ignored: list[str], frames_fps: float | None
) -> Iterator[Source]:
    """The sources of each argument; a text is added to `ignored` for a pattern without any."""
    for argument in arguments:
        is_pattern = bool(_PATTERN & set(argument)) and not _URL.match(argument)
        if argument == "-":
            yield from _expand(_lines(stdin), stdin, ignored, frames_fps)
        elif Path(argument).is_dir():
            yield from _expand_folder(argument, frames_fps)
        elif is_pattern and not os.path.lexists(argument):
            yield from _expand_pattern(argument, ignored, frames_fps)
        else:
            yield parse_source(argument)


def _lines(stdin: TextIO) -> list[str]:
    """The lines of a list of videos, without empty ones.

    PowerShell writes UTF-16 with a byte-order mark. Without a mark, a path may hold bytes that are
    not UTF-8, which the file system takes as they are.
    """
    binary = getattr(stdin, "buffer", None)
    text = stdin.read() if binary is None else _decoded(binary.read())
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [line for line in lines if line not in ("", "-")]


def _decoded(content: bytes) -> str:
    encoding = files.marked_encoding(content)
    try:
        text = content.decode(encoding) if encoding else os.fsdecode(content)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"The list on stdin must be in {encoding.upper()}, as its byte-order mark says. "
            f"Received: {error.reason} at byte {error.start}"
        ) from error
    if "\0" in text:
        raise ConfigError(
            "The list on stdin must be text in UTF-8, or in UTF-16 with a byte-order mark. "
            "Received: zero bytes (UTF-16 without the mark, or names that are separated by zeros)"
        )
    return text


def _expand_folder(folder: str, frames_fps: float | None) -> Iterator[Source]:
    folder_files = video_files.find_files(Path(folder), frames_fps)
    is_series = "" in names_by_video(path for path in folder_files.others if "/" not in path)
    frames = [folder] if is_series else list(video_files.frame_videos(folder_files))
    if frames and not folder_files.videos and frames_fps is None:
        raise ConfigError(
            "--frames-fps must give the rate of videos that are kept as numbered pictures. "
            f"Received: {folder} (e.g. {frames[0]}, and no --frames-fps)"
        )
    if is_series and frames_fps is not None:
        path = with_rate(os.path.normpath(folder), frames_fps)
        yield Source(path, path)
        return
    for note in folder_files.notes():
        log.info(f"{folder}: {note}")
    for path in [os.path.join(folder, name) for name in folder_files.videos] or [folder]:
        yield Source(path, path)


def _expand_pattern(pattern: str, ignored: list[str], frames_fps: float | None) -> Iterator[Source]:
    """The videos that a pattern matches; for `*.xyz`, all files with that ending."""
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute ones too)
    if not matches:
        yield Source(pattern, pattern)
    names_ending = not _PATTERN & set(Path(pattern).suffix) and Path(pattern).suffix != ""
    named, passed_over = set(Path(pattern).parts), []
    for match in matches:
        if any(map(video_files.is_system_folder, set(Path(match).parts) - named)):
            continue
        if Path(match).is_dir():
            # The pattern `**` also matches every folder above the files that it matches.
            if "**" not in pattern:
                yield from _expand_folder(match, frames_fps)
        elif names_ending or video_files.has_video_ending(match):
            yield Source(match, match)
        else:
            passed_over.append(match)
    if passed_over:
        are = "file that is not a video" if len(passed_over) == 1 else "files that are not videos"
        endings = video_files.listed_endings(passed_over)
        log.info(f"{pattern}: Ignored: {len(passed_over)} {are} ({endings}).")
        ignored.append(
            f"{pattern} (it matches {len(passed_over)} {are}: {endings}; a pattern with an ending, "
            "such as '*.xyz', reads all files of that ending)"
        )


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

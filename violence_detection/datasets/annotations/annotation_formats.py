"""Annotations of events in videos, from the files of annotation programs.

UCF-Crime's text, CVAT's XML for video, Label Studio's JSON and VIA 3's JSON are read. Each gives
events in frames or in seconds; what a file does not give is not guessed.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from violence_detection.errors import DatasetError

_MAX_BYTES = 200_000_000
_UCF_FIELDS = 6  # file, class, and two pairs of frames
_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-")  # that Label Studio puts before a name


@dataclass(frozen=True)
class Annotation:
    """An event in a video, or a video without one.

    Attributes:
        file: The video as the annotation file names it.
        label: The class; empty for a video that was looked at and has no event.
        start, end: Its first moment and the one after its last, in seconds, or in frames from 0;
            None where the whole video is meant.
        in_frames: The unit is frames.
        place: Where it stands, for messages: `line 12`.
    """

    file: str
    label: str
    start: float | None = None
    end: float | None = None
    in_frames: bool = False
    place: str = ""


def read_annotations(path: Path) -> tuple[str, list[Annotation]]:
    """The format of a file, in words, and its annotations.

    Raises:
        DatasetError: If it cannot be read, or has none of the formats.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DatasetError(f"Annotations must have 200 MB at most. Received: {path}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not there" if isinstance(error, FileNotFoundError) else error
        if isinstance(error, IsADirectoryError):
            reason = "a folder"
        raise DatasetError(
            f"Annotations must be a text file in UTF-8. Received: {path} ({reason})"
        ) from error
    start = text.lstrip()[:1]
    name, parse = _FORMATS.get(start, ("UCF-Crime's text", _ucf_crime))
    try:
        annotations = list(parse(text))
    except (ValueError, KeyError, TypeError, AttributeError, ElementTree.ParseError) as error:
        raise DatasetError(
            "Annotations must be UCF-Crime's text, CVAT's XML for video, or the JSON of Label "
            f"Studio or VIA 3. Received: {path} (read as {name}: {error})"
        ) from error
    if not annotations:
        raise DatasetError(f"Annotations must name a video. Received: {path} ({name}, empty)")
    return name, annotations


def _ucf_crime(text: str) -> Iterator[Annotation]:
    """`Abuse028_x264.mp4  Abuse  165  240  -1  -1`: frames from 1, the last one included."""
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != _UCF_FIELDS:
            raise ValueError(f"line {number} has {len(fields)} fields, not {_UCF_FIELDS}")
        file, label, *frames = fields
        if not all(re.fullmatch(r"-?\d+", frame, re.ASCII) for frame in frames):
            raise ValueError(f"line {number} has frames that are no numbers: {' '.join(frames)}")
        numbers = [int(frame) for frame in frames]
        pairs = [pair for pair in (numbers[:2], numbers[2:]) if pair != [-1, -1]]
        place = f"line {number}"
        if not pairs:
            yield Annotation(file, label, place=place)
        for first, last in pairs:
            if first < 0 or last < first:
                raise ValueError(f"line {number} has an event from frame {first} to {last}")
            yield Annotation(file, label, max(0, first - 1), last, in_frames=True, place=place)


def _cvat(text: str) -> Iterator[Annotation]:
    """Tracks and tags of CVAT for video 1.1; a track is an event from its first box to the first
    that is outside."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it declares entities, which CVAT's files do not")
    root = ElementTree.fromstring(text)
    if root.tag != "annotations":
        raise ValueError(f"its root is <{root.tag}>")
    file = root.findtext(".//source") or root.findtext(".//task/name") or root.findtext(".//name")
    if not file:
        raise ValueError("it names no video")
    count = 0
    for number, track in enumerate(root.iter("track"), 1):
        shapes = [(int(shape.get("frame")), shape.get("outside") == "1") for shape in track]
        inside = [frame for frame, outside in shapes if not outside]
        if inside:
            after = [frame for frame, outside in shapes if outside and frame > inside[-1]]
            end = min(after) if after else inside[-1] + 1
            place, label = f"track {number}", track.get("label") or ""
            yield Annotation(file, label, inside[0], end, in_frames=True, place=place)
            count += 1
    if not count:
        yield Annotation(file, "", place="no track")


def _json(text: str) -> Iterator[Annotation]:
    values = json.loads(text)
    if isinstance(values, dict) and "metadata" in values and "file" in values:
        yield from _via(values)
    else:
        yield from _label_studio(values if isinstance(values, list) else [values])


def _via(values: Mapping[str, Any]) -> Iterator[Annotation]:
    """Temporal segments of VIA 3: `z` has two times in seconds, `av` the value of an attribute."""
    names = {str(key): str(file["fname"]) for key, file in values["file"].items()}
    views = {
        str(key): [str(vid) for vid in view["fid_list"]]
        for key, view in (values.get("view") or {}).items()
    }
    options = {
        str(key): {str(k): str(v) for k, v in (attribute.get("options") or {}).items()}
        for key, attribute in (values.get("attribute") or {}).items()
    }
    with_event = set()
    for key, segment in values["metadata"].items():
        times = [float(time) for time in segment["z"]]
        if len(times) != 2:
            continue  # a region in one picture, and no event
        chosen = [(str(name), str(value)) for name, value in (segment.get("av") or {}).items()]
        label = next((options.get(n, {}).get(v, v) for n, v in chosen if v), "")
        for file in views.get(str(segment["vid"]), [str(segment["vid"])]):
            with_event.add(file)
            yield Annotation(names[file], label, *times, place=f"segment {key}")
    for file in names.keys() - with_event:
        yield Annotation(names[file], "", place="no segment")


def _label_studio(tasks: list[Any]) -> Iterator[Annotation]:
    """Timeline labels of Label Studio: ranges of frames from 1, the last one included."""
    for number, task in enumerate(tasks, 1):
        data = task["data"]
        value = data.get("video") or next(v for v in data.values() if isinstance(v, str))
        path = PurePosixPath(unquote(urlsplit(value).path) or value)
        file = _UPLOAD_PREFIX.sub("", path.name, count=1)
        count = 0
        for annotation in task.get("annotations") or task.get("completions") or ():
            if annotation.get("was_cancelled"):
                continue
            for result in annotation.get("result", ()):
                if result.get("type") != "timelinelabels":
                    continue
                labels = result["value"]["timelinelabels"]
                for span in result["value"]["ranges"]:
                    first, last = int(span["start"]), int(span["end"])
                    if last < first or not labels:
                        raise ValueError(f"task {number} has a range from {first} to {last}")
                    yield Annotation(
                        file,
                        str(labels[0]),
                        max(0, first - 1),
                        last,
                        in_frames=True,
                        place=f"task {number}",
                    )
                    count += 1
        if not count:
            yield Annotation(file, "", place=f"task {number}, no range")


_FORMATS: dict[str, tuple[str, Callable[[str], Iterator[Annotation]]]] = {
    "<": ("CVAT's XML", _cvat),
    "[": ("Label Studio's JSON", _json),
    "{": ("JSON of VIA 3 or Label Studio", _json),
}

"""Parts of videos from annotations of events, as rows of videos.csv.

An event becomes a part with its class, what lies between events a part of the normal class. An
annotation that is not inside its file, has an unknown class, or contradicts another is left out by
name, and its video with it: what is between wrong events is not known to be normal.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from violence_detection.datasets.annotations.annotation_formats import Annotation
from violence_detection.datasets.class_names import plain_name
from violence_detection.datasets.video_files import has_video_ending
from violence_detection.datasets.videos import Problem, Video
from violence_detection.errors import VideoError
from violence_detection.video.frame_series import without_rate

_LEAST_S = 1.0  # length of a normal part between two events
_MARGIN_S = 1.0  # by which an event may end after its file, whose length is rounded


@dataclass(frozen=True)
class FileLength:
    """Length and rate of a video file.

    Attributes:
        duration_s: In seconds.
        fps: Frames per second, as annotations count them.
    """

    duration_s: float
    fps: float


@dataclass(frozen=True)
class AnnotatedParts:
    """The parts of some videos.

    Attributes:
        videos: Parts and whole videos, in the order of the files and their times.
        left_out: Annotations and videos that are not used, with the reason.
        events: Number of events among the parts.
    """

    videos: tuple[Video, ...]
    left_out: tuple[Problem, ...]
    events: int


def parts_of(
    annotations: Sequence[Annotation],
    paths: Sequence[str],
    length_of: Callable[[str], FileLength],
    *,
    normal: str,
    classes: Sequence[str] = (),
    known: Mapping[str, Video] | None = None,
) -> AnnotatedParts:
    """The parts that annotations divide their videos into.

    Args:
        annotations: Of one or several files.
        paths: The videos of the dataset's folder.
        length_of: Length and rate of a video; raises VideoError for one that cannot be read.
        normal: Name of the normal class.
        classes: All classes that a label may have, other spellings included; empty for any.
        known: Videos of the dataset by path, whose recording, split and camera their parts take.
    """
    matched, left_out = _matched(annotations, paths)
    videos: list[Video] = []
    events = 0
    for path, members in sorted(matched.items()):
        try:
            spans = _spans(members, length_of(path), normal, classes)
        except (VideoError, _BadAnnotation) as error:
            left_out.append(Problem(path, str(error)))
            continue
        whole = (known or {}).get(path) or Video(path, normal, path)
        events += sum(label != normal for label, _, _ in spans)
        if len(spans) == 1 and spans[0][1] == 0.0 and spans[0][2] == math.inf:
            videos.append(_with(whole, spans[0][0], None, None))
        else:
            videos += [_with(whole, *span) for span in spans]
    return AnnotatedParts(tuple(videos), tuple(left_out), events)


class _BadAnnotation(Exception):
    """The reason why the annotations of a video are not used."""


def _with(whole: Video, label: str, start_s: float | None, end_s: float | None) -> Video:
    return Video(
        whole.path,
        label,
        whole.group,
        whole.split,
        start_s,
        end_s,
        whole.camera,
        whole.recorded_at,
        whole.kind,
    )


def _matched(
    annotations: Sequence[Annotation], paths: Sequence[str]
) -> tuple[dict[str, list[Annotation]], list[Problem]]:
    """The annotations of each video; and those whose video is not there, or not the only one.

    Numbered pictures `v1@25fps` may be annotated as `v1`, or as the video that they were cut from,
    `v1.mp4`.
    """
    by_name = defaultdict(list)
    for path in paths:
        by_name[PurePosixPath(without_rate(path)).name].append(path)
    matched, left_out = defaultdict(list), []
    missing: dict[str, str] = {}
    for annotation in annotations:
        name = without_rate(annotation.file.replace("\\", "/"))
        similar = by_name.get(PurePosixPath(name).name, [])
        if not similar and has_video_ending(name):
            name = name.removesuffix(PurePosixPath(name).suffix)
            cut = by_name.get(PurePosixPath(name).name, [])
            similar = [path for path in cut if without_rate(path) != path]
        plain = {path: f"/{without_rate(path)}" for path in similar}
        exact = [path for path in similar if f"/{name}".endswith(plain[path])]
        exact = exact or [path for path in similar if plain[path].endswith(f"/{name}")]
        candidates = exact or similar
        if len(candidates) == 1:
            matched[candidates[0]].append(annotation)
        else:
            reason = "there is no such video" if not candidates else "several videos have its name"
            missing.setdefault(annotation.file, reason)
    left_out += [Problem(file, reason) for file, reason in missing.items()]
    return dict(matched), left_out


def _spans(
    members: Sequence[Annotation], length: FileLength, normal: str, classes: Sequence[str]
) -> list[tuple[str, float, float]]:
    """Label, start and end of each part of a video.

    Raises:
        _BadAnnotation: If an annotation is not inside the file, has an unknown class, or
            contradicts another.
    """
    names = {plain_name(name): name for name in classes}
    names[plain_name(normal)] = normal
    events = []
    for member in members:
        label = member.label or normal
        known = names.get(plain_name(label), None if classes else label)
        if known is None:
            raise _BadAnnotation(f"{member.place}: the class {label} is not known")
        if member.start is None:
            events.append((known, 0.0, math.inf))
            continue
        start_s, end_s = member.start, member.end
        if member.in_frames:
            if length.fps <= 0:
                raise _BadAnnotation(
                    f"{member.place}: the event is in frames, and the file tells no rate"
                )
            start_s, end_s = start_s / length.fps, end_s / length.fps
        if not 0 <= start_s < end_s:
            raise _BadAnnotation(f"{member.place}: the event ends before it starts")
        if start_s >= length.duration_s or end_s > length.duration_s + _MARGIN_S:
            raise _BadAnnotation(
                f"{member.place}: the event from {start_s:.1f} to {end_s:.1f} s is not inside the "
                f"file, which ends at {length.duration_s:.1f} s"
            )
        events.append((known, start_s, min(end_s, length.duration_s)))
    return _with_rest(_joined(sorted(events, key=lambda event: event[1:])), length, normal)


def _joined(events: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """The events in order; those of one class that overlap are one."""
    joined: list[tuple[str, float, float]] = []
    for label, start_s, end_s in events:
        if not joined or start_s >= joined[-1][2]:
            joined.append((label, start_s, end_s))
            continue
        last, last_start_s, last_end_s = joined[-1]
        if last != label:
            raise _BadAnnotation(
                f"{last} from {last_start_s:.1f} s and {label} from {start_s:.1f} s overlap: the "
                "labels contradict each other"
            )
        joined[-1] = (label, last_start_s, max(last_end_s, end_s))
    return joined


def _with_rest(
    events: list[tuple[str, float, float]], length: FileLength, normal: str
) -> list[tuple[str, float, float]]:
    """The events, and a normal part in each gap of a second or more."""
    if events and events[0][2] == math.inf:
        return events
    spans, place = [], 0.0
    for label, start_s, end_s in [*events, ("", length.duration_s, length.duration_s)]:
        if start_s - place >= _LEAST_S:
            spans.append((normal, round(place, 3), round(start_s, 3)))
        if label:
            spans.append((label, round(start_s, 3), round(end_s, 3)))
        place = max(place, end_s)
    return spans

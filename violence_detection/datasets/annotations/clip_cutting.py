"""Cuts long videos into clips of a few seconds, each a video of the recording of its file."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from violence_detection.datasets.table_files.manifest import part_of
from violence_detection.datasets.videos import Video
from violence_detection.video.decoding import container

_LEAST = 2  # lengths of a clip from which on a video is cut
_RESOLUTION_S = 1e-3


def cut_videos(videos: Sequence[Video], root: Path, clip_s: float) -> list[Video]:
    """The videos, with those of two clip lengths or more replaced by clips of that length.

    Clips follow each other without a gap. What is left at the end, shorter than a clip, is left
    out. A file that does not tell its length stays whole, as do parts that `videos.csv` names.

    Args:
        videos: The videos of a folder.
        root: The folder.
        clip_s: Seconds of a clip.
    """
    clips = []
    for video in videos:
        duration_s = 0.0
        if video.start_s is None:
            duration_s = container.read_container(root / video.path).duration_s
        if duration_s < _LEAST * clip_s:
            clips.append(video)
            continue
        count = int((duration_s + _RESOLUTION_S) / clip_s)
        clips += [
            dataclasses.replace(
                video, start_s=round(number * clip_s, 6), end_s=round((number + 1) * clip_s, 6)
            )
            for number in range(count)
        ]
    return clips


def video_of_key(key: str, by_key: Mapping[str, Video]) -> Video | None:
    """The video of a key, also where it is a clip that was cut from a whole file; None if there is
    none.

    Args:
        key: As a manifest has it.
        by_key: The videos of a folder by their keys.
    """
    video = by_key.get(key)
    if video is not None:
        return video
    path, start_s, end_s = part_of(key)
    whole = by_key.get(path)
    if whole is None or start_s is None:
        return None
    return dataclasses.replace(whole, start_s=start_s, end_s=end_s)

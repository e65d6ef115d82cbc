"""Frames and properties of a checked folder of videos, for the page of `check --report`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from violence_detection.datasets import training_readiness
from violence_detection.datasets.config import SplitConfig
from violence_detection.datasets.splitting.split_counts import count_splits
from violence_detection.datasets.videos import Video
from violence_detection.evaluation.mistakes.frame_images import frame_images
from violence_detection.features.checking import folder_findings
from violence_detection.features.checking.folder_check import InspectedFolder
from violence_detection.reports.dataset_report import DatasetPage, ShownPair, ShownVideo
from violence_detection.units import counted
from violence_detection.video.video_file import VideoPart

_SHOWN = 12  # recordings of a class, and pairs


def overview(inspected: InspectedFolder, *, blur: bool) -> DatasetPage:
    """The content of the page; reads a frame of a video of up to 12 recordings a class, and of up
    to 12 pairs of near-duplicates.

    Args:
        inspected: The folder, checked.
        blur: Whether people in the frames are made hard to recognise.
    """
    videos = inspected.usable
    by_class: dict[str, dict[str, list[Video]]] = defaultdict(lambda: defaultdict(list))
    for video in videos:
        by_class[video.label][video.group].append(video)
    chosen = {
        label: [group[len(group) // 2] for group in _spread(list(groups.values()))]
        for label, groups in sorted(by_class.items())
    }
    similar = inspected.check.similar[:_SHOWN]
    first_of = {}  # a path of several parts is shown by its first
    for video in videos:
        first_of.setdefault(video.path, video)
    in_pairs = [first_of[path] for pair in similar for path in pair.paths if path in first_of]
    wanted = {v.key: v for v in [*(v for shown in chosen.values() for v in shown), *in_pairs]}
    images = _read_images(inspected, list(wanted.values()), blur)

    def shown(video: Video) -> ShownVideo:
        of_recording = len(by_class[video.label][video.group])
        named = inspected.folder.grouping != "none"
        caption = f"{video.group} ({counted(of_recording, 'video')})" if named else video.key
        return ShownVideo(video.key, caption, images[video.key])

    split = training_readiness.planned_split(videos, SplitConfig()) if videos else {}
    return DatasetPage(
        name=inspected.folder.root.resolve().name,
        check=inspected.check,
        recordings=len({video.group for video in videos}),
        splits=count_splits((video.label, video.group, split[video.key]) for video in videos),
        properties=_properties(inspected),
        shown={label: [shown(video) for video in shown_of] for label, shown_of in chosen.items()},
        left_out={label: len(by_class[label]) - len(chosen[label]) for label in chosen},
        pairs=[
            ShownPair(
                tuple(ShownVideo(path, path, images[first_of[path].key]) for path in pair.paths),
                pair.bits,
            )
            for pair in similar
            if all(path in first_of for path in pair.paths)
        ],
        blurred=blur,
    )


def _spread(groups: Sequence[list[Video]]) -> list[list[Video]]:
    """Up to 12 of the recordings, evenly from first to last."""
    count = min(len(groups), _SHOWN)
    return [groups[number * len(groups) // count] for number in range(count)]


def _properties(inspected: InspectedFolder) -> dict[str, dict[str, list[float]]]:
    """Values of the readable videos by class: length, shorter side, rate and brightness."""
    properties: dict[str, dict[str, list[float]]] = {}
    for label in sorted({video.label for video in inspected.usable}):
        rows = [
            (video, inspected.inspections[video.path])
            for video in inspected.usable
            if video.label == label
        ]
        values: Mapping[str, list[float]] = {
            "Length (s)": [folder_findings.length_s(video, file) for video, file in rows],
            "Shorter side (pixels)": [float(min(file.size)) for _, file in rows],
            "Frames per second": [file.fps for _, file in rows],
            "Brightness (0 to 255)": [float(file.thumbnails.mean()) for _, file in rows],
        }
        for name, of_class in values.items():
            properties.setdefault(name, {})[label] = of_class
    return properties


def _read_images(inspected: InspectedFolder, videos: Sequence[Video], blur: bool) -> dict[str, str]:
    """A small image of each video as a data URI, by key; empty where it cannot be read."""
    root = inspected.folder.root
    parts = [VideoPart(root / video.path, video.start_s, video.end_s) for video in videos]
    images = frame_images(parts, blur=blur, title="Reading frames", thumbnails=True)
    return {
        video.key: "" if isinstance(image, str) else image[0]
        for video, image in zip(videos, images, strict=True)
    }

"""Statistics of clips whose images are made in ways that the product does not have.

    python benchmarks/clip_inputs.py HOME_VIDEOS AWAY_VIDEOS FOLDER --weights mobilenet.h5 \\
        --model package/models/movenet-multipose.json

HOME_VIDEOS and AWAY_VIDEOS are folders with videos.csv. For each way FOLDER gets a file of the
statistics over time (mean, deviation, mean absolute difference) of MobileNet's features, for
`other_camera_trials.py --statistics`: `home` (N, 3 D) and `away` (M, 3 D), in the order of the
paths. What is done is kept in FOLDER, so that the script can be stopped and started again. T = 20,
or 40 where it says so. The ways:

    motion           as `motion(focus=true)`, for comparison
    flow             DIS optical flow in the region of motion: across, down, and its size
    wide             motion in a region of twice the sides
    whole            motion in the whole frame
    people           motion in the region of people, by the boxes of MoveNet multipose
    colour people    colour in that region
    motion of people motion in the region of motion, where only that in people's boxes counts
    frames 40        as `motion`, T = 40
    frames 40 by 2   the same, with differences over two images

Without a person a region is that of motion. The boxes are of 10 frames.
"""

import argparse
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import clip_numbers
import cv2
import numpy as np

from violence_detection import registry
from violence_detection.datasets import video_folder
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system import devices, files
from violence_detection.video import motion_crop
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.motion_crop import Region

SIDE_PX, FRAMES, PEOPLE_FRAMES = 224, 20, 10
FLOW_SIDE_PX, FLOW_GAIN = 128, 24  # across a 24th of the region is white
STEP_S = 0.067


@dataclass(frozen=True)
class Clip:
    """A short video in memory.

    Attributes:
        frames: uint8 (H, W, 3) BGR each.
        fps: Their rate.
        people: The boxes of people in some frames: top, left, bottom, right in shares of the
            sides, one array (n, 4) a frame.
    """

    frames: list[np.ndarray]
    fps: float
    people: list[np.ndarray]

    @functools.cached_property
    def changes(self) -> np.ndarray:
        """The summed changes of the reduced frames, (rows, 64)."""
        reduced = [motion_crop.reduce_frame(frame) for frame in self._every_second]
        pairs = zip(reduced[:-1], reduced[1:], strict=True)
        return np.sum([motion_crop.frame_change(*pair) for pair in pairs] or [reduced[0] * 0], 0)

    @property
    def _every_second(self) -> list[np.ndarray]:
        return self.frames[:: motion_crop.FRAME_STEP]

    @functools.cached_property
    def people_map(self) -> np.ndarray:
        """The number of people's boxes over each cell of a reduced frame, (rows, 64)."""
        rows, columns = self.changes.shape
        covered = np.zeros((rows, columns))
        for box in np.concatenate(self.people):
            top, left, bottom, right = np.clip(box, 0, 1) * (rows, columns, rows, columns)
            covered[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] += 1
        return covered

    def region(self, where: np.ndarray | None = None) -> Region:
        """The smallest square with 80% of a map; of motion without one, or where it is empty."""
        shape = self.frames[0].shape
        for cells in (where, self.changes):
            if cells is not None and (region := motion_crop.motion_region(cells, shape)):
                return region
        return Region(0, 0, shape[1], shape[0])

    def wider(self, region: Region) -> Region:
        """A region of twice the sides around the same middle, cut off at the border."""
        height, width = self.frames[0].shape[:2]
        left, top = (max(0, region[place] - region[place + 2] // 2) for place in (0, 1))
        right, bottom = (region[place] + region[place + 2] * 3 // 2 for place in (0, 1))
        return Region(left, top, min(right, width) - left, min(bottom, height) - top)


Images = Callable[[Clip], np.ndarray]  # uint8 (T, S, S, 3)


def stream_images(
    clip: Clip, region_of: Callable[[Clip], Region], *, name: str = "motion", count: int = FRAMES
) -> np.ndarray:
    """The images of a stream in a region."""
    stream, region = registry.load("streams", name, frame_size=SIDE_PX), region_of(clip)
    last = len(clip.frames) - 1
    return np.stack(
        [
            stream.combine(
                [
                    stream.prepare(region.crop(clip.frames[number]))
                    for number in stream.frames(index, fps=clip.fps, last=last)
                ]
            )
            for index in sample_indices(len(clip.frames), count).tolist()
        ]
    )


def flow_images(clip: Clip) -> np.ndarray:
    """Flow across and down around the middle grey level, and its size."""
    region, images = clip.region(), []
    flow_of = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    step = max(1, round(STEP_S * clip.fps))

    def grey(index: int) -> np.ndarray:
        one_channel = cv2.cvtColor(region.crop(clip.frames[index]), cv2.COLOR_BGR2GRAY)
        return cv2.resize(one_channel, (FLOW_SIDE_PX,) * 2, interpolation=cv2.INTER_AREA)

    for index in sample_indices(len(clip.frames), FRAMES).tolist():
        after = min(index + step, len(clip.frames) - 1)
        flow = flow_of.calc(grey(max(after - step, 0)), grey(after), None)
        size = 2 * np.hypot(flow[..., 0], flow[..., 1])[..., None]
        levels = np.concatenate([128 + FLOW_GAIN * flow, FLOW_GAIN * size], -1)
        image = np.clip(levels, 0, 255).astype(np.uint8)
        images.append(cv2.resize(image, (SIDE_PX,) * 2, interpolation=cv2.INTER_LINEAR))
    return np.stack(images)


def people_region(clip: Clip) -> Region:
    return clip.region(clip.people_map)


INPUTS: dict[str, Images] = {
    "motion": functools.partial(stream_images, region_of=Clip.region),
    "flow": flow_images,
    "wide": functools.partial(stream_images, region_of=lambda clip: clip.wider(clip.region())),
    "whole": functools.partial(
        stream_images, region_of=lambda clip: Region(0, 0, *clip.frames[0].shape[1::-1])
    ),
    "people": functools.partial(stream_images, region_of=people_region),
    "colour people": functools.partial(stream_images, region_of=people_region, name="rgb"),
    "motion of people": functools.partial(
        stream_images, region_of=lambda clip: clip.region(clip.changes * (clip.people_map > 0))
    ),
    "frames 40": functools.partial(stream_images, region_of=Clip.region, count=40),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("away", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", required=True, help="of MobileNet")
    parser.add_argument("--model", type=Path, required=True, help="movenet-multipose.json")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    cv2.setNumThreads(1)
    extractor = FeatureExtractor.build(
        backbone="mobilenet",
        weights=arguments.weights,
        stream="motion",
        frames=FRAMES,
        frame_size=SIDE_PX,
        engine="openvino",
        precision="float32",
        batch_size=32,
        seed=0,
    )
    people_of = clip_numbers.movenet(arguments.model)
    tables: dict[str, dict[str, np.ndarray]] = {}
    for name in ("home", "away"):
        root = getattr(arguments, name)
        paths = sorted(video.path for video in video_folder.read_folder(root).videos)
        rows = []
        for number, path in enumerate(paths, 1):
            kept = arguments.folder / "clips" / name / f"{path}.npz"
            if not kept.is_file():
                statistics = clip_statistics(root / path, extractor, people_of)
                with files.writing(kept) as file:
                    np.savez(file, **statistics)
            with np.load(kept) as statistics:
                rows.append(dict(statistics))
            print(f"{name} {number} of {len(paths)}", end="\r", flush=True)
        for way in rows[0]:
            tables.setdefault(way, {})[name] = np.stack([row[way] for row in rows])
    for way, table in tables.items():
        np.savez(arguments.folder / f"{way.replace(' ', '_')}.npz", **table)


def clip_statistics(
    path: Path, extractor: FeatureExtractor, people_of: Callable[[np.ndarray], np.ndarray]
) -> Mapping[str, np.ndarray]:
    """The statistics of each way, float32 (3 D,)."""
    frames, fps = clip_numbers.read_frames(path)
    chosen = [frames[index] for index in sample_indices(len(frames), PEOPLE_FRAMES)]
    clip = Clip(frames, fps, [clip_numbers.boxes_of(people_of(frame)) for frame in chosen])
    features = {
        way: extractor.encode_batch(images_of(clip)).astype(np.float32)
        for way, images_of in INPUTS.items()
    }
    statistics = {way: pooled(rows) for way, rows in features.items()}
    return statistics | {"frames 40 by 2": pooled(features["frames 40"], apart=2)}


def pooled(rows: np.ndarray, *, apart: int = 1) -> np.ndarray:
    """Mean, deviation, and mean absolute difference of rows (T, D) so far apart: (3 D,)."""
    change = np.abs(rows[apart:] - rows[:-apart]).mean(0)
    return np.concatenate([rows.mean(0), rows.std(0), change])


if __name__ == "__main__":
    main()

"""The streams of a spec, side by side: the frames that their images need, and the images."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from violence_detection import registry
from violence_detection.video import motion_crop
from violence_detection.video.decoder import FALLBACK_FPS
from violence_detection.video.motion_crop import Region
from violence_detection.video.streams._stream import Stream
from violence_detection.video.views import ORIGINAL, View

NeededFrames = tuple[tuple[int, ...], ...]  # for each of K streams, the indices of frames
PreparedFrame = dict[int, np.ndarray]  # what each stream keeps of a frame, by its number


class StreamSet:
    """The K streams of a spec.

    Attributes:
        streams: The streams, in the order of the spec.
        focused: True if a stream is cropped to the region of motion.
        shows_motion: True if a stream compares frames with each other.
    """

    def __init__(self, stream: str, *, frame_size: int) -> None:
        """
        Args:
            stream: Spec of one stream, or of several joined by `+`.
            frame_size: Side of an image in pixels (S).

        Raises:
            ConfigError: If a stream does not exist or does not take its arguments.
        """
        self.streams: list[Stream] = [
            registry.load("streams", str(spec), frame_size=frame_size)
            for spec in registry.parse(stream)
        ]
        self.focused = any(stream.focus for stream in self.streams)
        self.shows_motion = any(len(stream.offsets) > 1 for stream in self.streams)

    def reach_frames(self, fps: float) -> int:
        """The largest distance, in frames, from a sampled frame to one that its images need."""
        return max(stream.reach_frames(fps or FALLBACK_FPS) for stream in self.streams)

    def needed_frames(self, index: int, *, fps: float, last: int) -> NeededFrames:
        """The frames that the images at frame `index` need, none after `last`."""
        return tuple(
            stream.frames(index, fps=fps or FALLBACK_FPS, last=last) for stream in self.streams
        )

    def prepare_frame(
        self,
        frame: np.ndarray,
        region: Region | None,
        numbers: Iterable[int],
        view: View = ORIGINAL,
    ) -> PreparedFrame:
        """Reduce a frame to the data that the images of some streams need.

        Args:
            frame: uint8 (H, W, 3) BGR.
            region: The region of motion, for focused streams; None for the whole frame.
            numbers: The numbers of the streams.
            view: The view of the frame.
        """
        cropped = region.crop(frame) if region else frame
        return {
            number: self.streams[number].prepare(
                view.apply(cropped if self.streams[number].focus else frame)
            )
            for number in numbers
        }

    def combine(self, needed: NeededFrames, frames: Mapping[int, PreparedFrame]) -> np.ndarray:
        """The image of each stream, uint8 (K, S, S, 3).

        Args:
            needed: The frames that the images need.
            frames: The prepared frames, by index.
        """
        return np.stack(
            [
                stream.combine([frames[index][number] for index in needed[number]])
                for number, stream in enumerate(self.streams)
            ]
        )

    def images_of(
        self,
        frames: Sequence[np.ndarray],
        indices: Sequence[int],
        *,
        fps: float,
        views: Sequence[View] = (ORIGINAL,),
    ) -> np.ndarray:
        """The images of a clip in memory, made exactly as those of a file.

        Args:
            frames: All frames of the clip, uint8 (H, W, 3) BGR each.
            indices: Indices of the T frames that are sampled.
            fps: Frames per second; 0.0 if unknown.
            views: V views of each image.

        Returns:
            uint8 (V, T, K, S, S, 3).
        """
        needed = [self.needed_frames(index, fps=fps, last=len(frames) - 1) for index in indices]
        used = {index for of_image in needed for stream in of_image for index in stream}
        motion, every_stream = motion_crop.MotionMap(), range(len(self.streams))
        if self.focused:
            for index in range(0, len(frames), motion_crop.FRAME_STEP):
                motion.add(frames[index])
        region, images = motion.region(), []
        for view in views:
            prepared = {
                index: self.prepare_frame(frames[index], region, every_stream, view)
                for index in used
            }
            images.append([self.combine(of_image, prepared) for of_image in needed])
        return np.array(images)

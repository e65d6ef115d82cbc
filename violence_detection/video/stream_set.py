"""What a stream spec needs of a video's frames, and the pictures that it makes of them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from violence_detection import registry
from violence_detection.video import motion_crop
from violence_detection.video.decoder import FALLBACK_FPS
from violence_detection.video.motion_crop import Region
from violence_detection.video.streams._stream import Stream
from violence_detection.video.views import ORIGINAL, View

NeededFrames = tuple[tuple[int, ...], ...]  # for each of K streams, frames
PreparedFrame = dict[int, np.ndarray]  # a frame as streams keep it, by their number


class StreamSet:
    """The streams of a spec, K of them, side by side.

    Attributes:
        focused: Whether a stream is cut to where the motion is.
    """

    def __init__(self, stream: str, *, frame_size: int) -> None:
        """
        Args:
            stream: Spec, one part or several joined by `+`.
            frame_size: Side of a picture in pixels (S).

        Raises:
            ConfigError: If a stream is not there, or does not take its arguments.
        """
        self.streams: list[Stream] = [
            registry.load("streams", str(spec), frame_size=frame_size)
            for spec in registry.parse(stream)
        ]
        self.focused = any(stream.focus for stream in self.streams)

    def reach(self, fps: float) -> int:
        """Frames to the furthest that a picture is made of."""
        return max(stream.reach(fps or FALLBACK_FPS) for stream in self.streams)

    def needed(self, index: int, *, fps: float, last: int) -> NeededFrames:
        """The frames that the pictures at `index` are made of, none after `last`."""
        return tuple(
            stream.frames(index, fps=fps or FALLBACK_FPS, last=last) for stream in self.streams
        )

    def prepared(
        self,
        frame: np.ndarray,
        region: Region | None,
        numbers: Iterable[int],
        view: View = ORIGINAL,
    ) -> PreparedFrame:
        """What some of the streams keep of a frame, uint8 (H, W, 3) BGR, seen in a way."""
        cut = region.cut(frame) if region else frame
        return {
            number: self.streams[number].prepare(
                view.of(cut if self.streams[number].focus else frame)
            )
            for number in numbers
        }

    def combined(self, needed: NeededFrames, frames: Mapping[int, PreparedFrame]) -> np.ndarray:
        """The picture of each stream, uint8 (K, S, S, 3)."""
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
            indices: Of the T frames that are sampled.
            fps: Frames per second; 0.0 if unknown.
            views: V views of each image.

        Returns:
            uint8 (V, T, K, S, S, 3).
        """
        needed = [self.needed(index, fps=fps, last=len(frames) - 1) for index in indices]
        used = {index for of_image in needed for stream in of_image for index in stream}
        motion, every_stream = motion_crop.MotionMap(), range(len(self.streams))
        if self.focused:
            for index in range(0, len(frames), motion_crop.FRAME_STEP):
                motion.add(frames[index])
        region, images = motion.region(), []
        for view in views:
            prepared = {
                index: self.prepared(frames[index], region, every_stream, view) for index in used
            }
            images.append([self.combined(of_image, prepared) for of_image in needed])
        return np.array(images)

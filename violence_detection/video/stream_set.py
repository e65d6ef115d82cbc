"""The streams of a spec, side by side: the frames that their images need, and the images."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.video import motion_crop
from violence_detection.video.decoding.decoder import FALLBACK_FPS
from violence_detection.video.motion_crop import Region
from violence_detection.video.streams._stream import Stream
from violence_detection.video.view_motion import ViewMotion
from violence_detection.video.views import ORIGINAL, View

NeededFrames = tuple[tuple[int, ...], ...]  # for each of K streams, the indices of frames
# What each stream keeps of a frame, by its number; of stacked streams, that of each.
PreparedFrame = dict[int, "np.ndarray | tuple[np.ndarray, ...]"]


class StreamSet:
    """The K streams of a spec.

    A spec `rgb|motion` stacks its streams: they are one stream, whose image has theirs as
    channels, uint8 (S, S, 3 L) of L streams.

    Attributes:
        streams: The streams, in the order of the spec; a single one if they are stacked.
        stacked: The L streams of a spec that stacks them, else none.
        focused: True if a stream is cropped to the region of motion.
        shows_motion: True if a stream compares frames with each other.
    """

    def __init__(self, stream: str, *, frame_size: int) -> None:
        """
        Args:
            stream: Spec of one stream, or of several joined by `+`, or stacked by `|`.
            frame_size: Side of an image in pixels (S).

        Raises:
            ConfigError: If a stream does not exist or does not take its arguments.
        """
        self.streams: list[Stream] = [
            registry.load("streams", str(spec), frame_size=frame_size)
            for part in stream.split("|")
            for spec in registry.parse(part)
        ]
        self.stacked: list[Stream] = []
        if "|" in stream:
            self.stacked, self.streams = self.streams, [_stack(self.streams)]
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
        number: int = 0,
    ) -> PreparedFrame:
        """Reduce a frame to the data that the images of some streams need.

        Args:
            frame: uint8 (H, W, 3) BGR.
            region: The region of motion, for focused streams; None for the whole frame.
            numbers: The numbers of the streams.
            view: The view of the frame.
            number: Its number in the video, for views that change from frame to frame.
        """
        frame = view.degrade(frame, number)
        cropped = region.crop(frame) if region else frame

        def prepared(stream: Stream) -> np.ndarray:
            return stream.prepare(view.apply(cropped if stream.focus else frame))

        if self.stacked:
            return {number: tuple(map(prepared, self.stacked)) for number in numbers}
        return {number: prepared(self.streams[number]) for number in numbers}

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
        motion, every_stream = ViewMotion(views), range(len(self.streams))
        if self.focused:
            for index in range(0, len(frames), motion_crop.FRAME_STEP):
                motion.add(frames[index], index)
        images = []
        for view, region in zip(views, motion.regions(), strict=True):
            prepared = {
                index: self.prepare_frame(frames[index], region, every_stream, view, index)
                for index in used
            }
            images.append([self.combine(of_image, prepared) for of_image in needed])
        return np.array(images)


def _stack(streams: Sequence[Stream]) -> Stream:
    """One stream whose image has those of several as channels.

    A frame is prepared for all of them by `StreamSet.prepare_frame`, as some may be cropped.
    """
    offsets = sorted({offset for stream in streams for offset in stream.offsets})
    places = [[offsets.index(offset) for offset in stream.offsets] for stream in streams]
    (step_s, *others) = {stream.step_s for stream in streams if stream.offsets != (0,)} or {0.0}
    if others:
        raise ConfigError("Streams that are stacked must have the same step. Received: others")

    def combine(frames: Sequence[tuple[np.ndarray, ...]]) -> np.ndarray:
        images = [
            stream.combine([frames[place][number] for place in places[number]])
            for number, stream in enumerate(streams)
        ]
        return np.concatenate(images, axis=-1)

    return Stream(
        prepare=streams[0].prepare,
        combine=combine,
        offsets=tuple(offsets),
        step_s=step_s,
        focus=any(stream.focus for stream in streams),
    )

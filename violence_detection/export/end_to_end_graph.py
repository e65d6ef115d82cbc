"""From the frames of a clip to a probability, in one graph of Keras' own layers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.export import classifier_graph, resize_graph
from violence_detection.export.motion_crop_graph import MotionCropGraph
from violence_detection.system import devices
from violence_detection.video import motion_crop
from violence_detection.video.clip_reader import sample_indices
from violence_detection.video.motion_crop import MotionMap
from violence_detection.video.stream_set import StreamSet

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FrameInput:
    """What an exported model is given: one clip.

    Attributes:
        frames: Frames (F), evenly spaced over the clip.
        height, width: Of each, in pixels.
        fps: Frames per second.
        pictures: Those that the backbone sees (T), at the middles of T equal parts.
    """

    frames: int
    height: int
    width: int
    fps: float
    pictures: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(F, H, W, 3)."""
        return (self.frames, self.height, self.width, 3)

    def told(self) -> str:
        """Which frames are given, for a person."""
        if self.frames == self.pictures:
            return f"{self.frames} frames, the middle one of each of as many equal parts of a clip"
        return f"every frame of a clip, {self.fps:g} a second"

    def needed(self, make: StreamSet) -> list[list[tuple[int, ...]]]:
        """For each picture and stream, the frames that it is made of."""
        return [
            list(make.needed(index, fps=self.fps, last=self.frames - 1))
            for index in sample_indices(self.frames, self.pictures).tolist()
        ]


def needs_all_frames(make: StreamSet) -> bool:
    """Whether a stream looks at more than the sampled frames themselves."""
    return make.focused or any(stream.offsets != (0,) for stream in make.streams)


def pictures_of(frames: np.ndarray, given: FrameInput, make: StreamSet) -> np.ndarray:
    """The same pictures as the graph's, as extraction makes them: by OpenCV.

    Args:
        frames: uint8 (F, H, W, 3) RGB.
        given: Their number, size and rate.
        make: Makes the pictures.

    Returns:
        uint8 (T, K, S, S, 3).
    """
    frames = np.ascontiguousarray(frames[..., ::-1])
    motion = MotionMap()
    if make.focused:
        for frame in frames[:: motion_crop.FRAME_STEP]:
            motion.add(frame)
    region, streams = motion.region(), range(len(make.streams))
    needed = given.needed(make)
    prepared = {
        index: make.prepared(frames[index], region, streams)
        for index in {one for picture in needed for these in picture for one in these}
    }
    return np.stack([make.combined(tuple(picture), prepared) for picture in needed])


def build_end_to_end(
    given: FrameInput,
    make: StreamSet,
    *,
    backbone: "keras.Model",
    classifier: "keras.Model",
) -> "keras.Model":
    """A model of one clip at a time.

    Args:
        given: What goes in.
        make: The streams of pictures.
        backbone: From float32 (B, S, S, 3) RGB in [0, 255] to (B, D).
        classifier: From float32 (B, T, K D) to probabilities by name.

    Returns:
        From `frames`, uint8 (1, F, H, W, 3) RGB, to what `classifier` gives.

    Raises:
        ConfigError: If a stream has no graph.
    """
    import keras
    from keras import ops

    with devices.dtype_policy("float32"):
        clip = keras.Input(batch_shape=(1, *given.shape), dtype="uint8", name="frames")
        frames = ops.squeeze(clip, 0)
        pictures = _pictures(frames, given, make, backbone.input_shape[1])
        encoded = _backbone_model(backbone)(pictures)
        features = ops.reshape(encoded, (1, given.pictures, -1))
        return keras.Model(clip, classifier(features), name="end_to_end")


def _backbone_model(backbone: "keras.Model") -> "keras.Model":
    import keras

    pictures = keras.Input(backbone.input_shape[1:], dtype="float32", name="pictures")
    features = classifier_graph.call_with_keras_layers(backbone, pictures)
    return keras.Model(pictures, features, name="backbone")


def _pictures(
    frames: "keras.KerasTensor", given: FrameInput, make: StreamSet, size: int
) -> "keras.KerasTensor":
    """All streams of all pictures, float32 (T K, S, S, 3)."""
    from keras import ops

    needed = given.needed(make)
    cut = place = None
    if make.focused:
        cut = MotionCropGraph(given.height, given.width)
        every = range(0, given.frames, motion_crop.FRAME_STEP)
        place = cut.place(_taken(frames, list(every)))
    streams = []
    for number, stream in enumerate(make.streams):
        if stream.in_graph is None:
            raise ConfigError(
                f"The streams of an end-to-end export must have a graph, which number "
                f"{number + 1} has not; --scope classifier works with all. Received: "
                "scope=end-to-end"
            )

        def squeezed(kept, focused=stream.focus):
            if focused:
                return cut.resized(kept, place, size)
            return resize_graph.resize(kept, (size, size))

        of_pictures = [picture[number] for picture in needed]
        used = sorted({index for these in of_pictures for index in these})
        taken = (
            frames
            if used == list(range(given.frames))
            else ops.take(frames, np.array(used, np.int32), 0)
        )
        kept = stream.in_graph.prepare(taken, squeezed)
        at_offsets = [
            _taken(kept, [used.index(these[offset]) for these in of_pictures])
            for offset in range(len(stream.offsets))
        ]
        streams.append(stream.in_graph.combine(at_offsets))
    stacked = ops.stack(streams, axis=1) if len(streams) > 1 else streams[0]
    return ops.reshape(stacked, (-1, size, size, 3))


def _taken(kept: "keras.KerasTensor", indices: list[int]) -> "keras.KerasTensor":
    from keras import ops

    if indices == list(range(kept.shape[0] or 0)):
        return kept
    return ops.take(kept, np.array(indices, np.int32), 0)

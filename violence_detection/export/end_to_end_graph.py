"""The graph from the frames of a clip to a probability, of Keras' own layers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.export import classifier_graph, resize_graph
from violence_detection.export.motion_crop_graph import MotionCropGraph
from violence_detection.system import devices
from violence_detection.video import motion_crop
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.stream_set import StreamSet

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FrameInput:
    """The input of an end-to-end model: the frames of one clip.

    Attributes:
        frames: Count of frames (F), evenly spaced over the clip.
        height, width: Of each, in pixels.
        fps: Frames per second.
        sampled: Count of sampled frames (T), at the middles of T equal parts.
    """

    frames: int
    height: int
    width: int
    fps: float
    sampled: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(F, H, W, 3)."""
        return (self.frames, self.height, self.width, 3)

    @property
    def indices(self) -> list[int]:
        """The T sampled frames."""
        return sample_indices(self.frames, self.sampled).tolist()

    def description(self) -> str:
        """The frames that must be given, in words."""
        if self.frames == self.sampled:
            return f"{self.frames} frames, the middle one of each of as many equal parts of a clip"
        return f"every frame of a clip, {self.fps:g} a second"


def needs_all_frames(streams: StreamSet) -> bool:
    """True if a stream needs more than the sampled frames themselves."""
    return streams.focused or any(stream.offsets != (0,) for stream in streams.streams)


def images_of_frames(frames: np.ndarray, frame_input: FrameInput, streams: StreamSet) -> np.ndarray:
    """The images that the graph computes, made as extraction makes them: by OpenCV.

    Args:
        frames: uint8 (F, H, W, 3) RGB.
        frame_input: Their count, size and rate.
        streams: Make the images.

    Returns:
        uint8 (T, K, S, S, 3).
    """
    bgr = np.ascontiguousarray(frames[..., ::-1])
    return streams.images_of(bgr, frame_input.indices, fps=frame_input.fps)[0]


def build_end_to_end(
    frame_input: FrameInput,
    streams: StreamSet,
    *,
    backbone: "keras.Model",
    classifier: "keras.Model",
) -> "keras.Model":
    """Builds a model of one clip at a time.

    Args:
        frame_input: The frames of the clip.
        streams: Make the images.
        backbone: From float32 (B, S, S, 3) RGB in [0, 255] to (B, D).
        classifier: From float32 (B, T, K D) to probabilities by name.

    Returns:
        From `frames`, uint8 (1, F, H, W, 3) RGB, to the outputs of `classifier`.

    Raises:
        ConfigError: If a stream has no graph.
    """
    import keras
    from keras import ops

    with devices.dtype_policy("float32"):
        clip = keras.Input(batch_shape=(1, *frame_input.shape), dtype="uint8", name="frames")
        frames = ops.squeeze(clip, 0)
        images = _images(frames, frame_input, streams, backbone.input_shape[1])
        encoded = _backbone_model(backbone)(images)
        features = ops.reshape(encoded, (1, frame_input.sampled, -1))
        return keras.Model(clip, classifier(features), name="end_to_end")


def _backbone_model(backbone: "keras.Model") -> "keras.Model":
    import keras

    # The name of the input is part of the bytes of exported files.
    images = keras.Input(backbone.input_shape[1:], dtype="float32", name="pictures")
    features = classifier_graph.call_with_keras_layers(backbone, images)
    return keras.Model(images, features, name="backbone")


def _images(
    frames: "keras.KerasTensor", frame_input: FrameInput, streams: StreamSet, size: int
) -> "keras.KerasTensor":
    """The images of all streams, float32 (T K, S, S, 3)."""
    from keras import ops

    last = frame_input.frames - 1
    needed = [
        streams.needed_frames(index, fps=frame_input.fps, last=last)
        for index in frame_input.indices
    ]
    crop = position = None
    if streams.focused:
        crop = MotionCropGraph(frame_input.height, frame_input.width)
        steps = range(0, frame_input.frames, motion_crop.FRAME_STEP)
        position = crop.position(_take_frames(frames, list(steps)))
    by_stream = []
    for number, stream in enumerate(streams.streams):
        if stream.in_graph is None:
            raise ConfigError(
                "The streams of an end-to-end export must have a graph, which number "
                f"{number + 1} does not have; --scope classifier works with all. Received: "
                "scope=end-to-end"
            )

        def resized(images, cropped=stream.focus):
            if cropped:
                return crop.crop_and_resize(images, position, size)
            return resize_graph.resize(images, (size, size))

        of_images = [of_image[number] for of_image in needed]
        used = sorted({index for indices in of_images for index in indices})
        prepared = stream.in_graph.prepare(_take_frames(frames, used), resized)
        at_offsets = [
            _take_frames(prepared, [used.index(indices[offset]) for indices in of_images])
            for offset in range(len(stream.offsets))
        ]
        by_stream.append(stream.in_graph.combine(at_offsets))
    stacked = ops.stack(by_stream, axis=1) if len(by_stream) > 1 else by_stream[0]
    return ops.reshape(stacked, (-1, size, size, 3))


def _take_frames(frames: "keras.KerasTensor", indices: list[int]) -> "keras.KerasTensor":
    from keras import ops

    if indices == list(range(frames.shape[0] or 0)):
        return frames
    return ops.take(frames, np.array(indices, np.int32), 0)

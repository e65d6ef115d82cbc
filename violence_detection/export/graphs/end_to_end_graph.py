"""The graph from the frames of a clip to a probability, of Keras' own layers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.export.formats._format import FPS, FRAMES
from violence_detection.export.graphs import any_size_graph, classifier_graph, resize_graph
from violence_detection.export.graphs.motion_crop_graph import MotionCropGraph
from violence_detection.system import devices
from violence_detection.video import motion_crop
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.stream_set import StreamSet

if TYPE_CHECKING:
    import keras


LARGEST_SIDE = 1920  # of frames of any size: a larger one costs time on all


@dataclass(frozen=True)
class FrameInput:
    """The input of an end-to-end model: the frames of one clip.

    A file of any size and rate takes all frames of a clip as they are; the others take frames of a
    fixed count and size.

    Attributes:
        sampled: Count of sampled frames (T), at the middles of T equal parts of the clip.
        frames: Count of frames (F), evenly spaced over the clip; None for any.
        height, width: Size of each frame in pixels; None for any.
        fps: Frames per second; None for any.
        largest: The longest side that frames of any size may have, in pixels.
        takes_fps: True if frames per second are an input of their own.
    """

    sampled: int
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    fps: float | None = None
    largest: int = LARGEST_SIDE
    takes_fps: bool = False

    @property
    def shape(self) -> tuple[int | None, int | None, int | None, int]:
        """(F, H, W, 3)."""
        return (self.frames, self.height, self.width, 3)

    @property
    def indices(self) -> list[int]:
        """The T sampled frames of a fixed count."""
        return sample_indices(self.frames, self.sampled).tolist()

    def inputs(self, frames: np.ndarray, *, fps: float) -> dict[str, np.ndarray]:
        """The inputs of a file by name, for frames (1, F, H, W, 3)."""
        given = {FRAMES: np.ascontiguousarray(frames)}
        return given | ({FPS: np.float32([fps])} if self.takes_fps else {})

    def size_and_rate(self) -> str:
        """Size and rate of the frames, in words."""
        if self.frames is None:
            return f"any size up to {self.largest} pixels, and any rate"
        if self.frames == self.sampled:
            return f"{self.width}x{self.height}, {self.frames} frames a clip"
        return f"{self.width}x{self.height} at {self.fps:.4g} a second"

    def description(self) -> str:
        """The frames that must be given, in words."""
        if self.frames is None:
            return "every frame of a clip, at the size and the rate of the video"
        if self.frames == self.sampled:
            return f"{self.frames} frames, the middle one of each of as many equal parts of a clip"
        return f"every frame of a clip, {self.fps:g} a second"


def frame_count(length_s: float, fps: float) -> int:
    """The frames of a clip of some length."""
    return max(1, round(length_s * fps))


def needs_all_frames(streams: StreamSet) -> bool:
    """True if a stream needs more than the sampled frames themselves."""
    return streams.focused or needs_neighbours(streams)


def needs_neighbours(streams: StreamSet) -> bool:
    """True if a stream needs frames at some time before or after the sampled ones."""
    return any(stream.offsets != (0,) for stream in streams.streams)


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
        From `frames`, uint8 (1, F, H, W, 3) RGB, to the outputs of `classifier`; with a second
        input `fps`, float32 (1,), if the rate is any and a stream needs it. Of frames of any size
        that are larger than the graph was built for the outputs are NaN.

    Raises:
        ConfigError: If a stream has no graph.
    """
    import keras
    from keras import ops

    _check_graphs(streams)
    side = backbone.input_shape[1]
    with devices.dtype_policy("float32"):
        clip = keras.Input(batch_shape=(1, *frame_input.shape), dtype="uint8", name=FRAMES)
        inputs = [clip]
        frames = ops.squeeze(clip, 0)
        if frame_input.frames:
            images = _images(frames, frame_input, streams, side)
        else:
            fps = None
            if frame_input.takes_fps:
                inputs.append(keras.Input(batch_shape=(1,), dtype="float32", name=FPS))
                fps = inputs[1][0]
            images = _images_of_any_size(frames, fps, frame_input, streams, side)
        encoded = _backbone_model(backbone)(images)
        dim = backbone.output_shape[-1] * len(streams.streams)
        outputs = classifier(ops.reshape(encoded, (1, frame_input.sampled, dim)))
        if frame_input.frames is None:
            size = any_size_graph.size_of(frames)
            fits = any_size_graph.is_supported(size, frame_input.largest)
            outputs = {name: ops.where(fits, out, np.nan) for name, out in outputs.items()}
        return keras.Model(inputs if len(inputs) > 1 else clip, outputs, name="end_to_end")


def _check_graphs(streams: StreamSet) -> None:
    for number, stream in enumerate(streams.stacked or streams.streams):
        if stream.in_graph is None:
            raise ConfigError(
                "The streams of an end-to-end export must have a graph, which number "
                f"{number + 1} does not have; --scope classifier works with all. Received: "
                "scope=end-to-end"
            )


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

    last = frame_input.frames - 1
    crop = position = None
    if streams.focused:
        crop = MotionCropGraph(frame_input.height, frame_input.width)
        steps = range(0, frame_input.frames, motion_crop.FRAME_STEP)
        position = crop.position(_take_frames(frames, list(steps)))
    by_stream = []
    for stream in streams.stacked or streams.streams:

        def resized(images, cropped=stream.focus):
            if cropped:
                return crop.crop_and_resize(images, position, size)
            return resize_graph.resize(images, (size, size))

        of_images = [
            stream.frames(index, fps=frame_input.fps, last=last) for index in frame_input.indices
        ]
        used = sorted({index for indices in of_images for index in indices})
        prepared = stream.in_graph.prepare(_take_frames(frames, used), resized)
        at_offsets = [
            _take_frames(prepared, [used.index(indices[offset]) for indices in of_images])
            for offset in range(len(stream.offsets))
        ]
        by_stream.append(stream.in_graph.combine(at_offsets))
    return _side_by_side(by_stream, size, streams)


def _side_by_side(
    by_stream: "list[keras.KerasTensor]", side: int, streams: StreamSet
) -> "keras.KerasTensor":
    """Images of each stream, (T, S, S, 3), as the backbone takes them: (T K, S, S, 3), or
    (T, S, S, 3 L) of stacked streams."""
    from keras import ops

    if streams.stacked:
        return ops.concatenate(by_stream, axis=-1)
    images = ops.stack(by_stream, axis=1) if len(by_stream) > 1 else by_stream[0]
    return ops.reshape(images, (-1, side, side, 3))


def _images_of_any_size(
    frames: "keras.KerasTensor",
    fps: "keras.KerasTensor | None",
    frame_input: FrameInput,
    streams: StreamSet,
    side: int,
) -> "keras.KerasTensor":
    """The same as `_images`, of any number of frames of any size.

    Args:
        frames: uint8 (F, H, W, 3) RGB.
        fps: Frames per second, float32 (); None if no stream needs them.
        frame_input: Count of sampled frames, and largest size.
        streams: Make the images.
        side: Side of an image in pixels.
    """
    from keras import ops

    largest, sampled = frame_input.largest, frame_input.sampled
    size = any_size_graph.size_of(frames)
    count = any_size_graph.count_of(frames[:, 0, 0, 0])
    middles = np.arange(1, 2 * sampled, 2, dtype=np.float32)  # as `sample_indices`
    index = ops.floor(count * middles / (2.0 * sampled))
    whole = region = any_size_graph.whole_frame(size)
    if streams.focused:
        moving = frames[:: motion_crop.FRAME_STEP, :]
        region = any_size_graph.motion_region(moving, size, largest=largest)
    by_stream = []
    for stream in streams.stacked or streams.streams:

        def resized(images, cropped=stream.focus):
            of = region if cropped else whole
            return any_size_graph.resize(images, side, largest=largest, region=of)

        at_offsets = [index]
        if stream.offsets != (0,):
            step = ops.maximum(1.0, ops.round(fps * stream.step_s))
            at_offsets = [
                ops.minimum(ops.maximum(index + step * float(offset), 0.0), count - 1)
                for offset in stream.offsets
            ]
        used = ops.cast(ops.concatenate(at_offsets, axis=0), "int32")
        prepared = stream.in_graph.prepare(ops.take(frames, used, 0), resized)
        starts = range(0, len(at_offsets) * sampled, sampled)
        parts = [prepared[start : start + sampled, :] for start in starts]
        by_stream.append(stream.in_graph.combine(parts))
    return _side_by_side(by_stream, side, streams)


def _take_frames(frames: "keras.KerasTensor", indices: list[int]) -> "keras.KerasTensor":
    from keras import ops

    if indices == list(range(frames.shape[0] or 0)):
        return frames
    return ops.take(frames, np.array(indices, np.int32), 0)

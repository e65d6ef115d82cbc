"""The end-to-end graph: its input, and images that are those of extraction."""

import dataclasses

import keras
import numpy as np
import pytest
from support.videos import draw_video, frames_of

from violence_detection.errors import ConfigError
from violence_detection.export.graphs import end_to_end_graph
from violence_detection.export.graphs.end_to_end_graph import FrameInput
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.stream_set import StreamSet

SIZE = 16
INPUT = FrameInput(frames=12, height=48, width=64, fps=12.0, sampled=3)


def images_of(rgb: np.ndarray, streams: StreamSet, frame_input: FrameInput, fps: float):
    """The images of RGB frames by OpenCV, uint8 (T, K, S, S, 3)."""
    indices = sample_indices(len(rgb), frame_input.sampled).tolist()
    return streams.images_of(np.ascontiguousarray(rgb[..., ::-1]), indices, fps=fps)[0]


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> tuple:
    """A video of twelve frames, and the same frames, uint8 (12, 48, 64, 3) RGB."""
    path = draw_video(tmp_path_factory.mktemp("clip") / "a.mp4", frames=12, fps=12)
    return path, np.array(frames_of(path))[..., ::-1]


def test_the_sampled_frames_are_the_middles_of_equal_parts():
    assert INPUT.indices == [2, 6, 10]
    assert INPUT.shape == (12, 48, 64, 3)


def test_the_input_is_described_in_words():
    assert FrameInput(sampled=3).description() == (
        "every frame of a clip, at the size and the rate of the video"
    )
    assert INPUT.description() == "every frame of a clip, 12 a second"
    sampled = FrameInput(frames=3, height=48, width=64, fps=12.0, sampled=3)
    assert sampled.description().startswith("3 frames, the middle one of each of as many equal")


@pytest.mark.parametrize("stream", ["rgb", "motion", "rgb(focus=true)+motion"])
def test_images_of_frames_are_those_that_extraction_reads(frames, stream):
    path, rgb = frames
    reader = ClipReader(stream=stream, frames=3, frame_size=SIZE)
    found = images_of(rgb, reader.stream_set, INPUT, 12.0)
    np.testing.assert_array_equal(found, reader.read(path).images)


def build(frame_input: FrameInput, streams: StreamSet) -> keras.Model:
    """A graph to the mean of each image and channel: the backbone is a single pooling layer."""
    images = keras.Input((SIZE, SIZE, 3 * max(1, len(streams.stacked))))
    backbone = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    features = keras.Input((3, 3 * len(streams.stacked or streams.streams)))
    classifier = keras.Model(features, {"probability": keras.layers.Identity()(features)})
    return end_to_end_graph.build_end_to_end(
        frame_input, streams, backbone=backbone, classifier=classifier
    )


STREAMS = ["rgb", "motion", "rgb(focus=true)+motion(focus=true)", "rgb|motion(focus=true)"]


@pytest.mark.slow
@pytest.mark.parametrize("stream", STREAMS)
def test_the_graph_computes_the_images_of_extraction(frames, stream):
    _, rgb = frames
    streams = StreamSet(stream, frame_size=SIZE)
    expected = images_of(rgb, streams, INPUT, 12.0).mean((2, 3)).reshape(1, 3, -1)
    found = build(INPUT, streams)(rgb[None])["probability"]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("stream", STREAMS)
def test_a_graph_of_any_size_computes_the_images_of_extraction_at_each(stream):
    streams = StreamSet(stream, frame_size=SIZE)
    takes_fps = "motion" in stream
    frame_input = FrameInput(sampled=3, largest=200, takes_fps=takes_fps)
    model = build(frame_input, streams)
    rng = np.random.default_rng(0)
    # Sides that are multiples of the image's, that are not, that are below it; portrait; one frame.
    for count, fps, height, width in (
        (12, 12.0, 48, 64),
        (25, 30.0, 90, 160),
        (6, 25.0, 112, 200),
        (7, 10.0, 160, 90),
        (9, 25.0, 47, 101),
        (5, 25.0, 16, 70),
        (1, 25.0, 32, 32),
    ):
        rgb = np.repeat(rng.integers(0, 256, (1, height, width, 3), np.uint8), count, 0)
        top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
        moving = rgb[:, top : top + height // 3, left : left + width // 3]
        moving[:] = rng.integers(0, 256, moving.shape)
        inputs = frame_input.inputs(rgb[None], fps=fps)
        found = model(list(inputs.values()) if takes_fps else rgb[None])["probability"]
        expected = images_of(rgb, streams, frame_input, fps).mean((2, 3)).reshape(1, 3, -1)
        np.testing.assert_allclose(found, expected, atol=1e-3, err_msg=f"{height}x{width}")


def test_frames_that_the_graph_was_not_built_for_are_not_predicted():
    """Too large, too wide, too narrow."""
    model = build(FrameInput(sampled=3, largest=40), StreamSet("rgb", frame_size=SIZE))
    for height, width, is_predicted in (
        (30, 40, True),
        (30, 41, False),
        (7, 40, False),
        (40, 16, False),
    ):
        probability = model(np.zeros((1, 3, height, width, 3), np.uint8))["probability"]
        assert np.isfinite(probability).all() == is_predicted


def test_a_stream_without_a_graph_is_refused():
    streams = StreamSet("rgb", frame_size=SIZE)
    streams.streams = [dataclasses.replace(streams.streams[0], in_graph=None)]
    images = keras.Input((SIZE, SIZE, 3 * max(1, len(streams.stacked))))
    backbone = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    with pytest.raises(ConfigError, match="number 1 does not have; --scope classifier works"):
        end_to_end_graph.build_end_to_end(INPUT, streams, backbone=backbone, classifier=backbone)

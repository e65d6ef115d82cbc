"""The end-to-end graph: its input, and images that are those of extraction."""

import dataclasses

import keras
import numpy as np
import pytest
from support.videos import draw_video, frames_of

from violence_detection.errors import ConfigError
from violence_detection.export import end_to_end_graph
from violence_detection.export.end_to_end_graph import FrameInput, images_of_frames
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.stream_set import StreamSet

SIZE = 16
INPUT = FrameInput(frames=12, height=48, width=64, fps=12.0, sampled=3)


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> tuple:
    """A video of twelve frames, and the same frames, uint8 (12, 48, 64, 3) RGB."""
    path = draw_video(tmp_path_factory.mktemp("clip") / "a.mp4", frames=12, fps=12)
    return path, np.array(frames_of(path))[..., ::-1]


def test_the_sampled_frames_are_the_middles_of_equal_parts():
    assert INPUT.indices == [2, 6, 10]
    assert INPUT.shape == (12, 48, 64, 3)


def test_the_input_is_described_in_words():
    assert INPUT.description() == "every frame of a clip, 12 a second"
    sampled = FrameInput(frames=3, height=48, width=64, fps=12.0, sampled=3)
    assert sampled.description().startswith("3 frames, the middle one of each of as many equal")


@pytest.mark.parametrize("stream", ["rgb", "motion", "rgb(focus=true)+motion"])
def test_images_of_frames_are_those_that_extraction_reads(frames, stream):
    path, rgb = frames
    reader = ClipReader(stream=stream, frames=3, frame_size=SIZE)
    found = images_of_frames(rgb, INPUT, reader.stream_set)
    np.testing.assert_array_equal(found, reader.read(path).images)


@pytest.mark.parametrize("stream", ["rgb", "motion", "rgb(focus=true)+motion(focus=true)"])
def test_the_graph_computes_the_images_of_extraction(frames, stream):
    """The mean of each image and channel, through a backbone of a single pooling layer."""
    _, rgb = frames
    streams = StreamSet(stream, frame_size=SIZE)
    images = keras.Input((SIZE, SIZE, 3))
    backbone = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    features = keras.Input((3, 3 * len(streams.streams)))
    classifier = keras.Model(features, {"probability": keras.layers.Identity()(features)})
    model = end_to_end_graph.build_end_to_end(
        INPUT, streams, backbone=backbone, classifier=classifier
    )
    expected = images_of_frames(rgb, INPUT, streams).mean((2, 3)).reshape(1, 3, -1)
    np.testing.assert_allclose(model(rgb[None])["probability"], expected, atol=1e-3)


def test_a_stream_without_a_graph_is_refused():
    streams = StreamSet("rgb", frame_size=SIZE)
    streams.streams = [dataclasses.replace(streams.streams[0], in_graph=None)]
    images = keras.Input((SIZE, SIZE, 3))
    backbone = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    with pytest.raises(ConfigError, match="number 1 does not have; --scope classifier works"):
        end_to_end_graph.build_end_to_end(INPUT, streams, backbone=backbone, classifier=backbone)

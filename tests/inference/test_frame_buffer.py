"""The frame buffer keeps the frames that windows still need, and makes each image once."""

import numpy as np
import pytest

from violence_detection.inference.frame_buffer import FrameBuffer, MomentFrames, NumberedImages
from violence_detection.video.motion_crop import Region
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import ORIGINAL, View

SIZE = 8


def buffer_of(stream: str, views=(ORIGINAL,), **limits) -> tuple[FrameBuffer, NumberedImages]:
    images = NumberedImages(StreamSet(stream, frame_size=SIZE), tuple(views))
    return FrameBuffer(images, max_wait_s=2.0, step_s=0.5, **limits), images


def grey_frame(level: int) -> np.ndarray:
    return np.full((16, 24, 3), level, np.uint8)


def moment(index: int, *frames: int) -> MomentFrames:
    """A moment of one stream."""
    return MomentFrames(index, (frames or (index,),))


def test_images_are_numbered_and_taken_once():
    images = NumberedImages(StreamSet("rgb", frame_size=SIZE), (ORIGINAL,))
    assert [images.add(grey_frame(level)) for level in (1, 2)] == [0, 1]
    assert [int(image.max()) for image in images.take()] == [1, 2]
    assert images.take() == [] and images.add(grey_frame(3)) == 2


def test_windows_share_the_image_of_a_moment():
    buffer, images = buffer_of("rgb")
    for index in range(3):
        buffer.add(index, grey_frame(10 * index), rate=12.0)
        buffer.expect(moment(index))
    first = buffer.numbers_of([moment(0), moment(1)], None)
    second = buffer.numbers_of([moment(1), moment(2)], None)
    assert first.tolist() == [[[0], [1]]] and second.tolist() == [[[1], [2]]]
    assert [int(image.mean()) for image in images.take()] == [0, 10, 20]


def test_every_view_and_stream_has_an_image():
    buffer, images = buffer_of("rgb+motion", views=(ORIGINAL, View(mirror=True)))
    for index in range(3):
        buffer.add(index, grey_frame(50), rate=12.0)
    moments = [MomentFrames(1, ((1,), (0, 1, 2)))]
    buffer.expect(moments[0])
    numbers = buffer.numbers_of(moments, None)
    assert numbers.shape == (2, 1, 2)
    assert sorted(numbers.ravel()) == list(range(4)) and len(images.take()) == 4


def test_a_cropped_image_is_made_anew_for_another_region():
    buffer, images = buffer_of("rgb(focus=true)")
    frame = grey_frame(0)
    frame[:, 12:] = 200
    buffer.add(0, frame, rate=12.0)
    buffer.expect(moment(0))
    regions = [Region(0, 0, 12, 16), Region(12, 0, 12, 16), Region(0, 0, 12, 16)]
    numbers = [int(buffer.numbers_of([moment(0)], region)[0, 0, 0]) for region in regions]
    assert numbers == [0, 1, 0]
    assert [int(image.mean()) for image in images.take()] == [0, 200]


def test_a_frame_stays_until_its_moment_is_released():
    buffer, _ = buffer_of("rgb(focus=true)")
    for index in range(4):
        buffer.add(index, grey_frame(index), rate=12.0)
    buffer.expect(moment(1))
    buffer.forget(before=3, images_before=0)
    assert sorted(buffer._frames) == [1, 3]
    buffer.release(moment(1))
    buffer.forget(before=3, images_before=0)
    assert sorted(buffer._frames) == [3]


def test_an_image_of_a_missing_frame_is_made_of_the_nearest():
    """At the end of a video, the frames after the last moment do not come."""
    buffer, images = buffer_of("motion")
    for index in range(2):
        buffer.add(index, grey_frame(100), rate=12.0)
    last = moment(1, 0, 1, 2)
    buffer.expect(last)
    assert buffer.numbers_of([last], None).tolist() == [[[0]]]
    assert len(images.take()) == 1


@pytest.mark.parametrize(("frames_that_fit", "reduction"), [(100, 1), (6, 2), (1, 4)])
def test_frames_are_reduced_until_they_fit(frames_that_fit, reduction):
    """Of a cropped stream 1 + 2 s of 4 moments a second are kept at most: 5 frames."""
    hold_bytes = frames_that_fit * 16 * 24 * 3 // 2
    buffer, _ = buffer_of("rgb(focus=true)", hold_bytes=hold_bytes)
    buffer.add(0, grey_frame(7), rate=12.0)
    assert buffer._frames[0].shape == (16 // reduction, 24 // reduction, 3)

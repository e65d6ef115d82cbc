"""A repeated picture is still in any codec; a picture in which something small moves is not."""

import cv2
import numpy as np
import pytest

from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.stillness import Stillness

CODECS = {
    "x264": ("libx264", "mp4", {}),
    "x264 crf 35": ("libx264", "mp4", {"crf": "35"}),
    "x264 100 kbit/s": ("libx264", "mp4", {"b": "100000", "g": "12"}),
    "mpeg4": ("mpeg4", "avi", {"b": "200000"}),
    "mpeg2": ("mpeg2video", "mpg", {"b": "300000"}),
    "mjpeg": ("mjpeg", "avi", {"b": "800000"}),
    "vp9": ("libvpx-vp9", "webm", {"b": "100000", "deadline": "realtime", "cpu-used": "8"}),
}


def scene() -> np.ndarray:
    """A picture of 640x360 with smooth areas, edges and some texture."""
    rng = np.random.default_rng(0)
    image = cv2.resize(
        rng.integers(40, 200, (12, 20, 3), dtype=np.uint8),
        (640, 360),
        interpolation=cv2.INTER_CUBIC,
    )
    image[200:] = cv2.add(image[200:], rng.integers(0, 12, (160, 640, 3), dtype=np.uint8))
    cv2.rectangle(image, (80, 60), (180, 220), (30, 30, 30), -1)
    cv2.rectangle(image, (400, 90), (420, 300), (220, 220, 220), -1)
    return image


def is_still(path, codec: str, options: dict[str, str], images: list[np.ndarray]) -> bool:
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height = 640, 360
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options
        for image in images:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        file.mux(stream.encode(None))
    stillness = Stillness()
    with open_video(path) as video:
        for index, _ in video:
            if index % 5 == 0:
                stillness.add(video.retrieve())
    return stillness.is_still


@pytest.mark.slow
@pytest.mark.parametrize("name", CODECS)
def test_a_repeated_picture_is_still(tmp_path, name):
    codec, ending, options = CODECS[name]
    assert is_still(tmp_path / f"a.{ending}", codec, options, [scene()] * 30)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "contrast"), [(6, 60), (12, 40), (60, 20)])
@pytest.mark.parametrize("name", ["x264", "x264 crf 35", "mpeg4", "mjpeg"])
def test_a_scene_in_which_something_small_moves_is_not_still(tmp_path, name, side, contrast):
    codec, ending, options = CODECS[name]
    images = []
    for index in range(30):
        image = scene()
        place = image[150 : 150 + side, 200 + 3 * index : 200 + 3 * index + side]
        place[:] = cv2.add(place, np.full_like(place, contrast))
        images.append(image)
    assert not is_still(tmp_path / f"a.{ending}", codec, options, images)


def test_a_light_that_fades_is_a_change(tmp_path):
    images = [cv2.add(scene(), np.full((360, 640, 3), index, np.uint8)) for index in range(30)]
    assert not is_still(tmp_path / "a.mp4", "libx264", {}, images)


def test_one_frame_and_many_frames():
    stillness, image = Stillness(), scene()
    stillness.add(image)
    assert not stillness.is_still  # nothing to compare it with
    for _ in range(200):
        stillness.add(image)
    assert stillness.is_still
    image[100:130, 300:330] = 255
    stillness.add(image)
    assert (stillness.is_still, stillness.frames) == (False, 202)


@pytest.mark.slow
def test_the_noise_of_a_camera_is_no_repeated_picture(tmp_path):
    rng = np.random.default_rng(1)
    image = scene().astype(float)
    images = [
        np.clip(image + rng.normal(0, 4, (360, 640, 1)), 0, 255).astype(np.uint8) for _ in range(30)
    ]
    assert not is_still(tmp_path / "a.mp4", "libx264", {"crf": "20"}, images)

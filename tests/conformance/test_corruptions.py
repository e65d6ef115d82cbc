"""The contract of every corruption, and the closed form of each."""

import av
import cv2
import numpy as np
import pytest
from support.videos import frames_of

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.video.corruptions import compress
from violence_detection.video.corruptions._corruption import (
    ClipChange,
    VideoFrames,
    lossless_writer,
)

NAMES = registry.available("corruptions")
each_part = pytest.mark.parametrize("name", NAMES)
ENCODING = ("compress",)  # change nothing but how the file is written


def drawn(count=25, *, size=(96, 128), seed=0) -> list[np.ndarray]:
    """Smooth frames in which everything moves, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.uniform(0, 255, (*size, 3)), (0, 0), 4)
    field = cv2.normalize(field, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return [np.roll(field, 3 * index, axis=1) for index in range(count)]


def change(spec, frames, *, fps=25.0, seed=3) -> VideoFrames:
    """Frames under a corruption, as a list."""
    video = VideoFrames(iter(frames), fps, lossless_writer)
    after = registry.load("corruptions", spec)(video, np.random.default_rng(seed))
    return after._replace(frames=list(after.frames))


def written(path, video: VideoFrames) -> list[np.ndarray]:
    """The frames that are read back from the file."""
    corrupted_video.write_video(path, video)
    return frames_of(path)


# -- property: the contract of every corruption


@each_part
@pytest.mark.parametrize("size", [(96, 128), (7, 301), (721, 405)])
def test_frames_of_any_shape_stay_frames(name, size):
    frames = change(name, drawn(3, size=size)).frames
    assert frames
    for frame in frames:
        assert (frame.dtype, frame.ndim, frame.shape[2]) == (np.uint8, 3, 3)
        assert min(frame.shape[:2]) >= 2


@each_part
def test_the_input_frames_are_not_changed(name):
    frames = drawn(6)
    copies = [frame.copy() for frame in frames]
    change(name, frames)
    np.testing.assert_array_equal(frames, copies)


@each_part
def test_frames_are_streamed(name):
    """The first frame is ready before the second is read."""
    taken = []

    def recorded():
        for frame in drawn(30):
            taken.append(frame)
            yield frame

    video = VideoFrames(recorded(), 25.0, lossless_writer)
    after = registry.load("corruptions", name)(video, np.random.default_rng(0))
    next(iter(after.frames))
    assert len(taken) == 1


@each_part
def test_the_same_seed_gives_the_same_bytes(name):
    first, again = (change(name, drawn(6)).frames for _ in range(2))
    np.testing.assert_array_equal(first, again)


@each_part
@pytest.mark.parametrize("fps", [4.0, 10.0, 23.976, 29.97, 60.0])
def test_the_duration_is_kept_to_within_a_frame(name, fps):
    after = change(name, drawn(41), fps=fps)
    duration_s = len(after.frames) / after.fps
    assert 41 / fps - 1e-9 <= duration_s <= 41 / fps + 1 / after.fps


@each_part
def test_something_changes(name, tmp_path):
    frames = drawn(12)
    corrupted = written(tmp_path / "a.avi", change(name, frames))
    same = len(corrupted) == len(frames) and np.array_equal(corrupted, frames)
    assert not same


@each_part
def test_the_file_has_the_corrupted_frames(name, tmp_path):
    after = change(name, drawn(12))
    frames = written(tmp_path / "a.avi", after)
    assert len(frames) == len(after.frames) > 0
    if name not in ENCODING:
        height, width = frames[0].shape[:2]  # odd sides lose a row
        expected = [frame[:height, :width] for frame in after.frames]
        np.testing.assert_array_equal(frames, expected)


@each_part
def test_an_unknown_severity_is_refused(name):
    with pytest.raises(ConfigError, match="Received: severity"):
        registry.load("corruptions", f"{name}(severity=3)")


@pytest.mark.parametrize(
    "spec", ["darken(gamma=0)", "noise(sigma=2)", "jpeg(quality=0)", "crop(share=2)"]
)
def test_a_severity_out_of_range_is_refused(spec):
    with pytest.raises(ConfigError, match=r"must be (int|float) in \["):
        registry.load("corruptions", spec)


# -- golden


def test_darkness_is_the_power_law():
    """255 (128 / 255) ** 2.5 = 45.52."""
    grey = np.full((2, 2, 3), (0, 128, 255), np.uint8)
    (dark,) = change("darken(gamma=2.5)", [grey]).frames
    assert dark[0, 0].tolist() == [0, 46, 255]
    (same,) = change("darken(gamma=1)", [grey]).frames
    np.testing.assert_array_equal(same, grey)


def test_a_point_is_blurred_to_a_normal_curve():
    """At a side of 224 sigma is in pixels: the second moment of a blurred line is sigma ** 2."""
    line = np.zeros((224, 224, 3), np.uint8)
    line[:, 112] = 255
    (blurred,) = change("blur(sigma=4)", [line]).frames
    profile = blurred[100, :, 0].astype(float)
    places = np.arange(224) - 112
    variance = (profile * places**2).sum() / profile.sum()
    assert variance == pytest.approx(16, rel=0.1)


def test_the_blur_scales_with_the_frame():
    """The same scene at twice the resolution is blurred to the same scene."""
    small = drawn(1, size=(112, 160))[0]
    large = cv2.resize(small, (320, 224), interpolation=cv2.INTER_CUBIC)
    blurred, blurred_large = (
        change("blur(sigma=6)", [frame]).frames[0] for frame in (small, large)
    )
    shrunk = cv2.resize(blurred_large, (160, 112), interpolation=cv2.INTER_AREA)
    assert np.abs(blurred.astype(int) - shrunk).mean() < 1.5


def test_noise_has_the_requested_deviation_and_no_mean():
    grey = [np.full((100, 100, 3), 128, np.uint8)] * 4
    noisy = np.stack(change("noise(sigma=0.1)", grey).frames).astype(float) - 128
    assert noisy.std() == pytest.approx(25.5, rel=0.02)
    assert noisy.mean() == pytest.approx(0, abs=0.5)
    between = np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1]
    assert abs(between) < 0.03  # frames are independent


def test_noise_is_clipped_at_black_and_white():
    ends = [np.full((40, 40, 3), level, np.uint8) for level in (0, 255)]
    black, white = change("noise(sigma=0.2)", ends).frames
    assert black.min() == 0 and black.max() < 255
    assert white.max() == 255 and white.min() > 0


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (25.0, [0, 5, 10, 15, 20]),
        (12.0, [0, 3, 5, 8, 10, 12, 15, 17, 20, 22, 24]),
        (5.0, list(range(25))),
        (2.0, list(range(25))),
    ],
)
def test_the_first_frame_of_each_fifth_of_a_second_remains(rate, expected):
    frames = [np.full((2, 2, 3), index, np.uint8) for index in range(25)]
    after = change("drop_frames(fps=5)", frames, fps=rate)
    assert [int(frame[0, 0, 0]) for frame in after.frames] == expected
    assert after.fps == min(rate, 5.0)


def test_a_crop_keeps_the_middle():
    frame = np.arange(100 * 200 * 3).reshape(100, 200, 3).astype(np.uint8)
    (cut,) = change("crop(share=0.5)", [frame]).frames
    np.testing.assert_array_equal(cut, frame[25:75, 50:150])


def test_mirroring_twice_restores_the_frames():
    frames = drawn(3)
    once = change("mirror", frames).frames
    np.testing.assert_array_equal(once[0], frames[0][:, ::-1])
    np.testing.assert_array_equal(change("mirror", once).frames, frames)


@pytest.mark.parametrize(
    ("size", "smaller"),
    [((360, 640), (90, 160)), ((640, 360), (160, 90)), ((80, 300), (80, 300))],
)
def test_the_shorter_side_has_the_requested_pixels(size, smaller):
    (frame,) = change("downscale(side=90)", [np.zeros((*size, 3), np.uint8)]).frames
    assert frame.shape[:2] == smaller


def psnr(frames, expected) -> float:
    error = np.mean((np.asarray(frames, float) - np.asarray(expected, float)) ** 2)
    return 10 * np.log10(255**2 / error)


def test_a_lower_quality_is_further_from_the_frames():
    frames = drawn(2)
    high, low = (psnr(change(f"jpeg(quality={q})", frames).frames, frames) for q in (90, 10))
    assert high > low + 5


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_a_compressed_file_has_about_the_requested_bits(codec, tmp_path):
    """96 frames of 160x120 at 0.1 bits per pixel; the first frame, a key frame, needs more."""
    frames = drawn(96, size=(120, 160))
    sizes, similarity = {}, {}
    for bits in (0.1, 0.4):
        spec = f"compress(bits_per_pixel={bits}, codec={codec})"
        path = tmp_path / f"{bits}.avi"
        compressed = written(path, change(spec, frames))
        sizes[bits] = 8 * path.stat().st_size / (96 * 120 * 160)
        similarity[bits] = psnr(compressed, frames)
    assert sizes[0.1] < 0.25
    assert sizes[0.1] < sizes[0.4] <= 0.6
    assert similarity[0.1] < similarity[0.4]


def test_compression_is_reproducible(tmp_path):
    paths = [tmp_path / f"{number}.avi" for number in range(2)]
    for path in paths:
        written(path, change("compress", drawn(12)))
    assert paths[0].read_bytes() == paths[1].read_bytes()


# -- error


def test_without_x264_compression_has_mpeg4_only(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", set())
    assert compress.missing() == "pip install --force-reinstall av"
    with pytest.raises(ConfigError, match=r"must have a PyAV with x264.*pip install .* av, or ask"):
        registry.load("corruptions", "compress")
    registry.load("corruptions", "compress(codec=mpeg4)")


def test_an_unknown_codec_is_refused():
    with pytest.raises(ConfigError, match="must be h264 or mpeg4. Received: codec=vp8"):
        registry.load("corruptions", "compress(codec=vp8)")


# -- changes of single frames, which views of training clips use

CHANGES = [name for name in NAMES if isinstance(registry.load("corruptions", name), ClipChange)]
MOVING = {"fog", "flicker", "noise", "rain", "shake", "snow"}


def test_what_changes_the_file_is_no_change_of_frames():
    assert set(NAMES) - set(CHANGES) == {"compress", "drop_frames"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_frame_is_changed_alike_in_whatever_order_it_is_read(name):
    change = registry.load("corruptions", name).draw(np.random.default_rng(5))
    frames = drawn(4)
    forth = [change(frame, number) for number, frame in enumerate(frames)]
    back = [change(frames[number], number) for number in (3, 2, 1, 0)]
    np.testing.assert_array_equal(forth, back[::-1])


@pytest.mark.parametrize("name", CHANGES)
def test_only_what_moves_differs_between_the_frames_of_a_still(name):
    still = drawn(1) * 3
    first, second, third = change(name, still).frames
    moves = not (np.array_equal(first, second) and np.array_equal(second, third))
    assert moves == (name in MOVING)


@pytest.mark.parametrize(
    "name", ["colour", "dropout", "rotate", "shadow", "shift", *sorted(MOVING)]
)
def test_clips_differ_in_what_is_drawn(name):
    frames = drawn(2)
    first, second = (change(name, frames, seed=seed).frames for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_a_shift_and_a_shake_of_nothing_change_nothing():
    frames = drawn(3)
    for spec in ("shift(share=0)", "shake(share=0)", "rotate(degrees=0)", "contrast(factor=1)"):
        np.testing.assert_array_equal(change(spec, frames).frames, frames)


def test_infrared_has_no_colour_and_dark_corners():
    (lit,) = change("infrared(edge=0.5)", [np.full((101, 201, 3), (40, 160, 90), np.uint8)]).frames
    assert (lit[..., 0] == lit[..., 1]).all() and (lit[..., 1] == lit[..., 2]).all()
    assert lit[0, 0, 0] == pytest.approx(lit[50, 100, 0] / 2, abs=1)


def test_holes_have_the_requested_area_and_stay():
    white = [np.full((140, 210, 3), 255, np.uint8)] * 2
    first, second = change("dropout(holes=1, share=0.1)", white).frames
    np.testing.assert_array_equal(first, second)
    assert (first == 0).all(2).sum() == 14 * 21


def test_a_shadow_has_two_brightnesses():
    (frame,) = change("shadow(factor=0.5)", [np.full((200, 300, 3), 200, np.uint8)]).frames
    levels, counts = np.unique(frame[..., 0], return_counts=True)
    assert (levels.min(), levels.max()) == (100, 200)
    assert counts[[0, -1]].sum() > 0.9 * 200 * 300


def test_fog_and_rain_keep_to_their_range():
    black, white = (np.full((90, 120, 3), level, np.uint8) for level in (0, 255))
    foggy = change("fog(density=1)", [black]).frames[0]
    assert foggy.min() >= 90 and foggy.max() <= 200
    rainy = change("rain(drops=50)", [white]).frames[0]
    assert rainy.min() == 230  # 0.9 of white, where no streak is

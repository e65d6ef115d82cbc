"""Masked parts of a picture are in no file that is written."""

import av
import numpy as np
import pytest
from support.packets import FPS, DrawnStream, times_in

from violence_detection.live.recording import clips
from violence_detection.live.recording.masked_clips import MaskedClipWriter, planes_mask

LEFT_HALF = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]


@pytest.fixture(scope="module")
def drawn() -> DrawnStream:
    return DrawnStream(options={"bf": "2", "b_strategy": "0"})


def frames_of(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def write(path, drawn, packets=None, masks=(LEFT_HALF,), **options) -> MaskedClipWriter:
    writer = MaskedClipWriter(path, drawn.header, drawn.time_base, masks, **options)
    for packet in drawn.packets if packets is None else packets:
        writer.write(packet)
    return writer


def test_what_a_mask_covers_is_black_and_the_rest_is_as_it_was(tmp_path, drawn):
    clip = write(tmp_path / "a.mp4", drawn).finish()
    frames = frames_of(clip.path)
    assert frames.shape == (40, 96, 128, 3) and clip.codec == "h264"
    assert frames[:, :, :62].max() < 20, "the square there is white in the camera's picture"
    shown = frames[:, 40:, 68:].mean(axis=(1, 2, 3))
    assert shown == pytest.approx(20 + 2 * np.arange(40), abs=5)
    assert times_in(clip.path) == pytest.approx([n / FPS for n in range(40)], abs=0.002)


def test_a_part_that_a_kill_left_is_masked_too(tmp_path, drawn):
    writer = write(tmp_path / "a.mp4", drawn)
    part = tmp_path / "killed.mp4.part"
    part.write_bytes(writer.part.read_bytes())
    clip = clips.finish_part(part)
    assert clip.frames > 30 and frames_of(clip.path)[:, :, :62].max() < 20
    writer.close()


def test_a_change_of_size_and_damaged_packets_are_survived(tmp_path, drawn):
    packets = list(drawn.packets)
    packets[5] = clips.LivePacket(b"\0\0\1damaged", 1, 1, False, False, 100.5)
    writer = write(tmp_path / "a.mp4", drawn, packets + DrawnStream(size=(64, 48)).later(10.0))
    frames = frames_of(writer.finish().path)
    assert len(frames) > 60 and frames[:, :, :62].max() < 20


@pytest.mark.parametrize(
    ("rotation", "black", "shape"),
    [
        (0, np.s_[:, :62], (96, 128)),
        (90, np.s_[:, :46], (128, 96)),
        (-90, np.s_[:, :46], (128, 96)),
        (180, np.s_[:, :62], (96, 128)),
    ],
)
def test_masks_are_those_of_the_upright_frame(tmp_path, drawn, rotation, black, shape):
    """What is judged is upright, and so masks are drawn on upright frames."""
    clip = write(tmp_path / "a.mp4", DrawnStream(rotation=rotation)).finish()
    frames, plain = frames_of(clip.path), frames_of(
        write(tmp_path / "b.mp4", drawn, masks=()).finish().path
    )  # fmt: skip
    assert frames.shape == (40, *shape, 3)
    assert frames[(slice(None), *black)].max() < 20
    right = slice(shape[1] // 2 + 2, None)
    expected = np.rot90(plain, rotation // 90, axes=(1, 2))
    difference = np.abs(frames[:, :, right].astype(int) - expected[:, :, right])
    assert difference.mean() < 2


def test_people_who_move_have_no_detail_in_a_blurred_clip(tmp_path):
    """The square moves; it is in one block of 1/48 of the width with what is around it."""
    drawn = DrawnStream(size=(480, 96))
    clip = write(tmp_path / "a.mp4", drawn, masks=(), blurs_people=True).finish()
    plain = write(tmp_path / "b.mp4", drawn, masks=()).finish()
    blurred, frames = frames_of(clip.path), frames_of(plain.path)
    assert blurred.shape == frames.shape and times_in(clip.path) == times_in(plain.path)
    edge = np.abs(np.diff(frames.astype(int), axis=2)).max(axis=(0, 1, 3))[:60]
    assert edge.max() > 150  # the border of the square
    inside = blurred[:, :, 10:20].astype(int).reshape(40, 96, 10, 3)
    assert np.abs(np.diff(inside, axis=2)).max() < 60  # a block has one colour
    assert np.abs(blurred[:, :, 200:].astype(int) - frames[:, :, 200:]).mean() < 3


@pytest.mark.parametrize("size", [(128, 96), (130, 98), (2, 2)])
def test_every_pixel_that_a_mask_touches_is_covered(size):
    width, height = size
    triangle = [(0.1, 0.1), (0.63, 0.2), (0.3, 0.9)]
    mask = planes_mask([triangle], width, height)
    assert mask.shape == (height * 3 // 2, width)
    rng = np.random.default_rng(0)
    for shares in rng.dirichlet((1, 1, 1), 500):
        x, y = shares @ np.array(triangle)
        column, row = int(x * width), int(y * height)
        assert mask[row, column]
        assert mask[height:].reshape(2, height // 2, width // 2)[:, row // 2, column // 2].all()


def test_points_outside_the_picture_are_no_error():
    mask = planes_mask([[(-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0)]], 16, 8)
    assert mask.all()

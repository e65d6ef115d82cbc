"""A synthetic dataset for the offline demo: two figures walk past each other, or they fight.

A walk and its fight show the same images in another order. In a walk all motion (places, depths,
limbs) follows a parameter u from 0 to 1. The fight of the same two figures runs back and forth
over the same values of u, several times faster, each value once. So the classes differ in motion
alone: neither an image nor the mean image separates them. The same holds for the further kinds of
violence that a dataset of several classes has, a chase and a riot.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from violence_detection.datasets.drawing.synthetic_figures import (
    Figure,
    draw_figure,
    draw_figures,
    draw_line,
)
from violence_detection.errors import ConfigError, DatasetError, VideoError
from violence_detection.system import files

DEMO_MARK = "violence-detection-demo"  # a file in the folder that holds the clips' folder
_COLUMNS = ("path", "label", "group", "split")
_MIN_SCENES = 6
_SCENES_IN_RECORDING = 2
_TEST_FRACTION, _VALIDATION_FRACTION = 0.20, 0.15
_SIZES_PX = ((128, 96), (144, 108), (160, 120))
_MEAN_IMAGE_PX = (24, 18)


def is_drawn(folder: str | os.PathLike) -> bool:
    """True for the folder of the clips that the demo drew."""
    return (Path(folder).parent / DEMO_MARK).is_file()


@dataclass(frozen=True)
class Recording:
    """A camera and its scene.

    Attributes:
        background: uint8 (H, W, 3), BGR.
        light: float32 (H, W, 3), factors.
        noise: int16 (2H, 2W, 3), grey levels; each frame gets a part of it.
        horizon: The top of the floor, as a fraction of the height.
        num_frames: Frames of a clip.
    """

    group: str
    split: str
    background: np.ndarray
    light: np.ndarray
    noise: np.ndarray
    horizon: float
    fps: float
    num_frames: int


def draw_clips(
    folder: Path,
    *,
    count: int,
    seed: int,
    kinds: Sequence[str] = ("fight",),
    on_clip: Callable[[int], None] | None = None,
) -> None:
    """Draws clips of walks and fights, and writes their table.

    Writes ``nonviolent/walk0001.mp4``, ``violent/fight0001.mp4``, ... and, at the end,
    ``videos.csv``. A group of the table is a recording: two walks and two fights with the same
    background, all in the same split.

    Args:
        folder: Created if missing; clips of the same names are replaced.
        count: Number of clips, equally many of each kind; >= 6 of each.
        seed: The same seed draws the same frames.
        kinds: Kinds of violence, out of fight, chase and riot; with more than one, each is a class
            of that name.
        on_clip: Called after each clip with the number of clips so far.

    Raises:
        ConfigError: If `count` cannot be divided by the kinds, or is too small.
        ViolenceDetectionError: If a clip cannot be written.
    """
    scenes, rest = divmod(count, 1 + len(kinds))
    if rest or scenes < _MIN_SCENES:
        raise ConfigError(
            f"`count` must be {'even' if len(kinds) == 1 else f'a multiple of {1 + len(kinds)}'} "
            f"and >= {_MIN_SCENES * (1 + len(kinds))}. Received: count={count}"
        )
    labels = {"walk": "nonviolent"} | {
        kind: "violent" if len(kinds) == 1 else kind for kind in kinds
    }
    for label in labels.values():
        files.ensure_writable(folder / label)
    files.sweep_temporary(folder)
    rows: list[dict[str, str]] = []
    for number, (recording, rng) in enumerate(_scenes(scenes, seed), start=1):
        for kind, frames in _clips_of_scene(recording, rng, kinds):
            label = labels[kind]
            path = f"{label}/{kind}{number:04d}.mp4"
            _write_clip(folder / path, frames, recording)
            row = (path, label, recording.group, recording.split)
            rows.append(dict(zip(_COLUMNS, row, strict=True)))
            if on_clip is not None:
                on_clip(len(rows))
    files.write_csv(folder / "videos.csv", _COLUMNS, rows)


def mean_image_accuracy(folder: Path) -> float:
    """Test accuracy of a baseline that uses the mean image of each clip and no motion.

    Logistic regression on the standardised pixels of the mean of all frames, in colour,
    reduced to 24 x 18, fitted to the rows of ``videos.csv`` that are not for the test.

    Args:
        folder: The folder of `draw_clips`.

    Raises:
        DatasetError: If ``videos.csv`` is missing, or lacks rows of the test split or other rows.
        VideoError: If a clip cannot be read.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = _read_table(folder / "videos.csv")
    images = np.stack([_mean_image(folder / row["path"]).ravel() for row in rows])
    is_violent = np.array([row["label"] == "violent" for row in rows])
    is_test = np.array([row["split"] == "test" for row in rows])
    baseline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    baseline.fit(images[~is_test], is_violent[~is_test])
    return float(baseline.score(images[is_test], is_violent[is_test]))


def fight_order(num_frames: int, sweeps: int, rng: Generator) -> np.ndarray:
    """The frames of a walk in the order of a fight: back and forth `sweeps` times, each once.

    A sweep takes every `sweeps`-th frame, alternately upwards and downwards.

    Args:
        num_frames: Frames in the walk.
        sweeps: Speed of the fight relative to the walk; even, so that the order is a cycle and
            the fight can begin at any frame of it.
        rng: Draws the frames of each sweep, and the first frame of the fight.

    Returns:
        int64 (num_frames,), a permutation.
    """
    firsts = rng.permutation(sweeps)
    combs = [np.arange(first, num_frames, sweeps) for first in firsts]
    sweeps_in_order = [comb[::-1] if i % 2 else comb for i, comb in enumerate(combs)]
    return np.roll(np.concatenate(sweeps_in_order), rng.integers(num_frames))


def chase_order(num_frames: int, sweeps: int, rng: Generator) -> np.ndarray:
    """The frames of a walk in the order of a chase: `sweeps` times forwards, each frame once; see
    `fight_order`."""
    return np.concatenate(
        [np.arange(first, num_frames, sweeps) for first in rng.permutation(sweeps)]
    )


def riot_order(num_frames: int, sweeps: int, rng: Generator) -> np.ndarray:
    """The frames of a walk in the order of a riot: at random, each frame once; see
    `fight_order`."""
    return rng.permutation(num_frames)


_ORDERS = {"fight": fight_order, "chase": chase_order, "riot": riot_order}


def _scenes(num_scenes: int, seed: int) -> Iterator[tuple[Recording, Generator]]:
    """The recording of each scene, of which there is a clip of each kind, and its random
    generator."""
    num_recordings = -(-num_scenes // _SCENES_IN_RECORDING)
    splits = _draw_splits(num_recordings, np.random.default_rng([seed, 0]))
    for index, split in enumerate(splits):
        rng = np.random.default_rng([seed, 1 + index])
        recording = draw_recording(f"recording{index + 1:04d}", split, rng)
        left = num_scenes - index * _SCENES_IN_RECORDING
        for _ in range(min(_SCENES_IN_RECORDING, left)):
            yield recording, rng


def _draw_splits(num_recordings: int, rng: Generator) -> list[str]:
    num_test = max(1, round(_TEST_FRACTION * num_recordings))
    num_validation = max(1, round(_VALIDATION_FRACTION * num_recordings))
    splits = ["test"] * num_test + ["validation"] * num_validation
    splits += ["train"] * (num_recordings - len(splits))
    return [splits[i] for i in rng.permutation(num_recordings)]


def draw_recording(group: str, split: str, rng: Generator) -> Recording:
    width, height = _SIZES_PX[rng.integers(len(_SIZES_PX))]
    horizon = rng.uniform(0.52, 0.64)
    background = np.zeros((height, width, 3), np.uint8)
    draw_scene = _draw_street if rng.random() < 0.5 else _draw_room
    draw_scene(background, round(horizon * height), rng)
    _draw_boxes(background, round(horizon * height), rng)
    noise = rng.standard_normal((2 * height, 2 * width, 3), np.float32)
    fps = float(rng.integers(16, 25))
    return Recording(
        group=group,
        split=split,
        background=background,
        light=_draw_light(height, width, rng),
        noise=np.rint(rng.uniform(1.0, 4.0) * noise).astype(np.int16),
        horizon=horizon,
        fps=fps,
        num_frames=round(fps * rng.uniform(1.9, 2.3)),
    )


def _draw_light(height: int, width: int, rng: Generator) -> np.ndarray:
    """Light from the side, slightly warm or cold: factors, float32 (H, W, 3)."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    slope = rng.uniform(0.05, 0.2) * (np.cos(angle) * x + np.sin(angle) * y)
    warmth = rng.uniform(-0.06, 0.06) * np.array([-1, 0, 1])
    gain = rng.uniform(0.85, 1.1)
    return (gain * (1 + slope[..., None]) * (1 + warmth)).astype(np.float32)


def _draw_room(image: np.ndarray, horizon: int, rng: Generator) -> None:
    """A wall with pictures, and a floor of boards."""
    height, width = image.shape[:2]
    wall, floor = _muted(rng, 140, 205), _muted(rng, 85, 140)
    image[:horizon], image[horizon:] = wall, floor
    for x in np.linspace(-width, 2 * width, 16):
        draw_line(image, ((width + x) / 3, horizon), (x, height), 0.9 * floor, 1)
    image[horizon - 3 : horizon] = 0.75 * wall
    for _ in range(rng.integers(1, 3)):
        corner = rng.uniform((0.0, 0.03), (0.8, 0.2)) * (width, height)
        size = rng.uniform((0.12, 0.15), (0.25, 0.28)) * (width, height)
        _box(image, corner, size, _muted(rng, 90, 225))


def _draw_street(image: np.ndarray, horizon: int, rng: Generator) -> None:
    """A sky, houses, a pavement and a road."""
    height, width = image.shape[:2]
    kerb = round(horizon + 0.2 * (height - horizon))
    image[:horizon] = _muted(rng, 175, 215) + (20, 5, -5)
    image[horizon:kerb], image[kerb:] = _muted(rng, 130, 170), _muted(rng, 85, 130)
    x = -rng.uniform(0.0, 0.2) * width
    while x < width:
        corner = np.array([x, rng.uniform(0.0, 0.45) * horizon])
        size = np.array([rng.uniform(0.22, 0.4) * width, horizon - corner[1]])
        _draw_house(image, corner, size, rng)
        x += size[0]


def _draw_house(image: np.ndarray, corner, size, rng: Generator) -> None:
    _box(image, corner, size, _muted(rng, 110, 190))
    glass, pane = _muted(rng, 60, 120), size[0] / 5
    for right in np.arange(pane / 2, size[0] - pane, 1.5 * pane):
        for down in np.arange(pane / 2, size[1] - 1.4 * pane, 1.8 * pane):
            _box(image, corner + (right, down), (pane, 1.2 * pane), glass)


def _draw_boxes(image: np.ndarray, horizon: int, rng: Generator) -> None:
    """Up to three boxes at the back of the floor."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 4)):
        side, x = rng.uniform((0.07, -0.05), (0.15, 0.95)) * width
        foot = horizon + rng.uniform(0.03, 0.12) * height
        _box(image, (x, foot - side), (side, side), _muted(rng, 80, 190))


def _muted(rng: Generator, low: float, high: float) -> np.ndarray:
    """A BGR colour near a grey between `low` and `high`; float64 (3,)."""
    return rng.uniform(low, high) + rng.uniform(-16, 16, 3)


def _clips_of_scene(
    recording: Recording, rng: Generator, kinds: Sequence[str]
) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """Kind and frames of a walk, then of the violence between the same two figures."""
    images = draw_images(recording, draw_figures(rng))
    first, *further = kinds
    # Drawn here, before the walk takes its noise: the demo's clips stay what they are.
    orders = [_ORDERS[first](recording.num_frames, rng.choice((4, 6)), rng)]
    yield "walk", expose(images, recording, rng)
    orders += [_ORDERS[kind](recording.num_frames, rng.choice((4, 6)), rng) for kind in further]
    for kind, order in zip(kinds, orders, strict=True):
        yield kind, expose(images[order], recording, rng)


def draw_images(recording: Recording, figures: list[Figure]) -> np.ndarray:
    """The scene in the order of u; uint8 (num_frames, H, W, 3)."""
    images = np.repeat(recording.background[None], recording.num_frames, axis=0)
    for i, image in enumerate(images):
        u = (i + 0.5) / recording.num_frames
        for figure in sorted(figures, key=lambda f: np.interp(u, (0, 1), f.depths)):
            draw_figure(image, figure, u, recording.horizon)
    return images


def expose(images: np.ndarray, recording: Recording, rng: Generator) -> Iterator[np.ndarray]:
    """The images in the recording's light, with noise; uint8 (H, W, 3) each."""
    height, width = images.shape[1:3]
    for image in images:
        top, left = rng.integers(height), rng.integers(width)
        noise = recording.noise[top : top + height, left : left + width]
        lit = cv2.multiply(image, recording.light, dtype=cv2.CV_16S)
        yield cv2.add(lit, noise, dtype=cv2.CV_8U)


def _write_clip(path: Path, frames: Iterator[np.ndarray], recording: Recording) -> None:
    # OpenCV chooses the container by the suffix, so the mark goes before it.
    mark = files.temporary_mark()
    temporary = path.with_name(f"{path.stem}{mark}{path.suffix}")
    height, width = recording.background.shape[:2]
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    try:
        writer = cv2.VideoWriter(str(temporary), codec, recording.fps, (width, height))
        for frame in frames:
            writer.write(frame)
        writer.release()
        # The writer does not report a full disk or a missing encoder.
        video = cv2.VideoCapture(str(temporary))
        if video.get(cv2.CAP_PROP_FRAME_COUNT) != recording.num_frames:
            raise files.write_error(path, OSError("OpenCV did not write a complete mp4v clip"))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_table(path: Path) -> list[dict[str, str]]:
    rows = files.read_csv(path) if path.is_file() else []
    if len({row.get("split") == "test" for row in rows}) != 2:
        raise DatasetError(f"{path} must have rows of the split `test`, and other rows.")
    return rows


def _mean_image(path: Path) -> np.ndarray:
    """Mean over all frames, reduced; float64 (18, 24, 3), BGR in [0, 255]."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    if not frames:
        raise VideoError(f"Cannot read {path}: it has no frames.")
    mean = np.mean(frames, axis=0)
    return cv2.resize(mean, _MEAN_IMAGE_PX, interpolation=cv2.INTER_AREA)


# -- strokes: points and lengths in pixels, colours BGR


def _box(image, corner, size, colour) -> None:
    low, high = (tuple(map(round, point)) for point in (corner, np.add(corner, size)))
    cv2.rectangle(image, low, high, tuple(colour), -1)
    cv2.rectangle(image, low, high, tuple(0.6 * colour), 1)

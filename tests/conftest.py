"""Videos are drawn here, never stored or downloaded."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from violence_detection import runtime

runtime.import_tensorflow()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def draw_video(
    path: Path, *, frames: int = 12, fps: float = 12.0, size=(64, 48), seed: int = 0, codec="mp4v"
) -> Path:
    """A small clip in which a bright square moves; frame i has brightness 20 + 4 i behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
    assert writer.isOpened(), codec
    colour = np.random.default_rng(seed).integers(100, 256, 3)
    for index in range(frames):
        frame = np.full((height, width, 3), min(20 + 4 * index, 250), np.uint8)
        left = (seed * 7 + index * 3) % (width - 12)
        frame[height // 3 : height // 3 + 12, left : left + 12] = colour
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def dataset_dir(tmp_path: Path) -> Path:
    """Twelve clips of two classes, in class folders."""
    root = tmp_path / "videos"
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(6):
            draw_video(root / label / f"{number}.mp4", frames=10 + number, seed=offset + number)
    return root

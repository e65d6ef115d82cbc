"""Drawn videos, and their frames by OpenCV alone."""

from pathlib import Path

import cv2
import numpy as np


def draw_video(
    path: Path,
    *,
    frames: int = 12,
    fps: float = 12.0,
    size=(64, 48),
    seed: int = 0,
    codec="mp4v",
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


def draw_two_classes(folder: Path, *, each: int = 6) -> Path:
    """Clips of one second, in class folders."""
    for label, seed in (("fight", 0), ("noFight", 50)):
        for number in range(each):
            draw_video(folder / label / f"{number}.mp4", seed=seed + number)
    return folder


def frames_of(path: Path) -> list[np.ndarray]:
    """Every frame, by OpenCV alone."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        done, frame = capture.read()
        if not done:
            return frames
        frames.append(frame)

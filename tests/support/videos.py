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


def cut_to_pictures(video: Path, folder: Path) -> Path:
    """Writes every frame of a video into a folder: `0001.png`, `0002.png`, …"""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames_of(video), 1):
        cv2.imwrite(str(folder / f"{number:04d}.png"), frame)
    return folder


def write_frames(path: Path, frames, fps: float = 10) -> Path:
    """A lossless-enough video of these frames, uint8 (H, W, 3) each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def patterns(seed: int, count: int = 30, size=(96, 128)) -> list[np.ndarray]:
    """Coarse patterns that slowly turn into one another; another seed, other patterns."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(30, 226, (2, 8, 9, 3)).astype(np.float32)
    steps = np.linspace(0, 1, count)
    coarse = [((1 - s) * ends[0] + s * ends[1]).astype(np.uint8) for s in steps]
    return [cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR) for image in coarse]

"""Frames of a video for the list of mistakes, read in a child process.

It imports neither pandas nor scikit-learn, which take a child a second.
"""

from pathlib import Path

import cv2

from violence_detection.errors import VideoError
from violence_detection.evaluation.mistakes import anonymisation
from violence_detection.video.still_frames import FRAMES, fit, shown_frames

# The width and height that a frame must fit into. At 320 pixels and more a reader can tell a fight
# from a hug.
_TILE_PX = (400, 320)
_THUMBNAIL_PX = (160, 128)
_QUALITY = 70  # of JPEG: a frame has about 15 kB, a report with twelve mistakes about 1.5 MB


def encode_frames(
    path: Path, start_s: float | None, end_s: float | None, blur: bool, thumbnail: bool = False
) -> list[bytes]:
    """JPEG images of frames of a video, or of a part of it, from start to end.

    Args:
        path: The video.
        start_s, end_s: The part; None for the whole video.
        blur: Whether people are made hard to recognise.
        thumbnail: A single small image, of the frame after the middle.

    Raises:
        VideoError: If the frames cannot be decoded.
    """
    frames = shown_frames(path, start_s, end_s)
    if blur:
        frames = anonymisation.anonymise(frames)
    size = _TILE_PX
    if thumbnail:
        frames, size = [frames[FRAMES // 2]], _THUMBNAIL_PX
    quality, images = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY], []
    for frame in frames:
        done, content = cv2.imencode(".jpg", fit(frame, size), quality)
        if not done:
            raise VideoError("its frames cannot be written as JPEG")
        images.append(content.tobytes())
    return images

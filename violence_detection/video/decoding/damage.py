"""Damage of a video that was read: frames that are missing, corrupt or too few, times that jump.

OpenCV does not report damage. So the number of decoded frames is compared with the number that the
container declares, and the frames in which FFmpeg found errors are counted.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from violence_detection import units
from violence_detection.errors import VideoError
from violence_detection.video.decoding.container import TOLERANCE
from violence_detection.video.decoding.decoder import Decoder
from violence_detection.video.decoding.frame_series_decoder import FrameSeriesDecoder
from violence_detection.video.decoding.pyav_decoder import PyAVDecoder

_MAX_SOUND_OVERHANG_S = 0.15  # the sound may last this much longer than the frames
_MAX_GAP_S = 3600.0  # a longer time between two frames is a broken timestamp
_MAX_CORRUPT = 0.5  # fraction of the frames; beyond it, a video is unreadable
# Rates beyond these are not those of a camera. Slow motion has 240; Matroska rounds to a
# millisecond.
MAX_FPS, MIN_FPS = 255.0, 2.0
_FAR_FPS = 4.5  # a rate is far from another that is so many times it
_MIN_RATES = 5  # to say which rate is usual


def find_damage(video: Decoder | PyAVDecoder | FrameSeriesDecoder, times_s: Sequence[float]) -> str:
    """The damage of a video that was decoded to its end, in words; empty if there is none.

    Args:
        video: The video, after its last frame.
        times_s: Times of its frames, at least one.

    Raises:
        VideoError: If more than half of the frames are corrupt.
    """
    longest_s = float(np.diff(times_s).max(initial=0.0))
    return find_damage_at_end(video, len(times_s), float(times_s[-1]), longest_s=longest_s)


def find_damage_at_end(
    video: Decoder | PyAVDecoder | FrameSeriesDecoder,
    frames: int,
    last_s: float,
    *,
    longest_s: float,
) -> str:
    """The damage of a video, without the times of all frames; see `find_damage`.

    Args:
        video: The video, after its last frame.
        frames: Number of decoded frames.
        last_s: Time of the last frame.
        longest_s: The longest time between two frames.
    """
    corrupt = describe_corruption(video.corrupt_frames(), frames)
    missing = describe_missing(
        frames,
        last_s - video.start_s,
        longest_s=longest_s,
        declared=video.declared_frames,
        fps=video.fps,
    )
    if missing and longest_s <= _MAX_GAP_S and video.is_whole(frames):
        missing = ""
    return "; ".join(filter(None, (missing, video.gaps, corrupt)))


def describe_missing(
    frames: int, last_s: float, *, longest_s: float, declared: int, fps: float
) -> str:
    """Clearly fewer frames than declared, or a jump in the times, in words; empty if neither.

    Containers without a frame count declare duration times rate. That is wrong for variable rates,
    and if the sound lasts longer than the frames. So no frame is missing if the timestamps
    (nearly) reach the declared end.

    Args:
        frames: Number of decoded frames.
        last_s: Time of the last frame, from the start of the video stream.
        longest_s: The longest time between two frames.
        declared: Number of frames by the container; 0 if it does not tell.
        fps: Frames per second by the container; 0.0 if it does not tell.
    """
    if longest_s > _MAX_GAP_S:
        return f"its timestamps jump by {longest_s:.0f} s"
    declared_s = units.frames_to_s(declared, fps)
    ends_s = last_s + units.frames_to_s(1, fps)
    if (
        frames >= (1 - TOLERANCE) * declared - 1
        or ends_s >= (1 - TOLERANCE) * declared_s > 0
        or ends_s >= declared_s - _MAX_SOUND_OVERHANG_S > 0
    ):
        return ""
    return f"{frames} of {declared} declared frames can be decoded"


def describe_corruption(corrupt: int, frames: int) -> str:
    """The corrupt frames in words; empty if there are none.

    Raises:
        VideoError: If they are more than half of the frames.
    """
    if not corrupt:
        return ""
    text = f"{corrupt} of {frames} frames {'is' if corrupt == 1 else 'are'} corrupt"
    if corrupt > _MAX_CORRUPT * frames:
        raise VideoError(f"{text}, more than half")
    return text


def describe_shortness(frames: int, count: int) -> str:
    """Too few frames, in words: fewer than half of the `count` that are sampled; else empty."""
    if frames >= count / 2:
        return ""
    return f"{frames} frame{'s' * (frames != 1)}, and {count} are sampled (--frames)"


def describe_part_damage(ends_s: float, start_s: float, end_s: float) -> str:
    """The damage of a part in words: its file ends clearly before the part; else empty."""
    if ends_s >= end_s - TOLERANCE * (end_s - start_s):
        return ""
    return f"the file ends at {ends_s:.1f} s, the part at {end_s:g} s"


def typical_fps(times_s: Sequence[float], declared_fps: float) -> float:
    """The rate at which most frames follow each other: a gap in the times does not change it.

    Args:
        times_s: Times of frames that follow each other.
        declared_fps: The rate for fewer than two frames; 0.0 if unknown.
    """
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return 1 / step_s if step_s > 0 else declared_fps


def describe_rate(fps: float, usual_fps: float = 0.0) -> str:
    """A rate that no camera has, or that is far from that of the other videos, in words.

    Args:
        fps: Frames per second; 0.0 if unknown.
        usual_fps: That of the other videos, by `usual_fps`.

    Returns:
        The words; empty for a plausible or unknown rate.
    """
    if not fps or not math.isfinite(fps):
        return ""
    if not MIN_FPS <= fps <= MAX_FPS:
        return f"{fps:.3g} frames per second is not plausible"
    if usual_fps and not usual_fps / _FAR_FPS < fps < usual_fps * _FAR_FPS:
        return f"{fps:.3g} frames per second, and {usual_fps:.3g} in most other videos"
    return ""


def usual_fps(rates: Iterable[float]) -> float:
    """The median of the known rates of several videos; 0.0 if there are fewer than five."""
    known = [fps for fps in rates if fps > 0]
    return float(np.median(known)) if len(known) >= _MIN_RATES else 0.0

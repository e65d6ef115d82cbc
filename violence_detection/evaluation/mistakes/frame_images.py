"""Images of frames of several videos, for pages; they are read in child processes."""

import base64
from collections.abc import Sequence

from violence_detection.errors import VideoError
from violence_detection.evaluation.mistakes.mistake_frames import encode_frames
from violence_detection.system import processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video.video_file import VideoPart

_TIMEOUT_S = 600.0


def frame_images(
    videos: Sequence[VideoPart | str],
    *,
    blur: bool,
    title: str,
    unit: str = "videos",
    thumbnails: bool = False,
) -> list[tuple[str, ...] | str]:
    """The frames of each video as data URIs of JPEG images, or the reason why there are none.

    Args:
        videos: The videos; a text is the reason why one is not shown, and stays.
        blur: Whether people are made hard to recognise.
        title, unit: What is done, and the name of several videos, for the progress.
        thumbnails: A single small image of each.
    """

    def read(video: VideoPart | str, call: ProcessPool) -> tuple[str, ...] | str:
        if isinstance(video, str):
            return video
        try:
            images = call(encode_frames, *video, blur, thumbnails, timeout_s=_TIMEOUT_S)
        except (VideoError, OSError) as error:
            return f"the video cannot be shown: {error}"
        return tuple(map(_data_uri, images))

    return list(processes.map_in_order(read, videos, title=title, unit=unit))


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"

"""Videos with the probability, the segments and the attention drawn below each frame."""

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from violence_detection import units
from violence_detection.inference.prediction_records import Segment, Window
from violence_detection.inference.sliding_windows import Frames
from violence_detection.system import files
from violence_detection.video.decoding.decoder import FALLBACK_FPS, open_video
from violence_detection.video.writing.video_writer import VideoWriter

_INK, _FAINT, _BACKGROUND = (60, 49, 38), (133, 120, 107), (250, 248, 246)  # BGR
_NORMAL, _VIOLENT = (168, 126, 47), (45, 80, 200)
_MIN_STRIP_HEIGHT, _STRIP_FRACTION = 40, 0.16
_MARGIN = 6
_MAX_FPS = 60.0
_MAX_STILL_S = 60.0  # for which a frame is shown; the rest of a gap is left out
_REPORT_FRAMES = 250  # between two reports of progress


@dataclass(frozen=True)
class PredictionTimeline:
    """The windows and segments of a video, as annotation needs them over time.

    Attributes:
        windows: With their attention; ascending.
        segments: Ascending.
        threshold: On the probability.
        fps: Frames per second that were read; 0.0 if unknown.
        duration_s: That was read; later frames are left out.
    """

    windows: Sequence[Window]
    segments: Sequence[Segment]
    threshold: float
    fps: float
    duration_s: float = math.inf

    def probability_at(self, time_s: float) -> float:
        """The probability, interpolated linearly between the middles of windows."""
        return float(np.interp(time_s, self._middles, self._probabilities))

    def window_at(self, time_s: float) -> Window:
        """The window whose middle is nearest."""
        after = bisect.bisect(self._middles, time_s)
        near = self.windows[max(0, after - 1) : after + 1]
        return min(near, key=lambda window: abs(window.middle_s - time_s))

    def is_violent_at(self, time_s: float) -> bool:
        after = bisect.bisect(self.segments, time_s, key=lambda segment: segment.start_s)
        return after > 0 and time_s < self.segments[after - 1].end_s

    @cached_property
    def _middles(self) -> list[float]:
        return [window.middle_s for window in self.windows]

    @cached_property
    def _probabilities(self) -> list[float]:
        return [window.probability for window in self.windows]


def annotate(path: Path, output: Path, timeline: PredictionTimeline) -> Iterator[int]:
    """Writes a video with its timeline below each frame; yields the count of frames written.

    The frames are those of the file at a constant rate, upright, with its sound.

    Args:
        path: The video.
        output: The file; it takes this name once it is complete.
        timeline: The windows and segments of the video.

    Raises:
        VideoError: If the video can no longer be read.
        ViolenceDetectionError: If it cannot be written.
    """
    temporary = output.with_name(f"{files.temporary_mark()}-{output.name[-40:]}")
    written = 0
    try:
        with open_video(path) as video:
            fps = min(timeline.fps or video.fps or FALLBACK_FPS, _MAX_FPS)
            writer = None
            first_s = None
            for time_s, frame in at_constant_rate(video, fps):
                first_s = time_s if first_s is None else first_s
                if time_s - first_s > timeline.duration_s:
                    break
                page = draw_frame(frame, time_s, timeline)
                if writer is None:
                    writer = VideoWriter(
                        temporary,
                        size=page.shape[1::-1],
                        fps=fps,
                        sound=path,
                        sound_from_s=first_s,
                    )
                writer.write(page)
                written += 1
                if written % _REPORT_FRAMES == 0:
                    yield written
        yield written  # closing takes long, and the caller's time limit is between two reports
        writer.close()
        files.replace(temporary, output)
    except OSError as error:
        raise files.write_error(output, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    yield written


def at_constant_rate(video: Frames, fps: float) -> Iterator[tuple[float, np.ndarray]]:
    """The frames of a video at a constant rate, each with its time in seconds.

    Frames are repeated or left out where the video has another rate.
    """
    frame_s = units.frames_to_s(1, fps)
    first_s, shift_s, tick, last = 0.0, 0.0, 0, None
    for index, read_s in video:
        first_s = read_s if index == 0 else first_s
        at_s = read_s - first_s
        still_s = at_s - shift_s - tick * frame_s
        if still_s > _MAX_STILL_S:
            shift_s += still_s - _MAX_STILL_S
        while last and tick * frame_s < at_s - shift_s - frame_s / 2:
            yield last
            tick += 1
        last = read_s, video.retrieve()
    if last:
        yield last


def draw_frame(frame: np.ndarray, time_s: float, timeline: PredictionTimeline) -> np.ndarray:
    """A frame, uint8 (H, W, 3) BGR, with the strip of the timeline below it.

    Both sides of the result are even, as H.264 needs them.
    """
    height, width = frame.shape[:2]
    strip_height = max(_MIN_STRIP_HEIGHT, round(_STRIP_FRACTION * height))
    strip_height += (height + strip_height) % 2
    page = np.full((height + strip_height, width + width % 2, 3), _BACKGROUND, np.uint8)
    page[:height, :width] = frame
    violent = timeline.is_violent_at(time_s)
    if violent:
        thick = max(2, height // 120)
        corner = (page.shape[1] - 1 - thick // 2, height - 1 - thick // 2)
        cv2.rectangle(page, (thick // 2, thick // 2), corner, _VIOLENT, thick)
    strip = page[height:]
    _draw_bar(strip, timeline, time_s, _VIOLENT if violent else _NORMAL)
    _draw_attention(strip, timeline.window_at(time_s), time_s)
    return page


def _draw_bar(
    strip: np.ndarray, timeline: PredictionTimeline, time_s: float, colour: tuple[int, int, int]
) -> None:
    """Draws the probability as a bar and as a number, and the threshold as a line."""
    height, width = strip.shape[:2]
    probability = timeline.probability_at(time_s)
    top, bottom = round(0.1 * height), round(0.45 * height)
    scale = (bottom - top) / 24
    font = (cv2.FONT_HERSHEY_SIMPLEX, scale)
    thick = max(1, round(scale * 1.6))
    (text_width, _), _ = cv2.getTextSize("0.00", *font, thick)
    left, right = _MARGIN, max(_MARGIN + 1, width - text_width - 2 * _MARGIN)
    cv2.rectangle(strip, (left, top), (right, bottom), _FAINT, 1)
    end = left + round(probability * (right - left))
    cv2.rectangle(strip, (left, top), (end, bottom), colour, cv2.FILLED)
    mark = left + round(timeline.threshold * (right - left))
    cv2.line(strip, (mark, top - 3), (mark, bottom + 3), _INK, max(1, height // 24))
    place = (right + _MARGIN, bottom - 1)
    cv2.putText(strip, f"{probability:.2f}", place, *font, _INK, thick, cv2.LINE_AA)


def _draw_attention(strip: np.ndarray, window: Window, time_s: float) -> None:
    """Draws the attention of each frame of a window as bars; a line marks the current time."""
    weights = window.attention
    height, width = strip.shape[:2]
    top, bottom, left = round(0.55 * height), height - 4, _MARGIN
    right = width - _MARGIN
    highest = max(weights, default=0.0)
    for number, weight in enumerate(weights):
        begin, end = (left + (right - left) * edge // len(weights) for edge in (number, number + 1))
        level = bottom - round((bottom - top) * weight / highest) if highest else bottom
        corners = (begin, level), (max(begin, end - 2), bottom)
        cv2.rectangle(strip, *corners, _NORMAL, cv2.FILLED)
    duration_s = window.end_s - window.start_s
    fraction = (time_s - window.start_s) / duration_s if duration_s > 0 else 0.0
    if weights and math.isfinite(fraction) and 0 <= fraction <= 1:
        at = left + round(fraction * (right - left))
        cv2.line(strip, (at, top - 2), (at, bottom), _INK, max(1, height // 24))

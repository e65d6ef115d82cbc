"""A video with what a run saw in it drawn below the picture: probability, segments, attention."""

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from violence_detection import units
from violence_detection.inference.sliding_windows import Frames
from violence_detection.system import files
from violence_detection.video import video_writers
from violence_detection.video.decoder import FALLBACK_FPS, open_video

_INK, _FAINT, _GROUND = (60, 49, 38), (133, 120, 107), (250, 248, 246)  # BGR
_NORMAL, _VIOLENT = (168, 126, 47), (45, 80, 200)
_LEAST_HEIGHT, _HEIGHT_SHARE = 40, 0.16
_MARGIN = 6
_MOST_FPS = 60.0
_LONGEST_STILL_S = 60.0  # for which a frame is shown; the rest of a gap is left out
_TELL_FRAMES = 250


@dataclass(frozen=True)
class Timeline:
    """What is told of a video.

    Attributes:
        windows: start_s, end_s, probability, attention (T weights, or none); ascending.
        segments: start_s, end_s, peak.
        threshold: On the probability.
        fps: Of the frames that were read, 0.0 if not known.
        duration_s: Of what was read; what comes after it is left out.
    """

    windows: Sequence[dict[str, Any]]
    segments: Sequence[dict[str, float]]
    threshold: float
    fps: float
    duration_s: float = math.inf

    def probability_at(self, time_s: float) -> float:
        """Between the middles of windows, on a line."""
        return float(np.interp(time_s, self._middles, self._probabilities))

    def window_at(self, time_s: float) -> dict[str, Any]:
        """The window whose middle is nearest."""
        after = bisect.bisect(self._middles, time_s)
        near = self.windows[max(0, after - 1) : after + 1]
        return min(near, key=lambda one: abs(_middle(one) - time_s))

    def is_violent_at(self, time_s: float) -> bool:
        after = bisect.bisect(self.segments, time_s, key=lambda one: one["start_s"])
        return after > 0 and time_s < self.segments[after - 1]["end_s"]

    @cached_property
    def _middles(self) -> list[float]:
        return list(map(_middle, self.windows))

    @cached_property
    def _probabilities(self) -> list[float]:
        return [window["probability"] for window in self.windows]


def _middle(window: dict[str, Any]) -> float:
    return (window["start_s"] + window["end_s"]) / 2


def annotate(path: Path, output: Path, story: Timeline, encoder: str) -> Iterator[int]:
    """Write a video with its story below the picture; yields the frames written, now and then.

    The frames are those of the file at a constant rate, upright, with its sound where the
    encoder can keep that.

    Args:
        path: The video.
        output: The file, which takes its name when it is whole.
        encoder: Name of one, as `encoders.opened` takes it.

    Raises:
        VideoError: If the video cannot be read any more.
        ViolenceDetectionError: If it cannot be written.
    """
    temporary = output.with_name(f"{files.temporary_mark()}-{output.name[-40:]}")
    written = 0
    try:
        with open_video(path) as video:
            fps = min(story.fps or video.fps or FALLBACK_FPS, _MOST_FPS)
            writer = None
            for time_s, frame in at_constant_rate(video, fps):
                if time_s > story.duration_s:
                    break
                page = draw_frame(frame, time_s, story)
                if writer is None:
                    writer = video_writers.open_writer(
                        encoder, temporary, size=page.shape[1::-1], fps=fps, sound=path
                    )
                writer.write(page)
                written += 1
                if written % _TELL_FRAMES == 0:
                    yield written
        yield written  # closing may take a while
        writer.close()
        files.replace(temporary, output)
    except OSError as error:
        raise files.write_error(output, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    yield written


def at_constant_rate(video: Frames, fps: float) -> Iterator[tuple[float, np.ndarray]]:
    """Frames at a constant rate, each with its time in seconds: those of a video, repeated and
    left out where its own rate is another."""
    frame_s = units.frames_to_s(1, fps)
    first_s, shift_s, tick, shown = 0.0, 0.0, 0, None
    for index, read_s in video:
        first_s = read_s if index == 0 else first_s
        at_s = read_s - first_s
        still_s = at_s - shift_s - tick * frame_s
        if still_s > _LONGEST_STILL_S:
            shift_s += still_s - _LONGEST_STILL_S
        while shown and tick * frame_s < at_s - shift_s - frame_s / 2:
            yield shown
            tick += 1
        shown = at_s, video.retrieve()
    if shown:
        yield shown


def draw_frame(frame: np.ndarray, time_s: float, story: Timeline) -> np.ndarray:
    """A frame, uint8 (H, W, 3) BGR, with a strip below it; its sides are even."""
    height, width = frame.shape[:2]
    strip_height = max(_LEAST_HEIGHT, round(_HEIGHT_SHARE * height))
    strip_height += (height + strip_height) % 2
    page = np.full((height + strip_height, width + width % 2, 3), _GROUND, np.uint8)
    page[:height, :width] = frame
    violent = story.is_violent_at(time_s)
    if violent:
        thick = max(2, height // 120)
        corner = (page.shape[1] - 1 - thick // 2, height - 1 - thick // 2)
        cv2.rectangle(page, (thick // 2, thick // 2), corner, _VIOLENT, thick)
    strip = page[height:]
    _draw_bar(strip, story, time_s, _VIOLENT if violent else _NORMAL)
    _draw_attention(strip, story.window_at(time_s), time_s)
    return page


def _draw_bar(
    strip: np.ndarray, story: Timeline, time_s: float, colour: tuple[int, int, int]
) -> None:
    """The probability as a bar from the left, its threshold as a line, and as a number."""
    height, width = strip.shape[:2]
    probability = story.probability_at(time_s)
    top, bottom = round(0.1 * height), round(0.45 * height)
    scale = (bottom - top) / 24
    letters = (cv2.FONT_HERSHEY_SIMPLEX, scale)
    thick = max(1, round(scale * 1.6))
    (room, _), _ = cv2.getTextSize("0.00", *letters, thick)
    left, right = _MARGIN, max(_MARGIN + 1, width - room - 2 * _MARGIN)
    cv2.rectangle(strip, (left, top), (right, bottom), _FAINT, 1)
    end = left + round(probability * (right - left))
    cv2.rectangle(strip, (left, top), (end, bottom), colour, cv2.FILLED)
    mark = left + round(story.threshold * (right - left))
    cv2.line(strip, (mark, top - 3), (mark, bottom + 3), _INK, max(1, height // 24))
    place = (right + _MARGIN, bottom - 1)
    cv2.putText(strip, f"{probability:.2f}", place, *letters, _INK, thick, cv2.LINE_AA)


def _draw_attention(strip: np.ndarray, window: dict[str, Any], time_s: float) -> None:
    """How much each moment of the window counts, as bars side by side; the present one is
    marked."""
    weights = window.get("attention") or []
    height, width = strip.shape[:2]
    top, bottom, left = round(0.55 * height), height - 4, _MARGIN
    right = width - _MARGIN
    most = max(weights, default=0.0)
    for number, weight in enumerate(weights):
        ends = [left + (right - left) * (number + one) // len(weights) for one in (0, 1)]
        level = bottom - round((bottom - top) * weight / most) if most else bottom
        corners = (ends[0], level), (max(ends[0], ends[1] - 2), bottom)
        cv2.rectangle(strip, *corners, _NORMAL, cv2.FILLED)
    length_s = window["end_s"] - window["start_s"]
    share = (time_s - window["start_s"]) / length_s if length_s > 0 else 0.0
    if weights and math.isfinite(share) and 0 <= share <= 1:
        at = left + round(share * (right - left))
        cv2.line(strip, (at, top - 2), (at, bottom), _INK, max(1, height // 24))

"""Violent intervals as subtitles, which players show over the video: WebVTT and SRT."""

from collections.abc import Sequence

from violence_detection.inference.prediction_records import Segment

_MIN_DURATION_S = 0.001  # players ignore a cue without a duration


def webvtt(segments: Sequence[Segment], name: str) -> str:
    """The text of a WebVTT file.

    Args:
        segments: Ascending.
        name: The name of what the segments show.

    Reference:
        W3C, WebVTT: The Web Video Text Tracks Format, https://www.w3.org/TR/webvtt1/
    """
    cues = [
        f"{_time_span(segment, '.')}\n{_escape(_cue_text(segment, name))}\n" for segment in segments
    ]
    return "\n".join(["WEBVTT\n", *cues])


def srt(segments: Sequence[Segment], name: str) -> str:
    """The text of a SubRip file; see `webvtt`."""
    cues = [
        f"{number}\n{_time_span(segment, ',')}\n{_cue_text(segment, name)}\n"
        for number, segment in enumerate(segments, start=1)
    ]
    return "\n".join(cues)


def timestamp(time_s: float, point: str) -> str:
    """`75.5` -> `00:01:15.500`."""
    milliseconds = round(max(0.0, time_s) * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"


def _time_span(segment: Segment, point: str) -> str:
    end_s = max(segment.end_s, segment.start_s + _MIN_DURATION_S)
    return f"{timestamp(segment.start_s, point)} --> {timestamp(end_s, point)}"


def _cue_text(segment: Segment, name: str) -> str:
    return f"{' '.join(name.split())}: up to {segment.peak:.0%}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

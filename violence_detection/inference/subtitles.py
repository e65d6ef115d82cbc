"""Violent intervals as subtitles, which players show over the video: WebVTT and SRT."""

from collections.abc import Sequence

_LEAST_S = 0.001  # a cue of no length is none


def webvtt(segments: Sequence[dict[str, float]], name: str) -> str:
    """A WebVTT file.

    Args:
        segments: start_s, end_s, peak; ascending.
        name: What is seen in them.

    Reference:
        W3C, WebVTT: The Web Video Text Tracks Format, https://www.w3.org/TR/webvtt1/
    """
    cues = [f"{_span(one, '.')}\n{_escaped(_text(one, name))}\n" for one in segments]
    return "\n".join(["WEBVTT\n", *cues])


def srt(segments: Sequence[dict[str, float]], name: str) -> str:
    """A SubRip file; see `webvtt`."""
    cues = [
        f"{number}\n{_span(one, ',')}\n{_text(one, name)}\n"
        for number, one in enumerate(segments, start=1)
    ]
    return "\n".join(cues)


def timestamp(time_s: float, point: str) -> str:
    """`75.5` -> `00:01:15.500`."""
    thousandths = round(max(0.0, time_s) * 1000)
    seconds, thousandths = divmod(thousandths, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{thousandths:03d}"


def _span(segment: dict[str, float], point: str) -> str:
    end_s = max(segment["end_s"], segment["start_s"] + _LEAST_S)
    return f"{timestamp(segment['start_s'], point)} --> {timestamp(end_s, point)}"


def _text(segment: dict[str, float], name: str) -> str:
    return f"{' '.join(name.split())}: up to {segment['peak']:.0%}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

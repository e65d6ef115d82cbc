"""The page of `mine`: the surest false alarms in quiet footage, and commands that label them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from violence_detection.reports import html
from violence_detection.reports.evaluation.findings import Finding
from violence_detection.reports.evaluation.mistakes import ONE_CLASS_SCORE, SCORE
from violence_detection.system import files
from violence_detection.units import counted, hours_words

_NOT_IN_TABLE = ("frames", "missing_reason")


@dataclass(frozen=True)
class MinedWindow:
    """A window of quiet footage that a run takes for violence, or for unusual.

    Attributes:
        path: The video, as it was given.
        start_s, end_s: Seconds from the start of the video.
        probability: Of violence, or the score of the unusual, in [0, 1].
        recording: The recording that its label names.
        label_command: The command that makes it a normal part of the dataset.
        fight_command: The command for the case that there is violence in it.
        frames: JPEG images from start to end, as data URIs.
        missing_reason: The reason why there are no frames; empty if there are some.
        group, split: The recording and the split that its label names for `label --table`; empty
            for a part of a file that the dataset knows, which keeps its own.
    """

    path: str
    start_s: float
    end_s: float
    probability: float
    recording: str
    label_command: str
    fight_command: str
    frames: Sequence[str] = ()
    missing_reason: str = ""
    group: str = ""
    split: str = ""

    @property
    def span(self) -> str:
        """`0:01:15.0 to 0:01:17.0`."""
        return f"{_clock(self.start_s)} to {_clock(self.end_s)}"

    def as_dict(self) -> dict[str, Any]:
        """The row of the table; without the pictures."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in _NOT_IN_TABLE}


def write_page(
    path: Path,
    windows: Sequence[MinedWindow],
    *,
    run: str,
    threshold: float,
    hours: float,
    alarms: int,
    normal_class: str,
    is_one_class: bool,
    table_command: str,
    blurred: bool,
) -> None:
    """Writes a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        windows: What it shows, the surest first.
        run: Name of the run.
        threshold: The lowest score of a window.
        hours: Length of the footage.
        alarms: Its windows at or above the threshold.
        normal_class: Its name.
        is_one_class: The run learned from normal videos alone: its score says what is unusual.
        table_command: The command that writes the labels of the table beside the page.
        blurred: Whether people in the pictures are made hard to recognise.

    Raises:
        ViolenceDetectionError: If the page cannot be written.
    """
    score_name = ONE_CLASS_SCORE if is_one_class else SCORE
    page = html.render_template(
        "mined_page.html.j2",
        title=f"Quiet footage that {run} takes for {'unusual' if is_one_class else 'violence'}",
        windows=windows,
        run=run,
        date=f"{datetime.now().astimezone():%-d %B %Y}",
        summary=f"{counted(alarms, 'window')} of {hours_words(hours)} "
        f"{'has' if alarms == 1 else 'have'} a {score_name} of "
        f"{threshold:.3f} or more; {len(windows)} of them are shown, the surest first",
        verdict=_verdict(windows),
        findings=_findings(normal_class),
        normal_class=normal_class,
        score_name=score_name,
        table_command=table_command,
        blurred=blurred,
    )
    files.write_text(path, page)


def _verdict(windows: Sequence[MinedWindow]) -> Finding:
    if not windows:
        return Finding("good", "No window to look at")
    return Finding("care", f"{counted(len(windows), 'window')} to look at; nothing is labelled yet")


def _findings(normal_class: str) -> list[Finding]:
    return [
        Finding(
            "care",
            "Look at each window before you label it: a real fight in it would be learned as "
            f"{normal_class}, and be missed from then on. A few pictures can hide it; watch the "
            "video where you are not sure.",
        ),
        Finding(
            "note",
            f"A labelled window is a clip of the dataset, of class {normal_class} and with its "
            "own recording, in the training split. The next extract-features and train learn from "
            "it.",
        ),
        Finding(
            "note",
            "What was chosen because the run is wrong about it says nothing about how often the "
            "run is wrong: measure false alarms on other footage (evaluate --normal-footage).",
        ),
    ]


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(round(time_s, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}"

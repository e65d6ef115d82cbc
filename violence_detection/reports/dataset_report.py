"""The page of `check --report`: a dataset on one page, before features are extracted."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np

from violence_detection.datasets.splitting.split_counts import SplitCounts
from violence_detection.features.checking.folder_check import FolderCheck
from violence_detection.metrics.expected_interval import expected_half_width
from violence_detection.reports import html
from violence_detection.reports.evaluation.findings import Finding
from violence_detection.reports.plots import figure_style
from violence_detection.system import files
from violence_detection.units import counted

_COLOURS = (figure_style.NORMAL, figure_style.VIOLENT, "#5b8c3a", "#8a5ba6", "#b8860b", "#4d5a66")
_BINS = 20
_KINDS = {
    "unreadable": "Cannot be read",
    "damaged": "Damaged",
    "short": "Short",
    "frozen": "Frozen",
    "black": "Black",
    "rate": "Frame rate",
    "sparse": "Too long for its frames",
}
_TEXTS = {
    "leaks": "On several sides of the given split",
    "contradictions": "Parts with contradicting labels",
    "training": "Training would refuse",
    "shortcuts": "Tells the classes",
    "folder": "Passed over, or misnamed",
}


@dataclass(frozen=True)
class ShownVideo:
    """A frame of a video.

    Attributes:
        path: The video, or the part of one.
        caption: Its recording, and how many videos of the class are of it.
        image: JPEG as a data URI; empty where it could not be read.
    """

    path: str
    caption: str
    image: str


@dataclass(frozen=True)
class ShownPair:
    """Two videos of different recordings that are near-duplicates, with the bits that differ."""

    videos: tuple[ShownVideo, ShownVideo]
    bits: float


@dataclass(frozen=True)
class DatasetPage:
    """The content of the page.

    Attributes:
        name: Of the folder.
        check: The findings.
        recordings: Number of recordings; of unknown ones each video counts.
        splits: The split that an extraction would draw.
        properties: Values of the readable videos by class, by the name of the property.
        shown: Frames of some videos, by class.
        left_out: Recordings of each class that are not shown.
        pairs: Near-duplicates.
        blurred: Whether people in the frames are made hard to recognise.
    """

    name: str
    check: FolderCheck
    recordings: int
    splits: Sequence[SplitCounts]
    properties: Mapping[str, Mapping[str, Sequence[float]]]
    shown: Mapping[str, Sequence[ShownVideo]]
    left_out: Mapping[str, int]
    pairs: Sequence[ShownPair]
    blurred: bool


def write_report(path: Path, dataset: DatasetPage) -> None:
    """Writes a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        dataset: The content of the page.

    Raises:
        ViolenceDetectionError: If the page cannot be written.
    """
    check = dataset.check
    page = html.render_template(
        "dataset_report.html.j2",
        title=f"Dataset {dataset.name}",
        dataset=dataset,
        check=check,
        date=f"{datetime.now().astimezone():%-d %B %Y}",
        verdict=_verdict(check),
        findings=_findings(dataset),
        figures={
            name: _draw_property(name, by_class) for name, by_class in dataset.properties.items()
        },
        problems={
            title: [(problem.path, problem.reason) for problem in getattr(check, kind)]
            for kind, title in _KINDS.items()
            if getattr(check, kind)
        },
        texts={title: getattr(check, kind) for kind, title in _TEXTS.items()},
        copies=check.duplicates,
    )
    files.write_text(path, page)


def _verdict(check: FolderCheck) -> Finding:
    if check.training:
        return Finding("bad", "Training would refuse this dataset")
    if check.findings:
        return Finding("care", f"{counted(check.findings, 'problem')} found")
    return Finding("good", "No problems found")


def _findings(dataset: DatasetPage) -> list[Finding]:
    check = dataset.check
    findings = [Finding("bad", f"Training: {text}") for text in check.training]
    if check.recordings_warning:
        findings.append(Finding("care", check.recordings_warning))
    else:
        text = f"Recordings are known: {dataset.recordings}. Clips of one recording stay together."
        findings.append(Finding("good", text))
    lost = len(check.unreadable)
    if lost:
        findings.append(Finding("care", f"{counted(lost, 'video')} cannot be read."))
    findings += [Finding("care", f"{text[0].upper()}{text[1:]}.") for text in check.shortcuts]
    if not check.shortcuts:
        text = "Neither size, length nor frame rate of the files tells the classes."
        findings.append(Finding("good", text))
    findings += [Finding("note", f"In the split, {text}.") for text in check.splits]
    return findings + _interval_findings(dataset)


def _interval_findings(dataset: DatasetPage) -> list[Finding]:
    """The exactness of an accuracy with so many recordings, and how many more it takes."""
    videos, recordings = dataset.check.readable, dataset.recordings
    if not videos:
        return []
    points = 100 * expected_half_width(videos, recordings)
    text = (
        f"With {counted(videos, 'video')} of {counted(recordings, 'recording')}, cross-validation "
        f"will show an accuracy of 85% to within about {points:.0f} points (95% interval)."
    )
    test = next((counts for counts in dataset.splits if counts.split == "test"), None)
    if test and test.videos:
        points = 100 * expected_half_width(test.videos, test.recordings)
        text += (
            f" From the test split alone, {counted(test.videos, 'video')} of "
            f"{counted(test.recordings, 'recording')}, to within about {points:.0f}."
        )
    text += (
        f" Half of that takes four times the recordings, about {4 * recordings}; more clips of the "
        "same recordings hardly help."
    )
    return [Finding("note", text)]


def _draw_property(name: str, by_class: Mapping[str, Sequence[float]]) -> str:
    """A histogram of a property, the classes over each other; a PNG as a data URI."""
    figure, axes = figure_style.new_axes((4.8, 3.1))
    values = np.concatenate([np.asarray(list(v), float) for v in by_class.values()])
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    for number, (label, of_class) in enumerate(by_class.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.hist(
            of_class,
            bins=np.linspace(low, high, _BINS + 1),
            weights=np.full(len(of_class), 1 / len(of_class)),
            histtype="stepfilled",
            facecolor=(colour, 0.18),
            edgecolor=colour,
            linewidth=1.6,
            label=figure_style.truncate(label).replace("$", r"\$"),
        )
    axes.set(xlabel=name, ylabel="Share of the class")
    axes.yaxis.set_major_formatter("{x:.0%}")
    figure_style.add_legend(axes, columns=min(len(by_class), 3))
    buffer = BytesIO()
    figure_style.save_figure(buffer, figure)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"

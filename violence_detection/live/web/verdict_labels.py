"""Verdicts as labels: the clip of a judged event becomes a row of the dataset's videos.csv."""

import dataclasses
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from violence_detection.datasets.class_names import UNUSUAL
from violence_detection.errors import ViolenceDetectionError
from violence_detection.evaluation.config import LabelConfig
from violence_detection.live.processes.supervisor_requests import WatchRequests
from violence_detection.live.storage.event_list import DISPUTED, listed_event
from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.storage.event_records import EventVerdict, StoredClip, StoredEvent

log = logging.getLogger(__name__)

_RETRY_S = 60.0


class Labeller(Protocol):
    """Writes labels into a dataset. Its methods may raise a ViolenceDetectionError."""

    def write(self, video: Path, label: str, config: LabelConfig) -> str:
        """Writes a label, returns the name of its row."""
        ...

    def withdraw(self, row: str, *, judged_by: str, by: str) -> None:
        """Removes the row of a label, if it is still that of `judged_by`."""
        ...


@dataclass(frozen=True)
class RunLabeller:
    """Writes labels into the dataset that a run was trained on, as the command `label` does.

    Attributes:
        run: Folder of the run.
        dataset_path: Folder of the dataset; None for the one that the run names.
    """

    run: Path
    dataset_path: str | None = None

    def write(self, video: Path, label: str, config: LabelConfig) -> str:
        from violence_detection.evaluation.labels.labelling import LabelStage  # imports OpenCV

        config = dataclasses.replace(config, dataset_path=self.dataset_path)
        return LabelStage(str(self.run), str(video), label, config).run().video

    def withdraw(self, row: str, *, judged_by: str, by: str) -> None:
        from violence_detection.evaluation.labels.labelling import withdraw_label

        run, dataset_path = str(self.run), self.dataset_path
        withdraw_label(run, row, judged_by=judged_by, by=by, dataset_path=dataset_path)


class VerdictLabels:
    """Writes the verdicts that hold into the dataset, one after the other, in a thread.

    A verdict without a label row is tried when it comes, at every start, and once a minute: a
    clip may still be written, or the dataset's folder may be away. `unsure` writes nothing, and
    neither do verdicts of people who differ.
    """

    def __init__(
        self,
        reader: EventReader,
        requests: WatchRequests,
        labeller: Labeller,
        *,
        data: Path,
        classes: tuple[str, ...],
        window_s: float,
    ) -> None:
        """
        Args:
            data: Folder of the clips.
            classes: Names of the run's classes, the normal class first.
            window_s: Shortest part that is labelled, in seconds.
        """
        self._reader, self._requests, self._labeller = reader, requests, labeller
        self._data, self._classes, self._window_s = data, classes, window_s
        self._is_due, self._is_closed = threading.Event(), False
        self._thread: threading.Thread | None = None
        self.failures: dict[int, str] = {}  # by the number of the verdict

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="labels", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Looks for new verdicts now."""
        self._is_due.set()

    def close(self) -> None:
        self._is_closed = True
        self._is_due.set()
        if self._thread:
            self._thread.join(timeout=30.0)

    def write_all(self) -> int:
        """Writes the labels of all verdicts that have none, and takes back those of undone ones;
        returns how many were written."""
        self._withdraw_undone()
        count = 0
        for verdict in self._unwritten():
            if self._is_closed:
                break
            count += self._write(verdict)
        return count

    def _work(self) -> None:
        while not self._is_closed:
            try:
                self.write_all()
            except ViolenceDetectionError as error:
                log.warning(f"Labels wait: {error}")
            self._is_due.wait(_RETRY_S)
            self._is_due.clear()

    def _withdraw_undone(self) -> None:
        rows = self._reader.rows(
            "select n, label_row, by, undone_by from verdicts "
            "where undone_by is not null and label_row <> '' order by n"
        )
        for number, label_row, judged_by, by in rows:
            try:
                self._labeller.withdraw(label_row, judged_by=judged_by, by=by)
            except ViolenceDetectionError as error:
                log.warning(f"The label {label_row} of an undone verdict is still there: {error}")
                continue
            self._requests.record_label(number, "")

    def _unwritten(self) -> list[EventVerdict]:
        rows = self._reader.rows(
            "select event, n from verdicts where undone_by is null and label_row = '' "
            "and verdict in ('violent', 'not_violent') order by n"
        )
        by_event = dict(rows)  # the last one of an event
        return [
            next(row for row in self._reader.verdicts(event) if row.n == n)
            for event, n in by_event.items()
        ]

    def _write(self, verdict: EventVerdict) -> bool:
        listed = listed_event(self._reader, verdict.event)
        clip = self._reader.clip(verdict.event)
        if listed is None or listed.verdict in ("", DISPUTED):
            return False
        if clip is None or clip.state != "kept":
            self.failures[verdict.n] = "the event has no clip (yet)"
            return False
        violent = self._classes[1:]
        if verdict.verdict == "violent" and len(violent) > 1:
            self.failures[verdict.n] = (
                f"the verdict does not say which of {', '.join(violent)} it is; the command "
                "`label` does"
            )
            return False
        if verdict.verdict == "violent" and list(violent) == [UNUSUAL]:
            self.failures[verdict.n] = (
                "the run learned from normal videos alone, whose dataset has no class of violence"
            )
            return False
        try:
            row = self._labeller.write(
                self._data / clip.path,
                self._classes[1] if verdict.verdict == "violent" else self._classes[0],
                self._config(listed.event, clip, verdict),
            )
        except ViolenceDetectionError as error:
            if self.failures.get(verdict.n) != str(error):
                log.warning(f"The verdict on {verdict.event} is no label yet: {error}")
            self.failures[verdict.n] = str(error)
            return False
        self.failures.pop(verdict.n, None)
        self._requests.record_label(verdict.n, row)
        return True

    def _config(self, event: StoredEvent, clip: StoredClip, verdict: EventVerdict) -> LabelConfig:
        start_s, end_s = self._part(event, clip, verdict)
        return LabelConfig(
            start_s=start_s,
            end_s=end_s,
            reviewer=verdict.by,
            group=recording_of(event),
        )

    def _part(
        self, event: StoredEvent, clip: StoredClip, verdict: EventVerdict
    ) -> tuple[float, float]:
        """The labelled part in seconds of the clip: the person's, or the event's, at least as long
        as a window."""
        clip_s = (clip.end_ms - clip.start_ms) / 1000
        start_s, end_s = verdict.start_s, verdict.end_s
        if start_s is None or end_s is None:
            start_s = (event.start_ms - clip.start_ms) / 1000
            end_s = ((event.end_ms or clip.end_ms) - clip.start_ms) / 1000
        return widened(start_s, end_s, least_s=self._window_s, within_s=clip_s)


def widened(
    start_s: float, end_s: float, *, least_s: float, within_s: float
) -> tuple[float, float]:
    """A part that is within [0, `within_s`] and at least `least_s` long where that has room."""
    missing_s = max(0.0, least_s - (end_s - start_s))
    start_s, end_s = start_s - missing_s / 2, end_s + missing_s / 2
    shift_s = max(0.0, -start_s) - max(0.0, end_s - within_s)
    start_s, end_s = max(0.0, start_s + shift_s), min(within_s, end_s + shift_s)
    return round(start_s, 3), round(end_s, 3)


def recording_of(event: StoredEvent) -> str:
    """The recording of an event's clip: its camera and day, UTC. Neighbours in time look alike, so
    that one of them in training and one in the test split would flatter the test."""
    day = datetime.fromtimestamp(event.start_ms / 1000, UTC)
    return f"{event.camera}-{day:%Y%m%d}"

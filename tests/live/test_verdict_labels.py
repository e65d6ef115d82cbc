"""Verdicts that become rows of the dataset's videos.csv."""

import csv

import pytest
from support.videos import draw_two_classes
from support.watch_page import DrawnSupervisor, draw_event

from violence_detection.errors import DatasetError
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.web.verdict_labels import (
    RunLabeller,
    VerdictLabels,
    recording_of,
    widened,
)

DAY_MS = 1_796_000_000_000


class _Labeller:
    """Notes what it is asked to write."""

    def __init__(self) -> None:
        self.rows, self.withdrawn, self.error = [], [], None

    def write(self, video, label, config):
        if self.error:
            raise self.error
        self.rows.append(
            (video.name, label, config.start_s, config.end_s, config.group, config.reviewer)
        )
        return f"judged/{video.name}"

    def withdraw(self, row, *, judged_by, by):
        self.withdrawn.append((row, judged_by, by))


@pytest.fixture
def watch(tmp_path):
    with EventStore.open(tmp_path / "events.db", ballast_bytes=0) as store:
        labeller = _Labeller()
        labels = VerdictLabels(
            store, DrawnSupervisor(store, []), labeller,
            data=tmp_path, classes=("calm", "fight"), window_s=2.0,
        )  # fmt: skip
        yield store, labels, labeller


def test_verdicts_are_written_once(watch, tmp_path):
    store, labels, labeller = watch
    event = draw_event(store, tmp_path, start_ms=DAY_MS)
    store.record_verdict(event, "violent", by="anna")
    assert labels.write_all() == 1 and labels.write_all() == 0
    # The event is from 3 to 7 s of its clip.
    assert labeller.rows == [(f"{event}.mp4", "fight", 3.0, 7.0, "door-20261130", "anna")]
    assert store.verdicts(event)[0].label_row == f"judged/{event}.mp4"
    store.record_verdict(event, "not_violent", by="anna", start_s=1.0, end_s=1.5)
    assert labels.write_all() == 1
    assert labeller.rows[1][1:4] == ("calm", 0.25, 2.25)  # as long as a window


def test_doubt_and_dispute_write_nothing(watch, tmp_path):
    store, labels, labeller = watch
    event = draw_event(store, tmp_path)
    store.record_verdict(event, "unsure", by="anna")
    assert labels.write_all() == 0
    store.record_verdict(event, "violent", by="ben")
    changed = store.record_verdict(event, "not_violent", by="anna")
    assert labels.write_all() == 0 and not labeller.rows
    store.undo_verdict(changed, by="anna")
    assert labels.write_all() == 1 and labeller.rows[0][-1] == "ben"


def test_failures_are_named_and_tried_again(watch, tmp_path):
    store, labels, labeller = watch
    event = draw_event(store, tmp_path, with_clip=False)
    number = store.record_verdict(event, "violent", by="anna")
    assert labels.write_all() == 0
    assert labels.failures == {number: "the event has no clip (yet)"}
    event = draw_event(store, tmp_path)
    number = store.record_verdict(event, "violent", by="anna")
    labeller.error = DatasetError("The dataset's folder must exist")
    assert labels.write_all() == 0 and "must exist" in labels.failures[number]
    labeller.error = None
    assert labels.write_all() == 1 and number not in labels.failures


def test_with_several_classes_only_normal_is_a_label(watch, tmp_path):
    """ "Violent" does not say of which class a clip is; it was labelled as the first one."""
    store, two, labeller = watch
    labels = VerdictLabels(
        store, DrawnSupervisor(store, []), labeller,
        data=tmp_path, classes=("calm", "fight", "riot"), window_s=2.0,
    )  # fmt: skip
    violent, normal = draw_event(store, tmp_path), draw_event(store, tmp_path)
    number = store.record_verdict(violent, "violent", by="anna")
    store.record_verdict(normal, "not_violent", by="anna")
    assert labels.write_all() == 1 and [row[1] for row in labeller.rows] == ["calm"]
    assert "does not say which of fight, riot it is" in labels.failures[number]
    assert two.write_all() == 1  # with two classes there is one answer


def test_a_detector_of_the_unusual_gets_normal_labels_alone(watch, tmp_path):
    store, _, labeller = watch
    labels = VerdictLabels(
        store, DrawnSupervisor(store, []), labeller,
        data=tmp_path, classes=("calm", "unusual"), window_s=2.0,
    )  # fmt: skip
    number = store.record_verdict(draw_event(store, tmp_path), "violent", by="anna")
    store.record_verdict(draw_event(store, tmp_path), "not_violent", by="anna")
    assert labels.write_all() == 1 and [row[1] for row in labeller.rows] == ["calm"]
    assert "has no class of violence" in labels.failures[number]


def test_undone_verdict_is_withdrawn(watch, tmp_path):
    store, labels, labeller = watch
    event = draw_event(store, tmp_path)
    number = store.record_verdict(event, "violent", by="anna")
    labels.write_all()
    store.undo_verdict(number, by="chief")
    labels.write_all()
    labels.write_all()
    assert labeller.withdrawn == [(f"judged/{event}.mp4", "anna", "chief")]
    assert store.verdicts(event)[0].label_row == ""


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ((3, 7), (3, 7)),
        ((3, 4), (2.5, 4.5)),
        ((0, 1), (0, 2)),
        ((9.5, 10), (8, 10)),
        ((0, 10), (0, 10)),
    ],
)
def test_parts_are_as_long_as_a_window(part, expected):
    assert widened(*part, least_s=2.0, within_s=10.0) == expected
    assert widened(*part, least_s=20.0, within_s=10.0) == (0, 10)


@pytest.mark.slow
def test_row_of_the_dataset(tmp_path, run_dir):
    """The row that the next extraction reads, and its removal."""
    dataset = draw_two_classes(tmp_path / "videos", each=1)
    with EventStore.open(tmp_path / "events.db", ballast_bytes=0) as store:
        labels = VerdictLabels(
            store, DrawnSupervisor(store, []), RunLabeller(run_dir, str(dataset)),
            data=tmp_path, classes=("normal", "violent"), window_s=2.0,
        )  # fmt: skip
        event_id = draw_event(store, tmp_path, start_ms=DAY_MS)
        number = store.record_verdict(event_id, "violent", by="anna")
        assert labels.write_all() == 1, labels.failures
        table = dataset / "videos.csv"
        with table.open(newline="") as file:
            row = list(csv.DictReader(file))[-1]
        assert row["label"] == "violent" and row["group"] == recording_of(store.event(event_id))
        assert (row["start_s"], row["end_s"], row["judged_by"]) == ("3", "7", "anna")
        copy = dataset / row["path"]
        assert copy.is_file()
        store.undo_verdict(number, by="anna")
        labels.write_all()
        assert event_id not in table.read_text() and not copy.exists()
        assert "anna" in (dataset / "labels_history.csv").read_text()

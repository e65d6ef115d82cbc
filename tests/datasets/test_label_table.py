"""A label table keeps every cell of videos.csv, and the history of each change."""

import csv
from pathlib import Path

import pytest

from violence_detection.datasets.table_files.label_table import LabelTable
from violence_detection.datasets.video_files import LABEL_HISTORY
from violence_detection.datasets.video_folder import read_folder
from violence_detection.datasets.videos import Video

JUDGED = {"judged_by": "ann", "judged_at": "2026-01-01T00:00:00Z"}
TABLE = "path,label,start_s,end_s,note\na.mp4,calm,0,2,x\na.mp4,fight,2,4,y\nb.mp4,calm,,,z\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "videos.csv").write_text(TABLE)
    return tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_replaced_row_keeps_its_other_cells_and_its_place(root):
    table = LabelTable.of_dataset(root, {})
    row = table.row_of("a.mp4@2-4")
    table.write_row(row, row.cells | JUDGED | {"label": "calm"})
    second = rows_of(root / "videos.csv")[1]
    assert second == {**row.cells, **JUDGED, "label": "calm", "note": "y"}
    (change,) = rows_of(root / LABEL_HISTORY)
    assert (change["path"], change["start_s"], change["end_s"]) == ("a.mp4", "2", "4")
    assert (change["from_label"], change["to_label"]) == ("fight", "calm")


def test_the_history_grows_and_knows_the_reviewer_before(root):
    for label, reviewer in (("fight", "ann"), ("calm", "bob")):
        table = LabelTable.of_dataset(root, {})
        row = table.row_of("b.mp4")
        table.write_row(row, row.cells | JUDGED | {"label": label, "judged_by": reviewer})
    changes = rows_of(root / LABEL_HISTORY)
    assert [change["from_judged_by"] for change in changes] == ["", "ann"]
    assert [change["to_label"] for change in changes] == ["fight", "calm"]


def test_parts_that_overlap_and_have_another_label_conflict(root):
    table = LabelTable.of_dataset(root, {})
    part = Video("a.mp4", "calm", "", "", 1.0, 3.0)
    assert table.conflicts_of(part) == ["a.mp4@2-4 (fight)"]
    assert table.conflicts_of(Video("a.mp4", "calm", "", "", 4.0, 5.0)) == []
    whole = Video("a.mp4", "other", "")
    assert len(table.conflicts_of(whole)) == 2


def test_class_folders_get_a_table_with_the_recordings_that_are_named(tmp_path):
    for path in ("calm/a.mp4", "fight/b.mp4"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    table = LabelTable.of_dataset(tmp_path, {"calm/a.mp4": "one", "fight/b.mp4": "fight/b.mp4"})
    assert table.is_new and not table.path.exists()
    row = table.row_of("fight/b.mp4")
    table.write_row(row, row.cells | JUDGED | {"label": "calm"})
    assert [row["group"] for row in rows_of(table.path)] == ["one", ""]
    table.write_row(table.row_of("calm/a.mp4"), table.rows[0].cells | JUDGED | {"label": "fight"})
    assert {video.label for video in read_folder(tmp_path).videos} == {"calm", "fight"}


def test_a_table_of_a_spreadsheet_keeps_its_name_separator_and_mark(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.mp4").touch()
    path = tmp_path / "Videos.csv"
    path.write_text("Path;Label;Note\na\\1.mp4;calm;x, y\nb.mp4;fight;\n", encoding="utf-8-sig")
    table = LabelTable.of_dataset(tmp_path, {})
    row = table.row_of("a/1.mp4")
    judged = {"label": "fight", "judged_by": "ann", "judged_at": "2024-01-16T00:00:00Z"}
    table.write_row(row, row.cells | judged)
    assert path.read_text(encoding="utf-8") == (
        "\ufeffpath;label;Note;judged_by;judged_at\n"
        "a\\1.mp4;fight;x, y;ann;2024-01-16T00:00:00Z\nb.mp4;fight;;;\n".replace("x, y", '"x, y"')
    )
    assert not (tmp_path / "videos.csv").exists()

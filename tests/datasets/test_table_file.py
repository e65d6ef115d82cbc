"""A videos.csv as people save it is read, or refused in one line that says what to do."""

from pathlib import Path

import pytest

from violence_detection.datasets.table_files.table_file import (
    find_table,
    other_tables,
    read_table,
    write_table,
)
from violence_detection.errors import DatasetError

LINES = ("path,label,group", "a/1.mp4,calm,r1", "b/2.mp4,fight,r2")
ROWS = [
    {"path": "a/1.mp4", "label": "calm", "group": "r1"},
    {"path": "b/2.mp4", "label": "fight", "group": "r2"},
]


def write(folder: Path, text: str, encoding: str = "utf-8", name: str = "videos.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def text_of(lines=LINES, separator: str = ",", end: str = "\n") -> str:
    return end.join(line.replace(",", separator) for line in lines) + end


def rows_of(path: Path) -> list[dict[str, str]]:
    return [row for _, row in read_table(path).rows]


def message_of(path: Path) -> str:
    with pytest.raises(DatasetError) as raised:
        read_table(path)
    message = str(raised.value)
    assert "\n" not in message
    return message


# -- read


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_cells_may_have_other_separators_and_line_ends(tmp_path, separator, end):
    table = read_table(write(tmp_path, text_of(separator=separator, end=end)))
    assert [row for _, row in table.rows] == ROWS
    assert table.separator == separator


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_are_read_by_their_mark_or_their_zeros(tmp_path, encoding):
    lines = ("path;label;group", "Straße/1.mp4;calm;r1")
    (row,) = rows_of(write(tmp_path, text_of(lines), encoding))
    assert row["path"] == "Straße/1.mp4"


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
def test_the_line_of_excel_names_the_separator(tmp_path, first):
    assert rows_of(write(tmp_path, f"{first}\r\n{text_of(separator=';')}")) == ROWS


def test_comments_and_empty_lines_are_left_out_and_lines_are_counted_with_them(tmp_path):
    lines = ("# from the shop, 2024", ",,", *LINES[:2], "# later", LINES[2])
    table = read_table(write(tmp_path, text_of(lines)))
    assert [row for _, row in table.rows] == ROWS
    assert [number for number, _ in table.rows] == [4, 6]


def test_a_video_whose_name_begins_like_a_comment_is_read(tmp_path):
    (row,) = rows_of(write(tmp_path, "path,label\n#1.mp4,calm\n"))
    assert row["path"] == "#1.mp4"


@pytest.mark.parametrize(
    "header", ["Path,Label,Group", " PATH ,label, group", '"path","label","group"']
)
def test_columns_are_read_in_any_case(tmp_path, header):
    assert rows_of(write(tmp_path, text_of((header, *LINES[1:])))) == ROWS


def test_quoted_cells_hold_separators_quotes_and_line_ends(tmp_path):
    cell = '"a;b ""x""\nc.mp4"'
    (row,) = rows_of(write(tmp_path, f"path;label\n{cell};calm\n"))
    assert row["path"] == 'a;b "x"\nc.mp4'


def test_a_written_table_keeps_separator_and_mark(tmp_path):
    path = write(tmp_path, text_of(separator=";"), "utf-8-sig")
    table = read_table(path)
    write_table(table, table.columns, [*ROWS, {"path": "c;ä.mp4", "label": "calm"}])
    assert path.read_bytes().startswith(b"\xef\xbb\xbfpath;label;group\n")
    assert rows_of(path)[-1] == {"path": "c;ä.mp4", "label": "calm", "group": ""}


# -- refused


def test_a_quote_that_does_not_close_is_named_by_its_line(tmp_path):
    lines = (*LINES[:2], '"b/2.mp4,fight,r2', "b/3.mp4,fight,r2")
    message = message_of(write(tmp_path, text_of(lines)))
    assert message.startswith("videos.csv, line 3: it must be a row of a table; correct the line.")
    assert 'a quote (") opens in it and does not close' in message


def test_another_encoding_is_named_with_the_line_and_the_way_out(tmp_path):
    message = message_of(write(tmp_path, text_of((*LINES, "ä/4.mp4,calm,r4")), "cp1252"))
    assert "save it as CSV UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8" in message
    assert "line 4 is not UTF-8; in Windows-1252 it is 'ä/4.mp4,calm,r4'" in message


def test_a_table_that_was_not_saved_whole_is_refused(tmp_path):
    message = message_of(write(tmp_path, text_of() + "\0" * 100))
    assert "must be saved whole; save or copy it again" in message
    assert "zero bytes from line 4 on" in message


def test_a_workbook_under_the_name_of_the_table_is_refused(tmp_path):
    (tmp_path / "videos.csv").write_bytes(b"PK\x03\x04" + bytes(50))
    assert "save the workbook as CSV UTF-8" in message_of(tmp_path / "videos.csv")


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("filename;class;camera", "(rename filename to path; rename class to label)"),
        ("a/1.mp4,calm", "(the first line must name the columns)"),
        ("x,y,z", "Received: x,y,z (rename y to label)"),
    ],
)
def test_columns_of_other_names_are_refused_with_the_names_to_give(tmp_path, header, hint):
    message = message_of(write(tmp_path, f"{header}\n1,2\n"))
    assert message.startswith("videos.csv must have the columns path,label[,split][,group]")
    assert hint in message


# -- the name


@pytest.mark.parametrize(
    "name",
    ["videos.csv", "Videos.csv", "videos.CSV", "videos.csv.csv", "videos.csv.txt", "videos.tsv"],
)
def test_the_table_is_found_under_the_names_that_programs_give(tmp_path, name):
    path = write(tmp_path, text_of(separator="\t"), name=name)
    assert find_table(tmp_path) == path
    notes = read_table(path).notes
    assert any("is read as videos.csv" in note for note in notes) == (name != "videos.csv")


@pytest.mark.parametrize(
    "name", ["videos.xlsx", "Videos.XLS", "videos.ods", "videos (1).csv", "video.csv", "videos.txt"]
)
def test_a_table_that_cannot_be_meant_otherwise_is_refused(tmp_path, name):
    write(tmp_path, text_of(), name=name)
    with pytest.raises(DatasetError, match="^The table of the videos must be .* or move"):
        find_table(tmp_path)


def test_two_tables_are_refused(tmp_path):
    write(tmp_path, text_of(), name="Videos.csv")
    write(tmp_path, text_of(), name="VIDEOS.csv")
    with pytest.raises(DatasetError, match="There must be one videos.csv"):
        find_table(tmp_path)


def test_other_tables_are_named(tmp_path):
    table = write(tmp_path, text_of())
    write(tmp_path, text_of(), name="annotations.csv")
    write(tmp_path, text_of(), name="videos.xlsx")
    assert find_table(tmp_path) == table
    assert other_tables(tmp_path, table) == ["annotations.csv", "videos.xlsx"]
    assert other_tables(tmp_path, table, but=["videos.xlsx"]) == ["annotations.csv"]

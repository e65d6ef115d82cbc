"""The file of a videos.csv as people save it: its name, encoding, separator and header."""

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from violence_detection.errors import DatasetError
from violence_detection.system import files

TABLE = "videos.csv"
TABLE_COLUMNS = (
    *("path", "label", "split", "group", "start_s", "end_s"),
    *("camera", "recorded_at", "kind"),
)
JUDGED_COLUMNS = ("judged_by", "judged_at")  # of a label that a reviewer gave

# Names under which the table is read too: programs that hide endings, or ask for one, make them.
_OTHER_NAMES = ("videos.csv.csv", "videos.csv.txt", "videos.tsv", "videos.csv.tsv")
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_COPY = re.compile(r"videos? ?(?:\(\d+\)|- ?\w+)?(?:\.csv)*\.(?:csv|tsv|txt)", re.IGNORECASE)
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {"\t": "a tab"}
_SYNONYMS = {
    "path": (
        "file filename file_name filepath file_path video videopath video_path name clip".split()
    ),
    "label": "class classname class_name category target y".split(),
    "group": "recording recordingid recording_id source session scene".split(),
    "split": ["subset", "set", "partition", "fold"],
    "start_s": ["start", "begin", "start_time", "start_sec", "from"],
    "end_s": ["end", "stop", "end_time", "end_sec", "to"],
    "camera": "cam cameraid camera_id camera_name device".split(),
    "recorded_at": "date datetime date_time timestamp recorded captured_at recording_time".split(),
}


@dataclass(frozen=True)
class TableFile:
    """The rows of a videos.csv.

    Attributes:
        path: The file.
        columns: Names of the columns in their order; those that are read are in lower case.
        rows: The number of the line that each row ends on, and its cells by column; at least one.
        separator: The character between two cells.
        encoding: In which the file is written again: `utf-8`, or `utf-8-sig` for a file with a
            byte-order mark, without which Excel would misread it.
        notes: Lines for the user: what is not as documented, and is read all the same.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    separator: str = ","
    encoding: str = "utf-8"
    notes: tuple[str, ...] = ()


def find_table(root: Path) -> Path | None:
    """The table of a folder; None if it has none.

    It is `videos.csv`, in any case, or a name that a program made of it: `videos.csv.txt`,
    videos.tsv, …

    Raises:
        DatasetError: If there are several; or only a workbook, or a file that is named almost so.
    """
    names = sorted(path.name for path in root.iterdir() if path.is_file())
    exact = [name for name in names if name.lower() == TABLE]
    if TABLE in exact and len(exact) == 1:
        return root / TABLE
    tables = exact or [name for name in names if name.lower() in _OTHER_NAMES]
    if len(tables) > 1:
        raise DatasetError(f"There must be one videos.csv. Received: {', '.join(tables)} in {root}")
    if tables:
        return root / tables[0]
    for name in names:
        stem, ending = name.lower().rpartition(".")[::2]
        if stem.split(".")[0] == "videos" and f".{ending}" in _WORKBOOKS:
            raise DatasetError(
                f"The table of the videos must be saved as {TABLE} (CSV UTF-8), or moved away. "
                f"Received: {root / name}"
            )
        if _COPY.fullmatch(name):
            raise DatasetError(
                f"The table of the videos must be named {TABLE}; rename it, or move it away. "
                f"Received: {root / name}"
            )
    return None


def other_tables(root: Path, table: Path | None, *, but: Collection[str] = ()) -> list[str]:
    """Names of the tables beside the videos that are not read, but for those of `but`."""
    endings = (".csv", ".tsv", *_WORKBOOKS)
    return sorted(
        path.name
        for path in root.iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".")
        if path != table and path.name not in but
    )


def read_table(path: Path, *, needed: Sequence[str] = TABLE_COLUMNS[:2]) -> TableFile:
    """The rows of a videos.csv, as Excel, LibreOffice, pandas and editors save it.

    Read are UTF-8 and, by its byte-order mark, UTF-16; cells that are separated by a comma, a
    semicolon, a tab or `|`, as the header shows; a line `sep=;` and comments above the header; and
    names of columns in any case.

    Args:
        path: The file.
        needed: Columns that it must have.

    Raises:
        DatasetError: If the file is not such a table.
    """
    content = _read_bytes(path)
    text, encoding = _decoded(content, path)
    text, first_line, separator = _after_preamble(text)
    header = _first_line(text)
    separator = separator or _separator_of(header)
    columns, rows = _parsed(text, separator, first_line, path)
    if any(columns):
        _check_columns(columns, path, needed)
    if not rows:
        raise DatasetError(
            f"{path.name} must have a row for each video. Received: {path} (no rows)"
        )
    notes = []
    if path.name != TABLE and path.name.lower() in (TABLE, *_OTHER_NAMES):
        notes.append(f"{path.name} is read as {TABLE}.")
    if separator != ",":
        notes.append(f"Cells of {path.name} are separated by {_name_of(separator)}.")
    return TableFile(path, columns, tuple(rows), separator, encoding, tuple(notes))


def write_table(table: TableFile, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    """Writes a table with the separator and the byte-order mark of the file that it replaces."""
    files.write_csv(table.path, columns, rows, separator=table.separator, encoding=table.encoding)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path.name} must be readable. Received: {path} ({error.strerror})"
        ) from error
    if content.startswith(b"PK\x03\x04") or content.startswith(b"\xd0\xcf\x11\xe0"):
        raise DatasetError(
            f"{path.name} must be a text with separators; save the workbook as CSV UTF-8. "
            f"Received: {path} (a workbook of Excel)"
        )
    return content


def _decoded(content: bytes, path: Path) -> tuple[str, str]:
    """The text, and the encoding in which it is written again."""
    name = files.marked_encoding(content) or _guessed_utf16(content) or "utf-8"
    try:
        text = content.decode(name)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        cells = content.splitlines()[line - 1].decode("cp1252", errors="replace")
        raise DatasetError(
            f"{path.name} must be a table in UTF-8; save it as CSV UTF-8, or convert it: iconv -f "
            f"WINDOWS-1252 -t UTF-8 {path.name}. Received: {path} (line {line} is not UTF-8; in "
            f"Windows-1252 it is {cells[:60]!r})"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DatasetError(
            f"{path.name} must be saved whole; save or copy it again. Received: {path} (zero bytes "
            f"from line {line} on)"
        )
    return text, "utf-8" if name == "utf-8" else "utf-8-sig"


def _guessed_utf16(content: bytes) -> str:
    """UTF-16 without a byte-order mark: every second byte of the header is 0."""
    start = content[:40]
    if len(start) >= 8 and len(start) % 2 == 0:
        if not any(start[1::2]) and all(start[::2]):
            return "utf-16-le"
        if not any(start[::2]) and all(start[1::2]):
            return "utf-16-be"
    return ""


def _after_preamble(text: str) -> tuple[str, int, str]:
    """The text from its header on, the line that this is, and the separator if a line names it."""
    line, separator = 1, ""
    while text:
        first, rest = _split_line(text)
        stated = re.fullmatch(r'"?sep=(.)"?[,;\t ]*', first.strip("\ufeff\r\n "), re.IGNORECASE)
        if stated or first.strip() == "sep=":
            separator = stated[1] if stated else "\t"
        elif first.strip(",; \t\r\n") and not first.lstrip('" ').startswith("#"):
            break
        text, line = rest, line + 1
    return text, line, separator


def _split_line(text: str) -> tuple[str, str]:
    match = re.match(r"[^\r\n]*(?:\r\n|\r|\n|$)", text)
    return match[0], text[match.end() :]


def _first_line(text: str) -> str:
    return _split_line(text)[0].strip("\r\n")


def _separator_of(header: str) -> str:
    """The separator of the header under which it has the needed columns; a comma if none has."""

    def needed(separator: str) -> int:
        names = {name.strip(' "').lower() for name in header.split(separator)}
        return len(names & set(TABLE_COLUMNS[:2])) * 100 + len(names)

    return max(_SEPARATORS, key=needed)


def _parsed(
    text: str, separator: str, first_line: int, path: Path
) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """The columns, and the rows with the lines that they end on."""
    table = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    rows: list[tuple[int, dict[str, str]]] = []
    began = first_line
    try:
        columns = _column_names(next(table, []))
        repeated = [name for name in columns if name and columns.count(name) > 1]
        if repeated:
            raise DatasetError(
                f"{path.name} must have each column once. Received: {path} ({repeated[0]} twice)"
            )
        began = first_line + table.line_num
        for cells in table:
            line = first_line + table.line_num - 1
            if any(cell.strip() for cell in cells[len(columns) :]):
                raise DatasetError(
                    f"{path.name}, line {line}: there must be a cell for each column at most; a "
                    f"cell with {_name_of(separator)} in it must be quoted. Received: {len(cells)} "
                    f"cells for {len(columns)} columns"
                )
            is_comment = cells and cells[0].startswith("#") and not any(cells[1:])
            if any(cell.strip() for cell in cells) and not is_comment:
                rows.append((line, dict(zip(columns, cells, strict=False))))
            began = line + 1
    except csv.Error as error:
        what = str(error)
        if what == "unexpected end of data" or "expected after" in what:
            what = 'a quote (") opens in it and does not close'
        raise DatasetError(
            f"{path.name}, line {began}: it must be a row of a table; correct the line. Received: "
            f"{path} ({what})"
        ) from error
    return tuple(columns), rows


def _column_names(header: Sequence[str]) -> list[str]:
    """The names of the columns; those that are read in lower case."""
    read = {*TABLE_COLUMNS, *JUDGED_COLUMNS}
    names = [name.strip().strip("\ufeff") for name in header]
    return [name.lower() if name.lower() in read else name for name in names]


def may_mean(column: str, name: str) -> bool:
    """True if people use the name of a column for the column `name` of a table of videos."""
    plain = column.strip().lower()
    is_frame_or_ms = re.fullmatch(rf"{name.removesuffix('_s')}_?(frames?|ms|idx)", plain)
    return plain in _SYNONYMS.get(name, ()) or (name.endswith("_s") and bool(is_frame_or_ms))


def _check_columns(columns: Sequence[str], path: Path, needed: Sequence[str]) -> None:
    """Raises DatasetError if a column is missing that is needed."""
    missing = [name for name in needed if name not in columns]
    if not missing:
        return
    listed = ",".join(columns) or "nothing"
    hints = []
    for name in missing:
        similar = [column for column in columns if may_mean(column, name)]
        hints += [f"rename {similar[0]} to {name}"] if similar else []
    if not hints and any("." in column for column in columns):
        hints = ["the first line must name the columns"]
    hint = f" ({'; '.join(hints)})" if hints else ""
    columns_text = ",".join(needed)
    if tuple(needed) == TABLE_COLUMNS[:2]:
        columns_text += "[,split][,group][,start_s,end_s]"
    raise DatasetError(
        f"{path.name} must have the columns {columns_text}. Received: {listed}{hint}"
    )


def _name_of(separator: str) -> str:
    return _SEPARATOR_NAMES.get(separator, "a comma" if separator == "," else f"'{separator}'")

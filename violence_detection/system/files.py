"""Files that are written whole or not at all, CSV and JSON files, and digests of files."""

import codecs
import contextlib
import csv
import errno
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from violence_detection.errors import RunError, ViolenceDetectionError

TEMPORARY_MARK = ".partial-"
_CHUNK_BYTES = 1 << 20
_QUOTED = re.compile(r'[",\r\n]|^ ')
# The longer mark first: that of UTF-32 begins with that of UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Opens a temporary file that gets the name `path` once everything is written and synced.

    The temporary file is in the same folder and has `.partial-` in its name; an error removes it.

    Raises:
        ViolenceDetectionError: If it cannot be written: the disk is full, or there is no
            permission.
    """
    temporary = path.with_name(f"{path.name[:20]}{temporary_mark()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_mark() -> str:
    """A part of a file name that no other process uses, on this machine or another."""
    return f"{TEMPORARY_MARK}{_host_digest()}-{os.getpid()}-{secrets.token_hex(4)}"


def _host_digest() -> str:
    return f"{zlib.crc32(os.uname().nodename.encode()):08x}"


def write_error(path: Path, error: OSError) -> ViolenceDetectionError:
    """The error of writing `path`, with the system's reason in plain words."""
    reason = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EFBIG: "the file-size limit is reached",
        errno.EACCES: "no permission to write there",
        errno.EPERM: "no permission to write there",
        errno.EROFS: "the file system is read-only",
        errno.ENOTDIR: "there is a file where a folder must be",
        errno.EEXIST: "there is a file where a folder must be",
        errno.ENAMETOOLONG: "the name is too long",
    }.get(error.errno or 0, error.strerror or str(error))
    return ViolenceDetectionError(f"Cannot write {path}: {reason}.")


def ensure_writable(folder: Path) -> None:
    """Make `folder` and write a file in it, so that a missing permission is not found after hours.

    Raises:
        ViolenceDetectionError: If it cannot be written to.
    """
    probe = folder / f"probe{temporary_mark()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def is_occupied(folder: Path, *, lock_name: str) -> bool:
    """True if `folder` holds results, or is a file.

    A folder that holds only a lock and partial files counts as empty: a command leaves it when it
    is stopped before it has a result.

    Args:
        folder: The folder; it need not exist.
        lock_name: The name of the lock file.
    """
    if not folder.is_dir():
        return folder.exists()
    names = (path.name for path in folder.iterdir())
    return any(name != lock_name and TEMPORARY_MARK not in name for name in names)


def replace(temporary: Path, path: Path) -> None:
    """Rename a written file to `path`, once its content is on the disk."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def sweep_temporary(folder: Path) -> int:
    """Remove the temporary files and folders below `folder`, which killed processes have left.

    Returns:
        The number of them.
    """
    leftovers = list(folder.rglob(f"*{TEMPORARY_MARK}*")) if folder.is_dir() else []
    for path in leftovers:
        _remove(path)
    return len(leftovers)


def _remove(path: Path) -> None:
    """Removes a file, or a folder with its files, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sweep_dead(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` of ended processes of this machine.

    Those of other machines are kept: their processes may be writing now.
    """
    for path in folder.glob(f"*{TEMPORARY_MARK}*"):
        match = re.search(rf"{re.escape(TEMPORARY_MARK)}{_host_digest()}-(\d+)", path.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            _remove(path)


def write_text(path: Path, text: str) -> None:
    with writing(path) as file:
        file.write(text.encode())


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes of a file, under a temporary name until they are complete.

    Raises:
        ViolenceDetectionError: If `target` cannot be written.
        OSError: If `source` cannot be read.
    """
    with open(source, "rb") as original, writing(target) as copy:
        shutil.copyfileobj(original, copy, 1 << 20)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(
    path: Path,
    columns: Iterable[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    separator: str = ",",
    encoding: str = "utf-8",
) -> None:
    """Write `rows` under `columns`; None becomes an empty cell.

    Args:
        path: The file.
        columns: Names of the columns, in their order.
        rows: The cells of each row, by column.
        separator: The character between cells.
        encoding: `utf-8-sig` begins with a byte-order mark.
    """
    columns = list(columns)
    lines = [columns, *([row.get(column) for column in columns] for row in rows)]
    text = "".join(_csv_line(cells, separator) for cells in lines)
    with writing(path) as file:
        file.write(text.encode(encoding))


def _csv_line(cells: Iterable[Any], separator: str) -> str:
    """One line of CSV that `read_csv` reads back unchanged.

    `csv.writer` is not used: it quotes neither a carriage return nor a leading space, and file
    names may have both.
    """
    texts = ["" if cell is None else str(cell) for cell in cells]
    quoted = [
        '"' + text.replace('"', '""') + '"' if separator in text or _QUOTED.search(text) else text
        for text in texts
    ]
    return separator.join(quoted) + "\n"


def marked_encoding(content: bytes) -> str | None:
    """The encoding that the byte-order mark at the start of a text names; None without a mark."""
    marks = (mark for mark in _BYTE_ORDER_MARKS if content.startswith(mark))
    return _BYTE_ORDER_MARKS.get(next(marks, b""))


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with a header; see `read_csv_lines`."""
    return [row for _, row in read_csv_lines(path)]


def read_csv_lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header, each with the number of the line that it ends on.

    A byte-order mark is dropped, column names are stripped, empty rows are skipped.

    Raises:
        csv.Error: If it cannot be parsed, has a column name twice, or has a row with more cells
            than columns.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        table = csv.reader(file, skipinitialspace=True)
        columns = [name.strip() for name in next(table, [])]
        repeated = [name for name in columns if name and columns.count(name) > 1]
        if repeated:
            raise csv.Error(f"it has the column {repeated[0]} twice")
        rows = []
        for cells in table:
            if any(cells[len(columns) :]):
                raise csv.Error(
                    f"line {table.line_num} has {len(cells)} cells for {len(columns)} "
                    "columns; a cell with a comma in it must be quoted"
                )
            if any(cells):
                rows.append((table.line_num, dict(zip(columns, cells, strict=False))))
        return rows


def read_own_csv(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV file that this program has written.

    Raises:
        ViolenceDetectionError: If it cannot be read or lacks one of `columns`.
    """
    columns = list(columns)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
        rows = read_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ViolenceDetectionError(f"{path} must be a table in UTF-8. ({error})") from error
    if not set(columns) <= set(header) or any(len(row) < len(header) for row in rows):
        raise ViolenceDetectionError(
            f"{path} must have the columns {','.join(columns)} in every row. It was changed: "
            "restore it or, if it is in a cache, remove it; it is then written again."
        )
    return rows


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_unchanged(path: Path) -> str:
    """Hex SHA-256 of a file's bytes; a file that has not changed is not read again.

    Many videos of a dataset may be parts of one file.
    """
    stat = path.stat()
    # ctime is set by the system; unlike mtime, no tool sets it back.
    return _sha256_of(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@functools.lru_cache(maxsize=64)
def _sha256_of(path: Path, size: int, mtime_ns: int, ctime_ns: int) -> str:
    return sha256_of_file(path)


def sha256_of_json(value: Any) -> str:
    """Hex SHA-256 of a value's canonical JSON (sorted keys)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        RunError: If the file cannot be read or does not hold a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path.name} must be readable JSON. Received: {path} ({error})") from error
    if not isinstance(value, dict):
        raise RunError(f"{path.name} must hold a JSON object. Received: {path}")
    return value

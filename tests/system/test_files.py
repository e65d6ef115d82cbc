"""Files are whole or do not exist; an error of the system is one clear line."""

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ViolenceDetectionError
from violence_detection.system import files

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def in_child(program: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a Python program in its own process, which it may limit or kill."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_digest_is_sha256(tmp_path):
    # FIPS 180-4's example message "abc".
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256_of_file(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_file_longer_than_a_piece_is_digested_whole(tmp_path):
    content = bytes(range(256)) * 9000  # 2.3 MB, over two pieces
    (tmp_path / "long").write_bytes(content)
    digest = files.sha256_of_file(tmp_path / "long")
    assert digest == hashlib.sha256(content).hexdigest()


def test_the_digest_of_json_does_not_depend_on_the_order_of_keys():
    assert files.sha256_of_json({"a": 1, "b": 2}) == files.sha256_of_json({"b": 2, "a": 1})
    assert files.sha256_of_json({"a": 1}) != files.sha256_of_json({"a": 2})


def test_the_name_appears_only_when_everything_is_written(tmp_path):
    path = tmp_path / "new" / "folder" / "file.npy"
    with files.writing(path) as file:
        file.write(b"half")
        assert not path.exists()
        (partial,) = path.parent.iterdir()
        assert ".partial-" in partial.name and f"-{os.getpid()}-" in partial.name
        assert not partial.name.endswith(".npy")
    assert path.read_bytes() == b"half"
    assert list(path.parent.iterdir()) == [path]


def test_only_what_dead_processes_left_is_swept_from_a_shared_folder(tmp_path):
    mine = files.temporary_mark()
    dead = mine.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    elsewhere = re.sub(r"partial-\w+", "partial-01234567", dead)
    for mark in (mine, dead, elsewhere):
        (tmp_path / f"a{mark}").touch()
        (tmp_path / f"{mark}-a.xml").mkdir()
        (tmp_path / f"{mark}-a.xml" / "half").touch()
    (tmp_path / "whole.xml").touch()
    files.sweep_dead(tmp_path)
    kept = [f"a{mine}", f"{mine}-a.xml", f"a{elsewhere}", f"{elsewhere}-a.xml"]
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "whole.xml"}


def test_a_name_as_long_as_may_be_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".npy")
    files.write_text(path, "x")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with pytest.raises(ViolenceDetectionError, match="the name is too long"):
        files.write_text(tmp_path / ("n" * 256), "x")


def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    files.write_text(path, "old")
    with pytest.raises(KeyError), files.writing(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_a_file_that_the_sweep_removes(tmp_path):
    path = tmp_path / "deep" / "file.npy"
    killed = in_child(
        "import os, sys; from pathlib import Path; from violence_detection.system import files\n"
        "with files.writing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'x' * 99999); os.kill(os.getpid(), 9)",
        path,
    )
    assert killed.returncode == -9
    assert not path.exists()
    assert len(list(path.parent.iterdir())) == 1
    assert files.sweep_temporary(tmp_path) == 1
    assert list(path.parent.iterdir()) == []


def test_sweeping_a_folder_that_does_not_exist_removes_nothing(tmp_path):
    assert files.sweep_temporary(tmp_path / "none") == 0


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "file.npy"
    child = in_child(
        "import resource, signal, sys; from pathlib import Path\n"
        "from violence_detection import errors\nfrom violence_detection.system import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    files.write_text(Path(sys.argv[1]), 'x' * 5000)\n"
        "except errors.ViolenceDetectionError as error:\n"
        "    print(error, end='')",
        path,
    )
    assert child.stdout == f"Cannot write {path}: the file-size limit is reached."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EACCES, "no permission to write there"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_errors_of_the_system_are_in_plain_words(number, reason):
    error = files.write_error(Path("/a/b"), OSError(number, os.strerror(number)))
    assert str(error) == f"Cannot write /a/b: {reason}."


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file")
    message = f"Cannot write {tmp_path}/cache/x: there is a file where a folder must be."
    for write in (lambda path: files.write_text(path, ""), files.ensure_writable):
        with pytest.raises(ViolenceDetectionError) as raised:
            write(tmp_path / "cache" / "x")
        assert str(raised.value) == message


def test_a_folder_is_made_and_the_probe_leaves_nothing(tmp_path):
    files.ensure_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_where_nothing_can_be_written_the_probe_leaves_nothing(tmp_path, monkeypatch):
    def full(path, _):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ViolenceDetectionError, match="the disk is full"):
        files.ensure_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_and_partial_files_count_as_an_empty_folder(tmp_path):
    folder = tmp_path / "x"
    assert not files.is_occupied(folder, lock_name=".lock")
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / f"a{files.temporary_mark()}").touch()
    assert not files.is_occupied(folder, lock_name=".lock")
    assert files.is_occupied(folder, lock_name=".other")
    assert files.is_occupied(folder / ".lock", lock_name=".lock")  # not a folder


def test_json_keeps_the_letters_of_every_language(tmp_path):
    files.write_json(tmp_path / "x.json", {"Straße": "暴力"})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "暴力" in text
    assert json.loads(text) == {"Straße": "暴力"}


def test_a_byte_order_mark_and_spaces_in_the_header_are_dropped(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfpath, label\r\na.mp4, fight\r\n\r\n,\r\n")
    assert files.read_csv(tmp_path / "x.csv") == [{"path": "a.mp4", "label": "fight"}]


def test_an_empty_csv_has_no_rows(tmp_path):
    (tmp_path / "x.csv").write_text("")
    assert files.read_csv(tmp_path / "x.csv") == []


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_a_table_read_back_is_what_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    # A marker cell, as rows of empty cells are dropped.
    written = [{"path": "p", "a": a, "b": b} for a, b in rows]
    files.write_csv(path, ("path", "a", "b"), written)
    assert files.read_csv(path) == written


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"\xff\xfe\x00", b"path,split\na\n"])
def test_a_table_that_was_changed_is_one_line(tmp_path, content):
    (tmp_path / "splits.csv").write_bytes(content)
    with pytest.raises(ViolenceDetectionError, match="splits.csv must"):
        files.read_own_csv(tmp_path / "splits.csv", ("path", "split"))

"""The packed file gives the arrays of the manifest, or an error."""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from support.features import draw_features

from violence_detection.errors import CacheError, ViolenceDetectionError
from violence_detection.features import packed
from violence_detection.features.cache import FeatureCache, array_bytes
from violence_detection.features.packed import LazyRows

SHAPE = (6, 8)


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache.open(draw_features(tmp_path / "space", counts=(6, 2, 2)))


def path_of(cache: FeatureCache) -> Path:
    (path,) = cache.dir.glob("*.packed")
    return path


def check(cache: FeatureCache, rows: LazyRows) -> None:
    """Checks that `rows` are the arrays of all videos, each read from its file."""
    expected = [cache.read_array(entry, SHAPE) for entry in cache.entries()]
    np.testing.assert_array_equal(rows[:], expected)


def arrays_read(cache: FeatureCache, monkeypatch) -> list[str]:
    """Records the videos whose own arrays are read from here on."""
    names, read_content = [], cache.read_content

    def read(entry, *more):
        names.append(entry.path)
        return read_content(entry, *more)

    monkeypatch.setattr(cache, "read_content", read)
    return names


# -- golden


def test_the_file_is_the_arrays_one_after_another(cache):
    packed.read_packed(cache, cache.entries())
    arrays = [cache.array_path(entry.path).read_bytes() for entry in cache.entries()]
    assert path_of(cache).read_bytes() == b"".join(arrays)


def test_rows_are_the_arrays_in_the_asked_order(cache):
    entries = [cache.entries()[row] for row in (7, 0, 3)]
    rows = packed.read_packed(cache, entries)
    assert (len(rows), rows.shape, rows.dtype) == (3, (3, *SHAPE), np.float16)
    for row, entry in enumerate(entries):
        np.testing.assert_array_equal(rows[row], cache.read_array(entry, SHAPE))
    np.testing.assert_array_equal(rows[np.array([2, 2])], rows[:][[2, 2]])


def test_rows_of_rows_are_rows():
    array = np.arange(20).reshape(10, 2)
    rows = LazyRows(LazyRows(array, np.array([9, 1, 5])), np.array([2, 0]))
    assert rows[:].tolist() == [[10, 11], [18, 19]]


# -- relation


def test_a_packed_cache_is_read_without_its_arrays(cache, monkeypatch):
    packed.read_packed(cache, cache.entries())
    names = arrays_read(cache, monkeypatch)
    check(cache, packed.read_packed(cache, cache.entries()))
    assert len(names) == len(cache.entries())  # those of the check itself


def test_another_split_needs_no_other_packed_file(cache, monkeypatch):
    packed.read_packed(cache, cache.entries())
    moved = [dataclasses.replace(row, split="test") for row in cache.entries()]
    cache.write_manifest(moved)
    names = arrays_read(cache, monkeypatch)
    packed.read_packed(cache, moved[:3])
    assert not names


def test_another_manifest_is_packed_again_and_the_former_file_is_removed(cache):
    packed.read_packed(cache, cache.entries())
    before, first = path_of(cache), cache.entries()[0]
    digests = cache.write_arrays(first.path, np.ones((1, *SHAPE), np.float16))
    row = dataclasses.replace(first, array_digest=digests[0])
    cache.write_manifest([row, *cache.entries()[1:]])
    check(cache, packed.read_packed(cache, cache.entries()))
    assert path_of(cache) != before


def test_each_view_has_a_file_and_those_of_another_manifest_are_removed(cache):
    rows = []
    for entry in cache.entries():
        own = cache.read_array(entry, SHAPE)
        digests = cache.write_arrays(entry.path, np.stack([own, -own]))
        rows.append(dataclasses.replace(entry, views=digests[1]))
    cache.write_manifest(rows)
    mirrored = packed.read_packed(cache, rows, view=1)
    np.testing.assert_array_equal(mirrored[:], -packed.read_packed(cache, rows)[:])
    assert len(list(cache.dir.glob("*.packed"))) == 2
    cache.write_manifest(rows[1:])
    packed.read_packed(cache, rows[1:])
    assert path_of(cache).name.startswith("features.view0.")


def test_failed_videos_are_not_in_it(cache):
    first, *rest = cache.entries()
    cache.array_path(first.path).unlink()
    cache.write_manifest([dataclasses.replace(first, status="failed"), *rest])
    packed.read_packed(cache, rest)
    assert path_of(cache).stat().st_size == len(rest) * array_bytes(SHAPE)


def test_videos_with_the_same_features_share_a_row(cache):
    first, second, *rest = cache.entries()
    content = cache.array_path(first.path).read_bytes()
    cache.array_path(second.path).write_bytes(content)
    twin = dataclasses.replace(second, array_digest=first.array_digest)
    cache.write_manifest([first, twin, *rest])
    check(cache, packed.read_packed(cache, cache.entries()))
    assert path_of(cache).stat().st_size == (1 + len(rest)) * array_bytes(SHAPE)


def test_an_array_altered_after_packing_does_no_harm(cache):
    """The packed arrays are still those of the manifest."""
    expected = packed.read_packed(cache, cache.entries())[:]
    cache.array_path(cache.entries()[0].path).write_bytes(b"altered")
    np.testing.assert_array_equal(packed.read_packed(cache, cache.entries())[:], expected)


# -- hostile


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 0),
        lambda path: flip(path, array_bytes(SHAPE) - 1),
        lambda path: flip(path, -1),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
    ],
    ids="header first last truncated empty longer zeros".split(),
)
def test_a_damaged_file_is_packed_again(cache, damage):
    packed.read_packed(cache, cache.entries())
    sound = path_of(cache).read_bytes()
    damage(path_of(cache))
    check(cache, packed.read_packed(cache, cache.entries()))
    assert path_of(cache).read_bytes() == sound


def test_damage_is_logged(cache, caplog):
    packed.read_packed(cache, cache.entries())
    flip(path_of(cache), 200)
    packed.read_packed(cache, cache.entries())
    assert "was damaged; it is packed again" in caplog.text


def test_the_file_of_another_manifest_under_this_name_is_noticed(cache, tmp_path):
    packed.read_packed(cache, cache.entries())
    folder = draw_features(tmp_path / "other", counts=(6, 2, 2), seed=1)
    other = FeatureCache.open(folder)
    packed.read_packed(other, other.entries())
    path_of(cache).write_bytes(path_of(other).read_bytes())
    check(cache, packed.read_packed(cache, cache.entries()))


def test_an_array_altered_before_packing_is_refused(cache):
    first = cache.entries()[0]
    flip(cache.array_path(first.path), -1)
    with pytest.raises(CacheError, match=f"array of {first.path} .* it was altered"):
        packed.read_packed(cache, cache.entries())
    assert not list(cache.dir.glob("*.pack*ed")) + list(cache.dir.glob("*.packing"))


def test_a_damaged_file_and_an_altered_array_are_refused(cache):
    packed.read_packed(cache, cache.entries())
    flip(path_of(cache), 200)
    flip(cache.array_path(cache.entries()[0].path), -1)
    with pytest.raises(CacheError, match="it was altered"):
        packed.read_packed(cache, cache.entries())


def test_a_packed_file_that_is_damaged_again_is_refused(cache, monkeypatch):
    wrong = bytes(array_bytes(SHAPE))
    monkeypatch.setattr(cache, "read_content", lambda *_: wrong)
    with pytest.raises(CacheError, match="must be as it was written. Received: .*packed"):
        packed.read_packed(cache, cache.entries())


def test_videos_that_left_the_manifest_meanwhile_are_noticed(cache):
    entries = cache.entries()
    cache.write_manifest(entries[1:])
    with pytest.raises(CacheError, match="manifest must not change"):
        packed.read_packed(cache, entries)


def test_the_file_of_a_killed_packing_is_removed(cache):
    leftover = cache.dir / "features.packing"
    leftover.write_bytes(b"torn")
    check(cache, packed.read_packed(cache, cache.entries()))
    assert not leftover.exists()


PACK = """
import logging, sys
from violence_detection.features import packed
from violence_detection.features.cache import FeatureCache
logging.basicConfig(level=logging.INFO)
cache = FeatureCache.open(sys.argv[1])
print(packed.read_packed(cache, cache.entries())[:].astype(float).sum())
"""


def packing(cache: FeatureCache, program: str = PACK) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(cache.dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_that_pack_at_once_read_the_same_arrays(cache):
    lock = FileLock(cache.dir / ".packed.lock")
    with lock:  # so that both come to wait
        both = [packing(cache), packing(cache)]
        for one in both:
            assert "waiting for that" in one.stderr.readline()
    arrays = [cache.read_array(entry, SHAPE) for entry in cache.entries()]
    expected = np.array(arrays, float).sum()
    for one in both:
        out, errors = one.communicate(timeout=60)
        assert float(out) == pytest.approx(expected), errors
    assert path_of(cache).stat().st_size == len(arrays) * array_bytes(SHAPE)


def test_a_process_killed_while_packing_blocks_no_other(cache):
    killed = "import os, violence_detection.features.cache as c\n" + (
        "c.FeatureCache.read_content = lambda *_: os.kill(os.getpid(), 9)\n" + PACK
    )
    one = packing(cache, killed)
    one.communicate(timeout=60)
    assert one.returncode == -signal.SIGKILL
    assert (cache.dir / "features.packing").exists()
    check(cache, packed.read_packed(cache, cache.entries()))
    assert not (cache.dir / "features.packing").exists()


def test_a_folder_that_cannot_be_written_is_packed_elsewhere(cache, caplog):
    (cache.dir / ".packed.lock").mkdir()  # a file cannot be opened there, not even by root
    before = sorted(cache.dir.iterdir())
    check(cache, packed.read_packed(cache, cache.entries()))
    assert "The features are packed in " + tempfile.gettempdir() in caplog.text
    assert sorted(cache.dir.iterdir()) == before


def test_a_folder_that_cannot_be_written_still_reads_what_is_packed(cache, monkeypatch):
    packed.read_packed(cache, cache.entries())
    (cache.dir / ".packed.lock").unlink(missing_ok=True)
    (cache.dir / ".packed.lock").mkdir()
    names = arrays_read(cache, monkeypatch)
    packed.read_packed(cache, cache.entries())
    assert not names


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_a_user_without_write_access_can_read():
    # Once as root, because what is imported late may lie where nobody else reads.
    become = """packed.read_packed(cache, cache.entries())
import os
for path in cache.dir.glob("*packed*"):
    path.unlink()
os.setuid(65534)
print"""
    nobody = PACK.replace("print", become)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        cache = FeatureCache.open(draw_features(Path(folder) / "space"))
        out, errors = packing(cache, nobody).communicate(timeout=60)
    assert "no permission to write there" in errors
    assert out, errors


def test_a_full_disk_is_one_clear_line(cache):
    limited = "import resource, signal\n" + (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n" + PACK
    )
    _, errors = packing(cache, limited).communicate(timeout=60)
    last = errors.strip().splitlines()[-1]
    assert last.startswith(ViolenceDetectionError.__module__)
    assert last.endswith(f"Cannot write {tempfile.gettempdir()}: the file-size limit is reached.")
    assert not list(cache.dir.glob("*.pack*ing"))

"""Arrays and rows are read as they were written, and a kill loses no finished video."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.features import SPACE

from violence_detection.datasets.table_files.manifest import MANIFEST_COLUMNS, ManifestEntry
from violence_detection.errors import CacheError, ViolenceDetectionError
from violence_detection.features import cache
from violence_detection.features.cache import FeatureCache, dataset_name
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import files

SHAPE = (4, 6)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
FLOAT = st.floats(0, 1e6, allow_subnormal=False)
ENTRIES = st.builds(
    ManifestEntry,
    path=TEXT.filter(bool),
    label=TEXT,
    group=TEXT,
    split=st.sampled_from(["", "train", "validation", "test"]),
    size=st.integers(0, 2**60),
    mtime=st.integers(0, 2**63),
    frames=st.integers(0, 10**7),
    fps=FLOAT,
    duration_s=FLOAT,
    status=st.sampled_from(["ok", "damaged", "failed"]),
    error=TEXT,
)


@pytest.fixture
def kept(tmp_path, rng) -> tuple[FeatureCache, ManifestEntry, np.ndarray]:
    """A cache with one array in it."""
    cache = FeatureCache(tmp_path)
    features = rng.normal(size=SHAPE).astype(np.float16)
    entry = ManifestEntry(
        "a/1.mp4",
        "a",
        "r",
        "",
        array_digest=cache.write_arrays("a/1.mp4", features[None])[0],
    )
    return cache, entry, features


def message_of(call, *arguments, **options) -> str:
    with pytest.raises(CacheError) as raised:
        call(*arguments, **options)
    return str(raised.value)


# -- the feature space


def test_the_name_is_readable_and_ends_in_digits_of_the_fingerprint():
    assert SPACE.name == f"mobilenetv2-rgb-20f-{SPACE.fingerprint[:8]}"
    focused = dataclasses.replace(SPACE, stream="rgb(focus=true)+motion")
    assert focused.name.startswith("mobilenetv2-rgb-focus-true-motion-20f-")


def test_the_fingerprint_covers_the_fields_of_the_contract_and_nothing_else():
    assert {field.name for field in dataclasses.fields(FeatureSpace)} == set(
        "backbone layer stream frames frame_size resize dim weights_digest engine precision "
        "recipe segments parts".split()
    )


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FeatureSpace)])
def test_the_fingerprint_changes_with_each_field(name):
    value = getattr(SPACE, name)
    changed = (SPACE,) if name == "parts" else value + type(value)(1)
    other = dataclasses.replace(SPACE, **{name: changed})
    assert other.fingerprint != SPACE.fingerprint
    assert other.name != SPACE.name


def test_equal_spaces_have_one_fingerprint_whatever_the_order_of_their_fields():
    values = dataclasses.asdict(SPACE)
    again = FeatureSpace.from_json(dict(reversed(values.items())) | {"something": "else"})
    assert again.fingerprint == SPACE.fingerprint


def test_a_space_with_a_field_missing_is_refused():
    values = dataclasses.asdict(SPACE)
    del values["engine"]
    assert message_of(FeatureSpace.from_json, values) == (
        "A feature space must have every field. Missing: 'engine'"
    )


# -- names


def test_a_dataset_is_named_after_its_folder_and_its_real_path(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "videos")
    name = dataset_name(tmp_path / "videos")
    assert name.startswith("videos-")
    assert len(name) == len("videos-") + 8
    assert dataset_name(tmp_path / "link") == name
    assert dataset_name(tmp_path / "x" / "videos") != name
    assert dataset_name(tmp_path, asked="mine") == "mine"


def test_the_extension_of_a_video_is_kept_in_its_array(tmp_path):
    folder = FeatureCache(tmp_path)
    assert folder.array_path("violent/fi001.mp4") == tmp_path / "violent" / "fi001.mp4.npy"


# -- arrays


def test_an_array_is_kept_as_float16_and_comes_back_to_the_bit(kept):
    cache, entry, features = kept
    read = cache.read_array(entry, SHAPE)
    assert read.dtype == np.float16
    np.testing.assert_array_equal(read, features)
    np.testing.assert_array_equal(np.load(cache.array_path(entry.path)), features)
    assert entry.array_digest == files.sha256_of_file(cache.array_path(entry.path))


def flip_a_bit(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 4]) + content[-2:]


def with_nan(content: bytes) -> bytes:
    return content[:-2] + np.float16(np.nan).tobytes()


@pytest.mark.parametrize(
    "alter",
    [flip_a_bit, with_nan, lambda c: c[:-2], lambda c: c + b"\0", lambda c: b""],
)
def test_an_altered_array_is_noticed(kept, alter):
    cache, entry, _ = kept
    path = cache.array_path(entry.path)
    path.write_bytes(alter(path.read_bytes()))
    assert message_of(cache.read_array, entry, SHAPE) == (
        "The array of a/1.mp4 must be what extract-features wrote; it was altered: "
        f"{path}. Start extract-features --verify to make it again."
    )
    assert not cache.arrays_exist(entry, SHAPE, verify=True)


def test_an_array_of_another_shape_is_refused(kept):
    cache, entry, _ = kept
    assert message_of(cache.read_array, entry, (5, 6)) == (
        "The array of a/1.mp4 must be float16 (5, 6). Received: float16 (4, 6)"
    )
    assert not cache.arrays_exist(entry, (5, 6), verify=False)


def test_a_pickled_array_is_not_opened(kept, tmp_path):
    """Its digest is right: the writer of the array wrote the manifest too."""
    cache, entry, _ = kept
    path = cache.array_path(entry.path)
    np.save(path, np.array([{"any": "code"}], dtype=object), allow_pickle=True)
    digest = files.sha256_of_file(path)
    entry = dataclasses.replace(entry, array_digest=digest)
    assert message_of(cache.read_array, entry, SHAPE) == (
        "The array of a/1.mp4 must be float16 (4, 6). Received: Object arrays cannot be loaded "
        "when allow_pickle=False"
    )


def test_a_missing_array_is_noticed(kept):
    cache, entry, _ = kept
    assert cache.arrays_exist(entry, SHAPE, verify=False)
    cache.array_path(entry.path).unlink()
    assert not cache.arrays_exist(entry, SHAPE, verify=False)
    assert message_of(cache.read_array, entry, SHAPE) == (
        "The array of a/1.mp4 cannot be read: No such file or directory."
    )


@given(st.integers(1, 2000), st.integers(1, 5000))
def test_the_size_of_an_array_file_is_computed_without_writing_it(frames, dim):
    header_and_values = cache.array_bytes((frames, dim))
    assert header_and_values % 64 == (2 * frames * dim) % 64  # headers are padded to 64 bytes
    assert header_and_values == 128 + 2 * frames * dim


# -- the manifest


@given(entries=st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.path))
def test_a_manifest_is_read_as_it_was_written(tmp_path_factory, entries):
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    cache.write_manifest(entries)
    assert cache.entries() == sorted(entries, key=lambda entry: entry.path)


@given(entries=st.lists(ENTRIES, max_size=4))
def test_the_last_row_of_a_journal_counts_for_each_video(tmp_path_factory, entries):
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    for entry in entries:
        cache.append_to_journal(entry)
    assert cache.latest_entries() == {entry.path: entry for entry in entries}


def test_the_newest_row_of_all_journals_counts(tmp_path):
    plain, shard = FeatureCache(tmp_path), FeatureCache(tmp_path, journal="1-of-2")
    old = ManifestEntry("a/1.mp4", "a", "r", "", status="failed", error="it took longer")
    new = ManifestEntry("a/1.mp4", "a", "r", "", array_digest="ab")
    for first, second in ((plain, shard), (shard, plain)):
        first.append_to_journal(old)
        second.append_to_journal(new)
        assert plain.latest_entries() == shard.latest_entries() == {new.path: new}
        plain.write_manifest([])
        assert not list(tmp_path.glob("*.jsonl"))


def test_journals_of_shards_in_progress_are_kept(tmp_path):
    one, two = (FeatureCache(tmp_path, journal=f"{number}-of-2") for number in (1, 2))
    entries = [ManifestEntry(f"a/{number}.mp4", "a", "r", "") for number in (1, 2)]
    one.append_to_journal(entries[0])
    two.append_to_journal(entries[1])
    one.write_manifest(entries, busy={"2-of-2"})
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["manifest.journal.2-of-2.jsonl"]


def test_the_manifest_has_the_columns_of_the_contract():
    contract = "path,label,group,split,size,mtime,digest,array_digest,frames,fps,duration_s"
    assert ",".join(MANIFEST_COLUMNS) == f"{contract},status,error,views,camera,recorded_at,kind"


def test_the_journal_continues_the_manifest(tmp_path):
    cache = FeatureCache(tmp_path)
    old, gone = ManifestEntry("1.mp4", "a", "r", "train"), ManifestEntry("2.mp4", "a", "r", "test")
    cache.write_manifest([old, gone])
    new = dataclasses.replace(old, size=9)
    cache.append_to_journal(new)
    assert cache.latest_entries() == {"1.mp4": new, "2.mp4": gone}
    cache.write_manifest([new])
    assert cache.latest_entries() == {"1.mp4": new}
    assert list(tmp_path.iterdir()) == [cache.manifest_path]


def test_a_journal_torn_anywhere_keeps_every_whole_line(tmp_path):
    cache = FeatureCache(tmp_path)
    entries = [ManifestEntry(f'{n}, "ж"\n.mp4', "a", "r", "", size=n) for n in range(3)]
    ends = []
    for entry in entries:
        cache.append_to_journal(entry)
        ends.append((tmp_path / "manifest.journal.jsonl").stat().st_size)
    whole = (tmp_path / "manifest.journal.jsonl").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "manifest.journal.jsonl").write_bytes(whole[:length])
        done = sum(end <= length for end in ends)
        assert cache.latest_entries() == {entry.path: entry for entry in entries[:done]}, length


def test_rows_after_a_torn_line_are_not_lost(tmp_path):
    cache = FeatureCache(tmp_path)
    entries = [ManifestEntry(f"{n}.mp4", "a", "r", "") for n in range(3)]
    cache.append_to_journal(entries[0])
    cache.append_to_journal(entries[1])
    path = tmp_path / "manifest.journal.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    cache.append_to_journal(entries[2])
    assert cache.latest_entries() == {"0.mp4": entries[0], "2.mp4": entries[2]}


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,label\n1.mp4,a\n")
    with pytest.raises(ViolenceDetectionError, match="manifest.csv must have the columns"):
        FeatureCache(tmp_path).entries()


# -- opening


def test_a_folder_without_features_is_refused(tmp_path):
    assert message_of(FeatureCache.open, tmp_path) == (
        "Features must be a folder that extract-features left, with extraction.json. "
        f"Received: {tmp_path}."
    )


def test_a_cache_opens_with_its_space(tmp_path):
    settings = {
        "complete": True,
        "dataset": {"name": "d", "dir": "/d"},
        "grouping": "none",
        "fingerprint": SPACE.fingerprint,
        "feature_space": dataclasses.asdict(SPACE),
        "weights": {"source": "imagenet"},
    }
    files.write_json(tmp_path / "extraction.json", settings)
    FeatureCache(tmp_path).write_manifest([])
    opened = FeatureCache.open(str(tmp_path))
    assert opened.space() == SPACE
    assert (opened.origin.dir, opened.record().complete) == ("/d", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "must be readable JSON"), ("[]", "must hold a JSON object")],
)
def test_damaged_settings_are_named(tmp_path, text, message):
    (tmp_path / "extraction.json").write_text(text)
    assert message in message_of(FeatureCache(tmp_path).space)

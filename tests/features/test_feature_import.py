"""Features of other programs become a cache, without the clips that stand for nothing."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.folders import tree_of

from violence_detection.datasets.splitting.split_store import SplitStore
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    ViolenceDetectionError,
    WeightsError,
)
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.cache_config import CacheImportConfig
from violence_detection.features.exchange.feature_export import CacheExport
from violence_detection.features.exchange.feature_import import CacheImport, CacheImportResult
from violence_detection.features.exchange.imported_file import to_float16
from violence_detection.features.exchange.imported_labels import split_of_name
from violence_detection.features.extractor import FeatureExtractor

CLASSES = "normal,violent"


class Import:
    """Imports files of a folder into the cache beside it."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache_dir = root, root / "cache"

    def save(self, name: str, array) -> str:
        np.save(self.root / name, array)
        return str(self.root / name)

    def stage(self, *paths, labels=(), force=False, **settings) -> CacheImport:
        settings = {"classes": CLASSES, "cache_dir": str(self.cache_dir), **settings}
        config = CacheImportConfig(**settings, given=frozenset(settings))
        paths, labels = (list(map(str, listed)) for listed in (paths, labels))
        return CacheImport(paths, labels, config, force=force)

    def __call__(self, *paths, **options) -> CacheImportResult:
        return self.stage(*paths, **options).run()

    def refusal(self, *paths, **options) -> str:
        """The message of an import that fails before it writes anything."""
        before = tree_of(self.cache_dir)
        with pytest.raises(ViolenceDetectionError) as raised:
            self(*paths, **options)
        assert tree_of(self.cache_dir) == before and "\n" not in str(raised.value)
        return str(raised.value)


@pytest.fixture
def files(tmp_path) -> Import:
    return Import(tmp_path)


@pytest.fixture
def clips(rng) -> np.ndarray:
    """float16 (20, 4, 6), none of it zero."""
    return rng.normal(size=(20, 4, 6)).astype(np.float16) + np.float16(5)


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(20) % 2


@pytest.fixture
def saved(files, clips, labels) -> str:
    """The path of train_features.npy, with train_labels.npy beside it."""
    files.save("train_labels.npy", labels)
    return files.save("train_features.npy", clips)


def arrays_of(result: dict) -> dict[str, np.ndarray]:
    cache = FeatureCache.open(result.features)
    shape = tuple(result.shape)
    return {e.path: cache.read_array(e, shape) for e in cache.entries() if e.usable}


# -- what comes of it


def test_videos_in_segments_come_back_as_they_were_exported(files, labels, rng, tmp_path):
    videos = rng.normal(size=(20, 3, 4, 6)).astype(np.float16)
    files.save("train_labels.npy", labels)
    result = files(files.save("train_features.npy", videos))
    cache = FeatureCache.open(result.features)
    assert tuple(result.shape) == cache.space().shape == (3, 4, 6)
    np.testing.assert_array_equal(np.stack(list(arrays_of(result).values())), videos)
    exported = tmp_path / "segments.h5"
    CacheExport(str(result.features), output=str(exported), force=False).run()
    again = files(str(exported), dataset_name="again")
    np.testing.assert_array_equal(np.stack(list(arrays_of(again).values())), videos)
    assert FeatureCache.open(again.features).space() == cache.space()


def test_arrays_and_labels_are_those_of_the_file(files, saved, clips, labels):
    result = files(saved)
    arrays = arrays_of(result)
    assert list(arrays) == [f"train_features/{row:06d}" for row in range(20)]
    np.testing.assert_array_equal(np.stack(list(arrays.values())), clips)
    entries = dataset.usable_entries(FeatureCache.open(result.features))
    assert [entry.label for entry in entries] == [CLASSES.split(",")[label] for label in labels]
    assert (result.videos, result.imported, result.left_out) == (20, 20, ())
    assert (result.dataset, result.grouped) == ("train_features", False)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_precision_and_order_gives_the_nearest_float16(files, saved, clips, dtype, order):
    path = files.save("train_features.npy", np.asarray(clips, dtype, order=order))
    np.testing.assert_array_equal(np.stack(list(arrays_of(files(path)).values())), clips)


def test_clips_of_zeros_nan_and_out_of_range_are_left_out_and_named(files, saved, clips):
    spoilt = clips.astype(np.float64)
    spoilt[[2, 7]] = 0.0
    spoilt[3, 1, 1], spoilt[4, 0, 0], spoilt[5, 0, 0], spoilt[6] = np.nan, np.inf, 7e4, 1e-12
    spoilt[8, 2:] = 0.0
    result = files(files.save("train_features.npy", spoilt))
    reasons = {int(path[-6:]): reason for path, reason in result.left_out}
    assert sorted(reasons) == [2, 3, 4, 5, 6, 7]
    assert {reasons[row].split(",")[0] for row in (2, 6, 7)} == {"its features are all zeros"}
    assert {reasons[row] for row in (3, 4)} == {"its features are not all finite (NaN or infinity)"}
    assert "beyond the range of float16" in reasons[5]
    assert (result.videos, result.imported, result.padded) == (20, 14, 1)
    rows = {e.path: e for e in FeatureCache.open(result.features).entries()}
    failed = rows["train_features/000002"]
    assert (failed.status, failed.error, failed.array_digest) == ("failed", reasons[2], "")
    assert len(list(result.features.rglob("*.npy"))) == 14


def test_float16_is_the_nearest_and_its_limits_hold():
    values = np.array([65504.0, 65519.9, 65520.0, -65520.0, 6e-8, 1e-8])[:, None, None]
    rounded, reasons = to_float16(values)
    assert [bool(reason) for reason in reasons] == [False, False, True, True, False, True]
    assert rounded[1, 0, 0] == 65504 and rounded.dtype == np.float16


def test_the_split_is_that_of_the_files(files, clips, labels):
    for part, rows in {"train": slice(12), "val": slice(12, 16), "test": slice(16, 20)}.items():
        files.save(f"{part}_features.npy", clips[rows])
        files.save(f"{part}_labels.npy", labels[rows])
    paths = [files.root / f"{part}_features.npy" for part in ("train", "val", "test")]
    result = files(*paths, dataset_name="old")
    assert result.dataset == "old"
    splits = SplitStore(files.cache_dir / "old").split_by_key()
    assert {
        key.split("_")[0].replace("val", "validation"): split for key, split in splits.items()
    } == {name: name for name in ("train", "validation", "test")}


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train_features", "train"),
        ("X_Test", "test"),
        ("features-val-2", "validation"),
        ("features", ""),
        ("train_and_test", ""),
        ("training", "train"),
        ("trainer", ""),
    ],
)
def test_a_file_name_names_a_split_by_whole_words(stem, split):
    assert split_of_name(stem) == split


def test_one_file_of_training_clips_is_divided(files, saved):
    splits = SplitStore(files(saved).features.parent).split_by_key()
    assert set(splits.values()) == {"train", "validation", "test"}


def test_a_table_names_paths_recordings_splits_and_lengths(files, clips, tmp_path):
    path = files.save("clips.npy", clips)
    rows = [
        f"/data/v/{row}.avi,{CLASSES.split(',')[row % 2]},cam{row // 4},test,2.5"
        for row in range(20)
    ]
    table = tmp_path / "clips.csv"
    table.write_text("path,label,group,split,duration_s\n" + "\n".join(rows) + "\n")
    result = files(path, labels=[table], classes=None)
    cache = FeatureCache.open(result.features)
    entry = next(entry for entry in cache.entries() if entry.path == "7.avi")
    assert (entry.label, entry.group, entry.split, entry.duration_s) == (
        "violent",
        "cam1",
        "test",
        2.5,
    )
    assert result.grouped and cache.video_dir == Path("/data/v")


def test_camera_and_time_are_read_as_in_a_videos_csv(files, clips, tmp_path, caplog):
    path = files.save("clips.npy", clips)
    times = ["2024-05-31 21:40", "31.5.2024", *[f"2024-06-{day:02d}" for day in range(1, 19)]]
    rows = [f"{row}.avi;{row % 2};gate  {row // 10} ;{times[row]}" for row in range(20)]
    table = tmp_path / "clips.csv"
    table.write_text("\ufeffPath;Label;Camera;Recorded_at\n" + "\n".join(rows) + "\n", "utf-8")
    entries = FeatureCache.open(files(path, labels=[table]).features).entries()
    by_path = {entry.path: (entry.camera, entry.recorded_at) for entry in entries}
    assert by_path["0.avi"] == ("gate 0", "2024-05-31T21:40:00")
    assert by_path["1.avi"] == ("gate 0", "")
    assert by_path["19.avi"] == ("gate 1", "2024-06-18")
    assert "Not read: 1 cell, e.g. '31.5.2024' in line 3" in caplog.text


def test_recordings_come_from_the_pattern_and_what_lacks_one_is_its_own(
    files, clips, tmp_path, caplog
):
    path = files.save("clips.npy", clips)
    names = [f"cam{row // 4}_{row}.avi" if row else "other.avi" for row in range(20)]
    table = tmp_path / "t.csv"
    table.write_text("path,label\n" + "".join(f"{n},{i % 2}\n" for i, n in enumerate(names)))
    result = files(path, labels=[table], group_pattern=r"cam\d+")
    entries = FeatureCache.open(result.features).entries()
    assert {entry.group for entry in entries} == {"other.avi", *(f"cam{n}" for n in range(5))}
    assert not result.grouped and "The recording of 1 clip is not known" in caplog.text


def test_imports_of_the_same_maker_are_one_feature_space(files, saved, clips, labels):
    files.save("new_labels.npy", labels)
    other = files.save("new_features.npy", clips + np.float16(1))
    unnamed = [files(path).features.name for path in (saved, other)]
    named = [files(path, made_by="VGG19").features.name for path in (saved, other)]
    assert len(set(unnamed)) == 2 and len(set(named)) == 1
    assert named[0].startswith("imported-vgg19-4f-")


def test_hdf5_files_are_read_by_key(files, clips, labels, tmp_path):
    path = tmp_path / "features.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=clips.astype("f4"), chunks=(3, 4, 6), compression="gzip")
        file["y"] = np.eye(2)[labels]
    result = files(path, features_key="X", labels_key="y")
    np.testing.assert_array_equal(np.stack(list(arrays_of(result).values())), clips)
    with h5py.File(path, "a") as file:
        names = [CLASSES.split(",")[label] for label in labels]
        file["names"] = names
    again = files(path, features_key="X", labels_key="names", classes=None, dataset_name="named")
    first, second = (FeatureCache.open(r.features).entries() for r in (result, again))
    assert [entry.label for entry in first] == [entry.label for entry in second]


# -- labels


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.astype(np.uint8),
        lambda y: y.astype(bool),
        lambda y: y.astype(np.float32),
        lambda y: y[:, None],
        lambda y: np.eye(2)[y],
        lambda y: np.array(CLASSES.split(","))[y],
        lambda y: np.array(CLASSES.split(","), "S")[y],
        lambda y: y.astype(str),
    ],
)
def test_labels_are_numbers_names_or_one_hot(files, saved, labels, change):
    files.save("train_labels.npy", change(labels))
    entries = FeatureCache.open(files(saved).features).entries()
    assert [entry.label for entry in entries] == [CLASSES.split(",")[label] for label in labels]


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda y: y[:7], {}, "a label for each of 20 clips. Received: 7 in"),
        (lambda y: y, {"classes": None}, "--classes must name the classes 0, 1, ..."),
        (lambda y: y, {"classes": "a,,b"}, "--classes must be names, separated by commas"),
        (lambda y: y, {"classes": "a,a"}, "--classes must be names, separated by commas"),
        (lambda y: y * 5, {}, "--classes must name every class from 0 to 5"),
        (lambda y: y - 1, {}, "labels from -1 to 0"),
        (lambda y: y * 0, {}, "There must be two classes or more"),
        (lambda y: y + 0.5, {}, "Labels must be whole numbers"),
        (lambda y: np.ones((20, 2)), {}, "must have a single 1 in each row"),
        (lambda y: np.ones((20, 2, 2)), {}, "Labels must be numbers or names"),
        (lambda y: np.array(["", "b"])[y], {}, "Each clip must have a label"),
        (lambda y: np.array(["a", "b"])[y], {}, "normal,violent without a"),
        (lambda y: np.array(5), {}, "a label for each of 20 clips. Received: 1 in"),
    ],
)
def test_labels_that_do_not_fit_are_one_line(files, saved, labels, change, settings, message):
    files.save("train_labels.npy", change(labels))
    assert message in files.refusal(saved, **settings)


def test_labels_that_are_not_there_are_asked_for(files, clips, tmp_path):
    path = files.save("train_features.npy", clips)
    assert "there is no train_labels.npy beside it" in files.refusal(path)
    assert "--labels must name the labels of" in files.refusal(files.save("clips.npy", clips))
    (tmp_path / "y.csv").write_text("class\n" + "a\n" * 20)
    assert "table with the columns label" in files.refusal(path, labels=[tmp_path / "y.csv"])
    assert "must end in .npy or .csv" in files.refusal(path, labels=[tmp_path / "y.txt"])
    assert "once for each FILE. Received: 1 for 2 files" in files.refusal(
        path, path, labels=[tmp_path / "y.csv"]
    )


# -- features that cannot be used


def _hostile_header(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"x" * 64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be an array that numpy.save left"),
        (b"PK\x03\x04 a .npz under another name", "must be an array that numpy.save left"),
        (_hostile_header("(1099511627776, 1099511627776, 2)"), "192 bytes where its header"),
        (_hostile_header("(-1, -4, 4)"), "must be an array that numpy.save left"),
        (_hostile_header("(__import__('os'), 1, 1)"), "must be an array that numpy.save left"),
        (_hostile_header("(1, 4, 4"), "must be an array that numpy.save left"),
        (b"\x93NUMPY\x03\x00" + b"\0" * 200, "version (3, 0)"),
    ],
)
def test_a_file_that_is_no_array_or_lies_is_one_line(files, saved, content, message):
    Path(saved).write_bytes(content)
    assert message in files.refusal(saved)


def test_pickled_features_and_labels_are_refused(files, saved, labels):
    objects = np.array([{"a": 1}] * 20, dtype=object)
    np.save(files.root / "train_labels.npy", objects, allow_pickle=True)
    assert "pickled objects, which can run programs" in files.refusal(saved)
    np.save(saved, objects, allow_pickle=True)
    assert "pickled objects, which can run programs" in files.refusal(saved)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((20, 6), np.float32), "Features must be (N, T, D)"),
        (np.ones((20, 4, 2, 3, 1), np.float32), "or (N, S, T, D) of videos in S segments"),
        (np.ones((20, 4, 6), np.int64), "must be float16, float32 or float64. Received: int64"),
        (np.ones((20, 4, 6), np.complex64), "must be float16, float32 or float64"),
        (np.ones((20, 0, 6), np.float32), "an empty array"),
        (np.ones((1, 1025, 1), np.float32), "at most (10000000, 1024, 65536)"),
        (np.ones((1, 1, 65537), np.float32), "at most (10000000, 1024, 65536)"),
        (np.zeros((20, 4, 6), np.float32), "At least one clip must be usable. Received: 20"),
    ],
)
def test_features_of_another_shape_or_type_are_one_line(files, saved, array, message):
    assert message in files.refusal(files.save("train_features.npy", array))


def test_files_that_differ_or_are_of_no_kind_are_one_line(files, saved, clips, labels, tmp_path):
    files.save("test_labels.npy", labels)
    other = files.save("test_features.npy", clips[:, :, :3])
    assert "All files must have the same (T, D)" in files.refusal(saved, other)
    (tmp_path / "x.pkl").touch()
    assert "must end in .npy, .h5 or .hdf5" in files.refusal(tmp_path / "x.pkl")
    assert "(does not exist)" in files.refusal(tmp_path / "gone.npy")


@pytest.mark.parametrize(
    "path",
    ["../a", "a/../b", "a//b", "./a", ".", "a.view1", "a/" + "b" * 300, "/data/x/../../a"],
)
def test_paths_that_leave_the_cache_are_refused(files, saved, tmp_path, path):
    table = tmp_path / "t.csv"
    others = "".join(f"{row}.avi,violent\n" for row in range(19))
    table.write_text(f"path,label\n{path},normal\n" + others)
    assert "path" in files.refusal(saved, labels=[table]).lower()


def test_two_clips_of_one_path_are_refused(files, saved, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("path,label\n" + "a.avi,normal\n" * 20)
    assert "a path of its own. Received: a.avi more than once" in files.refusal(
        saved, labels=[table]
    )


# -- again, and afterwards


def test_a_second_import_needs_a_name_or_force(files, saved, clips):
    first = files(saved, made_by="old")
    assert "--force be given" in files.refusal(saved, made_by="old")
    shorter = files.save("train_features.npy", clips[:10])
    files.save("train_labels.npy", np.arange(10) % 2)
    again = files(shorter, made_by="old", force=True)
    assert again.features == first.features
    assert len(list(again.features.rglob("*.npy"))) == 10


def test_an_interrupted_import_is_no_cache_and_can_be_started_again(files, saved, monkeypatch):
    write, written = FeatureCache.write_arrays, []

    def stop(cache, key, features):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(key)
        return write(cache, key, features)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FeatureCache, "write_arrays", stop)
        files(saved)
    (settings,) = files.cache_dir.rglob("extraction.json")
    assert json.loads(settings.read_text())["complete"] is False
    with pytest.raises(CacheError):
        FeatureCache.open(settings.parent)
    assert files(saved).imported == 20


def test_a_dry_run_checks_everything_and_writes_nothing(files, saved, clips):
    spoilt = clips.copy()
    spoilt[3] = 0
    plan = files.stage(files.save("train_features.npy", spoilt)).prepare()
    assert plan.dry_run and len(plan.left_out) == 1 and not files.cache_dir.exists()


def test_imported_features_have_no_extractor(files, saved):
    space = FeatureCache.open(files(saved).features).space()
    with pytest.raises(WeightsError, match="program that made those of training"):
        FeatureExtractor.from_space(space, weights="imagenet", batch_size=1, seed=0)


def test_a_name_of_an_existing_folder_of_videos_needs_force(files, saved, tmp_path):
    videos, store = tmp_path / "videos", files.cache_dir / "mine"
    videos.mkdir()
    store.mkdir(parents=True)
    owner = {"validation_fraction": 0.15, "test_fraction": 0.15, "split_seed": 42}
    (store / "splits.json").write_text(json.dumps(owner | {"dir": str(videos)}))
    with pytest.raises(ConfigError, match="must not be another folder's"):
        files(saved, dataset_name="mine")
    with pytest.raises(ConfigError, match="must be the name of a folder"):
        files(saved, dataset_name="a/b")


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 300])
def test_a_maker_is_a_name(files, saved, name):
    assert "`made_by` must be usable as a name" in files.refusal(saved, made_by=name)


def test_one_class_is_refused(files, saved):
    files.save("train_labels.npy", np.zeros(20, int))
    with pytest.raises(DatasetError, match="two classes or more"):
        files(saved)

"""An exported cache comes back to the bit, and a hostile HDF5 file opens nothing else."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.features import draw_features
from support.folders import tree_of

from violence_detection.errors import CacheError, ConfigError, ViolenceDetectionError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.cache_config import CacheImportConfig
from violence_detection.features.exchange import hdf5
from violence_detection.features.exchange.feature_export import CacheExport, CacheExportResult
from violence_detection.features.exchange.feature_import import CacheImport, CacheImportResult


def export(features, output, *, force=False) -> CacheExportResult:
    return CacheExport(str(features), output=str(output), force=force).run()


def import_into(folder: Path, path: Path, **settings) -> CacheImportResult:
    config = CacheImportConfig(cache_dir=str(folder), **settings)
    return CacheImport([str(path)], [], config, force=False).run()


def refusal(call, *arguments, **options) -> str:
    with pytest.raises(ViolenceDetectionError) as raised:
        call(*arguments, **options)
    return str(raised.value)


@pytest.fixture
def exported(features_dir, tmp_path) -> Path:
    export(features_dir, tmp_path / "out.h5")
    return tmp_path / "out.h5"


# -- export


def test_the_file_holds_what_a_script_needs(features_dir, exported):
    cache = FeatureCache.open(features_dir)
    entries = sorted(cache.entries(), key=lambda entry: entry.path)
    with h5py.File(exported) as file:
        assert file["features"].dtype == np.float16 and file["features"].shape == (32, 6, 8)
        for row in (0, 31):
            expected = cache.read_array(entries[row], (6, 8))
            np.testing.assert_array_equal(file["features"][row], expected)
        classes = list(file.attrs["classes"])
        named = [classes[number] for number in file["labels"][:]]
        assert named == [entry.label for entry in entries] and classes[0] == "normal"
        for key, name in {"paths": "path", "groups": "group", "splits": "split"}.items():
            assert list(file[key].asstr()[:]) == [getattr(entry, name) for entry in entries]
        assert (file.attrs["backbone"], file.attrs["frames"]) == ("mobilenetv2", 6)
        assert file.attrs["fingerprint"] == cache.space().fingerprint
        assert (file.attrs["format"], file.attrs["format_version"]) == (hdf5.FORMAT, 1)


def test_export_and_import_give_the_same_bytes(features_dir, exported, tmp_path):
    imported = import_into(tmp_path / "cache", exported).features
    assert imported.parent.name == "drawn"
    assert imported.name == FeatureCache.open(features_dir).space().name
    names = [name for name in tree_of(features_dir) if name.endswith((".npy", "manifest.csv"))]
    assert len(names) == 33
    for name in names:
        assert (imported / name).read_bytes() == (features_dir / name).read_bytes(), name
    settings = json.loads((imported / "extraction.json").read_text())
    original = json.loads((features_dir / "extraction.json").read_text())
    added = {"imported": [str(exported)], "ungrouped": 0}
    assert settings == original | added


def test_a_failed_video_is_left_out_and_named(tmp_path):
    folder = draw_features(tmp_path / "drawn" / "space")
    text = (folder / "manifest.csv").read_text().splitlines()
    text[1] = text[1].replace(",ok,,", ",failed,no such file,")
    (folder / "manifest.csv").write_text("\n".join(text) + "\n")
    result = export(folder, tmp_path / "out.h5")
    assert (result.shape[0], len(result.left_out)) == (31, 1)
    assert result.left_out[0].reason == "no such file"


def test_a_dry_run_and_a_refusal_write_nothing(features_dir, exported, tmp_path):
    before = exported.read_bytes()
    plan = CacheExport(str(features_dir), output=str(tmp_path / "new.h5"), force=False).prepare()
    assert plan.dry_run and plan.shape == (32, 6, 8)
    with pytest.raises(ConfigError, match="must not exist, or --force be given"):
        export(features_dir, exported)
    with pytest.raises(ConfigError, match="must name a file"):
        export(features_dir, tmp_path)
    with pytest.raises(CacheError, match="with extraction.json"):
        export(tmp_path, tmp_path / "new.h5")
    assert tree_of(tmp_path) == ["out.h5"] and exported.read_bytes() == before
    export(features_dir, exported, force=True)


def test_an_altered_array_leaves_no_file(tmp_path):
    folder = draw_features(tmp_path / "drawn" / "space")
    array = next(folder.rglob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1] + b"?")
    with pytest.raises(CacheError, match="altered"):
        export(folder, tmp_path / "out" / "features.h5")
    assert tree_of(tmp_path / "out") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_line(features_dir, tmp_path, monkeypatch):
    error = OSError("Can't write data (file write failed: errno = 28, error message = 'No space')")

    def fail(*_):
        raise error

    monkeypatch.setattr(CacheExport, "_write_features", fail)
    message = refusal(export, features_dir, tmp_path / "out.h5")
    assert message == f"Cannot write {tmp_path / 'out.h5'}: the disk is full."
    assert tree_of(tmp_path) == []


# -- files of others


@pytest.fixture
def hostile(tmp_path):
    """Makes an HDF5 file with labels, whose features a function adds."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["features"] = np.ones((2, 3, 4), np.float32)

    def make(add) -> Path:
        path = tmp_path / "hostile.h5"
        with h5py.File(path, "w") as file:
            file["labels"] = np.array([0, 1])
            add(file)
        return path

    return make


def _external_link(file):
    file["features"] = h5py.ExternalLink("secret.h5", "features")


def _soft_link(file):
    file["other"] = np.ones((2, 3, 4), np.float32)
    file["features"] = h5py.SoftLink("/other")


def _external_storage(file):
    storage = [("secret.h5", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("features", (2, 3, 4), np.float32, external=storage)


def _virtual(file):
    layout = h5py.VirtualLayout((2, 3, 4), np.float32)
    layout[:] = h5py.VirtualSource("secret.h5", "features", (2, 3, 4))
    file.create_virtual_dataset("features", layout)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (_external_link, "a link, which is not followed"),
        (_soft_link, "a link, which is not followed"),
        (_external_storage, "in other files, which are not opened"),
        (_virtual, "in other files, which are not opened"),
        (
            lambda file: file.create_dataset(
                "features", (2, 1000, 60_000), "f4", chunks=(1, 10, 10)
            ),
            "shape (2, 1000, 60000) in a file of",
        ),
        (lambda file: file.create_group("features"), "must have the dataset `features`"),
        (lambda file: file.create_dataset("X", (2, 3, 4), "f4"), "with X, labels"),
        (
            lambda file: file.create_dataset("features", data=h5py.Empty("f4")),
            "must have the dataset",
        ),
        (
            lambda file: file.create_dataset("features", (2, 3, 4), h5py.vlen_dtype(np.float32)),
            "must be float16, float32 or float64. Received: object",
        ),
    ],
)
def test_a_file_that_leads_elsewhere_or_lies_is_refused(hostile, tmp_path, add, message):
    path = hostile(add)
    received = refusal(import_into, tmp_path / "cache", path, classes="normal,violent")
    assert message in received and "\n" not in received
    assert not (tmp_path / "cache").exists()


def test_what_is_no_hdf5_file_or_is_cut_short_is_one_line(exported, tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    assert "readable HDF5 file" in refusal(import_into, tmp_path / "c", tmp_path / "text.h5")
    os.truncate(exported, exported.stat().st_size // 2)
    assert "HDF5 file" in refusal(import_into, tmp_path / "c", exported)


def altered(exported: Path, name: str, change) -> Path:
    path = exported.with_name(name)
    shutil.copy(exported, path)
    with h5py.File(path, "a") as file:
        change(file)
    return path


def _longer_text(file):
    del file["groups"]
    file.create_dataset("groups", data=["x" * 5000] * 32, dtype=h5py.string_dtype())


def _other_space(**fields):
    """Changes the feature space in the attribute `extraction`."""

    def change(file):
        settings = json.loads(file.attrs["extraction"])
        settings["feature_space"] |= fields
        file.attrs["extraction"] = json.dumps(settings)

    return change


def _other_path(file):
    file["paths"][0] = "../../outside"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.modify("format_version", 2), "made by a newer version"),
        (lambda file: file.attrs.modify("extraction", "{}"), "it was altered"),
        (lambda file: file.attrs.modify("extraction", "["), "it was altered"),
        (lambda file: file["labels"].write_direct(np.full(32, 7)), "that the attribute `classes`"),
        (lambda file: file.pop("splits"), "`splits` must be a plain dataset"),
        (lambda file: file.pop("manifest/fps"), "`manifest/fps` must be a plain dataset"),
        (lambda file: file["splits"].__setitem__(0, "dev"), "'dev', not one of train"),
        (lambda file: file["manifest/status"].__setitem__(0, "failed"), "'failed', not one of"),
        (_other_space(backbone="../../../outside"), "it was altered"),
        (_other_space(stream=["rgb"]), "it was altered"),
        (_other_space(frames=5), "must be of the file's feature space, (5, 8)"),
        (_longer_text, "a text of 5000 bytes"),
        (_other_path, "Paths must be relative"),
    ],
)
def test_an_altered_export_is_one_line(exported, tmp_path, change, message):
    path = altered(exported, "altered.h5", change)
    assert message in refusal(import_into, tmp_path / "cache", path)
    assert not (tmp_path / "cache").exists()

"""The cache commands from the command line: JSON, exit status, and the default folders."""

import dataclasses
import json
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.folders import ROOT, tree_of
from support.training import train_quickly

from violence_detection import cli, units
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run


def call(*words) -> click.testing.Result:
    return CliRunner().invoke(cli.main, ["cache", *(str(word) for word in words)])


def answer(*words, status=0) -> dict:
    result = call(*words, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with feature_cache/ and checkpoints/ as a checkout has them."""
    for name in ("feature_cache", "checkpoints"):
        (tmp_path / name).mkdir()
        shutil.copy(ROOT / name / "README.md", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def features(folder) -> Path:
    return draw_features(folder / "feature_cache" / "mine" / "space")


@pytest.mark.slow
def test_a_list_has_the_keys_of_the_contract(features, folder):
    run = Path(train_quickly(features, folder / "checkpoints", epochs=1)["run"])
    (dataset,) = answer("list")["datasets"]
    assert dataset.keys() == {"name", "bytes", "spaces"} and dataset["name"] == "mine"
    (space,) = dataset["spaces"]
    assert space.keys() == {"name", "features", "videos", "bytes", "complete", "used_by"}
    assert (space["features"], space["used_by"]) == (str(features), [str(run)])
    text = call("list").stdout.splitlines()
    assert text[0] == f"mine  {units.format_bytes(dataset['bytes'])}"
    assert text[1].strip() == "space" and text[2].endswith("32 videos, used by 1 run")
    assert text[3].strip() == "checkpoints/run"
    refused = call("prune", "mine")
    assert refused.exit_code == 2 and "removed with --force only" in refused.stderr
    planned = answer("prune", "mine", "--force", "--dry-run")
    assert (planned["removed"], planned["used_by"]) == ([str(features.parent)], [str(run)])
    assert answer("prune", "mine", "--force")["dry_run"] is False
    assert answer("list") == {"datasets": []}


def test_an_empty_cache_has_no_datasets(folder):
    assert call("list").stdout == "No features in feature_cache.\n"
    assert answer("verify") == {"spaces": 0, "videos": 0, "arrays": 0, "findings": []}


def test_verify_exits_with_3_where_an_array_was_altered(features):
    assert call("verify").stdout == "checked     32 arrays of 32 videos in 1 feature space\n"
    next(features.rglob("*.npy")).write_bytes(b"")
    result = answer("verify", "mine/space", status=3)
    assert len(result["findings"]) == 1 and "altered" in result["findings"][0]["reason"]
    assert call("verify").stdout.splitlines()[1].startswith("finding     ")
    assert call("verify", "yours").exit_code == 2


def test_export_and_import_are_two_commands(features, folder):
    exported = answer("export", features, "--output", "out.h5")
    assert exported["path"] == str(folder / "out.h5") and exported["shape"] == [32, 6, 8]
    assert exported["bytes"] == (folder / "out.h5").stat().st_size
    assert call("export", features, "--output", "out.h5").exit_code == 2
    imported = answer("import", "out.h5", "--cache-dir", "other")
    assert tree_of(Path(imported["features"]))[-1].startswith("violent/")
    assert call("import", "out.h5", "--cache-dir", "other").exit_code == 2
    assert call("import", "out.h5", "--cache-dir", "other", "--force").exit_code == 0


def test_an_export_that_leaves_a_video_out_exits_with_3(features, folder):
    cache = FeatureCache.open(features)
    first, *others = cache.entries()
    cache.write_manifest([dataclasses.replace(first, status="failed", error="torn"), *others])
    result = answer("export", features, "--output", "out.h5", status=3)
    assert result["left_out"] == [{"path": first.path, "reason": "torn"}]
    assert result["videos"] == 31 and (folder / "out.h5").is_file()


def test_an_import_that_leaves_clips_out_exits_with_3(folder, rng):
    clips = rng.normal(size=(8, 3, 4)).astype(np.float32)
    clips[5] = 0
    np.save("train_features.npy", clips)
    np.save("train_labels.npy", np.arange(8) % 2)
    words = ("import", "train_features.npy", "--classes", "normal,violent", "--dataset-name", "old")
    assert len(answer(*words, "--dry-run")["left_out"]) == 1
    result = answer(*words, status=3)
    assert [row["path"] for row in result["left_out"]] == ["train_features/000005"]
    assert (result["imported"], result["classes"]) == (7, ["normal", "violent"])
    text = call(*words, "--force").stdout.splitlines()
    assert text[3].startswith("left out    train_features/000005: its features are all zeros")
    assert text[-1] == "next        violence-detection train --features feature_cache/old"
    labels = call("import", "train_features.npy")
    assert labels.exit_code == 2 and labels.stderr.count("Error: ") == 1


# -- the default folders of a checkout


def test_git_keeps_the_readme_files_of_the_default_folders_and_nothing_else():
    lines = (ROOT / ".gitignore").read_text().splitlines()
    for name in ("feature_cache", "checkpoints"):
        assert (ROOT / name / "README.md").is_file()
        assert lines.index(f"/{name}/*") < lines.index(f"!/{name}/README.md")


@pytest.mark.slow
def test_no_command_stumbles_over_the_readme_files(features, folder):
    assert [dataset["name"] for dataset in answer("list")["datasets"]] == ["mine"]
    assert answer("verify")["findings"] == []
    assert call("prune", "README.md", "--force").exit_code == 2
    assert Run.newest(Path("checkpoints")) is None
    run = train_quickly(features, Path("checkpoints"), epochs=1)["run"]
    assert Run.newest(Path("checkpoints")).dir == Path(run)
    call("prune", "mine", "--force")
    assert tree_of(Path("feature_cache")) == ["README.md"]


@pytest.mark.slow
def test_extraction_into_the_default_folder_leaves_the_readme(folder, dataset_dir):
    words = "--backbone mobilenetv2 --weights random --frame-size 32 --frames 4 -q".split()
    result = CliRunner().invoke(cli.main, ["extract-features", str(dataset_dir), *words])
    assert result.exit_code == 0, result.output
    assert (folder / "feature_cache" / "README.md").is_file()
    (dataset,) = answer("list")["datasets"]
    assert dataset["spaces"][0]["videos"] == 12 and dataset["spaces"][0]["complete"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_950, "100 kB")]
    + [
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_600_000_000, "1.6 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_have_two_or_three_digits(count, text):
    assert units.format_bytes(count) == text

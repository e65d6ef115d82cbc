"""A cache is listed, checked against its digests, and pruned of what is named."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from support.features import draw_features
from support.folders import tree_of

from violence_detection.errors import ConfigError
from violence_detection.features import cache_inventory
from violence_detection.features.cache import FeatureCache
from violence_detection.features.cache_inventory import PruneStage
from violence_detection.system import files


@pytest.fixture
def cache_dir(tmp_path) -> Path:
    """Datasets `first` of two feature spaces and `second` of one, beside what is no dataset."""
    root = tmp_path / "cache"
    for name in ("first/a", "first/b", "second/a"):
        draw_features(root / name, counts=(4, 2, 2))
        (root / name / ".lock").touch()
    (root / "first" / "splits.csv").write_text("path,label,group,split,source\n")
    (root / "README.md").write_text("What this folder is.")
    for name in (".engines/x", "photos/2024", "first/notes"):
        (root / name).mkdir(parents=True)
    (root / "link").symlink_to(root / "second")
    return root


def listed(cache_dir: Path, runs=()) -> dict[str, list[str]]:
    datasets = cache_inventory.list_datasets(cache_dir, dict(runs))
    return {dataset.name: [space.name for space in dataset.spaces] for dataset in datasets}


def prune(cache_dir: Path, *names, runs=(), force=False) -> dict:
    return PruneStage(cache_dir, names, dict(runs), force=force).run().to_json()


def verify(cache_dir: Path) -> dict:
    datasets = cache_inventory.list_datasets(cache_dir, {})
    spaces = cache_inventory.choose_spaces(datasets, (), cache_dir)
    return cache_inventory.verify_arrays(spaces).to_json()


# -- list


def test_datasets_and_spaces_are_listed_and_nothing_else(cache_dir):
    assert listed(cache_dir) == {"first": ["a", "b"], "second": ["a"]}
    assert listed(cache_dir / "gone") == {}


def test_a_space_has_its_size_state_and_users(cache_dir):
    folder = (cache_dir / "first" / "a").resolve()
    datasets = cache_inventory.list_datasets(cache_dir, {folder: ["/runs/r1"]})
    first, second = datasets[0].spaces
    assert (first.videos, first.complete, first.used_by) == (8, True, ("/runs/r1",))
    assert second.used_by == ()
    assert first.bytes == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    spaces_bytes = first.bytes + second.bytes
    assert datasets[0].bytes == spaces_bytes + len("path,label,group,split,source\n")
    assert Path(datasets[0].to_json()["spaces"][0]["features"]) == folder


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "manifest.csv").unlink(),
        lambda folder: (folder / "manifest.csv").write_text("nothing\n"),
        lambda folder: (folder / "extraction.json").write_text("{"),
        lambda folder: files.write_json(
            folder / "extraction.json",
            FeatureCache(folder).record().to_json() | {"complete": False},
        ),
    ],
)
def test_a_damaged_space_is_listed_as_not_complete(cache_dir, change):
    change(cache_dir / "second" / "a")
    (space,) = cache_inventory.list_datasets(cache_dir, {})[1].spaces
    assert not space.complete and space.bytes > 0
    assert verify(cache_dir)["findings"]


# -- verify


def test_sound_arrays_have_no_findings(cache_dir):
    assert verify(cache_dir) == {"spaces": 3, "videos": 24, "arrays": 24, "findings": []}


def test_altered_missing_and_foreign_arrays_are_found(cache_dir):
    folder = cache_dir / "first" / "b"
    altered, missing = sorted(folder.rglob("*.npy"))[:2]
    altered.write_bytes(altered.read_bytes()[:-1] + b"?")
    missing.unlink()
    (folder / "foreign.npy").touch()
    findings = verify(cache_dir)["findings"]
    assert {row["features"] for row in findings} == {str(folder.resolve())}
    reasons = {row["path"]: row["reason"] for row in findings}
    assert len(reasons) == 3 and "does not list" in reasons["foreign.npy"]
    keys = [p.relative_to(folder).as_posix().removesuffix(".npy") for p in (altered, missing)]
    assert "altered" in reasons[keys[0]] and "cannot be read" in reasons[keys[1]]


# -- prune


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("first/a", {"first": ["b"], "second": ["a"]}),
        ("first", {"second": ["a"]}),
        ("second/", {"first": ["a", "b"]}),
    ],
)
def test_what_is_named_is_removed_and_nothing_else(cache_dir, name, left):
    before = set(tree_of(cache_dir))
    result = prune(cache_dir, name)
    assert listed(cache_dir) == left
    removed = {path for path in before if f"{path}/".startswith(name.rstrip("/") + "/")}
    assert before - set(tree_of(cache_dir)) == removed
    assert not result["dry_run"] and result["bytes"] > 0


def test_a_space_is_named_by_its_path_too(cache_dir):
    prune(cache_dir, str(cache_dir / "first" / "a"), "first/a")
    assert listed(cache_dir) == {"first": ["b"], "second": ["a"]}


def test_the_split_stays_when_the_last_space_goes(cache_dir):
    prune(cache_dir, "first/a", "first/b")
    assert listed(cache_dir) == {"first": [], "second": ["a"]}
    assert prune(cache_dir, "first", "first")["removed"] == [str((cache_dir / "first").resolve())]


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "first/..",
        "first/../..",
        ".",
        "/",
        "photos",
        "link",
        "README.md",
        "first/notes",
        ".engines",
    ],
)
def test_what_is_no_dataset_is_never_removed(cache_dir, name):
    before = tree_of(cache_dir.parent)
    with pytest.raises(ConfigError, match="NAME must be DATASET"):
        prune(cache_dir, name, force=True)
    assert tree_of(cache_dir.parent) == before


def test_a_misspelt_name_gets_a_hint(cache_dir):
    with pytest.raises(ConfigError, match="Did you mean `second`"):
        prune(cache_dir, "secnd")


def test_what_a_run_uses_is_removed_with_force_only(cache_dir):
    runs = {(cache_dir / "first" / "a").resolve(): ["/runs/r1"]}
    with pytest.raises(ConfigError, match="of 1 run, e.g. /runs/r1"):
        prune(cache_dir, "second", "first", runs=runs)
    assert listed(cache_dir) == {"first": ["a", "b"], "second": ["a"]}
    prune(cache_dir, "first/b", runs=runs)
    assert prune(cache_dir, "first", runs=runs, force=True)["used_by"] == ["/runs/r1"]
    assert listed(cache_dir) == {"second": ["a"]}


def test_a_dry_run_removes_nothing(cache_dir):
    before = tree_of(cache_dir)
    plan = PruneStage(cache_dir, ["first", "first/a"], {}, force=False).prepare()
    assert plan.removed == (str((cache_dir / "first").resolve()),) and plan.dry_run
    assert tree_of(cache_dir) == before


@pytest.mark.parametrize("lock", [".lock", ".shard-1-of-2.lock"])
def test_features_in_which_an_extraction_works_are_refused(cache_dir, lock):
    busy = pytest.raises(ConfigError, match="in which an extraction works")
    with FileLock(cache_dir / "first" / "a" / lock), busy:
        prune(cache_dir, "first/a", force=True)
    assert listed(cache_dir)["first"] == ["a", "b"]


def test_a_killed_removal_leaves_no_cache_and_can_be_started_again(cache_dir, monkeypatch):
    def die(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", die)
        prune(cache_dir, "second/a")
    (space,) = cache_inventory.list_datasets(cache_dir, {})[1].spaces
    assert not space.complete
    prune(cache_dir, "second/a")
    assert listed(cache_dir) == {"first": ["a", "b"]}

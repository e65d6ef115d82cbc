"""A study's folder: what may be started or resumed in it, and that one process at a time works."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.folders import tree_of

from violence_detection.errors import ConfigError, RunError
from violence_detection.settings import Config, option
from violence_detection.system import files
from violence_detection.system.study_folder import StudyFolder, StudyIdentity

RECORD = "record.json"
VIDEOS = {"fingerprint": "f1", "videos_digest": "v1", "space": {"head": ["linear"]}}


@dataclass(frozen=True)
class SmallConfig(Config):
    name: str = option("study", "Name of the folder.", group="Output", may_change_on_resume=True)
    epochs: int = option(2, "Epochs.", group="Optimisation")
    jobs: int | None = option(None, "Processes.", group="Devices", may_change_on_resume=True)
    weights: str = option("sqrt", "Newer than the first studies.", group="Imbalance")

    @classmethod
    def _upgraded(cls, recorded):
        return {"weights": "natural"} | recorded


def study_in(folder: Path, **fields) -> StudyFolder:
    return StudyFolder(folder / "study", "study", RECORD, SmallConfig, **fields)


def named(folder: Path, **fields) -> StudyFolder:
    return StudyFolder.named(
        str(folder), "study", "study", record=RECORD, settings=SmallConfig, **fields
    )


def identity(*, digests=(), **settings) -> StudyIdentity:
    return StudyIdentity(VIDEOS | dict(digests), SmallConfig(**settings).as_dict())


@pytest.fixture
def started(tmp_path) -> StudyFolder:
    """A study with results in it."""
    study = study_in(tmp_path)
    study.dir.mkdir()
    study.start(identity(), force=False, notes={"versions": {"numpy": "1"}})
    (study.dir / "results.json").write_text("{}")
    return study


def resume(study: StudyFolder, *, digests=(), **settings) -> None:
    study.start(identity(digests=digests, **settings), force=False)


# -- a folder by its name


def test_a_name_may_be_new_or_that_of_an_empty_folder_or_a_study(tmp_path, started):
    assert named(tmp_path) == started and named(tmp_path).started
    for name in ("a", "b"):
        (tmp_path / "b" / "study").mkdir(parents=True, exist_ok=True)
        assert not named(tmp_path / name).started
    assert not (tmp_path / "a").exists()


def test_the_folder_is_the_same_through_a_link(tmp_path, started):
    (tmp_path / "link").symlink_to(tmp_path)
    assert named(tmp_path / "link").dir == started.dir


def test_a_folder_with_a_lock_and_partial_files_counts_as_new(tmp_path):
    """A command that was stopped before it began leaves these."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / f"record{files.temporary_mark()}").write_text("{")
    study = named(tmp_path)
    with study.lock():
        study.start(identity(), force=False)
    assert sorted(tree_of(folder)) == [".lock", RECORD]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_anything_else_is_refused_and_left_alone(tmp_path, what):
    if what == "file":
        (tmp_path / "study").write_text("mine")
    else:
        (tmp_path / "study").mkdir()
        (tmp_path / "study" / "thesis.txt").write_text("years of work")
    before = tree_of(tmp_path)
    with pytest.raises(ConfigError, match="--run must name a new folder or a study. .*not a stu"):
        named(tmp_path)
    assert tree_of(tmp_path) == before


# -- the record


def test_a_new_study_has_a_record_of_its_settings_videos_and_versions(started):
    recorded = json.loads((started.dir / RECORD).read_text())
    assert recorded == {**identity().to_json(), "versions": {"numpy": "1"}}
    assert list(recorded) == ["settings", *VIDEOS, "versions"]


def test_a_resumed_study_keeps_its_record_and_results(started):
    before = (started.dir / RECORD).read_bytes()
    started.start(identity(), force=False, notes={"versions": {"numpy": "2"}})
    assert (started.dir / RECORD).read_bytes() == before
    assert (started.dir / "results.json").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 3}, "other settings .epochs=2.; repeat them, or .* Received: epochs=3"),
        ({"weights": "natural"}, "other settings .weights=sqrt.; .*Received: weights=natural"),
    ],
)
def test_other_settings_are_refused(started, settings, message):
    with pytest.raises(ConfigError, match=message):
        resume(started, **settings)
    with pytest.raises(ConfigError, match=message):
        started.check_same(identity(**settings))
    assert (started.dir / "results.json").is_file()


def test_free_settings_may_change(started):
    resume(started, name="b", jobs=4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fingerprint", "another feature space"),
        ("videos_digest", "other videos, labels or recordings"),
        ("space", "another search space"),
        ("model_digest", "another model"),
        ("seed", "another seed"),
    ],
)
def test_other_features_and_videos_are_refused(started, name, message):
    with pytest.raises(ConfigError, match=f"{message}; .*another {name} than in {RECORD}"):
        resume(started, digests={name: "x"})


def test_a_setting_that_an_old_record_lacks_had_its_former_value(started):
    recorded = json.loads((started.dir / RECORD).read_text())
    del recorded["settings"]["weights"]
    files.write_json(started.dir / RECORD, recorded)
    with pytest.raises(ConfigError, match="weights=natural.*Received: weights=sqrt"):
        resume(started)
    resume(started, weights="natural")


def test_a_record_may_be_a_part_of_a_file(tmp_path):
    study = study_in(tmp_path, remedy="use --force")
    study.check_same(StudyIdentity({"seed": 1}), {"seed": 1})
    for recorded in ({"seed": 2}, {}):
        with pytest.raises(ConfigError, match="another seed; .* or use --force. Received"):
            study.check_same(StudyIdentity({"seed": 1}), recorded)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_torn_record_is_an_error(started, content):
    (started.dir / RECORD).write_text(content)
    with pytest.raises(RunError, match=RECORD):
        resume(started)


def test_an_empty_record_is_another_study(started):
    (started.dir / RECORD).write_text("{}")
    with pytest.raises(ConfigError, match="Received: another "):
        started.start(StudyIdentity(VIDEOS), force=False)


# -- force


def test_force_removes_everything_but_the_lock(tmp_path, started):
    (started.dir / "runs" / "north").mkdir(parents=True)
    (started.dir / "runs" / "north" / "model").touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (started.dir / "link").symlink_to(outside)
    with started.lock():
        started.start(identity(epochs=3), force=True)
        assert sorted(tree_of(started.dir)) == [".lock", RECORD]
    assert json.loads((started.dir / RECORD).read_text())["settings"]["epochs"] == 3
    assert (outside / "kept").is_file()


def test_a_study_that_is_removed_halfway_is_still_known(started, monkeypatch):
    """Else what is left of it would count as results of the next study."""
    (started.dir / "1").mkdir()

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        started.start(identity(epochs=3), force=True)
    with pytest.raises(ConfigError, match="other settings"):
        resume(started, epochs=3)


def test_force_starts_a_new_study_too(tmp_path):
    study = study_in(tmp_path)
    study.start(identity(), force=True)
    assert study.started


# -- the lock


def test_two_processes_are_refused(started):
    with started.lock():
        with pytest.raises(ConfigError, match="in use by another process; .*another --run"):
            started.lock().__enter__()
        alone = study_in(started.dir.parent, remedy="use --force")
        with pytest.raises(ConfigError, match="in use by another process; wait until it ends.$"):
            alone.lock().__enter__()
    with started.lock():
        pass


def test_the_lock_holds_for_another_process_and_ends_with_it(started):
    program = (
        "import sys, time; from pathlib import Path\n"
        "from violence_detection.settings import Config\n"
        "from violence_detection.system.study_folder import StudyFolder, StudyIdentity\n"
        "with StudyFolder(Path(sys.argv[1]), 'study', 'record.json', Config).lock():\n"
        "    print('locked', flush=True); time.sleep(60)\n"
    )
    words = [sys.executable, "-c", program, str(started.dir)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError, match="in use by another process"):
            started.lock().__enter__()
        process.kill()
    with started.lock():
        resume(started)


def test_the_lock_removes_what_a_killed_process_left_and_nothing_later(started):
    """Another command may be writing in a run of the study when the study ends."""
    left = started.dir / "runs" / f"a{files.temporary_mark()}"
    left.mkdir(parents=True)
    (left / "model.keras").touch()
    with started.lock():
        assert not left.exists()
        left.touch()
    assert left.exists()

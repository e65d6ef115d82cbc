"""A federation by files between the coordinator and real sites, and what it refuses."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from violence_detection import cli
from violence_detection.errors import ConfigError, TrainingError, ViolenceDetectionError
from violence_detection.features.cache import FeatureCache
from violence_detection.federated import update_file
from violence_detection.federated.aggregate import AggregateStage, InitStage
from violence_detection.federated.config import AggregateConfig, InitConfig, UpdateConfig
from violence_detection.federated.coordinator import FederationCoordinator
from violence_detection.federated.federation import read_federation
from violence_detection.federated.site import UpdateStage
from violence_detection.models.classifier import load_model
from violence_detection.models.run import Run


def begin(folder: Path, **settings) -> Path:
    """The file that goes to the sites."""
    asked = {"checkpoint_dir": str(folder), "run": "run", "rounds": 1, "local_epochs": 1}
    asked |= {"head": "linear", "batch_size": 8}
    return Path(InitStage(InitConfig.from_flags(asked | settings)).run().send)


def answer(site: Path, sent: Path, folder: Path, number: int, **settings) -> Path:
    target = folder / f"site{number}_{read_federation(sent).round}.npz"
    asked = {"features": str(site), "source": str(sent), "target": str(target)}
    asked |= {"site_dir": str(folder / f"state{number}")}
    config = UpdateConfig.from_flags(asked | settings)
    UpdateStage(config).run()
    return target


def stage_of(updates, folder: Path, **settings) -> AggregateStage:
    config = AggregateConfig.from_flags({"checkpoint_dir": str(folder), "run": "run"} | settings)
    return AggregateStage([str(update) for update in updates], config)


def aggregate(updates, folder: Path, **settings):
    return stage_of(updates, folder, **settings).run()


def edited(update: Path, target: Path, *, arrays=None, **facts) -> Path:
    """A copy of an update with other facts or arrays."""
    content = update.read_bytes()
    with np.load(io.BytesIO(content)) as archive:
        kept = {name: archive[name] for name in archive.files if name != "facts"}
    changed = {name: (arrays or (lambda array: array))(array) for name, array in kept.items()}
    target.write_bytes(update_file.encode(update_file.decode_facts(content) | facts, changed))
    return target


@pytest.fixture(scope="module")
def first_round(site_dirs, tmp_path_factory):
    """A folder with a federation of two sites in round 1, and their updates of it."""
    folder = tmp_path_factory.mktemp("federation")
    sent = begin(folder)
    statistics = [answer(site, sent, folder, number) for number, site in enumerate(site_dirs[:2])]
    sent = Path(aggregate(statistics, folder).send)
    return [answer(site, sent, folder, number) for number, site in enumerate(site_dirs[:2])]


@pytest.fixture
def federation(first_round, tmp_path) -> tuple[Path, list[Path]]:
    """A copy of it that a test may change."""
    folder = Path(shutil.copytree(first_round[0].parent, tmp_path / "federation"))
    return folder, [folder / path.name for path in first_round]


def test_updates_hold_counts_sums_and_weights_and_nothing_of_a_video(first_round, site_dirs):
    folder = first_round[0].parent
    for number, site in enumerate(site_dirs[:2]):
        cache = FeatureCache.open(site)
        words = {str(site), str(site.parent.name), "drawn"}
        for entry in cache.entries():
            words |= {entry.path, Path(entry.path).stem, entry.group}
            words |= {entry.digest, entry.array_digest}
        arrays = [cache.read_array(entry, (6, 8)) for entry in cache.entries()]
        for round_ in (0, 1):
            content = (folder / f"site{number}_{round_}.npz").read_bytes()
            text = content.decode("latin-1")
            assert [word for word in words if word in text] == []
            assert not any(array.tobytes() in content for array in arrays)
            assert not any(array.astype(np.float32).tobytes() in content for array in arrays)
            facts = update_file.decode_facts(content)
            assert facts["round"] == round_ and facts["name"] == ""
            assert "/" not in json.dumps(facts)


def test_files_lead_to_a_run(federation, site_dirs):
    folder, updates = federation
    closed = aggregate(updates, folder)
    assert closed.results is None and len(closed.record.sites) == 2 and not closed.record.left_out
    sent = Path(closed.send)
    last = [
        answer(site, sent, folder, n, site_name=f"no. {n}") for n, site in enumerate(site_dirs[:2])
    ]
    done = aggregate(last, folder)
    assert Run.open(done.run).record().classes == ["normal", "violent"]
    assert done.to_json()["validation"]["videos"] == 16 and done.send == ""
    with pytest.raises(ConfigError, match="finished"):
        aggregate(last, folder)


def test_the_mean_is_by_training_videos_in_any_order(federation):
    folder, updates = federation
    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    weights = []
    for path in updates:
        with np.load(path) as arrays:
            weights.append(arrays["w00000"].astype(float))
    wanted = (16 * weights[0] + 24 * weights[1]) / 40
    models = []
    for where, paths in ((folder, updates), (copy, updates[::-1])):
        models.append(load_model(Path(aggregate(paths, where).send)).get_weights())
    np.testing.assert_array_equal(models[0][0], wanted.astype(np.float32))
    assert all(np.array_equal(*pair) for pair in zip(*models, strict=True))


def test_bad_updates_are_left_out_with_the_reason(federation, site_dirs):
    folder, updates = federation
    bad = {
        "nan": edited(updates[1], folder / "nan.npz", arrays=lambda array: array * np.nan),
        "shape": edited(updates[1], folder / "shape.npz", arrays=lambda array: array[:1]),
        "round": edited(updates[1], folder / "round.npz", round=2),
        "model": edited(updates[1], folder / "model.npz", model_digest="0" * 64),
        "federation": edited(updates[1], folder / "federation.npz", federation="0" * 16),
        "videos": edited(updates[1], folder / "videos.npz", videos_digest="changed"),
        "loss": edited(updates[1], folder / "loss.npz", loss=float(-1)),
        "name": edited(updates[1], folder / "name.npz", name="\x1b[31m"),
        "stranger": edited(updates[1], folder / "stranger.npz", site="ff00"),
        "twice": edited(updates[0], folder / "twice.npz"),
        "absent": folder / "absent.npz",
        "features": site_dirs[0] / "manifest.csv",
    }
    torn = folder / "torn.npz"
    torn.write_bytes(updates[1].read_bytes()[:-100])
    sent = [updates[0], *bad.values(), torn]
    before = sorted(folder.rglob("*"))
    plan = stage_of(sent, folder).prepare()
    assert plan["updates"] == [str(updates[0])] and sorted(folder.rglob("*")) == before
    record = aggregate(sent, folder).record
    assert plan["left_out"] == [vars(item) for item in record.left_out]
    reasons = {item.what: item.reason for item in record.left_out}
    assert [row.site for row in record.sites] == [_number(folder, updates[0])]
    for name, reason in {
        "nan.npz": "NaN",
        "shape.npz": "not float32|not <f4",
        "round.npz": "of round 2, and this is round 1",
        "model.npz": "not made from the model",
        "federation.npz": "another federation",
        "videos.npz": "have changed since round 0",
        "loss.npz": "no number in its range",
        "name.npz": "name of its site",
        "stranger.npz": "no part in round 0",
        "twice.npz": f"has sent {updates[0].name} too",
        "torn.npz": "torn",
        "absent.npz": "cannot be read",
        "manifest.csv": "no update",
        f"site {3 - _number(folder, updates[0])}": "it sent nothing usable",
    }.items():
        assert any(part in reasons[name] for part in reason.split("|")), (name, reasons[name])
    assert len(reasons) == len(bad) + 2
    with open(folder / "run" / "rounds.csv") as file:
        assert "it sent nothing usable" in file.read()


def test_a_dry_run_counts_the_videos_of_two_sites_once(site_dirs, tmp_path):
    sent = begin(tmp_path)
    updates = [answer(site_dirs[0], sent, tmp_path, number) for number in (0, 1)]
    plan = stage_of(updates, tmp_path).prepare()
    (left_out,) = plan["left_out"]
    assert len(plan["updates"]) == 1 and "its videos are those of" in left_out["reason"]
    with pytest.raises(TrainingError, match="2 or more sites. Received: 1"):
        stage_of(updates, tmp_path, min_sites=2).prepare()
    assert FederationCoordinator.open(tmp_path / "run").sites == {}


def test_a_round_without_a_usable_update_stays_open_and_fails(federation):
    folder, _ = federation
    words = ["federate", "aggregate", str(folder / "none.npz"), "--run", "run"]
    done = CliRunner().invoke(cli.main, [*words, "--checkpoint-dir", str(folder)])
    assert done.exit_code == 1 and "none.npz: it cannot be read" in done.stderr
    assert FederationCoordinator.open(folder / "run").federation.round == 1


def test_a_good_update_after_a_bad_one_of_the_same_site_counts(federation):
    folder, updates = federation
    bad = edited(updates[0], folder / "a_nan.npz", arrays=lambda array: array * np.nan)
    record = aggregate([bad, *updates], folder).record
    assert len(record.sites) == 2
    assert [item.what for item in record.left_out] == ["a_nan.npz"]


def _number(folder: Path, update: Path) -> int:
    site = update_file.decode_facts(update.read_bytes())["site"]
    return FederationCoordinator.open(folder / "run").sites[site].number


def test_a_round_without_enough_updates_stays_open(federation):
    folder, updates = federation
    with pytest.raises(TrainingError, match="2 or more sites. Received: 1"):
        aggregate(updates[:1], folder, min_sites=2)
    with pytest.raises(TrainingError, match="Received: 0 .*another federation"):
        aggregate([edited(updates[0], folder / "x.npz", federation="0" * 16)], folder)
    assert len(aggregate(updates, folder, min_sites=2).record.sites) == 2


def test_a_kill_between_the_files_of_a_round_loses_nothing(federation, monkeypatch):
    folder, updates = federation

    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FederationCoordinator, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            aggregate(updates, folder)
    closed = aggregate(updates, folder)  # the same updates are still of the present round
    assert closed.record.round == 1
    assert read_federation(Path(closed.send)).round == 2


def test_a_site_answers_what_it_can_read_only(site_dirs, tmp_path):
    sent = begin(tmp_path)
    target = answer(site_dirs[0], sent, tmp_path, 0)
    with pytest.raises(ConfigError, match="--force"):
        answer(site_dirs[0], sent, tmp_path, 0)
    for content in (b"", b"{}", b"[" * 2_000_000, target.read_bytes()):
        bad = tmp_path / "bad.json"
        bad.write_bytes(content)
        with pytest.raises(ViolenceDetectionError, match="federation.json or global.keras"):
            answer(site_dirs[0], bad, tmp_path, 1)
    values = json.loads(sent.read_text())
    for change in ({"id": "../../../etc"}, {"settings": {"epochs": 3}}, {"format_version": 9}):
        bad.write_text(json.dumps(values | change))
        with pytest.raises(ViolenceDetectionError, match="federation.json or global.keras"):
            answer(site_dirs[0], bad, tmp_path, 1)


def test_the_model_that_goes_to_sites_names_none_of_them(first_round):
    sent = first_round[0].parent / "run" / "global.keras"
    with zipfile.ZipFile(sent) as archive:
        federation = json.loads(archive.read("federation.json"))
    assert federation["pool"]["class_counts"] == [20, 20]
    assert "sites" not in json.dumps(federation)

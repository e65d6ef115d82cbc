import importlib.metadata

from violence_detection.system import machine_checks, requirements
from violence_detection.system.machine_checks import check_extra, check_folder, check_memory


def test_a_folder_that_does_not_exist_is_tried_where_it_will_be_and_nothing_is_left(tmp_path):
    outcome = check_folder(tmp_path / "runs" / "mine", 1000, "--checkpoint-dir")
    assert outcome.status == "ok" and str(tmp_path) in outcome.text
    assert list(tmp_path.iterdir()) == []


def test_a_file_too_little_space_and_too_little_memory_are_failures(tmp_path):
    (tmp_path / "file").write_text("x")
    assert check_folder(tmp_path / "file" / "runs", 1, "--cache-dir").status == "failed"
    outcome = check_folder(tmp_path, 10**18, "--cache-dir")
    assert outcome.status == "failed" and "--cache-dir names another folder" in outcome.help
    assert check_memory(1000).status == "ok" and check_memory(10**18).status == "failed"


def test_versions_that_do_not_fit_are_failures_and_absent_extras_are_skipped(monkeypatch):
    installed = {"alpha": "1.5", "beta": "2.0"}

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    lines = [
        "alpha>=1,<2",
        'beta>=3; extra == "fast"',
        'gamma>=1; extra == "slow"',
        'alpha>=1; extra == "fine"',
        'delta; extra == "test"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert set(requirements.by_extra()) == {"", "fast", "slow", "fine"}
    assert requirements.by_extra()[""].fits
    fast, slow, fine = map(check_extra, ("fast", "slow", "fine"))
    assert fast.status == "failed" and fast.text == "beta 2.0 (needs >=3)"
    assert slow.status == "skipped" and "[slow]'" in slow.text
    assert fine.status == "ok" and fine.text == "alpha 1.5"
    installed["alpha"] = "2.1"
    assert machine_checks.check_libraries().status == "failed"

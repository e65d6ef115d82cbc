"""Runs are found by the features that they were trained on."""

import json

from violence_detection.models.run_index import runs_by_features


def test_runs_are_listed_by_the_real_path_of_their_features(tmp_path):
    features, link = tmp_path / "cache" / "space", tmp_path / "link"
    features.mkdir(parents=True)
    link.symlink_to(features)
    configs = {
        "r2": {"features": str(features)},
        "r1": {"features": str(link)},
        "study/folds/f1": {"features": str(features)},
        "training": {"settings": {"features": str(features)}},
        "with_videos": {"settings": {"features": None}},
        "elsewhere": {"features": "/gone"},
        "null": {"features": "a\0b"},
        "listed": {"features": ["a"], "settings": []},
    }
    runs = tmp_path / "runs"
    for name, config in configs.items():
        (runs / name).mkdir(parents=True)
        (runs / name / "training_config.json").write_text(json.dumps(config))
    (runs / "damaged").mkdir()
    (runs / "damaged" / "training_config.json").write_text("{")
    (runs / "README.md").write_text("What this folder is.")
    by_features = runs_by_features(runs)
    users = [str(runs / name) for name in ("r1", "r2", "study/folds/f1", "training")]
    assert by_features.pop(features) == users
    assert list(by_features.values()) == [[str(runs / "elsewhere")]]
    assert runs_by_features(tmp_path / "gone") == {}

"""The runs in a folder, by the features that they were trained on."""

from collections import defaultdict
from pathlib import Path

from violence_detection.errors import RunError
from violence_detection.models.run import Run
from violence_detection.system import files


def runs_by_features(checkpoint_dir: Path) -> dict[Path, list[str]]:
    """Reads the settings of every run below a folder; returns the runs of each features folder.

    A training that is still in progress counts. Settings that cannot be read are passed over.

    Args:
        checkpoint_dir: The folder of the runs; it need not exist.

    Returns:
        Absolute paths of runs, sorted, by the real path of their features.
    """
    runs: dict[Path, list[str]] = defaultdict(list)
    for path in sorted(checkpoint_dir.rglob(Run(checkpoint_dir).config_path.name)):
        try:
            config = files.read_json(path)
        except RunError:
            continue
        features = config.get("features")
        if features is None and isinstance(config.get("settings"), dict):
            features = config["settings"].get("features")
        if isinstance(features, str) and "\0" not in features:
            runs[Path(features).resolve()].append(str(path.parent.resolve()))
    return dict(runs)

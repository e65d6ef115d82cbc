"""The features and videos that a run is evaluated on."""

from collections.abc import Sequence
from pathlib import Path

from violence_detection.datasets.labels import with_class_names
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.evaluation import leakage
from violence_detection.features import dataset, joined_features
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training.saving import run_setup


def open_features(run: Run, folder: str | None = None) -> FeatureCache:
    """Opens features to evaluate a run on, and checks that they are of its feature space.

    Args:
        run: To evaluate.
        folder: Folder of the features; of an ensemble, that of one of its feature spaces, beside
            which the others are. None for those that the run was trained on.

    Raises:
        CacheError: If they do not exist, or are of another feature space.
    """
    record = run.record()
    if folder is None and not Path(record.features).is_dir():
        raise CacheError(
            "The features that the run was trained on must exist; --features names their new "
            f"folder. Received: {record.features} (no such folder)"
        )
    if record.feature_space.parts:
        return joined_features.open_joined(record.feature_space, folder or record.features)
    cache = FeatureCache.open(folder or record.features)
    space = cache.space()
    if space.fingerprint != record.fingerprint:
        differing = space.differing(record.feature_space.as_dict())
        raise CacheError(
            f"Features must be of the run's feature space. Received: {cache.dir} ({differing})"
        )
    return cache


def split_entries(run: Run, cache: FeatureCache, split: str) -> list[ManifestEntry]:
    """The usable videos of a split, with the class names of the run.

    The split is the run's own, if the run drew it for these videos, else that of the features.

    Args:
        run: To evaluate.
        cache: The features.
        split: train, validation, test, or all.

    Raises:
        CacheError: If the split is empty, or a label belongs to no class of the run.
    """
    entries = dataset.usable_entries(cache)
    entries = with_class_names(entries, run.record().classes)
    own = run.own_splits()
    if own and leakage.is_same_dataset(run, cache):
        entries = run_setup.with_splits(entries, own)
    members = [entry for entry in entries if split in ("all", entry.split)]
    if not members:
        splits = sorted({entry.split for entry in entries})
        raise CacheError(
            f"The split must have videos. Received: {split} ({cache.dir} has {', '.join(splits)})"
        )
    return members


def identity_of(run: Run, entries: Sequence[ManifestEntry]) -> dict[str, str]:
    """The digests that identify an evaluation: of the model, and of the videos with their
    labels."""
    rows = [(entry.path, entry.label, entry.digest) for entry in entries]
    return {
        "model_digest": files.sha256_of_file(run.model_path),
        "videos_digest": files.sha256_of_json(rows),
    }

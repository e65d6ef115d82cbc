"""The features and videos that a run is evaluated on."""

from pathlib import Path

from violence_detection.datasets.labels import with_class_names
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.evaluation import leakage
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training import run_setup


def open_features(run: Run, asked: str | None = None) -> FeatureCache:
    """The features to judge a run on, once they are of its feature space.

    Raises:
        CacheError: If they are not there, or of another space.
    """
    trained = run.config()
    if asked is None and not Path(trained["features"]).is_dir():
        raise CacheError(
            f"The features that the run was trained on must be there; --features says where "
            f"they are now. Received: {trained['features']} (not there)"
        )
    cache = FeatureCache.open(asked or trained["features"])
    space = cache.space()
    if space.fingerprint != trained["fingerprint"]:
        differing = space.differing(trained["feature_space"])
        raise CacheError(
            f"Features must be of the run's feature space. Received: {cache.dir} ({differing})"
        )
    return cache


def split_entries(run: Run, cache: FeatureCache, split: str) -> list[ManifestEntry]:
    """The usable videos of a split, or `all`, their labels in the run's words; the split is the
    run's own where it drew one of these, else the cache's.

    Raises:
        CacheError: If there is none, or a label is none of the run's classes.
    """
    entries = dataset.usable_entries(cache)
    entries = with_class_names(entries, run.config()["classes"])
    own = run.own_splits()
    if own and leakage.is_same_dataset(run, cache):
        entries = run_setup.with_splits(entries, own)
    chosen = [entry for entry in entries if split in ("all", entry.split)]
    if not chosen:
        there = sorted({entry.split for entry in entries})
        raise CacheError(
            f"The split must have videos. Received: {split} ({cache.dir} has {', '.join(there)})"
        )
    return chosen


def identity_of(run: Run, entries: list[ManifestEntry]) -> dict[str, str]:
    """What an evaluation is of: digests of the model and of the videos with their labels."""
    rows = [(entry.path, entry.label, entry.digest) for entry in entries]
    return {
        "model_digest": files.sha256_of_file(run.model_path),
        "videos_digest": files.sha256_of_json(rows),
    }

"""Stage two: a classifier learns from cached features and leaves a run behind."""

import dataclasses
import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import dataset, files, metrics, model, parts, runtime, videos
from violence_detection.cache import Entry, FeatureCache
from violence_detection.config import ExtractConfig, FeatureConfig, TrainConfig
from violence_detection.dataset import Clips
from violence_detection.errors import CacheError, ConfigError, TrainingError
from violence_detection.runs import Run

log = logging.getLogger(__name__)

_VIDEO_COLUMNS = ("path", "label", "group", "split", "digest")
# What may differ between a run and the command that resumes it.
_FREE_ON_RESUME = {"resume", "run", "checkpoint_dir"}


def train(config: TrainConfig, *, force: bool = False) -> dict[str, Any]:
    """Train a classifier on cached features and leave a run behind.

    Args:
        config: Everything that was asked for.
        force: Whether a run of this name may be replaced.

    Returns:
        What training_results.json holds: the keys of the `train` command, and more.

    Raises:
        ConfigError: If the settings do not go together.
        CacheError: If the features are missing, damaged, or lack a class or a split.
        TrainingError: If the loss is not finite any more.
    """
    # -- where: the run's folder, or the one to go on with
    run, config = _choose_run(config, force=force)
    if config.resume and run.finished:
        log.info(f"{run.dir} is finished; this is its result.")
        return {**run.results(), "run": str(run.dir)}
    _check_before_hours_of_work(config)

    # -- on what: seed, precision, devices
    machine = runtime.start(
        seed=config.seed,
        mixed_precision=config.mixed_precision,
        xla=config.xla,
        virtual_devices=config.virtual_devices,
        deterministic=config.deterministic,
    )

    # -- from what: cached clips, extracted first where they are missing
    cache, failures = _features(config)
    entries = dataset.usable_entries(cache)
    classes = _classes(entries, config.normal_class)
    clips = read_splits(cache, entries, classes)
    if config.resume and run.config_path.is_file():
        _check_same_videos(run, entries)
    else:
        _start_run(run, config, cache, entries, classes, machine)

    # -- the model, how it learns, and the epochs
    from violence_detection.epochs import Trainer

    trainer = Trainer(run, config, machine, clips=clips, classes=classes)
    trainer.run_epochs()

    # -- what came of it
    results = {
        "run": str(run.dir),
        **trainer.summary(),
        **judge(run, clips, classes),
        "effective": {
            "replicas": machine.replicas,
            "precision": machine.dtype_policy,
            "xla": machine.xla,
            "engine": cache.space().engine,
        },
        "videos": {split: len(part) for split, part in clips.items()},
        "failures": failures,
    }
    run.write_results(results)
    shutil.rmtree(run.state_dir, ignore_errors=True)
    return results


def plan(config: TrainConfig, *, force: bool = False) -> dict[str, Any]:
    """What `train` would do; nothing is written."""
    run, config = _choose_run(config, force=force)
    planned = {"dry_run": True, "run": str(run.dir), "settings": config.as_dict()}
    if config.features is None:
        from violence_detection import features

        return planned | features.plan(
            Path(config.dataset_path), extract_config(config)
        )
    entries = dataset.usable_entries(FeatureCache.open(config.features))
    counts = Counter(entry.split for entry in entries)
    return planned | {
        "classes": _classes(entries, config.normal_class),
        "videos": dict(counts),
    }


def read_splits(
    cache: FeatureCache, entries: list[Entry], classes: list[str]
) -> dict[str, Clips]:
    """The clips of each split that has any.

    Raises:
        CacheError: If train or validation has none, or train lacks a class.
    """
    by_split = {
        split: [e for e in entries if e.split == split] for split in videos.SPLITS
    }
    for split in ("train", "validation"):
        if not by_split[split]:
            counts = ", ".join(f"{len(rows)} {name}" for name, rows in by_split.items())
            raise CacheError(
                f"There must be readable videos for {split}. Received: {counts}. More recordings, "
                "or a split column in videos.csv, help."
            )
    missing = set(classes) - {entry.label for entry in by_split["train"]}
    if missing:
        raise CacheError(
            "The training videos must have every class. Received: none of "
            f"{', '.join(sorted(missing))}"
        )
    return {
        split: dataset.read_clips(cache, rows, classes)
        for split, rows in by_split.items()
        if rows
    }


def judge(run: Run, clips: Mapping[str, Clips], classes: list[str]) -> dict[str, Any]:
    """Metrics of the best model on validation and, with the threshold chosen there, on the test."""
    classifier = model.load_classifier(run.model_path)
    predicted = {
        split: model.probabilities(classifier, clips[split].features)
        for split in ("validation", "test")
        if split in clips
    }
    validation = clips["validation"]
    violent = validation.labels > 0
    threshold, reason = metrics.choose_threshold(
        violent, 1 - predicted["validation"][:, 0], validation.groups
    )
    scores = {
        split: _scores(clips[split].labels, probability, classes, threshold)
        for split, probability in predicted.items()
    }
    return {
        "validation": scores["validation"],
        "test": scores.get("test"),
        "threshold": threshold,
        "threshold_reason": reason,
    }


def _scores(
    labels: np.ndarray, probability: np.ndarray, classes: list[str], threshold: float
) -> dict[str, float | None]:
    correct = model.decisions(probability, threshold) == labels
    binary = metrics.binary_metrics(labels > 0, 1 - probability[:, 0], threshold)
    likelihood = probability[np.arange(len(labels)), labels]
    loss = -np.log(np.clip(likelihood, 1e-12, 1)).mean()
    return {
        "accuracy": float(correct.mean()),
        "auc": binary["auc"],
        "loss": float(loss),
    }


# -- the run


def _choose_run(config: TrainConfig, *, force: bool) -> tuple[Run, TrainConfig]:
    """The run to fill, and the settings: those of the run where it is resumed.

    With `force` a run that stands there may be replaced, once everything else is known to work.
    """
    checkpoint_dir = Path(config.checkpoint_dir)
    run = None
    if config.resume and config.run is None:
        run = Run.newest(checkpoint_dir)
    run = run or Run.named(checkpoint_dir, config.run)
    if config.resume:
        if run.config_path.is_file():
            return run, _resumed(run, config)
        log.info(f"There is nothing to go on with in {run.dir}; it starts anew.")
    elif run.dir.exists() and any(run.dir.iterdir()):
        if not force:
            raise ConfigError(
                f"--run must name a new run, or --resume or --force be given. Received: {run.dir} "
                "(it is there)"
            )
        if not run.config_path.is_file():
            raise ConfigError(
                f"--force replaces runs only. Received: {run.dir} (it is none)"
            )
    _check_sources(config)
    return run, config


def _check_sources(config: TrainConfig) -> None:
    """Features come from one place, and what only stage one reads goes with it."""
    if (config.dataset_path is None) == (config.features is None):
        came = "both" if config.features else "neither"
        raise ConfigError(
            f"Exactly one of --dataset-path and --features must be given. Received: {came}"
        )
    if config.features is None:
        return
    stage_one = {setting.name for setting in FeatureConfig.settings()} - {
        "seed",
        "cache_dir",
    }
    stage_one |= {"extract_batch_size", "extract_mixed_precision"}
    for name in sorted(stage_one & config.given):
        raise ConfigError(
            f"`{name}` must go with --dataset-path: the features of --features are made "
            f"already. Received: {name}={getattr(config, name)}"
        )


def _check_before_hours_of_work(config: TrainConfig) -> None:
    """What would be refused after an extraction is refused before it."""
    runtime.import_tensorflow()
    smoothing = {"label_smoothing": config.label_smoothing, "class_shares": [0.5, 0.5]}
    parts.load("losses", config.loss, **smoothing)
    parts.check_arguments(
        "heads", config.head, known=("examples", "outputs", "use_cudnn")
    )
    if config.dataset_path is not None:
        folder = videos.read_folder(Path(config.dataset_path))
        videos.normal_class(folder.labels, config.normal_class)
        files.ensure_writable(Path(config.checkpoint_dir))


def _resumed(run: Run, asked: TrainConfig) -> TrainConfig:
    """The run's own settings, once nothing that was asked for differs."""
    recorded = run.config()["settings"]
    for name in sorted(asked.given - _FREE_ON_RESUME):
        if getattr(asked, name) != recorded.get(name):
            raise ConfigError(
                f"--resume must go on with the run's settings, {name}={recorded.get(name)}. "
                f"Received: {name}={getattr(asked, name)}"
            )
    recorded = {**recorded, "resume": True, "run": run.dir.name}
    return TrainConfig(**recorded)


def _features(config: TrainConfig) -> tuple[FeatureCache, list[dict[str, str]]]:
    """The cache, and the videos that could not be read."""
    if config.features is not None:
        cache = FeatureCache.open(config.features)
        failed = [entry for entry in cache.entries() if not entry.usable]
        if failed:
            log.warning(
                f"{len(failed)} videos could not be read and are not trained on."
            )
        return cache, []
    from violence_detection import features

    extraction = features.extract(Path(config.dataset_path), extract_config(config))
    return FeatureCache.open(extraction.features), extraction.as_dict()["failures"]


def extract_config(config: TrainConfig) -> ExtractConfig:
    """The settings of the extraction that `train --dataset-path` starts."""
    shared = {
        setting.name: getattr(config, setting.name)
        for setting in FeatureConfig.settings()
    }
    return ExtractConfig(
        **shared,
        batch_size=config.extract_batch_size,
        mixed_precision=config.extract_mixed_precision,
        given=config.given,
    )


def _classes(entries: list[Entry], asked: str | None) -> list[str]:
    """Names of the classes, the normal one first."""
    labels = sorted({entry.label for entry in entries})
    if len(labels) < 2:
        raise CacheError(
            f"There must be readable videos of two classes. Received: {', '.join(labels)}"
        )
    normal = videos.normal_class(labels, asked)
    return [normal, *(label for label in labels if label != normal)]


def _start_run(
    run: Run,
    config: TrainConfig,
    cache: FeatureCache,
    entries: list[Entry],
    classes: list[str],
    machine: runtime.Machine,
) -> None:
    """Write the run's settings before anything else happens in it; a run replaced goes now."""
    if run.config_path.is_file() and not config.resume:
        shutil.rmtree(run.dir)
    files.ensure_writable(run.dir)
    files.write_csv(run.videos_path, _VIDEO_COLUMNS, _video_rows(entries))
    settings, space = cache.settings(), cache.space()
    durations_s = [entry.duration_s for entry in entries if entry.split == "train"]
    run.write_config(
        {
            "settings": config.as_dict(),
            "classes": classes,
            "normal_class": classes[0],
            "dataset": settings["dataset"],
            "grouping": settings["grouping"],
            "features": str(cache.dir),
            "fingerprint": space.fingerprint,
            "feature_space": dataclasses.asdict(space),
            "weights": settings["weights"],
            "window_s": float(np.median(durations_s)),
            "videos_digest": files.sha256_of_json(_video_rows(entries)),
            "effective": {
                "replicas": machine.replicas,
                "precision": machine.dtype_policy,
                "xla": machine.xla,
                "engine": space.engine,
            },
            "versions": runtime.versions(),
        }
    )


def _video_rows(entries: list[Entry]) -> list[dict[str, str]]:
    return [
        {name: getattr(entry, name) for name in _VIDEO_COLUMNS} for entry in entries
    ]


def _check_same_videos(run: Run, entries: list[Entry]) -> None:
    if run.config().get("videos_digest") != files.sha256_of_json(_video_rows(entries)):
        raise TrainingError(
            "--resume must go on with the same videos, labels and split. Received: others than "
            f"{run.videos_path} lists; start a new run"
        )

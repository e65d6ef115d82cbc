"""Stage two: a classifier learns from cached features and leaves a run behind."""

import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import (
    dataset,
    metrics,
    model,
    parts,
    runtime,
    training_run,
    videos,
)
from violence_detection.cache import Entry, FeatureCache
from violence_detection.config import ExtractConfig, FeatureConfig, TrainConfig
from violence_detection.dataset import Clips
from violence_detection.errors import CacheError
from violence_detection.peers import Peers
from violence_detection.runs import Run
from violence_detection.units import counted

log = logging.getLogger(__name__)


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
        TrainingError: If the loss is not finite any more, or another machine does not come.
    """
    # -- where: the run's folder, or the one to go on with
    run, config = training_run.choose(config, force=force)
    new = not run.config_path.is_file()
    if config.resume and run.finished:
        log.info(f"{run.dir} is finished; this is its result.")
        return {**run.results(), "run": str(run.dir)}
    _check_before_hours_of_work(config)

    machines = training_run.machines(config)

    with Peers(machines) as peers:
        peers.check_same(**training_run.common(config))

        # -- on what: seed, precision, devices
        machine = runtime.start(
            seed=config.seed,
            mixed_precision=config.mixed_precision,
            xla=config.xla,
            virtual_devices=config.virtual_devices,
            deterministic=config.deterministic,
            hosts=machines,
        )
        # Of several machines, the chief's run is the one that there is.
        if not peers.is_chief:
            return _learn(run, config, machine, peers)
        with training_run.held(run, config, new=new) as run:
            return _learn(run, config, machine, peers)


def _learn(
    run: Run, config: TrainConfig, machine: runtime.Machine, peers: Peers
) -> dict[str, Any]:
    # -- from what: cached clips, extracted first where they are missing
    cache, failures = _features(config)
    entries = dataset.usable_entries(cache)
    classes = classes_of(entries, config.normal_class)
    clips = read_splits(cache, entries, classes)
    effective = _effective(machine, cache)
    peers.check_same(
        **effective,
        features=cache.space().fingerprint,
        videos=training_run.videos_digest(entries),
    )

    # -- the model, how it learns, and what the run is
    from violence_detection.epochs import Trainer

    trainer = Trainer(run, config, machine, clips=clips, classes=classes, peers=peers)
    if peers.is_chief and config.resume and run.started:
        training_run.check_same_features(run, cache, entries)
    elif peers.is_chief:
        training_run.start(run, config, cache, entries, classes, effective)

    # -- the epochs
    trainer.run_epochs()

    # -- what came of it
    results = None
    if peers.is_chief:
        results = {
            "run": str(run.dir),
            **trainer.summary(),
            **judge(run, clips, classes),
            "effective": effective,
            "videos": {split: len(part) for split, part in clips.items()},
            "failures": failures,
        }
        run.write_results(results)
        shutil.rmtree(run.state_dir, ignore_errors=True)
    return peers.of_chief(results)


def plan(config: TrainConfig, *, force: bool = False) -> dict[str, Any]:
    """What `train` would do; nothing is written."""
    run, config = training_run.choose(config, force=force)
    _check_before_hours_of_work(config)
    machines = training_run.machines(config)
    settings = config.as_dict()
    planned = {"dry_run": True, "run": str(run.dir)}
    if machines:
        planned["machines"] = list(machines.addresses)
        planned["rank"] = machines.rank
    if config.features is None:
        from violence_detection import features

        planned |= features.plan(Path(config.dataset_path), extract_config(config))
    else:
        entries = dataset.usable_entries(FeatureCache.open(config.features))
        counts = Counter(entry.split for entry in entries)
        planned["classes"] = classes_of(entries, config.normal_class)
        planned["videos"] = dict(counts)
        settings = {
            name: settings[name]
            for name in settings
            if name not in training_run.stage_one(config)
        }
    return planned | {"settings": settings}


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


# -- what is needed


def _check_before_hours_of_work(config: TrainConfig) -> None:
    """What would be refused after an extraction is refused before it: labels, head, loss."""
    classes = 2
    if config.dataset_path is not None:
        folder = videos.read_folder(
            Path(config.dataset_path), group_pattern=config.group_pattern
        )
        videos.normal_class(folder.labels, config.normal_class)
        classes = len(folder.labels)
    runtime.import_tensorflow()
    parts.check_arguments(
        "heads", config.head, known=("examples", "outputs", "use_cudnn")
    )
    parts.load(
        "losses",
        config.loss,
        label_smoothing=config.label_smoothing,
        class_shares=[1 / classes] * classes,
    )


def _features(config: TrainConfig) -> tuple[FeatureCache, list[dict[str, str]]]:
    """The cache, and the videos that could not be read."""
    if config.features is not None:
        cache = FeatureCache.open(config.features)
        failed = [entry for entry in cache.entries() if not entry.usable]
        if failed:
            log.warning(
                f"Not trained on, because not read: {counted(len(failed), 'video')}."
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
        **shared | {"workers": config.decoders},
        batch_size=config.extract_batch_size,
        mixed_precision=config.extract_mixed_precision,
        given=config.given,
    )


def classes_of(entries: list[Entry], asked: str | None = None) -> list[str]:
    """Names of the classes, the normal one first.

    Raises:
        CacheError: If there are not two.
        ConfigError: If `asked` is none of them, or the normal one is not recognised.
    """
    labels = sorted({entry.label for entry in entries})
    if len(labels) < 2:
        raise CacheError(
            f"There must be readable videos of two classes. Received: {', '.join(labels)}"
        )
    normal = videos.normal_class(labels, asked)
    return [normal, *(label for label in labels if label != normal)]


def _effective(machine: runtime.Machine, cache: FeatureCache) -> dict[str, Any]:
    return {
        "replicas": machine.replicas,
        "workers": machine.share[1],
        "precision": machine.dtype_policy,
        "xla": machine.xla,
        "engine": cache.space().engine,
    }

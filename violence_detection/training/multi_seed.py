"""Trains several seeds; keeps the best member or the ensemble of all."""

import dataclasses
import logging
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from violence_detection.models import classifier
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training.config import TrainConfig
from violence_detection.training.training_job import TrainingJob

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

_MEMBER_KEYS = "epochs_run best_epoch validation test threshold".split()
_PROFILE_KEY = "profiled_steps"
_KEPT_KEYS = "epochs_run best_epoch resumed_from_epoch videos_per_s".split()


def train_members(
    job: TrainingJob,
    run: Run,
    config: TrainConfig,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> dict[str, Any]:
    """Trains one member for each seed, each in a run inside `run`, and keeps one model.

    Without --ensemble the model with the lowest validation loss is kept. This choice is made on
    validation, so that the kept model's validation scores are a little too good; the test videos
    have no part in it. Finished members are not trained again.

    Args:
        job: Data and devices of all members, which have the same split.
        run: Gets the kept model, and is then a run like any other.
        config: Settings, with `seeds` of 2 or more.
        callbacks: Further Keras callbacks of every member.

    Returns:
        epochs_run, best_epoch, resumed_from_epoch and videos_per_s of the kept model (of an
        ensemble: of the member with the lowest validation loss); validation, test, threshold and
        threshold_reason of the kept model; `effective` settings of all members; `seeds`, one row
        for each member; `over_seeds`, mean and deviation over the members; and `kept`.
    """
    first = None
    if not (config.resume and run.started):
        # A model that cannot be built must fail before a run is replaced.
        first = job.build_trainer(*_member(run, config, config.seed))
    job.start_run(run, config, first)
    del first  # frees its memory before the members are built
    results = []
    for number in range(config.seeds):
        member, member_config = _member(run, config, config.seed + number)
        log.info(f"Member {number + 1} of {config.seeds}, seed {member_config.seed}")
        finished = member.results() if member.finished else None
        results.append(finished or job.run(member, member_config, callbacks))
    best = min(range(config.seeds), key=lambda number: results[number]["validation"]["loss"])
    members = [_member(run, config, config.seed + number)[0] for number in range(config.seeds)]
    if config.ensemble:
        _save_ensemble(job, run, members)
    else:
        for path in (members[best].model_path, members[best].history_path):
            files.copy_file(path, run.dir / path.name)
    return {
        **{name: results[best][name] for name in _KEPT_KEYS},
        **job.score_run(
            run,
            operating_point=config.operating_point,
            recall_bar=config.recall_bar,
            seed=config.seed,
        ),
        "effective": _effective([result["effective"] for result in results]),
        "seeds": [
            {"seed": config.seed + number, "run": member.dir.name}
            | {name: results[number][name] for name in _MEMBER_KEYS}
            | {name: results[number][name] for name in (_PROFILE_KEY,) if config.profile}
            for number, member in enumerate(members)
        ],
        "over_seeds": {
            split: _mean_and_deviation([result[split] for result in results])
            for split in ("validation", "test")
        },
        "kept": _kept(
            range(config.seed, config.seed + config.seeds), best, ensemble=config.ensemble
        ),
    }


def _effective(members: list[dict[str, Any]]) -> dict[str, Any]:
    """The effective settings of all members; XLA alone may differ, because each measures it."""
    return members[0] | {"xla": all(member["xla"] for member in members)}


def _member(run: Run, config: TrainConfig, seed: int) -> tuple[Run, TrainConfig]:
    """The run of a member, and its settings: those of a training with this one seed."""
    member = Run(run.dir / f"seed_{seed}")
    return member, dataclasses.replace(
        config,
        seed=seed,
        seeds=1,
        ensemble=False,
        run=member.dir.name,
        checkpoint_dir=str(run.dir),
        resume=member.started,
    )


def _save_ensemble(job: TrainingJob, run: Run, members: list[Run]) -> None:
    """Saves one model of all members, and a history: the means over the members that trained
    in an epoch."""
    from violence_detection.models.heads import _ensemble
    from violence_detection.training.checkpoint import save_classifier

    loaded = [classifier.load_model(member.model_path) for member in members]
    with job.device_setup.strategy.scope():
        save_classifier(_ensemble.build(loaded), run.model_path)
    histories = [files.read_own_csv(member.history_path, ("epoch",)) for member in members]
    longest, columns = max(map(len, histories)), list(histories[0][0])
    means = []
    for epoch in range(longest):
        rows = [history[epoch] for history in histories if len(history) > epoch]
        values = {name: [float(row[name]) for row in rows if row[name]] for name in columns}
        mean = {name: statistics.fmean(column) for name, column in values.items() if column}
        means.append(mean | {"epoch": epoch + 1})
    files.write_csv(run.history_path, columns, means)


def _mean_and_deviation(
    scores: list[dict[str, float | None] | None],
) -> dict[str, dict[str, float] | None] | None:
    """Mean and sample deviation of each score over the members; None if a member has none."""
    if None in scores:
        return None
    columns = {name: [row[name] for row in scores] for name in scores[0]}
    return {
        name: None
        if None in values
        else {"mean": statistics.fmean(values), "sd": statistics.stdev(values)}
        for name, values in columns.items()
    }


def _kept(seeds: Sequence[int], best: int, *, ensemble: bool) -> dict[str, Any]:
    """The members whose model is kept, and the reason.

    Args:
        seeds: Of all members.
        best: The place of the member with the lowest validation loss.
        ensemble: Whether the ensemble of all members is kept.
    """
    if ensemble:
        reason = f"the mean of the probabilities of all {len(seeds)} members"
        return {"seeds": list(seeds), "ensemble": True, "reason": reason}
    reason = f"the lowest validation loss of {len(seeds)} members"
    return {"seeds": [seeds[best]], "ensemble": False, "reason": reason}

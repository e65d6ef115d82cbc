"""Members that differ in their seed alone: what they give, and the one model that is kept."""

import dataclasses
import logging
import shutil
import statistics
from typing import Any

from violence_detection.models import classifier
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training.config import TrainConfig
from violence_detection.training.training_job import TrainingJob

log = logging.getLogger(__name__)

_OF_A_MEMBER = "epochs_run best_epoch validation test threshold".split()
_TRACED = "profiled_steps"
_OF_THE_KEPT = "epochs_run best_epoch resumed_from_epoch videos_per_s".split()


def train_members(lesson: TrainingJob, run: Run, config: TrainConfig) -> dict[str, Any]:
    """Train a member for each seed in a run of its own in `run`, and keep one model of them.

    Without --ensemble that is the member with the lowest validation loss: a choice on
    validation, so that its validation figures are a little too good; the test has no part
    in it. Members that are finished are not trained again.

    Args:
        lesson: What all members learn from; they have the same split.
        run: Which gets the kept model, and is a run like any other.
        config: With `seeds` of 2 or more.

    Returns:
        Of the kept model (of an ensemble: of its member with the lowest validation loss)
        epochs_run, best_epoch, resumed_from_epoch and videos_per_s; of the kept model
        validation, test, threshold and threshold_reason; `effective`, what all members got;
        `seeds`, a row a member; `over_seeds`, mean and deviation over the members; and `kept`.
    """
    first = None
    if not (config.resume and run.started):
        # What cannot be built must fail before a run is replaced.
        first = lesson.trainer(*_member(run, config, config.seed))
    lesson.begin(run, config, first)
    del first  # the members' own are to have its memory
    learned = []
    for number in range(config.seeds):
        seed = config.seed + number
        member, its_config = _member(run, config, seed)
        log.info(f"Member {number + 1} of {config.seeds}, seed {seed}")
        done = member.results() if member.finished else None
        learned.append(done or lesson.learn(member, its_config))
    best = min(range(config.seeds), key=lambda one: learned[one]["validation"]["loss"])
    members = [_member(run, config, config.seed + number)[0] for number in range(config.seeds)]
    if config.ensemble:
        _keep_all(lesson, run, members)
    else:
        for path in (members[best].model_path, members[best].history_path):
            _copy(path, run.dir / path.name)
    return {
        **{name: learned[best][name] for name in _OF_THE_KEPT},
        **lesson.judge(run, config),
        "effective": _effective([one["effective"] for one in learned]),
        "seeds": [
            {"seed": config.seed + number, "run": member.dir.name}
            | {name: learned[number][name] for name in _OF_A_MEMBER}
            | {name: learned[number][name] for name in (_TRACED,) if config.profile}
            for number, member in enumerate(members)
        ],
        "over_seeds": {
            split: _mean_and_deviation([one[split] for one in learned])
            for split in ("validation", "test")
        },
        "kept": _kept(config, best),
    }


def _effective(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several trainings on one machine: only whether XLA is faster is measured by each."""
    return members[0] | {"xla": all(member["xla"] for member in members)}


def _member(run: Run, config: TrainConfig, seed: int) -> tuple[Run, TrainConfig]:
    """The run of a member, and its settings: those of a training with this seed alone."""
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


def _keep_all(lesson: TrainingJob, run: Run, members: list[Run]) -> None:
    """One model of all members, and a history: the mean over those still in training."""
    from violence_detection.models.heads import _ensemble
    from violence_detection.training.checkpoint import save_classifier

    loaded = [classifier.load_model(member.model_path) for member in members]
    with lesson.machine.strategy.scope():
        save_classifier(_ensemble.build(loaded), run.model_path)
    histories = [files.read_own_csv(one.history_path, ("epoch",)) for one in members]
    longest, columns = max(map(len, histories)), list(histories[0][0])
    rows = []
    for epoch in range(longest):
        there = [history[epoch] for history in histories if len(history) > epoch]
        values = {name: [float(row[name]) for row in there if row[name]] for name in columns}
        means = {name: statistics.fmean(found) for name, found in values.items() if found}
        rows.append(means | {"epoch": epoch + 1})
    files.write_csv(run.history_path, columns, rows)


def _copy(path, target) -> None:
    with open(path, "rb") as source, files.writing(target) as file:
        shutil.copyfileobj(source, file)


def _mean_and_deviation(
    scores: list[dict[str, float | None] | None],
) -> dict[str, dict[str, float] | None] | None:
    """Mean and sample deviation of each score over the members; None where there is none."""
    if None in scores:
        return None
    found = {name: [one[name] for one in scores] for name in scores[0]}
    return {
        name: None
        if None in values
        else {"mean": statistics.fmean(values), "sd": statistics.stdev(values)}
        for name, values in found.items()
    }


def _kept(config: TrainConfig, best: int) -> dict[str, Any]:
    seeds = list(range(config.seed, config.seed + config.seeds))
    if config.ensemble:
        reason = f"the mean of the probabilities of all {config.seeds} members"
        return {"seeds": seeds, "ensemble": True, "reason": reason}
    reason = f"the lowest validation loss of {config.seeds} members"
    return {"seeds": [seeds[best]], "ensemble": False, "reason": reason}

"""Trains several seeds; keeps the best member or the ensemble of all."""

import dataclasses
import logging
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from violence_detection.models import classifier
from violence_detection.models.run import Run
from violence_detection.models.training_results import (
    EffectiveSettings,
    KeptMembers,
    MemberResult,
    MembersResult,
    ScoresOverMembers,
    TrainingResults,
)
from violence_detection.system import files
from violence_detection.training.calibration_folds import CalibrationPlan
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.training_settings import TrainingSettings

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)


def train_members(
    job: TrainingJob,
    run: Run,
    settings: TrainingSettings,
    *,
    seeds: int,
    ensemble: bool,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> TrainingResults:
    """Trains one member for each seed, each in a run inside `run`, and keeps one model.

    Without `ensemble` the model with the lowest validation loss is kept. This choice is made on
    validation, so that the kept model's validation scores are a little too good; the test videos
    have no part in it. Finished members are not trained again.

    Args:
        job: Data and devices of all members, which have the same split.
        run: Gets the kept model, and is then a run like any other.
        settings: Settings of the members, with the first seed; each further member has the next.
        seeds: Number of members, 2 or more.
        ensemble: Keep the ensemble of all members.
        callbacks: Further Keras callbacks of every member.

    Returns:
        The results of `run`, which are not written yet.
    """
    first = None
    if not (settings.resume and run.started):
        # A model that cannot be built must fail before a run is replaced.
        first = job.build_trainer(*_member(run, settings, settings.seed))
    job.start_run(run, settings, first)
    del first  # frees its memory before the members are built
    runs, results = [], []
    members_job = dataclasses.replace(job, calibration=CalibrationPlan())
    for number in range(seeds):
        member, member_settings = _member(run, settings, settings.seed + number)
        if job.calibration.folds:  # its own validation need not support the operating point
            decision = dataclasses.replace(settings.decision, operating_point=None)
            member_settings = dataclasses.replace(member_settings, decision=decision)
        log.info(f"Member {number + 1} of {seeds}, seed {member_settings.seed}")
        runs.append(member)
        finished = member.results() if member.finished else None
        results.append(finished or members_job.run(member, member_settings, callbacks))
    best = min(range(seeds), key=lambda number: results[number].scores.validation.loss)
    if ensemble:
        _save_ensemble(job, run, runs)
    else:
        for path in (runs[best].model_path, runs[best].history_path):
            files.copy_file(path, run.dir / path.name)
    # A single model is kept, so one for each fold shows its calibration; of an ensemble, all.
    out_of_fold = job.predict_out_of_fold(
        run,
        settings,
        range(settings.seed, settings.seed + (seeds if ensemble else 1)),
    )
    return job.results(
        run,
        dataclasses.replace(results[best].summary, profiled_steps=None),
        job.score_run(run, settings.decision, seed=settings.seed, out_of_fold=out_of_fold),
        effective=dataclasses.replace(
            _effective([result.effective for result in results]), calibrate_by=job.calibration.by
        ),
        members=MembersResult(
            members=[
                MemberResult(
                    seed=settings.seed + number,
                    run=runs[number].dir.name,
                    summary=result.summary,
                    validation=result.scores.validation,
                    test=result.scores.test,
                    threshold=result.scores.threshold,
                )
                for number, result in enumerate(results)
            ],
            validation=ScoresOverMembers.over([result.scores.validation for result in results]),
            test=ScoresOverMembers.over([result.scores.test for result in results]),
            kept=_kept(range(settings.seed, settings.seed + seeds), best, ensemble=ensemble),
        ),
    )


def _effective(members: list[EffectiveSettings]) -> EffectiveSettings:
    """The effective settings of all members; XLA alone may differ, because each measures it."""
    return dataclasses.replace(members[0], xla=all(member.xla for member in members))


def _member(run: Run, settings: TrainingSettings, seed: int) -> tuple[Run, TrainingSettings]:
    """The run of a member, and its settings: those of a training with this one seed."""
    member = Run(run.dir / f"seed_{seed}")
    recorded = {
        "seed": seed,
        "members": 1,
        "ensemble": False,
        "run": member.dir.name,
        "checkpoint_dir": str(run.dir),
        "resume": member.started,
    }
    return member, dataclasses.replace(
        settings, seed=seed, resume=member.started, recorded={**settings.recorded, **recorded}
    )


def _save_ensemble(job: TrainingJob, run: Run, members: list[Run]) -> None:
    """Saves one model of all members, and a history: the means over the members that trained
    in an epoch."""
    from violence_detection.models.heads import _ensemble
    from violence_detection.training.saving.checkpoint import save_classifier

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


def _kept(seeds: Sequence[int], best: int, *, ensemble: bool) -> KeptMembers:
    """The members whose model is kept, and the reason.

    Args:
        seeds: The seeds of all members.
        best: The place of the member with the lowest validation loss.
        ensemble: The ensemble of all members is kept.
    """
    if ensemble:
        reason = f"the mean of the probabilities of all {len(seeds)} members"
        return KeptMembers(list(seeds), True, reason)
    reason = f"the lowest validation loss of {len(seeds)} members"
    return KeptMembers([seeds[best]], False, reason)

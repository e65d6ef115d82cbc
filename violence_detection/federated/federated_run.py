"""The run that a federation leaves: a model, its threshold, and a record without any video."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from violence_detection.federated.coordinator import FederationCoordinator
from violence_detection.federated.federation import MODEL_NAME
from violence_detection.federated.score_histogram import ScoreHistogram
from violence_detection.models.classifier import load_model
from violence_detection.models.federation_record import FederationRecord, TrainedSite
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.models.run_scores import CalibrationBasis, RunScores
from violence_detection.models.training_results import (
    EffectiveSettings,
    TrainingResults,
    TrainingSummary,
)
from violence_detection.reports import model_card
from violence_detection.reports.plots import figures
from violence_detection.system import files, provenance
from violence_detection.training.saving.training_state import HISTORY_COLUMNS
from violence_detection.units import counted

ELSEWHERE = "at the sites of the federation"  # where a run names its features and its videos


def finish_run(coordinator: FederationCoordinator) -> TrainingResults:
    """Writes the run of a federation whose last round is closed; returns its results."""
    from violence_detection.training.saving.checkpoint import save_classifier

    run, federation = Run(coordinator.folder), coordinator.federation
    settings = federation.settings
    scores = _scores(
        coordinator.validation_scores(),
        settings.decision.operating_point,
        federation.pool.classes,
    )
    warnings = _warnings(coordinator, scores)
    save_classifier(load_model(coordinator.folder / MODEL_NAME), run.model_path)
    files.write_csv(run.videos_path, VIDEO_COLUMNS, [])
    rows = _history(coordinator)
    files.write_csv(run.history_path, HISTORY_COLUMNS, rows)
    run.write_config(_record(coordinator))
    results = TrainingResults(
        run=str(run.dir),
        summary=TrainingSummary(
            epochs_run=settings.optimisation.epochs,
            epochs_asked=settings.optimisation.epochs,
            kept_epoch=settings.optimisation.epochs,
            kept_reason=f"the last of round {settings.rounds}, the last",
            resumed_from_epoch=0,
            videos_per_s=_speed(coordinator),
        ),
        scores=RunScores(**vars(scores) | {"warnings": warnings}),
        effective=EffectiveSettings(
            replicas=1,
            machines=1,
            precision="float32",
            xla=False,
            engine=federation.pool.space.engine,
        ),
        members=None,
        videos=_videos(coordinator),
        failures=[],
    )
    run.write_results(results)
    figures.draw_history(run.dir / "history.png", run.history(), kept_epoch=settings.rounds)
    model_card.write_model_card(run)
    return results


def _scores(histogram: ScoreHistogram, asked: str | None, classes: tuple[str, ...]) -> RunScores:
    temperature, temperature_reason = histogram.choose_temperature(len(classes))
    chosen = histogram.choose_operating_point(asked, temperature)
    return RunScores(
        validation=histogram.scores_at(chosen.threshold, temperature, len(classes)),
        test=None,
        threshold=chosen.threshold,
        threshold_reason=chosen.reason,
        operating_point=chosen,
        temperature=temperature,
        temperature_reason=temperature_reason,
        calibration=CalibrationBasis("validation", histogram.videos, sum(histogram.recordings)),
    )


def _warnings(coordinator: FederationCoordinator, scores: RunScores) -> list[str]:
    """A line for each thing that is odd about the federation."""
    lines, last = [], coordinator.rounds[-1]
    if not scores.validation.videos:
        lines.append("No site has validation videos: nothing is known of how good it is.")
    trained = [record for record in coordinator.rounds if record.kind == "weights"]
    for site in coordinator.sites.values():
        missed = sum(site.number not in {row.site for row in record.sites} for record in trained)
        if missed:
            lines.append(
                f"{site.label.capitalize()} had no part in {missed} of "
                f"{counted(len(trained), 'round')}."
            )
    if last.left_out:
        lines.append(
            "Temperature and threshold were chosen without "
            f"{counted(len(last.left_out), 'update')} (rounds.csv says why)."
        )
    return lines


def _history(coordinator: FederationCoordinator) -> list[dict[str, Any]]:
    """A row for each round of training: the loss in it, and validation after it, which the sites
    measure at the start of the next."""
    rows = []
    for record, after in zip(coordinator.rounds[1:], coordinator.rounds[2:], strict=False):
        rows.append(
            {"epoch": record.round, "loss": record.mean("loss")}
            | {name: after.mean(name) for name in ("val_loss", "val_accuracy", "val_auc")}
        )
    return rows


def _speed(coordinator: FederationCoordinator) -> float:
    """Videos in a second and site, the median over rounds and sites."""
    epochs = coordinator.federation.settings.local_epochs
    rates = [
        row.videos * epochs / row.seconds
        for record in coordinator.rounds
        for row in record.sites
        if row.seconds > 0
    ]
    return float(np.median(rates)) if rates else 0.0


def _videos(coordinator: FederationCoordinator) -> dict[str, int]:
    return {
        split: sum(site.videos[split] for site in coordinator.sites.values())
        for split in ("train", "validation", "test")
    }


def _record(coordinator: FederationCoordinator) -> Mapping[str, Any]:
    """The content of training_config.json; it names no path, no video and no recording."""
    federation, sites = coordinator.federation, coordinator.sites.values()
    pool, settings = federation.pool, federation.settings
    trained = [record for record in coordinator.rounds if record.kind == "weights"]
    return {
        "settings": settings.as_dict()
        | {
            "seed": federation.seed,
            "epochs": settings.optimisation.epochs,
            "monitor": "none",
            "sampling": "natural",
        },
        "classes": list(pool.classes),
        "normal_class": pool.classes[0],
        "dataset": {"name": f"federation of {counted(len(sites), 'site')}", "dir": ELSEWHERE},
        "grouping": "federated",
        "features": ELSEWHERE,
        "fingerprint": pool.space.fingerprint,
        "feature_space": pool.space.as_dict(),
        "weights": pool.weights.to_json(),
        "window_s": float(
            np.median(np.repeat([s.window_s for s in sites], [s.videos["train"] for s in sites]))
        ),
        "frame_format": None,
        "own_split": False,
        "init_from": None,
        "videos_digest": files.sha256_of_json(sorted(site.videos_digest for site in sites)),
        "split_digest": "",
        "federation": FederationRecord(
            settings.algorithm,
            settings.rounds,
            settings.local_epochs,
            tuple(
                TrainedSite(
                    site=site.number,
                    name=site.name,
                    videos=dict(site.videos),
                    by_class=dict(site.by_class),
                    recordings=site.recordings,
                    videos_digest=site.videos_digest,
                    rounds=sum(
                        site.number in {row.site for row in record.sites} for record in trained
                    ),
                )
                for site in sites
            ),
        ).to_json(),
        "versions": provenance.versions(),
        "commit": provenance.commit_hash(),
        "machine": provenance.describe_machine().to_json(),
    }

"""The model card of a run: model, training data, training, results, use and limitations."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.datasets.splitting.split_counts import SplitCounts, count_splits
from violence_detection.errors import ConfigError
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.metrics.intervals import wilson_interval
from violence_detection.metrics.sample_size import widest_interval
from violence_detection.models.run import Run
from violence_detection.models.run_record import RunRecord
from violence_detection.models.run_scores import RunScores
from violence_detection.models.training_results import (
    MembersResult,
    TrainingResults,
    TrainingSummary,
)
from violence_detection.reports import cost_table, html
from violence_detection.reports.evaluation import evaluation_report
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult
from violence_detection.reports.evaluation.findings import FEW_RECORDINGS
from violence_detection.system import files
from violence_detection.units import counted

NAME = "MODEL_CARD.md"


@dataclass(frozen=True)
class CardFacts:
    """The values that the template of the card names.

    Attributes:
        name: The run's name.
        classes: Their names in Markdown, the normal one first.
        record: How the run was trained.
        config: The content of training_config.json, which also has versions and origin.
        settings: The settings in it.
        space: The feature space.
        weights: Name of the backbone's weights, without its folder.
        results: Scores and threshold of the training.
        splits: The numbers of videos.
        unknown: Number of videos whose recording is not known.
        seeds, training: Sentences on the choice of the model.
        evaluations: Evaluations of the present model, with the name of the dataset.
        exports: The warnings of each export in the run's folder, by the name of its folder.
        limitations, warnings: A sentence each.
        one_class: The detector of a run that was trained on normal videos alone; else empty.
    """

    name: str
    classes: Sequence[str]
    record: RunRecord
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    space: FeatureSpace
    weights: str
    results: RunScores
    splits: Sequence[SplitCounts]
    unknown: int
    seeds: str
    training: str
    evaluations: Sequence[tuple[str, EvaluationResult]]
    robustness: Mapping[str, str]
    exports: Mapping[str, Sequence[str]]
    limitations: Sequence[str]
    warnings: Sequence[str]
    one_class: str = ""


def write_model_card(run: Run) -> None:
    """Writes the card of a trained run, with the evaluations of its present model.

    Raises:
        RunError: If the run cannot be read.
        ViolenceDetectionError: If the card cannot be written.
    """
    text = html.render_template(
        "model_card.md.j2",
        **vars(_card_facts(run)),
        cost_rows=cost_table.cost_rows,
        traffic_of=cost_table.traffic_text,
        false_alarm_interval=_false_alarm_interval,
    )
    files.write_text(run.dir / NAME, text)


def _card_facts(run: Run) -> CardFacts:
    # Runs of older versions lack some of these.
    config = {"init_from": None} | run.config()
    record = run.record()
    settings = dict.fromkeys(
        ("head", "seed", "loss", "monitor", "outputs", "output_weights")
    ) | config.get("settings", {})
    results = run.results()
    videos = files.read_own_csv(run.videos_path, ("path", "label", "group", "split"))
    evaluations = list(_evaluations(run))
    return CardFacts(
        name=_escaped(run.dir.name),
        classes=[_escaped(name) for name in record.classes],
        record=record,
        config=config,
        settings=settings,
        space=record.feature_space,
        weights=html.format_value(config["weights"].get("source")),
        results=results.scores,
        splits=count_splits((row["label"], row["group"], row["split"]) for row in videos),
        unknown=sum(row["group"] == row["path"] for row in videos),
        seeds=_seeds_text(results.members),
        training=_training_text(record, results.summary),
        evaluations=[
            (_escaped(Path(result.features).parent.name), result) for result in evaluations
        ],
        robustness=dict(_robustness_texts(run, evaluations)),
        exports=_export_warnings(run),
        limitations=list(_limitations(record, results, videos, evaluations)),
        warnings=results.scores.warnings,
        one_class=results.one_class,
    )


def _false_alarm_interval(result: EvaluationResult) -> Sequence[float] | None:
    """The interval of the false-alarm rate, as the report has it: the wider of a bootstrap over
    recordings and Wilson's over videos."""
    counts = result.counts
    wilson = wilson_interval(counts.flagged, counts.normal) if counts.normal else None
    return widest_interval(result.rates_ci.get("false_alarm_rate"), wilson)


def _escaped(text: str) -> str:
    """A name with Markdown escaped, in a line."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _seeds_text(members: MembersResult | None) -> str:
    """The number of seeds and the choice among them; empty for a single training."""
    if members is None:
        return ""
    kept = members.kept
    how = "The model is " if kept.ensemble else f"The model is of seed {kept.seeds[0]}: "
    return f"Trained with {len(members.members)} seeds. {how}{kept.reason}."


def _training_text(record: RunRecord, summary: TrainingSummary) -> str:
    settings = record.settings
    if record.one_class and not summary.epochs_run:
        return "The detector was fitted in one step"
    if record.ensemble:
        return "The runs were trained on the same videos, with the same split"
    epochs = counted(summary.epochs_run, "epoch")
    text = f"{epochs} were run; the model is of epoch {summary.kept_epoch}"
    if settings.get("monitor") == "none":
        return f"{text}, the last, so it was not chosen on any video"
    if settings.get("swa_fraction"):
        return f"{text}, the last, with the weights averaged over the last epochs"
    measure = {"val_auc": "AUC", "val_accuracy": "accuracy"}
    return f"{text}, chosen by the {measure.get(settings.get('monitor'), 'loss')} on validation"


def _evaluations(run: Run) -> Iterator[EvaluationResult]:
    """The result of each split that was evaluated with the present model."""
    digest = files.sha256_of_file(run.model_path)
    for split in ("test", "all", "validation", "train"):
        path = run.evaluation_dir(split) / "metrics.json"
        try:
            result = EvaluationResult.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, ConfigError):
            continue
        rates = (result.accuracy, result.recall, result.false_alarm_rate)
        valid = all(type(rate) in (int, float) for rate in rates)
        if valid and result.model_digest == digest and result.split == split:
            yield result


def _robustness_texts(
    run: Run, evaluations: Sequence[EvaluationResult]
) -> Iterator[tuple[str, str]]:
    """Each split on which `robustness` has studied the present model, with the condition that costs
    most, in a sentence."""
    for result in evaluations:
        identity = {"model_digest": result.model_digest, "videos_digest": result.videos_digest}
        folder = run.evaluation_dir(result.split)
        scores = evaluation_report.read_robustness(folder, identity)
        if scores and scores.conditions:
            mean = html.format_percent(scores.mean_accuracy)
            text = evaluation_report.robustness_text(scores)
            yield result.split, f"accuracy {mean} as the mean of the conditions. {text}".rstrip()


def _export_warnings(run: Run) -> dict[str, list[str]]:
    """The warnings of the run's exports that have any, by the name of their folder."""
    by_export = {}
    for path in sorted(run.dir.glob("export/*/parity.json")):
        try:
            warnings = json.loads(path.read_text(encoding="utf-8")).get("warnings")
        except (OSError, ValueError, AttributeError):
            continue
        if warnings and isinstance(warnings, list):
            by_export[path.parent.name] = [str(warning) for warning in warnings]
    return by_export


def _limitations(
    record: RunRecord,
    results: TrainingResults,
    videos: list[dict[str, str]],
    evaluations: Sequence[EvaluationResult],
) -> Iterator[str]:
    """The limitations that follow from the training of this run, a sentence each."""
    stream = record.feature_space.stream
    recordings = len({row["group"] for row in videos if row["split"] == "train"})
    if record.federation:
        recordings = sum(site.recordings for site in record.federation.sites)
    window_s = record.window_s
    yield (
        "It was trained on the cameras, places, light and events of its training videos only. "
        "Evaluate it on videos of other places before you rely on it there."
    )
    length = f"{window_s:.3g} s" if window_s else "the length of a training video"
    yield (
        f"It predicts for {length} at a time. It was not trained on events that are much "
        "longer or shorter."
    )
    yield "It uses no audio, and cannot judge intent."
    if results.one_class:
        yield (
            "It has never seen violence. A dog, a new van or a power cut is unusual, too, and a "
            "fight that looks like what it knows is not."
        )
    if recordings < FEW_RECORDINGS:
        yield f"It was trained on {counted(recordings, 'recording')}, which is few."
    if record.federation:
        yield (
            "It was trained over sites whose videos nobody else has seen: wrong labels, and "
            "recordings that two sites share, could not be looked for."
        )
    if any(row["group"] == row["path"] for row in videos):
        yield (
            "The recording of some videos is not known: clips of one recording may be in training "
            "and test, and the numbers too good."
        )
    if "focus=true" in stream:
        yield (
            "It uses one area of the frame at a time, the area with most motion: it easily misses "
            "events next to heavier motion."
        )
    if "motion" in stream and "rgb" not in stream:
        yield "It uses motion only, without colour: a moving or shaking camera disturbs it."
    if record.weights_source == "random":
        yield "Its backbone has random weights: use it for trials only."
    if results.failures:
        failed = counted(len(results.failures), "video")
        yield f"{failed} could not be read and had no part in the training."
    for result in evaluations:
        where = "all videos" if result.split == "all" else f"the {result.split} split"
        if not result.clean:
            yield (
                f"Its numbers on {where} are too good: it was trained on some of those videos or "
                "their recordings."
            )
        for line in result.warnings:
            yield f"On {where}: {line}"

"""The card says what holds for its run, before an evaluation and after it, and nothing else."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from support.features import draw_features
from support.training import train_quickly

from violence_detection.evaluation import evaluate
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.models.run import Run
from violence_detection.models.training_results import KeptMembers, MemberResult, MembersResult
from violence_detection.reports import model_card
from violence_detection.system import files


@pytest.fixture
def run(run_dir, tmp_path):
    """A copy of a run, for tests that write to it."""
    return Run(shutil.copytree(run_dir, tmp_path / "my_run"))


@pytest.fixture
def card(run):
    """Writes the card after changes to the config and the results, and returns its text."""

    def write(results=None, **config) -> str:
        run.write_config(run.config() | config)
        files.write_json(run.results_path, run.results().to_json() | (results or {}))
        model_card.write_model_card(run)
        return (run.dir / "MODEL_CARD.md").read_text()

    return write


def test_training_leaves_a_card(run_dir):
    text = (run_dir / "MODEL_CARD.md").read_text()
    assert text.startswith("# Model card: run\n")
    assert "| train | 8 | 8 | 8 |" in text
    assert "| test | 4 | 4 | 4 |" in text
    assert "8 epochs were run" in text
    assert "Not evaluated yet" in text
    results = json.loads((run_dir / "training_results.json").read_text())
    assert f"accuracy {results['validation']['accuracy']:.1%}" in text
    assert "on test" not in text  # only an evaluation has it with its interval


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "by the loss on validation"),
        ({"monitor": "val_auc"}, "by the AUC on validation"),
        ({"monitor": "none"}, "the last, so it was not chosen on any video"),
        ({"swa_fraction": 0.25}, "the last, with the weights averaged"),
    ],
)
def test_it_says_how_the_epoch_was_chosen(run, card, settings, text):
    assert text in card(settings={**run.config()["settings"], **settings})


def test_a_robustness_study_of_the_same_videos_is_in_it(run):
    config = EvaluateConfig(bootstrap=100, show_frames=False)
    result = evaluate.evaluate_run(str(run.dir), config, with_figures=False)
    scores = {"accuracy": 0.75, "accuracy_ci": [0.5, 1.0], "auc": 0.9}
    worst = scores | {"accuracy": 0.5, "accuracy_difference": -0.25, "difference_ci": [-0.5, -0.1]}
    study = {
        "model_digest": result.model_digest,
        "videos_digest": result.videos_digest,
        "clean": {"name": "clean", **scores},
        "conditions": [{"name": "darkness", **worst}],
        "mean_accuracy": 0.5,
    }
    place = run.evaluation_dir("test") / "robustness.json"
    for digest, is_there in ((result.model_digest, True), ("of another", False)):
        files.write_json(place, study | {"model_digest": digest})
        model_card.write_model_card(run)
        text = (run.dir / "MODEL_CARD.md").read_text()
        assert ("darkness costs most: 50.0% instead of 75.0%" in text) is is_there


def test_an_evaluation_adds_its_results(run):
    config = EvaluateConfig(bootstrap=100, show_frames=False)
    result = evaluate.evaluate_run(str(run.dir), config, with_figures=False)
    text = (run.dir / "MODEL_CARD.md").read_text()
    assert "Not evaluated yet" not in text
    low, high = result.accuracy_ci
    line = next(line for line in text.splitlines() if line.startswith("| accuracy |"))
    assert f"{result.accuracy:.1%} | {low:.1%} – {high:.1%} over recordings" in line
    assert "On **test** of drawn: 8 videos of 4 recordings, none of them used in training" in text
    assert "| baseline `linear`: accuracy |" in text


def test_an_evaluation_of_another_model_is_not_in_it(run, card):
    folder = run.evaluation_dir("test")
    config = EvaluateConfig(bootstrap=100, show_frames=False)
    evaluate.evaluate_run(str(run.dir), config, with_figures=False)
    metrics = json.loads((folder / "metrics.json").read_text())
    files.write_json(folder / "metrics.json", metrics | {"model_digest": "other"})
    assert "Not evaluated yet" in card()
    (folder / "metrics.json").write_text("torn")
    assert "Not evaluated yet" in card()


@pytest.mark.parametrize(
    ("stream", "limitations"),
    [
        ("rgb", []),
        ("rgb(focus=true)", ["one area"]),
        ("motion", ["motion only"]),
        ("motion(focus=true)", ["one area", "motion only"]),
        ("motion+rgb", []),
    ],
)
def test_limitations_follow_from_the_stream(card, run, stream, limitations):
    text = card(feature_space=run.config()["feature_space"] | {"stream": stream})
    assert [words for words in ("one area", "motion only") if words in text] == limitations


def test_problems_of_the_training_are_limitations(card):
    text = card({"failures": [{"path": "a", "reason": "b"}]}, window_s=2.5)
    assert "It predicts for 2.5 s at a time" in text
    assert "It was trained on 8 recordings, which is few." in text
    assert "1 video could not be read and had no part in the training." in text
    assert "random weights: use it for trials only" in text
    named = card(weights={"source": "imagenet", "digest": "", "seed": 1})
    assert "random weights" not in named


@pytest.mark.slow
def test_unknown_recordings_are_stated(tmp_path):
    from violence_detection.features.cache import FeatureCache

    cache = FeatureCache.open(draw_features(tmp_path / "c" / "space"))
    rows = [dataclasses.replace(entry, group=entry.path) for entry in cache.entries()]
    cache.write_manifest(rows)
    run = Run(Path(train_quickly(cache.dir, tmp_path / "runs", epochs=1)["run"]))
    text = (run.dir / "MODEL_CARD.md").read_text()
    assert "The recording of 32 of these videos is not known" in text
    assert "The recording of some videos is not known" in text


def test_warnings_of_the_training_are_quoted(card):
    assert "\n> It misses <everything>.\n" in card({"warnings": ["It misses <everything>."]})
    assert "\n> " not in card({"warnings": []})


def test_markdown_in_a_name_is_escaped(card):
    text = card(classes=["normal", "a|b *c*\nd"])
    header = next(line for line in text.splitlines() if line.startswith("| split |"))
    assert header == r"| split | normal | a\|b \*c\* d | recordings |"


def test_every_value_of_the_template_is_filled_in(card):
    text = card(own_split=True, init_from={"run": "a"})
    assert not re.search(r"\{[{%]|None|undefined", text)
    assert "The split was drawn for this run only." in text
    assert "The training started from the weights of another run" in text


def test_a_run_of_several_seeds_names_the_chosen_one(run, card):
    results = run.results()
    members = [
        MemberResult(seed, "", results.summary, results.scores.validation, None, 0.5)
        for seed in (1, 2)
    ]

    def card_of(kept: KeptMembers) -> str:
        return card(MembersResult(members, None, None, kept).to_json())

    text = card_of(KeptMembers([2], False, "the lowest loss"))
    assert "Trained with 2 seeds. The model is of seed 2: the lowest loss." in text
    text = card_of(KeptMembers([1, 2], True, "the mean of all"))
    assert "The model is the mean of all." in text


def test_an_evaluation_on_all_videos_is_named_so(run, card):
    config = EvaluateConfig(bootstrap=100, show_frames=False, split="all")
    evaluate.evaluate_run(str(run.dir), config, with_figures=False)
    text = card()
    assert "Its numbers on all videos are too good" in text
    assert "On **all videos** of drawn" in text

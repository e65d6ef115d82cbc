"""The card says what holds for its run, before an evaluation and after it, and nothing else."""

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
from violence_detection.reports import model_card
from violence_detection.system import files


@pytest.fixture
def run(run_dir, tmp_path):
    """A copy of a run, to be written to."""
    return Run(shutil.copytree(run_dir, tmp_path / "my_run"))


@pytest.fixture
def card(run):
    """Writes the card after changes to the config and the results, and gives its text."""

    def write(results=None, **config) -> str:
        run.write_config(run.config() | config)
        run.write_results(run.results() | (results or {}))
        model_card.write_model_card(run)
        return (run.dir / "MODEL_CARD.md").read_text()

    return write


def test_training_leaves_a_card(run_dir):
    text = (run_dir / "MODEL_CARD.md").read_text()
    assert text.startswith("# Model card: run\n")
    assert "| train | 8 | 8 | 8 |" in text
    assert "| test | 4 | 4 | 4 |" in text
    assert "8 epochs were run" in text
    assert "It has not been evaluated yet" in text
    results = json.loads((run_dir / "training_results.json").read_text())
    assert f"accuracy {results['test']['accuracy']:.1%}" in text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "by the loss on validation"),
        ({"monitor": "val_auc"}, "by the AUC on validation"),
        ({"monitor": "none"}, "the last, so no video chose it"),
        ({"swa_fraction": 0.25}, "the last, with the mean of the weights"),
    ],
)
def test_it_says_what_chose_the_epoch(run, card, settings, told):
    assert told in card(settings={**run.config()["settings"], **settings})


def test_an_evaluation_completes_it(run):
    config = EvaluateConfig(bootstrap=100, frames=False)
    found = evaluate.evaluate_run(str(run.dir), config)
    text = (run.dir / "MODEL_CARD.md").read_text()
    assert "It has not been evaluated yet" not in text
    low, high = found["accuracy_ci"]
    line = next(line for line in text.splitlines() if line.startswith("| accuracy |"))
    assert f"{found['accuracy']:.1%} | {low:.1%} – {high:.1%} over recordings" in line
    assert "On **test** of drawn: 8 videos of 4 recordings, none of which it" in text
    assert "| baseline `linear`: accuracy |" in text


def test_an_evaluation_of_another_model_is_not_in_it(run, card):
    folder = run.evaluation_dir("test")
    evaluate.evaluate_run(str(run.dir), EvaluateConfig(bootstrap=100, frames=False))
    metrics = json.loads((folder / "metrics.json").read_text())
    files.write_json(folder / "metrics.json", metrics | {"model_digest": "other"})
    assert "It has not been evaluated yet" in card()
    (folder / "metrics.json").write_text("torn")
    assert "It has not been evaluated yet" in card()


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ("rgb", []),
        ("rgb(focus=true)", ["one place"]),
        ("motion", ["in grey"]),
        ("motion(focus=true)", ["one place", "in grey"]),
        ("motion+rgb", []),
    ],
)
def test_limits_are_those_of_the_stream(card, run, stream, said):
    text = card(feature_space=run.config()["feature_space"] | {"stream": stream})
    assert [words for words in ("one place", "in grey") if words in text] == said


def test_what_spoils_a_run_is_among_its_limits(card):
    text = card({"failures": [{"path": "a", "reason": "b"}]}, window_s=2.5)
    assert "It judges 2.5 s at a time" in text
    assert "It learned from 8 recordings, which is few." in text
    assert "1 video could not be read and taught it nothing." in text
    assert "random weights: it is for trying things out" in text
    named = card(weights={"source": "imagenet", "digest": "", "seed": 1})
    assert "random weights" not in named


def test_recordings_that_are_not_known_are_said(tmp_path):
    from violence_detection.features.cache import FeatureCache

    cache = FeatureCache.open(draw_features(tmp_path / "c" / "space"))
    rows = [one.__class__(**vars(one) | {"group": one.path}) for one in cache.entries()]
    cache.write_manifest(rows)
    run = Run(Path(train_quickly(cache.dir, tmp_path / "runs", epochs=1)["run"]))
    text = (run.dir / "MODEL_CARD.md").read_text()
    assert "The recording of 32 of these videos is not known" in text
    assert "The recording of some videos is not known" in text


def test_warnings_of_the_training_are_quoted(card):
    assert "\n> It misses <everything>.\n" in card({"warnings": ["It misses <everything>."]})
    assert "\n> " not in card({"warnings": []})


def test_a_name_stays_a_name_and_in_its_cell(card):
    text = card(classes=["normal", "a|b *c*\nd"])
    header = next(line for line in text.splitlines() if line.startswith("| split |"))
    assert header == r"| split | normal | a\|b \*c\* d | recordings |"


def test_no_line_is_left_half_filled(card):
    text = card(own_split=True, init_from={"run": "a"})
    assert not re.search(r"\{[{%]|None|undefined", text)
    assert "The split was drawn for this run alone." in text
    assert "It began with the weights of another run" in text


def test_a_run_of_several_seeds_says_which_is_kept(card):
    seeds = [{"seed": 1}, {"seed": 2}]
    kept = {"seeds": [2], "ensemble": False, "reason": "the lowest loss"}
    text = card({"seeds": seeds, "kept": kept})
    assert "Trained 2 times with other seeds. Kept is seed 2: the lowest loss." in text
    kept |= {"ensemble": True, "reason": "the mean of all"}
    assert "It is the mean of all." in card({"seeds": seeds, "kept": kept})

"""The evaluation of a detector that learned from normal videos alone."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest
from support.features import draw_features

from violence_detection.commands.mine import mine_lines
from violence_detection.errors import EvidenceError
from violence_detection.evaluation.footage.mining import MineStage
from violence_detection.evaluation.footage.mining_config import MineConfig
from violence_detection.models.run import Run
from violence_detection.training.config import TrainConfig
from violence_detection.training.train import train_classifier


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """A detector, and features of both classes with 80 normal videos of validation."""
    folder = tmp_path_factory.mktemp("detector")
    features = draw_features(
        folder / "both" / "space", counts=(80, 160, 40), labels=("noFight", "fight"), shift=2.0
    )
    flags = {"features": str(features), "checkpoint_dir": str(folder), "run": "run"}
    train_classifier(TrainConfig.from_flags(flags | {"one_class": "mahalanobis"}))
    return folder / "run", features


@pytest.fixture
def detector(trained, tmp_path) -> Path:
    return shutil.copytree(trained[0], tmp_path / "run")


@pytest.mark.slow
def test_labels_of_another_class_are_unusual_and_found(detector, evaluate):
    result = evaluate(detector)
    assert result["classes"] == ["noFight", "unusual"]
    assert result["class_mapping"] == {"fight": "unusual"}
    assert result["auc"] > 0.9
    assert result["recall"] > 0.8
    assert result["baselines"] == {}
    assert "normal videos alone" in result["baselines_left_out"][0]


@pytest.mark.slow
def test_the_report_begins_with_unusual(detector, evaluate):
    evaluate(detector)
    page = (detector / "evaluation" / "test" / "report.html").read_text()
    body = page[page.index("<header>") :]
    assert body.index("It finds what is unusual, not what is violent.") < body.index(
        'class="cards"'
    )
    assert "unusual, not what is violent" in Run(detector).dir.joinpath("MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_a_mistake_has_a_score_and_no_label_that_the_dataset_lacks(detector, evaluate):
    results = Run(detector).results_path
    results.write_text(json.dumps(json.loads(results.read_text()) | {"threshold": 0.2}))
    evaluate(detector)
    page = html.unescape((detector / "evaluation" / "test" / "report.html").read_text())
    assert "score of the unusual" in page and "probability of violence" not in page
    labels = set(re.findall(r"violence-detection label \S+ \S+\.mp4 (\w+)", page))
    assert labels == {"fight"}


@pytest.mark.slow
def test_normal_videos_alone_have_a_rate_of_false_alarms_and_no_recall(
    detector, evaluate, tmp_path
):
    features = draw_features(tmp_path / "quiet" / "space", labels=("normal",), shift=0.0)
    result = evaluate(detector, features=str(features))
    assert result["class_mapping"] == {"normal": "noFight"}
    assert "recall" in result["undefined"]
    assert result["auc"] is None


@pytest.mark.slow
def test_an_operating_point_is_chosen_on_normal_validation_videos(detector, evaluate):
    result = evaluate(detector, operating_point="false_positive_rate=0.1")
    point = result["operating_point"]
    assert point["from"] == "normal validation videos"
    assert point["videos"] == 80
    assert point["achieved"]["false_positive_rate"] <= 0.1
    assert "recall" not in point["achieved"]


@pytest.mark.slow
def test_a_recall_cannot_be_asked_for(detector, evaluate):
    with pytest.raises(EvidenceError, match="no violent ones"):
        evaluate(detector, operating_point="recall=0.9")


@pytest.mark.slow
def test_mined_windows_have_a_score_and_no_label_that_the_dataset_lacks(detector, tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("path,start_s,end_s,probability\nhall.mp4,0,2,0.9\n")
    settings = {"threshold": 0.5, "output": str(tmp_path / "mined"), "show_frames": False}
    config = MineConfig(predictions=str(table), **settings)
    result = MineStage(str(detector), [], config).run()
    assert "finds       what is unusual, not what is violent" in mine_lines(result)
    page = (tmp_path / "mined" / "windows.html").read_text()
    assert "takes for unusual" in page and "score of the unusual 0.9" in page
    assert "probability" not in page[page.index("<header>") :]
    (window,) = result.windows
    assert " CLASS " in window.fight_command and " noFight " in window.label_command

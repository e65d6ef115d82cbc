"""`predict --explain`: a figure of what a prediction rests on, and novelty by window."""

import csv
import shutil

import cv2
import numpy as np
import pytest
from support.training import train_on_videos
from support.videos import draw_video

from violence_detection.datasets.table_files.manifest import part_of
from violence_detection.errors import VideoError
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.output_files.explanation import Explainer
from violence_detection.inference.predict import predict_videos
from violence_detection.inference.predictor import Predictor
from violence_detection.inference.video_sources import parse_source
from violence_detection.models.run import Run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run that was trained on drawn videos, and their folder."""
    folder = tmp_path_factory.mktemp("drawn")
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(6):
            draw_video(folder / "videos" / label / f"{number}.mp4", frames=14, seed=offset + number)
    return train_on_videos(folder / "videos", folder), folder / "videos"


@pytest.mark.slow
def test_windows_have_a_novelty_and_the_nearest_clip_is_the_video_itself(drawn):
    run, videos = drawn
    known = next(row for row in Run(run).own_videos() if row["split"] == "train")
    predictor = Predictor(Run.open(run), with_nearest=True)
    prediction = predictor.predict_video(videos / known["path"])
    window = prediction.windows[0]
    assert window.novelty is not None
    assert prediction.novel_windows == sum(row.novelty > 1 for row in prediction.windows)
    assert len(prediction.nearest) == 3
    assert prediction.nearest[0].path == known["path"]
    assert prediction.nearest[0].label == known["label"]
    assert prediction.nearest[0].distance < prediction.nearest[1].distance


@pytest.mark.slow
def test_the_figure_is_drawn_and_the_table_has_the_novelty(drawn, tmp_path):
    run, videos = drawn
    config = PredictConfig(explain=str(tmp_path / "why.png"), csv=str(tmp_path / "table.csv"))
    result = predict_videos(str(run), [str(videos / "fight" / "0.mp4")], config)
    assert cv2.imread(str(tmp_path / "why.png")) is not None
    with open(tmp_path / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["novelty"]) >= 0 for row in rows)
    shown = result.to_json()["videos"][0]
    assert [clip.keys() for clip in shown["nearest"]] == [
        {"path", "label", "group", "distance"}
    ] * 3
    assert shown["windows"][0]["novelty"] == pytest.approx(float(rows[0]["novelty"]))
    assert not result.novelty_note


@pytest.mark.slow
def test_a_folder_is_made_only_for_what_is_written(drawn, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    config = PredictConfig(explain=str(tmp_path / "new" / "why"), annotate=str(tmp_path / "seen"))
    with pytest.raises(VideoError, match="At least one video must be readable"):
        predict_videos(str(drawn[0]), [str(text)], config)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_an_explanation_has_frames_of_the_window_and_of_the_nearest_clips(drawn, tmp_path):
    run, videos = drawn
    path = videos / "fight" / "1.mp4"
    prediction = Predictor(Run.open(run), with_attention=True, with_nearest=True).predict_video(
        path
    )
    explanation = Explainer(Run.open(run)).explain(
        parse_source(str(path)), prediction, threshold=0.5
    )
    assert len(explanation.frames) == 6
    assert all(image is not None for _, image in explanation.nearest)
    assert explanation.nearest[0][1].dtype == np.uint8


@pytest.mark.slow
def test_a_training_video_that_changed_is_not_shown(drawn, tmp_path):
    run, videos = drawn
    copy = shutil.copytree(run, tmp_path / "run")
    text = Run(copy).config_path.read_text()
    Run(copy).config_path.write_text(text.replace(str(videos), str(tmp_path / "gone")))
    path = videos / "fight" / "1.mp4"
    prediction = Predictor(Run.open(copy), with_nearest=True).predict_video(path)
    explanation = Explainer(Run.open(copy)).explain(
        parse_source(str(path)), prediction, threshold=0.5
    )
    assert [image for _, image in explanation.nearest] == [None] * 3


@pytest.mark.slow
def test_a_run_of_an_older_version_says_in_a_line_what_is_missing(drawn, tmp_path):
    run, videos = drawn
    copy = shutil.copytree(run, tmp_path / "run")
    Run(copy).training_clips_path.unlink()
    config = PredictConfig(explain=str(tmp_path / "why.png"))
    result = predict_videos(str(copy), [str(videos / "fight" / "0.mp4")], config)
    assert "training_clips.npz" in result.novelty_note and "evaluate" in result.novelty_note
    assert "novelty" not in result.to_json()["videos"][0]["windows"][0]
    assert (tmp_path / "why.png").is_file()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a/b.mp4", ("a/b.mp4", None, None)),
        ("a/b.mp4@0-2.5", ("a/b.mp4", 0.0, 2.5)),
        ("x@1.mp4@1e-05-12", ("x@1.mp4", 1e-5, 12.0)),
    ],
)
def test_the_part_in_a_key(key, expected):
    assert part_of(key) == expected

"""Windows of an ensemble: frames are read once, and each member sees what it was trained on."""

import numpy as np
import pytest
from support.training import train_quickly
from support.videos import draw_video

from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction.extract import extract_features
from violence_detection.inference.predictor import Predictor
from violence_detection.training.config import EnsembleConfig
from violence_detection.training.ensemble import EnsembleStage

SMALL = {"frames": 4, "frame_size": 32, "batch_size": 8, "weights": "random"}
MEMBERS = {  # two share their backbone, two a stream
    "colour": {"backbone": "mobilenet", "stream": "rgb"},
    "change": {"backbone": "mobilenet", "stream": "motion(focus=true)"},
    "both": {"backbone": "mobilenetv2", "stream": "motion(focus=true)+rgb"},
}


@pytest.mark.slow
def test_each_window_has_the_mean_of_the_members_logits(tmp_path):
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(8):
            draw_video(
                tmp_path / "videos" / label / f"{number}.mp4", seed=offset + number, frames=16
            )
    long = draw_video(tmp_path / "long.mp4", seed=7, frames=100)
    runs = []
    for name, space in MEMBERS.items():
        config = ExtractConfig(cache_dir=str(tmp_path / "cache"), **SMALL, **space)
        features = extract_features(tmp_path / "videos", config).features
        runs.append(train_quickly(features, tmp_path / "runs", run=name)["run"])
    config = EnsembleConfig(checkpoint_dir=str(tmp_path / "runs"), run="ensemble")
    ensemble = EnsembleStage(runs, config).run()
    logits = [logits_of(run, long) for run in runs]
    assert len(logits[0]) > 2
    assert np.ptp(logits, axis=0).max() > 0.01
    predicted = logits_of(ensemble.run, long, temperature=ensemble.scores.temperature)
    np.testing.assert_allclose(predicted, np.mean(logits, axis=0), atol=2e-3)


def logits_of(run: str, video, temperature: float = 1.0) -> np.ndarray:
    """The logit of each window."""
    windows = Predictor.load(run).predict_video(video).windows
    probability = np.array([window.probability for window in windows])
    return temperature * np.log(probability / (1 - probability))

"""The whole way on clips that are drawn here: extract, train, evaluate, predict; offline."""

import logging
import shutil
from pathlib import Path
from typing import Any

from violence_detection.datasets import synthetic
from violence_detection.errors import ConfigError
from violence_detection.evaluation import evaluate
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.experiments.config import DemoConfig
from violence_detection.features import extract
from violence_detection.features.config import ExtractConfig
from violence_detection.inference import predict
from violence_detection.inference.config import PredictConfig
from violence_detection.system import files, progress
from violence_detection.training import train
from violence_detection.training.config import TrainConfig

log = logging.getLogger(__name__)

_BACKBONE, _FRAME_SIZE, _FRAMES = "mobilenetv2", 96, 16
_MARK = "violence-detection-demo"


def plan(config: DemoConfig) -> dict[str, Any]:
    """What `demo` would do; nothing is written."""
    return {
        "dry_run": True,
        "output": str(Path(config.output).resolve()),
        "clips": config.clips,
    }


def run_demo(config: DemoConfig, *, force: bool = False) -> dict[str, Any]:
    """Draw clips, go through both stages, and judge what came of it.

    The backbone has random weights, so that nothing is downloaded: what is learned is
    motion, in drawings. Both kinds have the same backgrounds, sizes and lighting; the
    accuracy from the mean picture of a clip alone says how far that holds.

    Args:
        config: Where, and how much.
        force: Whether an earlier demo there may be replaced.

    Raises:
        ConfigError: If something else, or an earlier demo without `force`, is there.
    """
    output = _prepare(Path(config.output).resolve(), force=force)
    clips = output / "clips"
    log.info(f"Drawing {config.clips} clips")
    with progress.track("Drawing", config.clips, "clips") as step:
        synthetic.draw_clips(clips, count=config.clips, seed=config.seed, on_clip=lambda _: step())
    extraction = extract.extract_features(
        clips,
        ExtractConfig(
            seed=config.seed,
            cache_dir=str(output / "feature_cache"),
            backbone=_BACKBONE,
            weights="random",
            stream="rgb",
            frames=_FRAMES,
            frame_size=_FRAME_SIZE,
        ),
    )
    trained = train.train_classifier(
        TrainConfig(
            seed=config.seed,
            features=str(extraction.features),
            checkpoint_dir=str(output / "checkpoints"),
            run="demo",
            epochs=config.epochs,
            checkpoint_epochs=0,
        )
    )
    judged = evaluate.evaluate_run(trained["run"], EvaluateConfig(seed=config.seed))
    table = files.read_csv(clips / "videos.csv")
    tested = [row for row in table if row["split"] == "test" and row["label"] == "violent"]
    example = clips / tested[0]["path"]
    predicted = predict.predict_videos(trained["run"], [str(example)], PredictConfig())
    return {
        "run": trained["run"],
        "test_videos": judged["videos"],
        "test_accuracy": judged["accuracy"],
        "test_auc": judged["auc"],
        "mean_picture_accuracy": synthetic.mean_image_accuracy(clips),
        "report": judged["report"],
        "clips": str(clips),
        "features": str(extraction.features),
        "prediction": predicted["videos"][0],
    }


def _prepare(output: Path, *, force: bool) -> Path:
    """An empty folder with the demo's mark in it."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output must be a folder. Received: {output} (a file)")
    if output.is_dir() and any(output.iterdir()):
        if not (output / _MARK).is_file():
            raise ConfigError(f"--output must be empty or an earlier demo. Received: {output}")
        if not force:
            raise ConfigError(f"--force replaces an earlier demo. Received: {output}")
        shutil.rmtree(output)
    files.ensure_writable(output)
    files.write_text(output / _MARK, "Made by `violence-detection demo`; --force replaces it.\n")
    return output

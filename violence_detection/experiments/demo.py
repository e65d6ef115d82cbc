"""Demo: draws synthetic clips, then extracts, trains, evaluates and predicts, offline."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.datasets.drawing import synthetic
from violence_detection.errors import ConfigError
from violence_detection.evaluation import evaluate
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.experiments.config import DemoConfig
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction import extract
from violence_detection.inference import predict
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.prediction_records import PredictionResult
from violence_detection.system import files, progress
from violence_detection.training import train
from violence_detection.training.config import TrainConfig

log = logging.getLogger(__name__)

_BACKBONE, _FRAME_SIZE, _FRAMES = "mobilenetv2", 96, 16
_MARK = synthetic.DEMO_MARK


@dataclass(frozen=True)
class DemoResult:
    """The files and measurements of a demo.

    Attributes:
        run, clips, features: Folders.
        test_videos: Number of clips in the test split.
        test_accuracy, test_auc: Scores of the run on them.
        mean_image_accuracy: Accuracy of a baseline on the mean image of each clip; in JSON
            `mean_picture_accuracy`.
        report: Path of the evaluation's report.
        prediction: The prediction for one test clip; in JSON its row alone.
    """

    run: str
    test_videos: int
    test_accuracy: float
    test_auc: float | None
    mean_image_accuracy: float
    report: str
    clips: str
    features: str
    prediction: PredictionResult

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the command."""
        values = {
            "mean_picture_accuracy" if name == "mean_image_accuracy" else name: value
            for name, value in vars(self).items()
        }
        return values | {"prediction": self.prediction.to_json()["videos"][0]}


@dataclass(frozen=True)
class DemoPlan:
    """The dry run of a demo.

    Attributes:
        output: The folder.
        clips: Number of clips that would be drawn.
    """

    output: str
    clips: int

    def to_json(self) -> dict[str, Any]:
        return {"dry_run": True, "output": self.output, "clips": self.clips}


def run_demo(config: DemoConfig, *, force: bool = False) -> DemoResult:
    """Draws clips and runs all stages on them; see `DemoStage`."""
    return DemoStage(config, force=force).run()


class DemoStage:
    """All stages on synthetic clips of walks and fights.

    The backbone has random weights, so that nothing is downloaded. Clips of walks and fights have
    the same backgrounds, sizes and lighting, so that only the motion tells them apart; the
    accuracy of a baseline on the mean image of each clip measures how far that holds.
    """

    def __init__(self, config: DemoConfig, *, force: bool = False) -> None:
        """
        Args:
            config: The output folder, and the number of clips and epochs.
            force: Whether an earlier demo in the folder may be replaced.
        """
        self._config, self._force = config, force
        self._output = Path(config.output).resolve()

    def prepare(self) -> DemoPlan:
        """Checks the output folder; writes nothing.

        Raises:
            ConfigError: If the folder has an earlier demo and there is no `force`, or holds
                something else.
        """
        output = self._output
        if output.exists() and not output.is_dir():
            raise ConfigError(f"--output must be a folder. Received: {output} (a file)")
        if output.is_dir() and any(output.iterdir()):
            if not (output / _MARK).is_file():
                raise ConfigError(f"--output must be empty or an earlier demo. Received: {output}")
            if not self._force:
                raise ConfigError(f"--force replaces an earlier demo. Received: {output}")
        return DemoPlan(str(output), self._config.clips)

    def run(self) -> DemoResult:
        """Draws, extracts, trains, evaluates, and predicts one test clip.

        Raises:
            ConfigError: As `prepare`.
        """
        self.prepare()
        config, output = self._config, self._output
        clips = output / "clips"
        self._draw(clips)
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
            TrainConfig.from_settings(
                {
                    "seed": config.seed,
                    "features": str(extraction.features),
                    "checkpoint_dir": str(output / "checkpoints"),
                    "run": "demo",
                    "epochs": config.epochs,
                    "checkpoint_epochs": 0,
                }
            )
        )
        evaluation = evaluate.evaluate_run(trained.run, EvaluateConfig(seed=config.seed))
        rows = files.read_csv(clips / "videos.csv")
        example = next(
            clips / row["path"]
            for row in rows
            if row["split"] == "test" and row["label"] == "violent"
        )
        predicted = predict.predict_videos(trained.run, [str(example)], PredictConfig())
        return DemoResult(
            run=trained.run,
            test_videos=evaluation.videos,
            test_accuracy=evaluation.accuracy,
            test_auc=evaluation.auc,
            mean_image_accuracy=synthetic.mean_image_accuracy(clips),
            report=evaluation.report,
            clips=str(clips),
            features=str(extraction.features),
            prediction=predicted,
        )

    def _draw(self, clips: Path) -> None:
        """Replaces the output folder by one with the mark of a demo and the drawn clips."""
        config, output = self._config, self._output
        if output.is_dir() and any(output.iterdir()):
            shutil.rmtree(output)
        files.ensure_writable(output)
        mark = "Made by `violence-detection demo`; --force replaces it.\n"
        files.write_text(output / _MARK, mark)
        log.info(f"Drawing {config.clips} clips")
        with progress.track("Drawing", config.clips, "clips") as step:
            synthetic.draw_clips(
                clips, count=config.clips, seed=config.seed, on_clip=lambda _: step()
            )

"""What a run says about videos that it has never seen, of any length."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference import video_sources
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.outputs import Outputs
from violence_detection.inference.predictor import Predictor
from violence_detection.inference.video_sources import Source
from violence_detection.models.run import Run
from violence_detection.system import devices, progress

log = logging.getLogger(__name__)


def predict_videos(
    run_dir: str, words: Sequence[str], config: PredictConfig, *, force: bool = False
) -> dict[str, Any]:
    """Look at everything that words stand for, and write what is asked for.

    Args:
        run_dir: What training left.
        words: See `sources.listed`.
        force: Whether files may be replaced.

    Returns:
        The result, as `--json` prints it: `videos`, a row for each source in the order given,
        one that cannot be read with its `error`; `engine`; `threshold`, `lower_threshold`;
        `written`, the files.

    Raises:
        ConfigError: If a file is there and `force` is not given, among others.
        RunError: If the run cannot be used.
        WeightsError: If the backbone's weights are not here, or are others.
        ViolenceDetectionError: If something cannot be written.
    """
    run, listed, outputs = _prepared(run_dir, words, config)
    outputs.check(force=force)
    devices.import_tensorflow()
    predictor = Predictor(run, config, attentive=outputs.annotates)
    rows: list[dict[str, Any]] = [{} for _ in listed]
    with progress.track("Predicting", len(listed), "videos") as step:
        for number, answer in predictor.predict_all(listed):
            rows[number] = _row(listed[number].name, answer, predictor)
            if not isinstance(answer, VideoError):
                attention = [one.pop("attention", ()) for one in answer["windows"]]
                error = outputs.write(
                    number,
                    answer,
                    attention,
                    threshold=predictor.threshold,
                    violent=predictor.violent,
                )
                rows[number]["error"] = error or None
            step()
    outputs.write_table(rows)
    return {
        "videos": rows,
        "engine": predictor.engine,
        "threshold": predictor.threshold,
        "lower_threshold": predictor.lower_threshold,
        "written": [str(path) for path in outputs.paths if path.exists()],
    }


def plan(
    run_dir: str, words: Sequence[str], config: PredictConfig, *, force: bool = False
) -> dict[str, Any]:
    """What `predict_videos` would look at and write, without doing it.

    Raises:
        ConfigError, RunError: As `predict_videos` does.
    """
    run, listed, outputs = _prepared(run_dir, words, config)
    outputs.check_free(force=force)
    return {
        "run": str(run.dir),
        "videos": [one.name for one in listed],
        "writes": [str(path) for path in outputs.paths],
    }


def _prepared(
    run_dir: str, words: Sequence[str], config: PredictConfig
) -> tuple[Run, list[Source], Outputs]:
    run = Run.open(run_dir)
    listed = video_sources.list_sources(words, sys.stdin)
    if not listed:
        raise ConfigError("There must be a video to look at. Received: an empty list")
    video_sources.check_time_limits(listed, config.max_duration_s)
    return run, listed, Outputs(config, listed)


def _row(name: str, answer: dict[str, Any] | VideoError, predictor: Predictor) -> dict[str, Any]:
    if not isinstance(answer, VideoError):
        if answer["damage"]:
            log.warning(f"{name}: {answer['damage']}")
        return {"path": name, **answer, "error": None}
    log.warning(f"Cannot read {name}: {answer}")
    nothing = {"probability": 0.0, "label": "", "windows": [], "segments": []}
    nothing |= predictor.by_class(np.zeros(len(predictor.classes)))
    nothing |= {"duration_s": 0.0, "fps": 0.0, "damage": ""}
    return {"path": name, **nothing, "error": str(answer)}

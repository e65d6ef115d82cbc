"""These tests need TensorFlow, started before the modules that import it; they share a run and its
evaluation."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.evaluation import Evaluated, read_predictions
from support.tensorflow_start import start_tensorflow

from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import evaluate_run

start_tensorflow()


@pytest.fixture
def run(run_dir, tmp_path) -> Path:
    """A copy of the session's run, for tests that write to it; not evaluated."""
    return shutil.copytree(run_dir, tmp_path / "copy")


@pytest.fixture(scope="session")
def evaluated(run_dir, tmp_path_factory) -> Evaluated:
    """The session's run, evaluated on the test split; not to be written to."""
    run = shutil.copytree(run_dir, tmp_path_factory.mktemp("evaluated") / "run")
    result = evaluate_run(str(run), EvaluateConfig(bootstrap=100), with_figures=False).to_json()
    return Evaluated(run, result, read_predictions(run))


@pytest.fixture(scope="session")
def evaluate() -> Callable[..., dict[str, Any]]:
    """Evaluates a run without figures; keywords are settings of the command."""

    def evaluate_without_figures(
        run: Path | str, *, force: bool = False, **settings: Any
    ) -> dict[str, Any]:
        config = EvaluateConfig(**{"bootstrap": 100, **settings})
        return evaluate_run(str(run), config, force=force, with_figures=False).to_json()

    return evaluate_without_figures

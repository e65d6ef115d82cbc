"""Results of finished folds on disk, so that an interrupted cross-validation can be resumed."""

import json
import logging
from pathlib import Path

import numpy as np

from violence_detection.experiments.cross_validation.fold_results import FoldResult
from violence_detection.system import files

log = logging.getLogger(__name__)


class FoldStore:
    """A folder with a JSON file for each finished fold."""

    def __init__(self, study_dir: Path) -> None:
        self._dir = study_dir / "folds"

    def path_of(self, name: str) -> Path:
        return self._dir / f"{name}.json"

    def load(self, name: str, rows: np.ndarray) -> FoldResult | None:
        """The result of a fold; None if the fold must be trained.

        Args:
            name: The fold's name.
            rows: The held-out videos that the result must be about, int64 (M,).
        """
        path = self.path_of(name)
        try:
            result = FoldResult.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.warning(f"{path} is damaged; its fold is trained again.")
            return None
        if not np.array_equal(result.rows, rows):
            log.warning(f"{path} is about other videos; its fold is trained again.")
            return None
        return result

    def save(self, name: str, result: FoldResult) -> None:
        files.write_text(self.path_of(name), json.dumps(result.to_json()))

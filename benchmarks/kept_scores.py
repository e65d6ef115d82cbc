"""Arrays that a benchmark keeps in a folder, so that a second start goes on where it ended."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from violence_detection.system import files


class KeptScores:
    """A folder of arrays, a file for each training that a benchmark has done.

    Args:
        folder: None keeps nothing.
        settings: Whatever the arrays depend on, beside the names given to `arrays`.
    """

    def __init__(self, folder: str | None, settings: Sequence[object]) -> None:
        self._folder = Path(folder) if folder else None
        self._settings = [repr(setting) for setting in settings]

    def arrays(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What `make` returns, from the folder if it is there; and `cpu_s`, the processor time of
        all threads that it took."""
        path = self._path(name) if self._folder else None
        if path and path.exists():
            with np.load(path) as stored:
                return dict(stored)
        started_s = time.process_time()
        arrays = make()
        arrays["cpu_s"] = np.array(time.process_time() - started_s)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.writing(path) as file:
                np.savez(file, **arrays)
        return arrays

    def _path(self, name: str) -> Path:
        digits = hashlib.sha256("\n".join([name, *self._settings]).encode()).hexdigest()[:12]
        return self._folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{digits}.npz"

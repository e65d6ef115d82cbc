"""The files that a training saves: its state, from which it resumes, and its models."""

import hashlib
import io
import json
import logging
import os
from pathlib import Path

import keras
import numpy as np

from violence_detection.errors import TrainingError
from violence_detection.system import files
from violence_detection.training.saving.training_state import TrainingState

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32


class Checkpoint:
    """The state of a training in a folder: the newest state and the one before it.

    Each is one file: the SHA-256 of the content, then an npz of the variables and of JSON. If a
    kill or a full disk damages the newest state, the training resumes one epoch earlier.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = (folder / "training_state.bin", folder / "training_state.previous.bin")

    def save(self, variables: list[np.ndarray], state: TrainingState) -> None:
        """Saves variables and the rest of the state, and keeps the state before."""
        content = io.BytesIO()
        arrays = {f"v{number:05d}": np.asarray(value) for number, value in enumerate(variables)}
        facts = json.dumps(state.to_json()).encode()
        np.savez(content, facts=np.frombuffer(facts, np.uint8), **arrays)
        newest, previous = self._paths
        if newest.is_file():
            os.replace(newest, previous)
        with files.writing(newest) as file:
            file.write(hashlib.sha256(content.getvalue()).digest())
            file.write(content.getvalue())

    def load(self) -> tuple[list[np.ndarray], TrainingState] | None:
        """Variables and state of the newest undamaged state; None if no state was saved.

        Raises:
            TrainingError: If every saved state is damaged.
        """
        saved = [path for path in self._paths if path.is_file()]
        for path in saved:
            content = path.read_bytes()
            digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if content and hashlib.sha256(content).digest() == digest:
                with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                    names = sorted(name for name in arrays.files if name != "facts")
                    facts = json.loads(arrays["facts"].tobytes())
                    return [arrays[name] for name in names], TrainingState.from_json(facts)
            log.warning(f"{path} is damaged.")
        if saved:
            raise TrainingError(
                f"The saved state of a training must be undamaged. Received: {self.folder} "
                "(damaged; --force without --resume starts the run again)"
            )
        return None


def save_classifier(classifier: keras.Model, path: Path) -> None:
    """Saves a model under a temporary name, then renames it: a kill leaves the model before."""
    # Not named like a checkpoint, because people list those by their name.
    temporary = path.with_name(f"{files.temporary_mark()}-{path.name}")
    try:
        classifier.save(temporary)
        files.replace(temporary, path)
    except OSError as error:
        raise files.write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)

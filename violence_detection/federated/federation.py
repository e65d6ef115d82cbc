"""The plan of a federation and what its sites have in common: the records that travel to sites.

They say nothing of a single site: pooled counts, the feature space, the classes, the settings.
"""

import io
import json
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from violence_detection.errors import ViolenceDetectionError
from violence_detection.features.extraction.extraction_record import WeightsOrigin
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.federated.config import FederationConfig
from violence_detection.system import files

FORMAT_VERSION = 1
NAME, MODEL_NAME = "federation.json", "global.keras"
_MAX_JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class Pool:
    """The properties that the sites of a federation share, and sums over all of them.

    Attributes:
        classes: Names, the normal class first.
        space: The feature space.
        weights: The backbone's weights; a file has no path.
        class_counts: Training videos of each class, over all sites.
        recording_sums: For each class, the sum over its training videos of n^p, where n is the
            number of videos of a video's recording and p the power of `recording_weights`.
    """

    classes: tuple[str, ...]
    space: FeatureSpace
    weights: WeightsOrigin
    class_counts: tuple[int, ...]
    recording_sums: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        parts = {"space": self.space.as_dict(), "weights": self.weights.to_json()}
        return asdict(self) | parts

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            classes=tuple(map(str, values["classes"])),
            space=FeatureSpace.from_json(values["space"]),
            weights=WeightsOrigin.from_json(values["weights"]),
            class_counts=tuple(map(int, values["class_counts"])),
            recording_sums=tuple(map(float, values["recording_sums"])),
        )


@dataclass(frozen=True)
class Federation:
    """A federation as the coordinator sends it, before a round.

    Attributes:
        id: 16 random hex digits, so that no update of another federation is taken.
        seed: Seed of the first weights and, at each site, of order and dropout.
        settings: The settings of all sites.
        round: The round that begins: 0 collects counts and moments, 1 to `rounds` train, the one
            after collects the scores of validation.
        pool: None before round 0 is over.
        model_digest: SHA-256 of the weights that the round begins with; empty in round 0.
    """

    id: str
    seed: int
    settings: FederationConfig
    round: int = 0
    pool: Pool | None = None
    model_digest: str = ""

    @classmethod
    def new(cls, settings: FederationConfig, *, seed: int) -> Self:
        return cls(secrets.token_hex(8), seed, settings)

    @property
    def kind(self) -> str:
        """The kind of answer that the round collects: `statistics`, `weights` or `scores`."""
        if self.round == 0:
            return "statistics"
        return "weights" if self.round <= self.settings.rounds else "scores"

    def next_round(self, pool: Pool, model_digest: str) -> Self:
        return replace(self, round=self.round + 1, pool=pool, model_digest=model_digest)

    def to_json(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "id": self.id,
            "seed": self.seed,
            "settings": self.settings.as_dict(),
            "round": self.round,
            "pool": self.pool and self.pool.to_json(),
            "model_digest": self.model_digest,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, for values that anybody may have written.

        Raises:
            ConfigError: If a setting is unknown here, or out of range.
            KeyError, TypeError, ValueError, AttributeError, CacheError: If it is something else.
        """
        if values["format_version"] > FORMAT_VERSION:
            raise ValueError("it is of a newer version of this program")
        pool = values["pool"]
        return cls(
            id=_hex(values["id"]),
            seed=int(values["seed"]),
            settings=FederationConfig.from_settings(
                FederationConfig.complete_record(values["settings"])
            ),
            round=int(values["round"]),
            pool=pool and Pool.from_json(pool),
            model_digest=str(values["model_digest"]),
        )


def _hex(text: Any) -> str:
    """An id, which is also the name of a folder at the sites."""
    if not (isinstance(text, str) and len(text) == 16 and set(text) <= set("0123456789abcdef")):
        raise ValueError("its id is not 16 hex digits")
    return text


def read_federation(path: Path) -> Federation:
    """The federation in a file that the coordinator sent: JSON, or a model with JSON in it.

    Raises:
        ViolenceDetectionError: If it is none, or of a newer version.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open(NAME) as member:
                content = member.read(_MAX_JSON_BYTES + 1)
        else:
            with open(path, "rb") as file:
                content = file.read(_MAX_JSON_BYTES + 1)
        if len(content) > _MAX_JSON_BYTES:
            raise ValueError("it is too large")
        return Federation.from_json(json.loads(content))
    except (  # NotImplementedError is what `zipfile` raises for a compression that it does not know
        *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError),
        *(zipfile.BadZipFile, EOFError, NotImplementedError, ViolenceDetectionError),
    ) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ViolenceDetectionError(
            "The coordinator's file must be federation.json or global.keras of `federate`. "
            f"Received: {path} ({reason or type(error).__name__})"
        ) from error


def write_federation(folder: Path, federation: Federation, model: bytes | None) -> Path:
    """Writes the file that goes to the sites; returns its path.

    Args:
        folder: The coordinator's folder.
        federation: As the round begins.
        model: The bytes of the Keras file; None in round 0.
    """
    if model is None:
        path = folder / NAME
        files.write_json(path, federation.to_json())
        return path
    path, content = folder / MODEL_NAME, io.BytesIO(model)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(NAME, json.dumps(federation.to_json()))
    with files.writing(path) as file:
        file.write(content.getvalue())
    return path

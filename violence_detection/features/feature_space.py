"""The feature space: all settings that two arrays of features must share to be comparable."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from violence_detection.errors import CacheError, ConfigError, WeightsError
from violence_detection.system import files

RECIPE_VERSION = 1
IMPORTED = "imported"  # the backbone of features that another program made
JOINED = "joined"  # that of features of several spaces, side by side
_DIGITS = 8
# Fields that came later, and their value in spaces that do not have them: there they are not
# written, so that the fingerprint stays the same.
_LATER = {"parts": (), "segments": 1}


@dataclass(frozen=True)
class FeatureSpace:
    """The settings that change the numbers of an array; nothing else of an extraction is here.

    Attributes:
        backbone: Name of the part.
        layer: The layer that is its output.
        stream: Spec of the streams.
        frames: T.
        frame_size: Side of an image in pixels.
        resize: The steps from a frame to an image.
        dim: D.
        weights_digest: SHA-256 of the backbone's variables.
        engine: Name of the engine that ran it.
        precision: Keras dtype policy that it ran in.
        recipe: Version of everything else that changes the numbers.
        segments: N equal parts of a video, each with T frames of its own; 1 for whole videos.
        parts: The spaces whose features are side by side along D; empty for an ordinary space.
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
    segments: int = 1
    parts: "tuple[FeatureSpace, ...]" = ()

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The space of features of several spaces, side by side along D.

        Its images are those of all streams, as channels of one image; see `StreamSet`.

        Args:
            parts: Two spaces or more, in the order of their features.

        Raises:
            ConfigError: If their frames differ in number or size: a clip is read once for all.
        """
        for name in ("frames", "frame_size"):
            values = sorted({getattr(part, name) for part in parts})
            if len(values) > 1:
                raise ConfigError(
                    f"Feature spaces that are joined must have the same `{name}`: the images of a "
                    f"clip are made once for all. Received: {' and '.join(map(str, values))}"
                )
        for part in parts:
            part.check_computable()
        first, streams = parts[0], dict.fromkeys(stream for part in parts for stream in part.images)
        return cls(
            backbone=JOINED,
            layer="",
            stream="|".join(streams),
            frames=first.frames,
            frame_size=first.frame_size,
            resize="",
            dim=sum(part.dim for part in parts),
            weights_digest=files.sha256_of_json([part.fingerprint for part in parts]),
            engine="+".join(dict.fromkeys(part.engine for part in parts)),
            precision="+".join(dict.fromkeys(part.precision for part in parts)),
            parts=tuple(parts),
        )

    @property
    def images(self) -> list[str]:
        """The stream of each image of a moment, in the order of the spec."""
        return self.stream.split("|" if self.parts else "+")

    @classmethod
    def imported(cls, shape: tuple[int, ...], dtype: str, digest: str, maker: str | None) -> Self:
        """The space of features that another program made.

        Args:
            shape: T and D; N, T and D of videos in N segments.
            dtype: The type of the numbers, as NumPy names it.
            digest: SHA-256 of the features.
            maker: The user's name for the program and its settings: files with the same name are
                of the same space. None makes a space of these files alone.
        """
        return cls(
            backbone=IMPORTED,
            layer="",
            stream=maker or "features",
            frames=shape[-2],
            frame_size=0,
            resize="",
            dim=shape[-1],
            weights_digest=hashlib.sha256(maker.encode()).hexdigest() if maker else digest,
            engine=IMPORTED,
            precision="" if maker else dtype,
            segments=shape[0] if len(shape) == 3 else 1,
        )

    def check_computable(self) -> None:
        """Checks that features of this space can be made of a video.

        Raises:
            WeightsError: If they were imported: this program does not know how they were made.
        """
        if self.backbone == IMPORTED:
            raise WeightsError(
                "Features of a video must be made by the program that made those of training. "
                f"Received: features that `cache import` read ({self.stream}); train on features "
                "of extract-features to predict videos"
            )

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of all fields."""
        return files.sha256_of_json(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The fields as in JSON."""
        values = asdict(self) | {"parts": [part.as_dict() for part in self.parts]}
        return {
            name: value
            for name, value in values.items()
            if name not in _LATER or getattr(self, name) != _LATER[name]
        }

    @property
    def name(self) -> str:
        """A readable and unique name: `mobilenetv2-rgb-20f-1a2b3c4d`."""
        stream = re.sub(r"[^a-z0-9]+", "-", self.stream.lower()).strip("-")
        frames = f"{self.frames}f" if self.segments == 1 else f"{self.segments}x{self.frames}f"
        return f"{self.backbone}-{stream}-{frames}-{self.fingerprint[:_DIGITS]}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the features of a video: (T, D), or (N, T, D) for N > 1 segments."""
        return (
            (self.frames, self.dim)
            if self.segments == 1
            else (
                self.segments,
                self.frames,
                self.dim,
            )
        )

    def differing(self, wanted: Mapping[str, Any]) -> str:
        """The fields that differ from another space, as `as_dict` gives it: `frames 20, not 16`.

        Differences are separated by `; `; the text is empty if there are none. Of a digest it has
        eight digits.
        """
        pairs = {name: (value, wanted.get(name)) for name, value in self.as_dict().items()}
        if pairs["weights_digest"][0] and pairs["weights_digest"][1]:
            pairs["weights_digest"] = tuple(digest[:8] for digest in pairs["weights_digest"])
        return "; ".join(
            f"{name} {value or 'none'}, not {other or 'none'}"
            for name, (value, other) in pairs.items()
            if value != other
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The space of a JSON object, as `as_dict` gave it; other keys are ignored.

        Raises:
            CacheError: If a field is missing.
        """
        values = {**_LATER, **values}
        try:
            parts = tuple(map(cls.from_json, values["parts"]))
            known = {field.name: values[field.name] for field in fields(cls)}
            return cls(**known | {"parts": parts})
        except (KeyError, TypeError) as error:
            raise CacheError(f"A feature space must have every field. Missing: {error}") from error


def check_whole(segments: int, command: str) -> None:
    """Checks that a video is one clip, for a command that cannot read segments.

    Args:
        segments: Number of the segments of a video.
        command: The command, for the message.

    Raises:
        ConfigError: If videos are in segments.
    """
    if segments > 1:
        raise ConfigError(
            f"{command} must have features of whole videos, or of clips of --clip-s. Received: "
            f"features in {segments} segments, which train, evaluate and predict take"
        )

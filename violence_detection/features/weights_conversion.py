"""Weights files of backbones that Keras has no weights for, made from a published package."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.system import devices, files

_ENDING = ".weights.h5"  # Keras reads and writes no other


@dataclass(frozen=True)
class ConvertedWeights:
    """A weights file that was made.

    Attributes:
        backbone: Name of the part.
        path: The absolute path of the file.
        bytes: Its size.
        sha256: Its digest.
        licence: Licence of the weights, and who trained them.
    """

    backbone: str
    path: str
    bytes: int
    sha256: str
    licence: str

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the command."""
        return dict(vars(self))


class ConversionStage:
    """The conversion of a package into a weights file for `--weights`."""

    def __init__(self, backbone: str, package: str, *, output: str | None, force: bool) -> None:
        """
        Args:
            backbone: Name of the part.
            package: Path of the archive.
            output: The weights file; None for `<backbone>.weights.h5` in the current folder.
            force: Replace the file where it exists.
        """
        self._backbone, self._package = backbone.lower(), Path(package)
        self._output = Path(output or f"{self._backbone}{_ENDING}").absolute()
        self._force = force

    def prepare(self) -> dict[str, Any]:
        """Checks the backbone, the archive and the output; the JSON object of a dry run.

        Raises:
            ConfigError: If the backbone takes no package, or the output exists.
            WeightsError: If the archive is not that of the package.
        """
        devices.import_tensorflow()
        part = _part_with_package(self._backbone)
        if not self._output.name.endswith(_ENDING):
            raise ConfigError(f"--output must end in {_ENDING}. Received: {self._output}")
        files.ensure_writable(self._output.parent)
        if self._output.exists() and not self._force:
            raise ConfigError(
                f"--output must be a new file. Received: {self._output} (it exists; --force "
                "replaces it)"
            )
        part.PACKAGE.read(self._package)
        return {
            "dry_run": True,
            "backbone": self._backbone,
            "path": str(self._output),
            "licence": part.PACKAGE.licence,
        }

    def run(self) -> ConvertedWeights:
        """Writes the weights file."""
        self.prepare()
        part = _part_with_package(self._backbone)
        network = part.from_package(self._package)
        temporary = self._output.with_name(f"{files.temporary_mark()}-{self._output.name}")
        try:
            network.save_weights(temporary)
            files.replace(temporary, self._output)
        except OSError as error:
            raise files.write_error(self._output, error) from error
        finally:
            temporary.unlink(missing_ok=True)
        return ConvertedWeights(
            self._backbone,
            str(self._output),
            self._output.stat().st_size,
            files.sha256_of_file(self._output),
            part.PACKAGE.licence,
        )


def _part_with_package(backbone: str) -> ModuleType:
    part = registry.module("backbones", backbone)
    if part.WEIGHTS_FILE:
        raise ConfigError(
            "BACKBONE must be one that Keras has no weights for. Received: "
            f"{backbone} (--weights imagenet downloads its weights)"
        )
    return part

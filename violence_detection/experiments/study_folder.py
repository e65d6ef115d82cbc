"""A folder in --checkpoint-dir that a command fills, over several starts if need be."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.settings import Config
from violence_detection.system import files, locks, provenance
from violence_detection.system.files import read_json

_LOCK = ".lock"
_FREE = frozenset("name checkpoint_dir features jobs".split())  # names, places, and how fast


@dataclass(frozen=True)
class KeptFolder:
    """Where it is, and the file in it that says what it is of.

    Attributes:
        record: Name of that file.
        what: What the folder holds, for messages: "cross-validation".
        settings: Of the command; one that the record does not know had its default.
    """

    dir: Path
    record: str
    what: str
    settings: type[Config]

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigError: If something else is there.
        """
        if files.is_occupied(self.dir, but_for=_LOCK) and not self.begun:
            raise ConfigError(
                f"--name must be new, or that of a {self.what}. Received: {self.dir} (it is "
                "something else)"
            )

    @property
    def begun(self) -> bool:
        """Whether there is something to go on with."""
        return (self.dir / self.record).is_file()

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Let no other process work in the folder."""
        files.ensure_writable(self.dir)
        return locks.held(
            self.dir / _LOCK,
            f"A {self.what} must not be at work already. Received: {self.dir} (another works "
            "in it; --name names another)",
        )

    def begin(self, identity: dict[str, Any], *, force: bool) -> None:
        """Write what is to be done; or check that what is gone on with is the same.

        Args:
            identity: `settings`, and digests of what else must be the same.
            force: Whether what is there is removed.

        Raises:
            ConfigError: If it is not the same.
        """
        files.sweep_temporary(self.dir)
        if self.begun and not force:
            self.check_same(identity)
            return
        for path in self.dir.iterdir() if self.begun else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
        files.write_json(
            self.dir / self.record,
            identity | {"versions": provenance.versions(), "commit": provenance.commit()},
        )

    def check_same(self, identity: dict[str, Any]) -> None:
        """
        Raises:
            ConfigError: If what is there is of other settings, features or videos.
        """
        recorded = read_json(self.dir / self.record)
        settings = self.settings.recorded(recorded.get("settings") or {})
        for name, value in identity["settings"].items():
            before = settings.get(name)
            if name not in _FREE and value != before:
                raise ConfigError(
                    f"{self.dir} must be gone on with by its own settings, {name}="
                    f"{before}, or --force or another --name be given. Received: "
                    f"{name}={value}"
                )
        for name in identity.keys() - {"settings"}:
            if recorded.get(name) != identity[name]:
                raise ConfigError(
                    f"{self.dir} must be gone on with by the same features, videos, labels and "
                    f"recordings, or --force or another --name be given. Received: another {name}"
                )

"""The folder of a study: several trainings or many predictions, made over one or more starts."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from violence_detection.errors import ConfigError
from violence_detection.settings import Config
from violence_detection.system import files, locks

_LOCK = ".lock"
_DIFFERENCES = {
    "fingerprint": "another feature space",
    "videos_digest": "other videos, labels or recordings",
    "space": "another search space",
    "model_digest": "another model",
}


@dataclass(frozen=True)
class StudyIdentity:
    """Everything that a resumed study must repeat; in its record each name is a key.

    Attributes:
        digests: Digests of features, videos and models, and other values, by name.
        settings: The settings of the command, by name; None for a study that compares none.
    """

    digests: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        settings = {} if self.settings is None else {"settings": self.settings}
        return {**settings, **self.digests}


@dataclass(frozen=True)
class StudyFolder:
    """A folder with a lock, and with a record of the settings and the videos of its study.

    A study that is interrupted is resumed by the same command: the record must then agree with
    what the command asks for.

    Attributes:
        dir: The folder.
        kind: What the folder holds, for messages: "cross-validation".
        record: Name of the file with the settings and digests.
        settings: The config class of the command. It completes the record of an
            older version, and says which settings a resumed study may change.
        remedy: What the user can do instead of repeating the settings, for messages.
    """

    dir: Path
    kind: str
    record: str
    settings: type[Config]
    remedy: str = "use --force or another --run"

    @classmethod
    def named(cls, checkpoint_dir: str, name: str, kind: str, **fields: Any) -> Self:
        """The folder `name` of `checkpoint_dir`: new, empty, or with a study of this kind.

        Raises:
            ConfigError: If the folder holds something else.
        """
        study = cls((Path(checkpoint_dir) / name).resolve(), kind, **fields)
        if files.is_occupied(study.dir, lock_name=_LOCK) and not study.started:
            raise ConfigError(
                f"--run must name a new folder or a {kind}. Received: {study.dir} (it exists and "
                f"is not a {kind})"
            )
        return study

    @property
    def started(self) -> bool:
        """True if the folder has a record, so that its study can be resumed."""
        return (self.dir / self.record).is_file()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Context manager: no other process works in the folder; partial files are removed first.

        Raises:
            ConfigError: If another process holds the lock.
            ViolenceDetectionError: If the folder cannot be written to.
        """
        files.ensure_writable(self.dir)
        busy = f"{self.dir} is in use by another process; wait until it ends"
        if "--run" in self.remedy:
            busy += ", or use another --run"
        with locks.locked(self.dir / _LOCK, f"{busy}."):
            files.sweep_temporary(self.dir)
            yield

    def start(
        self, identity: StudyIdentity, *, force: bool, notes: Mapping[str, Any] | None = None
    ) -> None:
        """Writes the record of a new study, or checks that a resumed one is the same.

        Args:
            identity: Everything that a resumed study must repeat.
            force: A study in the folder is removed.
            notes: Versions and other facts that the record keeps and a resumed study may change.

        Raises:
            ConfigError: If the study to resume is another one.
        """
        if self.started and not force:
            self.check_same(identity)
            return
        if self.started:
            self._clear()
        files.write_json(self.dir / self.record, {**identity.to_json(), **(notes or {})})

    def _clear(self) -> None:
        for path in self.dir.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (_LOCK, self.record):
                path.unlink()
        # The record last: after a kill in between, what is left is still known as the old study's.
        (self.dir / self.record).unlink()

    def check_same(
        self, identity: StudyIdentity, recorded: Mapping[str, Any] | None = None
    ) -> None:
        """Compares what a command asks for with the record of the study.

        Args:
            identity: As `start` takes it.
            recorded: The record, where it is only a part of its file.

        Raises:
            ConfigError: If the settings, the features or the videos differ.
        """
        if recorded is None:
            recorded = files.read_json(self.dir / self.record)
        settings = self.settings.complete_record(recorded.get("settings") or {})
        for name, value in (identity.settings or {}).items():
            if name not in self.settings.names_that_may_change() and value != settings.get(name):
                raise ConfigError(
                    f"{self.dir} was started with other settings ({name}={settings.get(name)}); "
                    f"repeat them, or {self.remedy}. Received: {name}={value}"
                )
        for name, value in identity.digests.items():
            if recorded.get(name) != value:
                difference = _DIFFERENCES.get(name, f"another {name}")
                raise ConfigError(
                    f"{self.dir} was started with {difference}; repeat the command as it was, or "
                    f"{self.remedy}. Received: another {name} than in {self.record}"
                )

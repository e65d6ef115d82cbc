"""Versions, commit and machine: the things besides settings that the results of a run depend on."""

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from violence_detection.system import devices

_RECORDED = ("tensorflow", "keras", "numpy", "opencv-python-headless", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of the libraries that results depend on."""
    recorded = {"python": platform.python_version()}
    for name in ("violence-detection", *_RECORDED):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            recorded[name] = importlib.metadata.version(name)
    return recorded


@functools.cache
def commit_hash() -> str:
    """The commit of the checkout that this package runs from.

    `+changes` is appended if the package differs from that commit. `unknown` if the package does
    not run from its own checkout.
    """
    package = Path(__file__).parents[1]
    head = _git(package, "rev-parse", "--show-toplevel", "HEAD").splitlines()
    # An installed package may lie, ignored by git, inside the repository of another project.
    if len(head) != 2 or Path(head[0]).resolve() != package.parent.resolve():
        return "unknown"
    changed = _git(package, "status", "--porcelain", "--", ".")
    return f"{head[1]}+changes" if changed else head[1]


def _git(folder: Path, *words: str) -> str:
    """The output of a git command; empty if git is not installed or the command fails."""
    # Git's own variables, which a hook sets, would name another repository.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@dataclass(frozen=True)
class MachineDescription:
    """The machine that a result was made on.

    Attributes:
        platform: The operating system and its version.
        cpu: Name of the processor.
        cores: Number of logical processors.
        gpus: Names of the GPUs.
    """

    platform: str
    cpu: str
    cores: int
    gpus: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"gpus": list(self.gpus)}


def describe_machine() -> MachineDescription:
    """The machine that this process runs on."""
    if "tensorflow" not in sys.modules:
        devices.import_tensorflow()  # without its messages on the terminal
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = map(tf.config.experimental.get_device_details, gpus)
    return MachineDescription(
        platform=platform.platform(),
        cpu=devices.cpu_info("model name") or platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        gpus=tuple(gpu.get("device_name", "unknown") for gpu in details),
    )

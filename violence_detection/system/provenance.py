"""What the numbers of a run depend on besides its settings: versions, the commit, the machine."""

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from violence_detection.system import devices

_RECORDED = ("tensorflow", "keras", "numpy", "opencv-python-headless", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in ("violence-detection", *_RECORDED):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def commit_hash() -> str:
    """The commit of the checkout that this program runs from, `+changes` behind it if the
    package is not as committed there; `unknown` where it is installed otherwise."""
    package = Path(__file__).parent
    head = _git(package, "rev-parse", "--show-toplevel", "HEAD").splitlines()
    # It may stand, ignored, in somebody else's repository.
    if len(head) != 2 or Path(head[0]).resolve() != package.parent.resolve():
        return "unknown"
    changed = _git(package, "status", "--porcelain", "--", ".")
    return f"{head[1]}+changes" if changed else head[1]


def _git(folder: Path, *words: str) -> str:
    """What git says; nothing where there is no git, or no repository."""
    surroundings = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *words],
            cwd=folder,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def describe_machine() -> dict[str, Any]:
    """What the machine is: platform, cpu, cores, and the names of the gpus."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = map(tf.config.experimental.get_device_details, gpus)
    return {
        "platform": platform.platform(),
        "cpu": devices.cpu_info("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "gpus": [one.get("device_name", "unknown") for one in details],
    }

"""The libraries that this package requires, and those of its extras, as they are installed."""

import importlib.metadata
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement

_PACKAGE = "violence-detection"
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")
_FOR_DEVELOPERS = ("test",)


@dataclass(frozen=True)
class Installed:
    """Required libraries and their installed versions.

    Attributes:
        versions: Installed version by name.
        missing: Names of those that are not installed.
        unfit: A text for each whose version does not fit: `av 16.1 (needs >=17)`.
    """

    versions: dict[str, str]
    missing: list[str]
    unfit: list[str]

    @property
    def fits(self) -> bool:
        return not self.missing and not self.unfit

    @property
    def problem(self) -> str:
        """The problem in words; empty if there is none."""
        absent = [f"{name} (not installed)" for name in self.missing]
        return ", ".join([*absent, *self.unfit])


def by_extra() -> dict[str, Installed]:
    """The installed libraries of each extra, by its name. The requirements of every installation
    have the name "". Extras for developers are left out."""
    required: dict[str, list[Requirement]] = defaultdict(list)
    for line in importlib.metadata.requires(_PACKAGE) or ():
        requirement = Requirement(line)
        extra = _EXTRA.search(line)
        requirements = required[extra[1] if extra else ""]
        requirements.append(requirement)
        for inner in requirement.extras:  # tensorflow[and-cuda]
            requirements += _required_by(requirement.name, inner)
    return {
        extra: _installed(requirements)
        for extra, requirements in required.items()
        if extra not in _FOR_DEVELOPERS
    }


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation: `pip install -e '.[tune]'` in the
    clone that it was made from, `pip install '/home/anna/wheels/x.whl[tune]'` for a wheel.

    Without an extra it installs the program anew. The package's name alone is given only where the
    folder or file that it was installed from is not known or is gone: an index may have another
    package of that name.
    """
    editable, source = "", _PACKAGE
    try:
        text = importlib.metadata.distribution(_PACKAGE).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        text = None
    origin = json.loads(text or '{"url": ""}')
    path = Path(url2pathname(urlsplit(origin["url"]).path))
    if origin["url"].startswith("file:") and path.exists():
        # pip takes a path for a package's name unless it begins with a dot or has a slash.
        source = "." if path == Path.cwd() else str(path)
        editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}'{source}{f'[{extra}]' if extra else ''}'"


def _required_by(name: str, extra: str) -> list[Requirement]:
    """The requirements of an extra of another package; empty if the package is not installed."""
    try:
        lines = importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return []
    requirements = map(Requirement, (line for line in lines if f'"{extra}"' in line))
    return [item for item in requirements if item.marker.evaluate({"extra": extra})]


def _installed(requirements: list[Requirement]) -> Installed:
    versions, missing, unfit = {}, [], []
    for requirement in requirements:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        versions[requirement.name] = version
        if not requirement.specifier.contains(version, prereleases=True):
            unfit.append(f"{requirement.name} {version} (needs {requirement.specifier})")
    return Installed(versions, missing, unfit)

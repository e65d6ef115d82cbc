"""The files, folders and modules that the documentation names exist."""

import re
from pathlib import Path

import pytest
from support.folders import ROOT

PACKAGE = ROOT / "violence_detection"
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PLACES = [ROOT, ROOT / "tests", PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]
# Not in the repository: packages to come, folders that the program makes, and data of tests.
ABSENT = set("serving/ tensorboard/ judged/ shared/ state/calibration/ windows.py".split())
PATH = re.compile(r"`([\w./-]+(?:\.py|/))`")  # `models/run.py`, `models/`
MODULE = re.compile(r"`(violence_detection(?:\.\w+)+)`")


def exists(name: str) -> bool:
    """Whether a dotted name is a module, a package, or a word in the module that it is of."""
    path = ROOT / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    owners = path.parent.with_suffix(".py"), path.parent / "__init__.py"
    words = [re.findall(r"\w+", owner.read_text()) for owner in owners if owner.is_file()]
    return any(path.name in of_owner for of_owner in words)


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page are linked, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_modules_of_a_page_exist(page):
    text = page.read_text()
    paths = set(PATH.findall(text)) - ABSENT
    missing = [path for path in paths if not any((place / path).exists() for place in PLACES)]
    assert missing + [name for name in MODULE.findall(text) if not exists(name)] == []


def test_paths_and_names_are_recognised():
    assert PATH.findall("`models/a.py` `a/` `a b.py` `<run>/x.py`") == ["models/a.py", "a/"]
    names = "Predictor models.run models.run.Run models.gone models.run.gone_away".split()
    assert [exists(f"violence_detection.{name}") for name in names] == [True] * 3 + [False] * 2

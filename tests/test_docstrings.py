"""Docstrings and comments of the package name only what exists."""

import ast
import functools
import itertools
import re
from collections import defaultdict
from pathlib import Path

import pytest

import violence_detection

PACKAGE = "violence_detection"
PACKAGE_DIR = Path(violence_detection.__file__).parent
PATHS = sorted(PACKAGE_DIR.rglob("*.py"))
DOTTED = re.compile(r"`+([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`+")
# A name of a file is not the name of a thing in a module: `videos.csv`.
FILE_ENDINGS = set("csv html j2 json jsonl keras md mp4 npy py srt txt vtt".split())


def names_in(node: ast.AST) -> set[str]:
    """All names that are defined, imported or assigned in a module or class, at any depth."""
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(inner.name)
        elif isinstance(inner, ast.alias):
            found.add((inner.asname or inner.name).partition(".")[0])
        elif isinstance(inner, ast.Name | ast.Attribute) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id if isinstance(inner, ast.Name) else inner.attr)
    return found


def names_by_owner(trees: dict[Path, ast.Module]) -> dict[str, set[str]]:
    """The names in each module, package and class, by the last part of its own name.

    Left out are classes with a base outside the package, whose inherited names are not known, and
    modules with the name of a library that is imported. Several owners of one name count as one.
    """
    found, bases, libraries = defaultdict(set), defaultdict(set), set()
    for path, tree in trees.items():
        place = path.parent if path.name == "__init__.py" else path.with_suffix("")
        found[place.name] |= names_in(tree)
        found[place.parent.name].add(place.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                libraries |= {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                libraries.add(node.module.partition(".")[0])
            if isinstance(node, ast.ClassDef):
                found[node.name] |= names_in(node)
                named = {ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases}
                bases[node.name] |= named - {"ABC", "Generic", "NamedTuple", "Protocol"}
    for _ in bases:  # as often as the longest chain of classes needs
        for name, above in bases.items():
            for base in above & found.keys():
                found[name] |= found[base]
        for name in [name for name in bases if not bases[name] <= found.keys()]:
            found.pop(name, None)
    return {name: names for name, names in found.items() if name not in libraries - {PACKAGE}}


@functools.cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PATHS}


def missing_names(text: str, known: dict[str, set[str]]) -> list[str]:
    """The dotted names between backticks whose first part is known and has no such name."""
    return [
        dotted
        for dotted in DOTTED.findall(text)
        if dotted.rpartition(".")[2] not in FILE_ENDINGS
        for owner, name in itertools.pairwise(dotted.split("."))
        if owner in known and name not in known[owner]
    ]


def test_a_missing_name_is_found_and_an_existing_or_foreign_one_is_not():
    code = "import os\nLIMIT = 1\nclass Base:\n    def run(self): self.seen = 1\n"
    code += "class Child(Base): pass\nclass Foreign(os.PathLike): pass\n"
    known = names_by_owner({Path("shelf/thing.py"): ast.parse(code)})
    there = "`thing.LIMIT` `Child.run()` `Base.seen` `shelf.thing.Base` `thing.csv` `Foreign.x`"
    assert missing_names(there + " `numpy.nothing` ``plain``", known) == []
    gone = ["thing.GONE", "Child.gone", "shelf.gone", "thing.Base.gone"]
    assert missing_names(" ".join(f"`{name}`" for name in gone), known) == gone


@pytest.mark.slow
def test_names_between_backticks_exist():
    known = names_by_owner(trees())
    missing = {path.name: missing_names(path.read_text(encoding="utf-8"), known) for path in PATHS}
    assert {name: names for name, names in missing.items() if names} == {}


def test_docstrings_name_the_thing_first():
    """Not a question about it, nor a part of it alone: "The split of a video", not "Which split a
    video is in" or "That of a video"."""
    nodes = [node for tree in trees().values() for node in ast.walk(tree)]
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds)]
    not_things = (
        "What ",
        "Whether ",
        "How ",
        "Where ",
        "Which ",
        "Why ",
        "When ",
        "Who ",
        "Of ",
        "Those of ",
        "As that of ",
        "That of ",
    )
    assert len(texts) > 1000
    assert [text.splitlines()[0] for text in texts if text.startswith(not_things)] == []

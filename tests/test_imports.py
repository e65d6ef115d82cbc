"""Imports point one way, the command line is light, and errors are raised on purpose."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import violence_detection

PACKAGE_DIR = Path(violence_detection.__file__).parent
# A package imports those on the lines above its own. Beside each other on a line, only the
# modules of the root and the command line know each other.
ORDER = """
errors units registry settings
system metrics
video
datasets
features
models
reports
training inference
evaluation
experiments export live serving federated
commands cli __main__
"""
LINES = [line.split() for line in ORDER.strip().splitlines()]
RANK = {name: rank for rank, line in enumerate(LINES) for name in line}
MODULES = sorted(
    path.relative_to(PACKAGE_DIR).with_suffix("").as_posix().replace("/", ".")
    for path in PACKAGE_DIR.rglob("*.py")
    if path.name != "__init__.py"
)
each_module = pytest.mark.parametrize("module", MODULES)


def tree_of(module: str) -> ast.Module:
    return ast.parse((PACKAGE_DIR / f"{module.replace('.', '/')}.py").read_text())


def imported_names(module: str) -> Iterator[str]:
    """Full names of everything that a module imports, wherever in it."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def own_imports(module: str) -> set[str]:
    """Modules of this project that a module imports."""
    imported = set()
    for name in imported_names(module):
        first, _, rest = name.partition(".")
        if first == "violence_detection":
            while rest and rest not in MODULES:
                rest = rest.rpartition(".")[0]
            imported |= {rest} - {""}
    return imported


def package_of(module: str) -> str:
    return module.partition(".")[0]


def test_the_test_sees_imports():
    assert own_imports("datasets.splits") == {"datasets.video_folder", "errors", "system.files"}
    assert own_imports("features.backbones.vgg19") == {"features.backbones._applications"}


@each_module
def test_a_package_imports_packages_above_it_only(module):
    here = package_of(module)
    others = {package_of(name) for name in own_imports(module)} - {here}
    alone = {
        name for name in others if RANK[name] == RANK[here] and here not in LINES[0] + LINES[-1]
    }
    assert not alone, f"{module} must not import a package beside its own"
    assert all(RANK[name] <= RANK[here] for name in others), f"{module} must not import {others}"


def test_inside_a_package_there_are_no_circles():
    """A module that is imported late, inside a function, is imported all the same."""
    known = {module: own_imports(module) for module in MODULES}
    done: set[str] = set()
    while ready := {m for m in known if m not in done and known[m] - {m} <= done}:
        done |= ready
    assert not known.keys() - done, "these import each other in a circle, or what is in one"


def test_the_init_file_of_a_package_holds_one_sentence():
    """`__init__.py` holds nothing but its docstring."""
    for folder in PACKAGE_DIR.rglob("__init__.py"):
        if folder.parent != PACKAGE_DIR:
            (sentence,) = ast.parse(folder.read_text()).body
            assert isinstance(sentence, ast.Expr), f"{folder} holds more than a docstring"


CONFIGS = [module for module in MODULES if module.endswith("config")]


@pytest.mark.parametrize("module", [*LINES[0], *CONFIGS])
def test_configs_and_the_root_need_the_standard_library_only(module):
    tops = {name.partition(".")[0] for name in imported_names(module)}
    assert tops <= {*sys.stdlib_module_names, "violence_detection"}


@each_module
def test_no_module_asserts_or_swallows_everything(module):
    for node in ast.walk(tree_of(module)):
        assert not isinstance(node, ast.Assert), f"{module}:{node.lineno} asserts"
        bare = isinstance(node, ast.ExceptHandler) and node.type is None
        assert not bare, f"{module}:{node.lineno} has a bare except"


@each_module
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(tree_of(module))


def imported_by(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement in a fresh interpreter."""
    program = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_door_is_light():
    loaded = imported_by("import violence_detection.cli")
    heavy = {
        "tensorflow",
        "keras",
        "numpy",
        "cv2",
        "pandas",
        "sklearn",
        "matplotlib",
        "jinja2",
    }
    assert not loaded & (heavy | {"h5py", "rich", "scipy"})


def test_the_help_is_light_too():
    run = "violence_detection.cli.main(['train', '--help'])"
    loaded = imported_by(
        "import contextlib, violence_detection.cli\n"
        f"with contextlib.suppress(SystemExit): {run}\n"
        "None"
    )
    assert not loaded & {"tensorflow", "keras", "numpy", "cv2"}

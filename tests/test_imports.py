"""Imports point one way, the command line is light, and errors are raised on purpose."""

import ast
import functools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import violence_detection

PACKAGE_DIR = Path(violence_detection.__file__).parent
# A package imports those on the lines above its own, and none beside it; only the modules of the
# root and the command line import others on their own line.
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
commands cli python_functions
"""
LINES = [line.split() for line in ORDER.strip().splitlines()]
RANK = {name: rank for rank, line in enumerate(LINES) for name in line}
OPEN_LINES = (0, len(LINES) - 1)
MODULES = sorted(
    path.relative_to(PACKAGE_DIR).with_suffix("").as_posix().replace("/", ".")
    for path in PACKAGE_DIR.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)
HEAVY = {"tensorflow", "keras", "numpy", "cv2", "pandas", "sklearn", "matplotlib", "jinja2"}


@functools.cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((PACKAGE_DIR / f"{module.replace('.', '/')}.py").read_text())


def imported_names(module: str) -> Iterator[str]:
    """Full names of everything that a module imports, also inside its functions."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@functools.cache
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


def is_allowed(module: str, imported: str) -> bool:
    here, there = (name.partition(".")[0] for name in (module, imported))
    beside = RANK[there] == RANK[here] and RANK[here] in OPEN_LINES
    return here == there or beside or RANK[there] < RANK[here]


def test_the_test_sees_imports():
    assert len(MODULES) > 150
    assert own_imports("datasets.splitting.splits") == {
        "datasets.splitting.split_words",
        "datasets.videos",
        "errors",
        "system.files",
    }
    assert own_imports("features.backbones.vgg19") == {"features.backbones._applications"}
    assert is_allowed("video.decoding.decoder", "system.files") and is_allowed(
        "cli", "commands.train"
    )
    assert not is_allowed("training.train", "inference.predict")
    assert not is_allowed("system.files", "metrics.delong")
    assert not is_allowed("models.run", "training.train")


def test_a_package_imports_packages_above_it_only():
    pairs = [(module, name) for module in MODULES for name in own_imports(module)]
    assert [pair for pair in pairs if not is_allowed(*pair)] == []


def test_inside_a_package_there_are_no_circles():
    """An import inside a function counts too."""
    done: set[str] = set()
    while ready := {m for m in MODULES if m not in done and own_imports(m) - {m} <= done}:
        done |= ready
    assert set(MODULES) - done == set(), "these import each other in a circle"


def test_a_package_has_no_more_modules_than_a_reader_looks_through():
    """Folders with a file for each part of a kind may have more, and so may the commands."""
    counts = Counter(module.rpartition(".")[0] for module in MODULES)
    of_parts = {"commands", "features.backbones", "video.corruptions"}
    assert {name: n for name, n in counts.items() if n > 15 and name not in of_parts} == {}


def test_the_init_file_of_a_package_holds_one_sentence():
    files = [path for path in PACKAGE_DIR.rglob("__init__.py") if path.parent != PACKAGE_DIR]
    bodies = {path: ast.parse(path.read_text()).body for path in files}
    assert len(bodies) > 15
    assert [path for path, body in bodies.items() if len(body) != 1] == []


# Those of the settings of a package, which `--help` imports.
SETTINGS = [module for module in MODULES if module.endswith(("config", "settings"))]


@pytest.mark.parametrize("module", sorted({*LINES[0], *SETTINGS}))
def test_settings_and_the_root_need_the_standard_library_only(module):
    tops = {name.partition(".")[0] for name in imported_names(module)}
    assert tops <= {*sys.stdlib_module_names, "violence_detection"}


def unused_private_names(module: str) -> set[str]:
    tree, defined, used = tree_of(module), set(), set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            is_constant = isinstance(node.ctx, ast.Store) and node.id.isupper()
            (defined if is_constant else used).add(node.id)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
    private = {name for name in defined if name.startswith("_") and not name.endswith("__")}
    return private - used


def test_each_private_name_is_used_in_its_module():
    unused = {module: unused_private_names(module) for module in MODULES}
    assert {module: names for module, names in unused.items() if names} == {}


def test_no_module_asserts_or_catches_everything():
    lines = [
        f"{module}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Assert)
        or (isinstance(node, ast.ExceptHandler) and node.type is None)
    ]
    assert lines == []


def test_every_module_has_a_docstring():
    assert [module for module in MODULES if not ast.get_docstring(tree_of(module))] == []


def imported_by(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement in a fresh interpreter."""
    program = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_command_line_is_light():
    loaded = imported_by("import violence_detection.cli")
    assert not loaded & (HEAVY | {"h5py", "rich", "scipy"})


def test_children_that_decode_are_light():
    """Each of them would need a second more for pandas, five for TensorFlow."""
    modules = (
        "datasets.summaries.video_summary features.checking.inspection "
        "features.extraction.video_worker evaluation.labels.labelling "
        "evaluation.mistakes.mistake_frames evaluation.robustness.corrupted_video "
        "export.check_windows inference.output_files.annotation "
        "inference.wall_clock inference.window_reader"
    )
    statement = "; ".join(f"import violence_detection.{name}" for name in modules.split())
    assert not imported_by(statement) & {"tensorflow", "keras", "pandas", "scipy", "sklearn"}


@pytest.mark.slow
def test_commands_load_tensorflow_only_where_its_messages_are_hidden():
    """`devices.import_tensorflow` hides them; an import at the top of a module would not."""
    commands = [module for module in MODULES if module.startswith("commands.")]
    modules = set().union(*map(own_imports, commands)) - set(commands)
    statement = "; ".join(f"import violence_detection.{name}" for name in sorted(modules))
    assert not imported_by(statement) & {"tensorflow", "keras"}


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["check", "--help"]])
def test_help_is_light(words):
    run = f"violence_detection.cli.main({words})"
    loaded = imported_by(
        "import contextlib, violence_detection.cli\n"
        f"with contextlib.suppress(SystemExit): {run}\n"
        "None"
    )
    assert not loaded & (HEAVY | {"h5py", "scipy"})

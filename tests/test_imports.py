"""Imports point one way, the door is light, and errors are raised on purpose or not at all."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import violence_detection

PACKAGE_DIR = Path(violence_detection.__file__).parent
# A module may import those in the lines above its own, and those before it in its line.
ORDER = """
errors units files parts hosts points settings feature_config train_config predict_config config
fold_config search runs
SHELVES
runtime locks provenance kept_folder peers schedule metrics operating segments alarms calibration
delong paired canvas figures pages findings report fold_report progress child isolation
normal videos splits pyav decoder seeking focus views pictures frames altering likeness sights
inspection feature_space cache shards kept_splits known extractor worker altered cluster extraction
features
packed dataset class_names batching model attention origin selection validation averaging
training_step learner training_state recording profiling epochs training_run guards lesson
model_card seeds training
folds pruning trials tuning
glances grouping leaks
baselines fold_results fold_judge fold_pool cross_validation
held_frames windows sources footage assembly subtitles encoders annotation outputs
predictor prediction normal_footage
mistakes blurring contact_sheet baseline_judge scrutiny
thresholds evaluation comparison cross_dataset robust_scores robustness labelling
people drawing demo
compression portable graph_resize graph_focus end_to_end shown parity conversion subject export
wording door
COMMANDS
cli
""".split()
FOUNDATIONS = ORDER[: ORDER.index("SHELVES")]
SHELVES = sorted(
    folder.parent.name
    for folder in PACKAGE_DIR.glob("*/__init__.py")
    if folder.parent.name != "commands"
)
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
    """Modules of the package that a module imports."""
    found = set()
    for name in imported_names(module):
        first, _, rest = name.partition(".")
        if first == "violence_detection":
            while rest and rest not in MODULES and rest not in SHELVES:
                rest = rest.rpartition(".")[0]
            found |= {rest} - {""}
    return found


def place(module: str) -> int:
    folder = module.partition(".")[0]
    if folder == "commands":
        return ORDER.index("COMMANDS")
    return ORDER.index("SHELVES" if folder in SHELVES else folder)


def test_every_module_has_a_place_in_the_order():
    named = set(ORDER) - {"SHELVES", "COMMANDS"}
    assert {module for module in MODULES if "." not in module} == named


def test_the_test_sees_imports():
    assert own_imports("splits") == {"errors", "files", "videos"}
    assert own_imports("backbones.vgg19") == {"backbones._applications"}
    assert {"figures", "metrics"} <= own_imports("evaluation")


@each_module
def test_each_private_name_is_used_in_its_module(module):
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
    assert not private - used


@each_module
def test_imports_point_one_way(module):
    up = {name for name in own_imports(module) if place(name) > place(module)}
    assert not up, f"{module} must not import what comes after it"


@pytest.mark.parametrize("module", [m for m in MODULES if m.split(".")[0] in SHELVES])
def test_a_part_imports_foundations_and_its_own_shelf_only(module):
    shelf = module.partition(".")[0]
    others = {name for name in own_imports(module) if name.partition(".")[0] != shelf}
    assert others <= set(FOUNDATIONS)


@pytest.mark.parametrize("module", FOUNDATIONS)
def test_foundations_need_the_standard_library_only(module):
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

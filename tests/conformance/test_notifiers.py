"""The contract of every notifier: its options, what it says of a missing library or a wrong
address, and that no error shows the address."""

import ast
import importlib.metadata
import inspect
import re
import sys
from pathlib import Path

import pytest

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.system.requirements import install_command

each_notifier = pytest.mark.parametrize("name", registry.available("notifiers"))
CONTEXT = ("sink", "url", "cameras", "on_snooze")
# Apprise imports modules that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def build(name: str, url: str):
    part = registry.module("notifiers", name)
    return part.build(sink="control-room", url=url, cameras=(), on_snooze=lambda *_: None)


def imported(nodes) -> set[str]:
    """The packages that import statements name, without this project and the standard library."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    tops = {name.partition(".")[0] for name in names}
    return tops - sys.stdlib_module_names - {"violence_detection"}


def tree_of(name: str) -> ast.Module:
    return ast.parse(Path(registry.module("notifiers", name).__file__).read_text())


@each_notifier
def test_every_option_has_a_default_and_a_type(name):
    part = registry.module("notifiers", name)
    assert part.__doc__ and part.build.__doc__
    parameters = inspect.signature(part.build).parameters
    assert set(CONTEXT) <= set(parameters)
    for option, parameter in parameters.items():
        assert parameter.kind == inspect.Parameter.KEYWORD_ONLY
        assert parameter.annotation is not inspect.Parameter.empty
        if option not in CONTEXT:
            assert parameter.default is not inspect.Parameter.empty
            assert re.search(rf"^ +.*\b{option}\b.*: ", part.build.__doc__, re.M), option


@each_notifier
def test_a_notifier_is_listed_without_its_library(name):
    """The standard installation lacks it: `build` imports it, and not the module."""
    requires = importlib.metadata.requires("violence-detection") or ()
    standard = {re.split(r"[^\w-]", line)[0] for line in requires if "extra ==" not in line}
    assert imported(tree_of(name).body) <= standard


@each_notifier
def test_a_missing_library_is_answered_with_the_command_that_installs_it(name, monkeypatch):
    libraries = imported(ast.walk(tree_of(name)))
    if not libraries:
        pytest.skip("needs the standard installation only")
    for library in [*libraries, *(m for m in sys.modules if m.partition(".")[0] in libraries)]:
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match="control-room needs ") as raised:
        build(name, f"{name}://user:hidden@127.0.0.1:9/x")
    assert install_command("watch") in str(raised.value)


@each_notifier
@pytest.mark.parametrize("url", ["", "hidden", "nothing://user:hidden@127.0.0.1/hidden"])
def test_a_wrong_address_is_refused_and_not_shown(name, url):
    with pytest.raises(ConfigError, match="control-room") as raised:
        build(name, url)
    assert "hidden" not in str(raised.value)

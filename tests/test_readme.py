"""What the README says can be typed, can be typed."""

import re
import shlex

import pytest
from support.folders import ROOT

from violence_detection import registry
from violence_detection.cli import main

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.S)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("violence-detection ")]
OTHER_TOOLS = {"--logdir"}


def options(command: str) -> set[str]:
    flags = set()
    for parameter in main.commands[command].params:
        flags.update(parameter.opts + parameter.secondary_opts)
    return flags | {"--help"}


def test_the_readme_shows_every_command():
    shown = {line.split()[1] for line in COMMANDS}
    assert shown == set(main.commands)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_flag_of_the_readme_exists(line):
    _, command, *rest = shlex.split(line)
    assert command in main.commands
    used = {word for word in rest if word.startswith("--")}
    assert used <= options(command)


def test_every_flag_in_the_text_is_one_of_some_command():
    known = set().union(*(options(command) for command in main.commands))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README)) - OTHER_TOOLS
    assert named - {"--quick", "--all"} <= known


def test_every_backbone_is_in_the_table():
    listed = set(re.findall(r"\| `([a-z0-9_]+)`", README))
    assert set(registry.available("backbones")) <= listed


def test_scripts_and_links_of_the_readme_are_there():
    for path in re.findall(r"scripts/\w+", README) + re.findall(r"\]\((\w[\w/.]+)\)", README):
        if not path.startswith("http"):
            assert (ROOT / path).exists(), path


def test_no_figure_is_left_open():
    assert "@@" not in README

"""Every command and option that the README and the docs name exists."""

import re
import runpy
import shlex

import pytest
from support.commands import all_commands
from support.folders import ROOT

from violence_detection import registry

README = (ROOT / "README.md").read_text()
COMMANDS = all_commands()


def command_lines(text: str) -> list[str]:
    """Lines of shell blocks that start this program."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("violence-detection ")]


README_LINES = command_lines(README)
DOCS_LINES = [
    line for path in sorted(ROOT.glob("docs/*.md")) for line in command_lines(path.read_text())
]
OTHER_TOOLS = {"--logdir"}


def command_of(line: str) -> tuple[str, list[str]]:
    """The full name of the command in a line, and the other words."""
    _, *words = shlex.split(line)
    if words[0] == "watch" and words[1].endswith(".yaml"):  # short for `watch run`
        words.insert(1, "run")
    named = [name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS]
    assert named, f"{line} has no command"
    return named[0], words[len(named[0].split()) :]


def options(command: str) -> set[str]:
    flags = set()
    for parameter in COMMANDS[command].params:
        flags.update(parameter.opts + parameter.secondary_opts)
    return flags | {"--help"}


def test_the_readme_or_a_guide_shows_every_command():
    assert {command_of(line)[0] for line in [*README_LINES, *DOCS_LINES]} == set(COMMANDS)


def test_the_page_of_all_options_is_that_of_the_program():
    """`scripts/option_tables.py` writes it."""
    written = (ROOT / "docs" / "options.md").read_text()
    assert written == runpy.run_path(str(ROOT / "scripts" / "option_tables.py"))["page"]()


@pytest.mark.parametrize("line", [*README_LINES, *DOCS_LINES])
def test_every_command_and_flag_of_the_readme_and_the_docs_exists(line):
    command, words = command_of(line)
    used = {word for word in words if word.startswith("--")}
    assert used <= options(command)


def test_every_flag_in_the_text_is_one_of_some_command():
    known = set().union(*map(options, COMMANDS))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README)) - OTHER_TOOLS
    assert named - {"--quick", "--all"} <= known


def test_every_backbone_is_in_the_table():
    listed = set(re.findall(r"\| `([a-z0-9_]+)`", (ROOT / "docs" / "extraction.md").read_text()))
    assert set(registry.available("backbones")) <= listed


def test_scripts_of_the_readme_are_there():
    for path in re.findall(r"scripts/\w+", README):
        assert (ROOT / path).exists(), path

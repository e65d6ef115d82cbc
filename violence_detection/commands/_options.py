"""The flags and the help of a command, from its config."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from violence_detection import registry, units
from violence_detection.commands._exit import CommonFlags, start_logging
from violence_detection.settings import Config, Setting

# -- options


class _Path(click.ParamType):
    """A path; the empty one is a variable that a script has not set, not this folder."""

    name = "path"

    def __init__(self, *, kept: bool) -> None:
        """
        Args:
            kept: Whether it is written into files, which are in UTF-8.
        """
        self._kept = kept

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        if not value:
            self.fail("It must be a path. Received: nothing", param, ctx)
        if self._kept and not units.is_utf8(value):
            self.fail(f"It must be in UTF-8. Received: {value!r}", param, ctx)
        return value


PATH = _Path(kept=True)
ANY_PATH = _Path(kept=False)


def options_of(settings: type[Config], *, writes: bool = True) -> Callable:
    """Give a command the flags of a config, and those that every command has."""

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def command(*args: Any, **values: Any) -> Any:
            shared = CommonFlags(
                **{name: values.pop(name, False) for name in CommonFlags.__annotations__}
            )
            flags = {name: values.pop(name) for name in known if values.get(name) is not None}
            for name in known:
                values.pop(name, None)
            start_logging(shared)
            file = values.pop("config")
            chosen = settings.of(flags, Path(file) if file else None)
            return function(*args, chosen, shared, **values)

        known = [setting.name for setting in settings.settings()]
        for option in reversed([*_flags(settings), *_shared_flags(writes)]):
            command = option(command)
        return command

    return decorate


def _shared_flags(writes: bool) -> list[Callable]:
    flags = [
        click.option(
            "--config",
            type=PATH,
            metavar="FILE",
            help="JSON file of settings; flags beat it.",
        ),
        click.option("--json", is_flag=True, help="Print one JSON object on stdout."),
        click.option("-v", "--verbose", is_flag=True, help="Say more on stderr."),
        click.option("-q", "--quiet", is_flag=True, help="Say only warnings on stderr."),
        click.option("--debug", is_flag=True, help="Show where an error came from."),
    ]
    if writes:
        flags += [
            click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
            click.option("--force", is_flag=True, help="Replace what is there."),
        ]
    return flags


def _flags(settings: type[Config]) -> Iterator[Callable]:
    for setting in settings.settings():
        name = setting.name.replace("_", "-")
        off = setting.rule.off or f"no-{name}"
        flag = f"--{name}/--{off}" if setting.type is bool else f"--{name}"
        kind = {} if setting.type is bool else {"type": setting.type, "metavar": _metavar(setting)}
        yield click.option(flag, setting.name, default=None, help=_help(setting), **kind)


def _metavar(setting: Setting) -> str:
    rule = setting.rule
    if rule.choices:
        return "|".join(rule.choices)
    if rule.span:
        return "FIRST,LAST"
    if rule.shelf or rule.canonical:
        return "SPEC"
    return {int: "INTEGER", float: "NUMBER", str: "TEXT"}[setting.type]


def _help(setting: Setting) -> str:
    text = setting.rule.help
    if setting.rule.shelf:
        text += (
            f" One of {', '.join([*setting.rule.words, *registry.available(setting.rule.shelf)])}."
        )
    if setting.default is None:
        return text
    default = setting.default
    if setting.type is bool:
        default = "on" if default else "off"
    return f"{text}  [default: {default}]"


def example(line: str) -> str:
    return f"\b\nExample:\n  {line}"

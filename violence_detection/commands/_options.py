"""The options and the help of a command, from its config."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Any

import click
import cloup
from click.shell_completion import CompletionItem

from violence_detection import registry, units
from violence_detection.commands._settings_file import read_settings
from violence_detection.commands._stage import CommonFlags
from violence_detection.commands._streams import start_logging
from violence_detection.errors import ConfigError, FileKeyError
from violence_detection.settings import COMMON, GROUPS, Config, Setting


class _Path(click.ParamType):
    """A path that is not empty: an empty one is usually a variable that a script has not set."""

    name = "path"

    def __init__(self, *, recorded: bool) -> None:
        """
        Args:
            recorded: The path is written into files, which are in UTF-8.
        """
        self._recorded = recorded

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        if not value:
            self.fail("It must be a path. Received: nothing", param, ctx)
        if self._recorded and not units.is_utf8(value):
            self.fail(f"It must be in UTF-8. Received: {value!r}", param, ctx)
        return value

    def shell_complete(self, *_: Any) -> list[CompletionItem]:
        return [CompletionItem("", type="file")]


class _PathText(click.types.StringParamType):
    """The path of a setting, which the config checks: the type completes it in the shell."""

    def __init__(self, kind: str) -> None:
        self._completion = "dir" if kind == "DIRECTORY" else "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        # `--timeline --json` would write into a folder named --json.
        if isinstance(value, str) and value.startswith("--"):
            self.fail(f"It must be a path, not an option. Received: {value}", param, ctx)
        return super().convert(value, param, ctx)

    def shell_complete(self, *_: Any) -> list[CompletionItem]:
        return [CompletionItem("", type=self._completion)]


class _Integer(click.types.IntParamType):
    """An integer; the error gives the hint of its setting."""

    def __init__(self, hint: str) -> None:
        self._hint = hint

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message} ({self._hint})", param, ctx)


PATH = _Path(recorded=True)
ANY_PATH = _Path(recorded=False)


class _CamerasFile(click.Argument):
    """The argument CAMERAS.yaml; the error without it says how to get one."""

    advice = "`violence-detection watch example` prints one."


def cameras_argument(name: str = "cameras") -> Callable:
    """Decorates a command with the argument CAMERAS.yaml."""
    return click.argument(name, cls=_CamerasFile, type=PATH, metavar="CAMERAS.yaml")


def options_of(config: type[Config], *, writes: bool = True) -> Callable:
    """Decorates a command with the options of a config, in groups, and with the common options.

    Args:
        config: Class of the settings that the command gets.
        writes: The command writes files: it takes --dry-run and --force.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def command(*args: Any, **values: Any) -> Any:
            common = CommonFlags(
                **{name: values.pop(name, False) for name in CommonFlags.__annotations__}
            )
            flags = {name: values.pop(name) for name in names}
            flags = {name: value for name, value in flags.items() if value is not None}
            start_logging(verbose=common.verbose, quiet=common.quiet, debug=common.debug)
            file = values.pop("config")
            in_file = read_settings(Path(file)) if file else None
            with _errors_name_options(config, in_file=(in_file or {}).keys() - flags.keys()):
                settings = config.from_flags(flags, in_file)
                return function(*args, settings, common, **values)

        names = [setting.name for setting in config.settings()]
        for option in reversed([*_setting_options(config), *_common_options(writes)]):
            command = option(command)
        return command

    return decorate


@contextlib.contextmanager
def _errors_name_options(config: type[Config], in_file: Set[str]) -> Iterator[None]:
    """Context manager: an error that says `split_seed` says --split-seed, as the user types it.

    Args:
        config: Class of the settings.
        in_file: Settings that the file of --config gives: their errors name the key.
    """
    flags = {setting.name: _flag(setting) for setting in config.settings()}

    def option(name: re.Match) -> str:
        return name[0] if name[1] in in_file else flags.get(name[1], name[0])

    try:
        yield
    except FileKeyError:
        raise
    except ConfigError as error:
        if str(error).startswith("Unknown setting"):  # a key of the file of --config
            raise
        raise ConfigError(re.sub(r"`(\w+)`", option, str(error))) from error


def _common_options(writes: bool) -> list[Callable]:
    options = [
        click.option(
            "--config",
            type=PATH,
            metavar="FILE",
            help="File of settings, in JSON or YAML; an option overrides it.",
        ),
        click.option("--json", is_flag=True, help="Print one JSON object on stdout."),
        click.option("-v", "--verbose", is_flag=True, help="Log more on stderr."),
        click.option("-q", "--quiet", is_flag=True, help="Log only warnings on stderr."),
        click.option("--debug", is_flag=True, help="Print the traceback of an error."),
    ]
    if writes:
        options += [
            click.option("--dry-run", is_flag=True, help="Print the plan without running it."),
            click.option("--force", is_flag=True, help="Replace existing results."),
        ]
    return options


def _setting_options(config: type[Config]) -> list[Callable]:
    """An option for each setting, group by group; cloup prints those without a group last."""
    groups = {title: cloup.OptionGroup(title) for title in GROUPS}
    settings = sorted(config.settings(), key=lambda setting: GROUPS.index(setting.rule.group))
    return [
        _setting_option(setting, None if title == COMMON else groups[title])
        for setting in settings
        if (title := setting.rule.group)
    ]


def _setting_option(setting: Setting, group: cloup.OptionGroup | None) -> Callable:
    flag, kind = _flag(setting), {"type": setting.type, "metavar": _metavar(setting)}
    if setting.type is bool:
        flag, kind = f"{flag}/--{setting.rule.off or f'no-{flag[2:]}'}", {}
    elif setting.rule.path or setting.rule.metavar == "FILE":
        kind["type"] = _PathText(setting.rule.path)
    elif setting.rule.hint:
        kind["type"] = _Integer(setting.rule.hint)
    return cloup.option(flag, setting.name, default=None, help=_help(setting), group=group, **kind)


def _flag(setting: Setting) -> str:
    return f"--{setting.rule.flag or setting.name.replace('_', '-')}"


def _metavar(setting: Setting) -> str | None:
    rule = setting.rule
    if rule.metavar:
        return rule.metavar
    if rule.choices:
        return "|".join(rule.choices)
    if rule.path:
        return rule.path
    if rule.registry or rule.canonical:
        return "SPEC"
    return {int: "INTEGER", float: "NUMBER", str: "TEXT"}.get(setting.type)


def _help(setting: Setting) -> str:
    text, rule = setting.rule.help, setting.rule
    if rule.registry:
        text += f" One of {', '.join([*rule.words, *registry.available(rule.registry)])}."
    if setting.default is None:
        return text
    default = setting.default
    if setting.type is bool:
        default = "on" if default else "off"
    return f"{text}  [default: {default}]"


def option_in_group(title: str, *names: str, **attributes: Any) -> Callable:
    """An option that is not a setting, in a group of the settings; above `options_of`.

    Args:
        title: One of `GROUPS`, in which the command has a setting.
        names, attributes: As those of `click.option`.
    """

    def decorate(function: Callable) -> Callable:
        options = [
            option
            for option in function.__click_params__
            if getattr(option, "group", None) is not None
        ]
        group = next(option.group for option in options if option.group.title == title)
        return cloup.option(*names, group=group, **attributes)(function)

    return decorate


def example(line: str) -> str:
    """The epilog of a command's help."""
    return f"\b\nExample:\n  {line}"

"""A command and a group of commands: their help, and what they say of an option or an end."""

from typing import Any

import click
import cloup

from violence_detection.commands._exit import ExitStatus, Terminated
from violence_detection.commands._help_text import HelpContext
from violence_detection.settings import COMMON, new_name

# What a command that was interrupted does when it is started again.
RESUMES = "start the same command again to resume"
RESUMES_BY_OPTION = "start the same command again with --resume to continue"
_STARTS_ANEW = "the same command will start from the beginning"

# The help is at most so wide. With less than so many columns for its text, the text of an
# option stands below the option.
_MAX_COLUMNS, _MIN_TEXT_COLUMNS = 100, 35


class Command(ExitStatus, cloup.Command):
    """A command whose help shows its options in groups, the common ones last."""

    context_class = HelpContext

    def __init__(self, *args: Any, started_again: str = _STARTS_ANEW, **kwargs: Any) -> None:
        """
        Args:
            started_again: What it does when it is started again after an interruption.
            args, kwargs: Those of `cloup.Command`.
        """
        self._started_again = started_again
        layout = {"max_width": _MAX_COLUMNS, "col2_min_width": _MIN_TEXT_COLUMNS}
        super().__init__(*args, formatter_settings=layout, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, Terminated) as error:
            error.args = (self._started_again,)
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _with_new_name(error, self) from error

    def get_default_option_group(self, ctx: click.Context, *_: Any, **__: Any) -> cloup.OptionGroup:
        group = cloup.OptionGroup(COMMON)
        group.options = self.get_ungrouped_options(ctx)  # with --help
        return group


def _with_new_name(error: click.NoSuchOption, command: click.Command) -> click.NoSuchOption:
    """The error of an unknown option; it names the new option where the unknown one is a former
    name."""
    former = error.option_name.removeprefix("--").replace("-", "_")
    is_off = former.startswith("no_")
    options = {item.name: item for item in command.params if isinstance(item, click.Option)}
    new = new_name(former.removeprefix("no_") if is_off else former, options)
    flags = new and (options[new].secondary_opts if is_off else options[new].opts)
    if not flags:
        return error
    text = f"No such option: {error.option_name}. It is called {flags[0]}."
    return click.NoSuchOption(error.option_name, text, ctx=error.ctx)


class Group(ExitStatus, cloup.Group):
    """A group of commands, listed in the order in which they were added, by section if it has
    sections."""

    command_class, context_class = Command, HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def list_sections(self, ctx: click.Context, *_: Any, **__: Any) -> list[cloup.Section]:
        sections = super().list_sections(ctx, include_default_section=False)
        return sections or [cloup.Section("Commands", self.commands)]

"""The commands of the command line by their full names."""

import click

from violence_detection import cli


def all_commands(group: click.Group = cli.main, prefix: str = "") -> dict[str, click.Command]:
    """`{"check": ..., "cache list": ...}`; a group stands for its commands."""
    commands = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            commands |= all_commands(command, f"{prefix}{name} ")
        else:
            commands[prefix + name] = command
    return commands

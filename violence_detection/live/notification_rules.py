"""Reads sinks, escalation and quiet hours of a cameras file."""

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.live.config import EscalationStep, QuietHours, Sink
from violence_detection.live.file_secrets import FileSecrets
from violence_detection.live.yaml_nodes import NodeReader, text_of

if TYPE_CHECKING:
    from yaml import Node

_MAX_SINKS, _MAX_RULES, _MAX_NAMES = 32, 64, 128
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_escalation(
    node: "Node", nodes: NodeReader, sinks: Sequence[str]
) -> tuple[EscalationStep, ...]:
    steps = []
    for part in nodes.items(node, noun="escalation steps", limit=_MAX_RULES):
        step, values = nodes.config(
            part,
            EscalationStep(),
            noun="an escalation step",
            other={"to": lambda names: _names(names, nodes, "sinks", sinks)},
            required=("to",),
        )
        steps.append(dataclasses.replace(step, to=values.get("to", ())))
    return tuple(steps)


def read_quiet_hours(
    node: "Node", nodes: NodeReader, cameras: Sequence[str]
) -> tuple[QuietHours, ...]:
    rules = []
    for part in nodes.items(node, noun="quiet hours", limit=_MAX_RULES):
        values = nodes.mapping(
            part,
            {
                "cameras": lambda names: _names(names, nodes, "cameras", cameras),
                "days": _days,
                "from": _minutes,
                "to": _minutes,
                "do": _action,
            },
            noun="quiet hours",
            required=("from", "to"),
        )
        if {"from", "to"} <= values.keys():
            rules.append(
                QuietHours(
                    cameras=values.get("cameras", ()),
                    days=values.get("days", tuple(range(7))),
                    start_min=values["from"],
                    end_min=values["to"],
                    action=values.get("do", "store"),
                )
            )
    return tuple(rules)


def _names(node: "Node", nodes: NodeReader, noun: str, known: Sequence[str]) -> tuple[str, ...]:
    """Names that the file gives to cameras or sinks."""
    names = []
    if node.id == "sequence" and not node.value:
        nodes.error(node, f"The list must name {noun}. Received: an empty list")
    for part in nodes.items(node, noun=noun, limit=_MAX_NAMES):
        name = nodes.value(part, text_of)
        if name is not None and name not in known:
            nodes.error(
                part,
                f"{noun.capitalize()} must be those of this file. Received: {name}."
                f"{registry.nearest(name, known)}",
            )
        elif name is not None:
            names.append(name)
    return tuple(names)


def _days(node: "Node") -> tuple[int, ...]:
    """`mon-fri`, `sat,sun`, `fri-mon`: numbers of days, Monday is 0."""
    days: set[int] = set()
    for part in text_of(node).lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ConfigError(
                "`days` must be days of the week, as mon-fri or sat,sun. Received: "
                f"{node.value[:60]}"
            )
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {day % 7 for day in range(start, end + (7 if end < start else 0) + 1)}
    return tuple(sorted(days))


def _minutes(node: "Node") -> int:
    """Minutes after midnight of `08:30`."""
    text = text_of(node)
    if not _TIME.fullmatch(text):
        raise ConfigError(f"A time must be from 00:00 to 24:00, as 08:30. Received: {text[:60]}")
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _action(node: "Node") -> str:
    action = text_of(node)
    if action not in ("store", "lower"):
        raise ConfigError(f"`do` must be one of store, lower. Received: {action[:60]}")
    return action

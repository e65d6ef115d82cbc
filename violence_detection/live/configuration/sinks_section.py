"""Reads sinks, escalation and quiet hours of a cameras file."""

import dataclasses
import re
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.live.configuration.config import EscalationStep, QuietHours, Secret, Sink
from violence_detection.live.configuration.file_secrets import FileSecrets
from violence_detection.live.configuration.yaml_nodes import (
    NodeReader,
    Reader,
    name_of,
    scalar_of,
    text_of,
)
from violence_detection.registry import Spec

if TYPE_CHECKING:
    from yaml import Node

_MAX_SINKS, _MAX_RULES, _MAX_NAMES = 32, 64, 128
_PLAIN_SCHEMES = ("http", "https", "mqtt", "mqtts")
_SECRET_NAMES = ("password", "secret", "token", "key")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_sinks(node: "Node", nodes: NodeReader, secrets: FileSecrets) -> tuple[Sink, ...]:
    """The sinks of a list: each has a name, the URL of one notifier, and what that takes."""
    sinks: dict[str, Sink] = {}
    for part in nodes.items(node, noun="sinks", limit=_MAX_SINKS):
        sink = _read_sink(part, nodes, secrets)
        if sink and sink.name in sinks:
            nodes.error(part, f"Each sink must have a name of its own. Received: {sink.name} twice")
        elif sink:
            sinks[sink.name] = sink
    return tuple(sinks.values())


def _read_sink(node: "Node", nodes: NodeReader, secrets: FileSecrets) -> Sink | None:
    kinds = registry.available("notifiers")
    keys = {key.value for key, _ in node.value} if node.id == "mapping" else set()
    named = sorted(keys & set(kinds))
    if node.id == "mapping" and len(named) != 1:
        nodes.error(
            node,
            f"A sink must have one of the keys {', '.join(kinds)}. Received: "
            f"{' and '.join(named) or 'none of them'}",
        )
        return None
    notifier = named[0] if named else kinds[0]
    options = {
        name: _option_reader(name, annotation, notifier, secrets)
        for name, annotation in registry.options_of("notifiers", notifier).items()
        if annotation is not Any
    }
    sink, values = nodes.config(
        node,
        Sink(notifier=notifier),
        noun=f"a sink with `{notifier}`",
        other={"name": name_of, notifier: lambda part: _url(part, secrets), **options},
        required=("name",),
    )
    if not {"name", notifier} <= values.keys():
        return None
    values["url"] = values.pop(notifier)
    return dataclasses.replace(sink, name=values.pop("name"), options=values)


def _url(node: "Node", secrets: FileSecrets) -> Secret:
    """The URL of a sink, which is never shown. Those of Apprise's services are passwords whole."""
    scheme = text_of(node).partition("://")[0].lower()
    return secrets.secret(node, shows_rest=False, is_password=scheme not in _PLAIN_SCHEMES)


def _option_reader(name: str, annotation: Any, notifier: str, secrets: FileSecrets) -> Reader:
    """A reader of an argument that a notifier's `build` takes."""

    def read(node: "Node") -> Any:
        is_secret = name.rpartition("_")[2] in _SECRET_NAMES
        kinds = typing.get_args(annotation) or (annotation,)
        if str in kinds:
            value: Any = secrets.secret(node, shows_rest=not is_secret)
            plain = value.reveal()
        else:
            value = plain = scalar_of(node)
        registry.check_values("notifiers", Spec(notifier, {name: plain}))
        return value

    return read


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
                f"{registry.did_you_mean(name, known)}",
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

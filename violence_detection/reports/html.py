"""What the pages and cards have in common: templates, numbers as people read them, pictures that
are part of the page, and settings as tables."""

import base64
import functools
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from violence_detection.errors import ConfigError

_NOTHING = "–"


def render_template(template: str, /, **context: Any) -> str:
    """A template of this package, filled in.

    Args:
        template: Name of the file; of `.html.j2` files everything that comes in is escaped.
        context: What it names; nothing of that may be missing.
    """
    return _environment().get_template(template).render(**context)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        # Paths and class names may hold < > &.
        autoescape=lambda name: bool(name) and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "of_100": of_100,
        "number": number,
        "percent": percent,
        "span": span,
        "percent_span": percent_span,
        "text": as_text,
    }
    return environment


def _source(name: str) -> str:
    file = resources.files("violence_detection.reports").joinpath("templates", name)
    return file.read_text(encoding="utf-8")


# -- numbers


def of_100(share: float) -> int:
    """`share` in whole videos of 100; 0 and 100 only where it is exactly that.

    >>> of_100(0.998)
    99
    """
    if share <= 0.0 or share >= 1.0:
        return round(100 * min(max(share, 0.0), 1.0))
    return min(max(round(100 * share), 1), 99)


def number(value: float | None) -> str:
    """`0.912`."""
    return _NOTHING if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    """`91.2%`."""
    return _NOTHING if value is None else f"{value:.1%}"


def span(interval: Sequence[float] | None) -> str:
    """`0.850 – 0.960`; nothing for no interval."""
    return f"{number(interval[0])} – {number(interval[1])}" if interval else ""


def percent_span(interval: Sequence[float] | None) -> str:
    """`85.0% – 96.0%`; nothing for no interval."""
    return f"{percent(interval[0])} – {percent(interval[1])}" if interval else ""


# -- pictures


def embed_png(path: Path) -> str:
    """A PNG file as an address that is the picture itself.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise ConfigError(
            f"`figures` must be files that can be read. Received: {path} ({error.strerror})"
        ) from error
    return f"data:image/png;base64,{data}"


# -- settings


def tables(values: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A title and rows for every dict in `values`; what is no dict comes first."""
    alone = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    nested = [(key, value) for key, value in values.items() if key not in alone]
    sections = [("run", alone), *nested]
    return [(name, list(flattened(found))) for name, found in sections if found]


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names joined by dots, and values as text, of a nested dict."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", as_text(value)


def as_text(value: Any) -> str:
    """`yes`, `a, b`, or a dash for nothing."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return ", ".join(as_text(item) for item in items) or _NOTHING
    return str(value)

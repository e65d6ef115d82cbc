"""Parts that the reports and the model card share: templates, number formats, embedded figures and
tables of settings."""

import base64
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from violence_detection.errors import ConfigError

_NOTHING = "–"
_PRIVATE = ("machine", "hosts")  # settings that name machines


def render_template(template: str, /, **context: Any) -> str:
    """Fills in a template of this package.

    Args:
        template: Name of the file; in `.html.j2` files every value is escaped.
        context: Every value that the template names.
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
        "breakable": breakable,
        "of_100": of_100,
        "number": format_number,
        "percent": format_percent,
        "span": format_interval,
        "percent_span": format_percent_interval,
        "text": format_value,
    }
    return environment


def _source(name: str) -> str:
    file = resources.files("violence_detection.reports").joinpath("templates", name)
    return file.read_text(encoding="utf-8")


def breakable(name: str) -> Markup:
    """A path or a name that a browser breaks after / _ . and - before anywhere else, a number
    nowhere."""
    return Markup(re.sub(r"(?<=[/_])(?=\w)|(?<=[.-])(?=[^\W\d])", "<wbr>", str(escape(name))))


# -- numbers


def of_100(fraction: float) -> int:
    """A fraction in whole videos of 100; 0 and 100 only if it is exactly that.

    >>> of_100(0.998)
    99
    """
    if fraction <= 0.0 or fraction >= 1.0:
        return round(100 * min(max(fraction, 0.0), 1.0))
    return min(max(round(100 * fraction), 1), 99)


def format_number(value: float | None) -> str:
    """`0.912`; a dash for None."""
    return _NOTHING if value is None else f"{value:.3f}"


def format_percent(value: float | None) -> str:
    """`91.2%`; a dash for None."""
    return _NOTHING if value is None else f"{value:.1%}"


def format_interval(interval: Sequence[float] | None) -> str:
    """`0.850 – 0.960`; empty for None, and for an interval without width, which would read as
    certainty where nothing was wrong."""
    if not interval or interval[0] == interval[1]:
        return ""
    return f"{format_number(interval[0])} – {format_number(interval[1])}"


def format_percent_interval(interval: Sequence[float] | None) -> str:
    """`85.0% – 96.0%`; empty for None, and for an interval without width."""
    if not interval or interval[0] == interval[1]:
        return ""
    return f"{format_percent(interval[0])} – {format_percent(interval[1])}"


# -- figures


def embed_png(path: Path) -> str:
    """A PNG file as a data URI.

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


def settings_tables(values: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A title and rows for every dict in `values`; the other values come first, titled `run`.

    A report is passed on, so it names no machine, and of an absolute path only the last part.
    """
    values = {key: value for key, value in values.items() if key not in _PRIVATE}
    alone = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    nested = [(key, value) for key, value in values.items() if key not in alone]
    sections = [("run", alone), *nested]
    return [
        (name, [row for row in flatten(section) if row[0] not in _PRIVATE])
        for name, section in sections
        if section
    ]


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names joined by dots, and values as text, of a nested dict."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", format_value(value)


def format_value(value: Any) -> str:
    """`yes`, `a, b`, or a dash for None and for empty values."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return ", ".join(format_value(item) for item in items) or _NOTHING
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name or value
    return str(value)

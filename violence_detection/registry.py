"""Interchangeable parts: a folder is a shelf, a file on it is a part, a spec names one.

A spec reads `name` or `name(key=value, ...)`; several are joined by `+`. Values are
numbers, true/false, none, 'quoted' or bare words: `focal(gamma=2.0, alpha=auto)`.
"""

import ast
import difflib
import importlib
import inspect
import keyword
import math
import typing
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from violence_detection.errors import ConfigError

_PACKAGE_DIR = Path(__file__).parent
# The registry folders, by the package that each is in.
_FOLDERS = {
    "streams": "video.streams",
    "backbones": "features.backbones",
    "engines": "features.engines",
    "heads": "models.heads",
    "losses": "models.losses",
    "augmentations": "training.augmentations",
    "corruptions": "evaluation.robustness.corruptions",
    "formats": "export.formats",
    "outputs": "models.outputs",
}
_WORDS = {"true": True, "false": False, "none": None}


class Range(NamedTuple):
    """What a number in a spec must be, on the argument that takes it:
    ``units: Annotated[int, Range(1, 4096)] = 32``."""

    low: float
    high: float = math.inf


class Spec(NamedTuple):
    """A part's name and the arguments asked of it."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """The canonical text: keys in order, parsed again to an equal spec."""
        listed = ", ".join(
            f"{key}={_format(self.arguments[key])}" for key in sorted(self.arguments)
        )
        return f"{self.name}({listed})" if listed else self.name


def available(shelf: str) -> list[str]:
    """Names of the parts on a shelf, sorted. Files starting with `_` are not parts."""
    files = _PACKAGE_DIR.joinpath(*_FOLDERS[shelf].split(".")).glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def parse(spec: str) -> list[Spec]:
    """The parts that a spec names, in its order.

    Raises:
        ConfigError: If `spec` does not read as described above.
    """
    try:
        return [_spec_of(node) for node in _summands(ast.parse(spec.strip(), mode="eval").body)]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"A spec must read name(key=value, ...), several joined by +. Received: {spec}"
        ) from error


def check(shelf: str, spec: str) -> str:
    """The canonical text of `spec`, once every part in it is found on the shelf.

    Raises:
        ConfigError: If the spec does not parse or a part is not there.
    """
    specs = parse(spec)
    for part in specs:
        _find(shelf, part.name)
    return "+".join(map(str, specs))


def module(shelf: str, name: str) -> ModuleType:
    """The module of one part.

    Raises:
        ConfigError: If the shelf does not have it.
    """
    return importlib.import_module(f"violence_detection.{_FOLDERS[shelf]}.{_find(shelf, name)}")


def load(shelf: str, spec: str, **context: Any) -> Any:
    """Build the one part that `spec` names: its `build(**spec arguments, **context)`.

    Raises:
        ConfigError: If the part is not there, or does not take an argument of the spec.
    """
    part = check_arguments(shelf, spec, known=context)
    return module(shelf, part.name).build(**part.arguments, **context)


def check_arguments(shelf: str, spec: str, *, known: Iterable[str]) -> Spec:
    """The one part that `spec` names, once its `build` takes every argument of the spec:
    by name, by the type it is annotated with, and by `Range`.

    Args:
        known: Arguments that are not the spec's to give.

    Raises:
        ConfigError: If it does not, or the spec names several parts.
    """
    part, *more = parse(spec)
    if more:
        raise ConfigError(f"{shelf}/ takes one part here. Received: {spec}")
    build = module(shelf, part.name).build
    accepted = [key for key in inspect.signature(build).parameters if key not in known]
    kinds = typing.get_type_hints(build, include_extras=True)
    for key, value in part.arguments.items():
        if key not in accepted:
            raise ConfigError(
                f"{shelf}/{part.name} takes {', '.join(accepted) or 'no arguments'}. "
                f"Received: {key}"
            )
        wanted = _mismatch(value, kinds[key])
        if wanted:
            raise ConfigError(
                f"`{key}` of {shelf}/{part.name} must be {wanted}. Received: {key}={value!r}"
            )
    return part


def _mismatch(value: Any, annotation: Any) -> str:
    """What `annotation` wants, in words, where `value` is not that; else nothing."""
    rules = getattr(annotation, "__metadata__", ())
    plain = annotation.__origin__ if rules else annotation
    kinds = typing.get_args(plain) or (plain,)
    fits = type(value) in kinds or (float in kinds and type(value) is int)
    if fits and isinstance(value, float):
        fits = math.isfinite(value)
    ranges = [rule for rule in rules if isinstance(rule, Range)]
    if fits and all(rule.low <= value <= rule.high for rule in ranges):
        return ""
    words = " or ".join(
        {type(None): "none", bool: "true or false", str: "a word"}.get(kind, kind.__name__)
        for kind in kinds
    )
    return words + "".join(f" in [{rule.low}, {rule.high}]" for rule in ranges)


def nearest(word: str, words: Iterable[str]) -> str:
    """` Did you mean X?` where something in `words` is close to `word`, else nothing."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""


def _find(shelf: str, name: str) -> str:
    names = available(shelf)
    if name not in names:
        raise ConfigError(f"No part '{name}' in {shelf}/. There are: {', '.join(names)}.")
    return name


def _summands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_summands(node.left), *_summands(node.right)]
    return [node]


def _spec_of(node: ast.expr) -> Spec:
    if isinstance(node, ast.Name):
        return Spec(node.id, {})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        arguments = {word.arg: _value(word.value) for word in node.keywords}
        if None not in arguments and len(arguments) == len(node.keywords):
            return Spec(node.func.id, arguments)
    raise ValueError("not a part")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id.lower(), node.id)
    return ast.literal_eval(node)


def _format(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    bare = isinstance(value, str) and value.isidentifier() and value.isascii()
    if bare and not keyword.iskeyword(value) and value.lower() not in _WORDS:
        return value
    return repr(value)

"""Registry of interchangeable parts: every file in a registry folder is a part, named in a spec.

A spec is `name` or `name(key=value, ...)`; several specs are joined by `+`. Values are numbers,
true/false, none, 'quoted' or bare words: `focal(gamma=2.0, alpha=auto)`. A part is a module with a
function `build`: its keyword arguments with a default are the part's options, which a spec may
give; the program gives the others.
"""

import ast
import difflib
import importlib
import inspect
import keyword
import math
import re
import typing
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from violence_detection.errors import ConfigError

_PACKAGE_DIR = Path(__file__).parent
# The package of each registry folder.
_FOLDERS = {
    "streams": "video.streams",
    "backbones": "features.backbones",
    "engines": "features.engines",
    "heads": "models.heads",
    "losses": "models.losses",
    "augmentations": "training.augmentations",
    "corruptions": "video.corruptions",
    "formats": "export.formats",
    "outputs": "models.outputs",
    "detectors": "models.detectors",
    "notifiers": "live.notifiers",
}
# The word for a part of each folder, for messages.
_NOUNS = {"losses": "loss", "formats": "export format"}
_COMMAS = re.compile(r",(?![^()]*\))")  # outside of brackets
_WORDS = {"true": True, "false": False, "none": None}


class Range(NamedTuple):
    """The range of a numeric argument of a part: ``units: Annotated[int, Range(1, 4096)] = 32``."""

    low: float
    high: float = math.inf


class Spec(NamedTuple):
    """The name of a part and the arguments that a spec gives it."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """The canonical text, with sorted keys; it parses to an equal spec."""
        listed = ", ".join(
            f"{key}={_format(self.arguments[key])}" for key in sorted(self.arguments)
        )
        return f"{self.name}({listed})" if listed else self.name


def available(folder: str) -> list[str]:
    """Sorted names of the parts in a registry folder. Files starting with `_` are not parts."""
    files = _PACKAGE_DIR.joinpath(*_FOLDERS[folder].split(".")).glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def split_list(text: str) -> list[str]:
    """The specs of a list with commas: `blur(sigma=3),noise` gives `blur(sigma=3)` and `noise`."""
    return [spec.strip() for spec in _COMMAS.split(text)]


def parse(spec: str) -> list[Spec]:
    """The parts that a spec names, in its order.

    Raises:
        ConfigError: If `spec` does not have the form described above.
    """
    try:
        return [_spec_of(node) for node in _summands(ast.parse(spec.strip(), mode="eval").body)]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"A spec must read name(key=value, ...), several joined by +. Received: {spec}"
        ) from error


def check(folder: str, spec: str) -> str:
    """The canonical text of `spec`, after checking that its parts are in the registry folder.

    Names of parts are lower case; capitals, as Keras writes `MobileNetV2`, are accepted.

    Raises:
        ConfigError: If the spec does not parse or a part does not exist.
    """
    specs = [part._replace(name=_find(folder, part.name)) for part in parse(spec)]
    return "+".join(map(str, specs))


def module(folder: str, name: str) -> ModuleType:
    """The module of one part.

    Raises:
        ConfigError: If it is not in the registry folder.
    """
    return importlib.import_module(f"violence_detection.{_FOLDERS[folder]}.{_find(folder, name)}")


def load(folder: str, spec: str, /, **context: Any) -> Any:
    """Build the part that `spec` names: the result of its `build(**spec arguments, **context)`.

    Raises:
        ConfigError: If the part does not exist or does not take an argument of the spec, or if
            the spec names several parts.
    """
    part = check_arguments(folder, spec)
    return module(folder, part.name).build(**part.arguments, **context)


def check_arguments(folder: str, spec: str) -> Spec:
    """The part that `spec` names, after checking that its `build` takes the spec's arguments: by
    name, by annotated type, and by `Range`.

    Raises:
        ConfigError: If an argument is not accepted, or the spec names several parts.
    """
    part, *others = parse(spec)
    if others:
        raise ConfigError(f"There must be one {_noun(folder)} here. Received: {spec}")
    return check_values(folder, part)


def check_values(folder: str, part: Spec) -> Spec:
    """The part, after checking that its `build` takes the arguments; see `check_arguments`.

    Raises:
        ConfigError: If the part does not exist, or an argument is not accepted.
    """
    part = part._replace(name=_find(folder, part.name))
    annotations = options_of(folder, part.name)
    for key, value in part.arguments.items():
        if key not in annotations:
            raise ConfigError(
                f"The {_noun(folder)} {part.name} takes "
                f"{', '.join(annotations) or 'no arguments'}. Received: {key}"
            )
        expected = _mismatch(value, annotations[key])
        if expected:
            raise ConfigError(
                f"`{key}` of the {_noun(folder)} {part.name} must be {expected}. "
                f"Received: {key}={value!r}"
            )
    return part


def options_of(folder: str, name: str) -> dict[str, Any]:
    """Annotations of the arguments that a spec may give a part, by name: those with a default.

    The program gives the arguments without a default.

    Args:
        folder: A registry folder.
        name: The file of the part.
    """
    build = module(folder, name).build
    annotations = typing.get_type_hints(build, include_extras=True)
    return {
        key: annotations[key]
        for key, parameter in inspect.signature(build).parameters.items()
        if parameter.default is not parameter.empty
    }


def _mismatch(value: Any, annotation: Any) -> str:
    """The type and range that `annotation` demands, in words, if `value` does not have them; else
    an empty text."""
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


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """` Did you mean X?` for the closest of `words`; empty if none is close to `word`."""
    words = list(words)
    longer = [name for name in words if len(word) > 2 and name.startswith(word)]
    close = longer if len(longer) == 1 else difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""


def _find(folder: str, name: str) -> str:
    names = available(folder)
    if name.lower() not in names:
        raise ConfigError(
            f"The {_noun(folder)} must be one of {', '.join(names)}. Received: {name}."
            f"{did_you_mean(name.lower(), names)}"
        )
    return name.lower()


def _noun(folder: str) -> str:
    return _NOUNS.get(folder, folder.removesuffix("s"))


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

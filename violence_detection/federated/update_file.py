"""The file that a site sends: JSON facts and arrays in an npz, read as a hostile file.

Nothing in it is compressed or pickled, so what a file unpacks to is not larger than itself, and
sizes, names, types and shapes are checked before an array is made.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT_VERSION = 1
MAX_BYTES = 1 << 30
_FACTS = "facts"
_MAX_FACTS_BYTES = 1 << 18
_MAX_HEADER_BYTES = 1 << 10
_MAX_MEMBERS = 10_000


class BadUpdateError(Exception):
    """The reason why an update is left out, in words."""


def encode(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an update.

    Args:
        facts: Ready for JSON.
        arrays: By name.
    """
    content = io.BytesIO()
    text = json.dumps({"format_version": FORMAT_VERSION, **facts}, allow_nan=False).encode()
    np.savez(content, **{_FACTS: np.frombuffer(text, np.uint8)}, **arrays)
    return content.getvalue()


def read(path: Path) -> bytes:
    """The bytes of a file that may be an update.

    Raises:
        BadUpdateError: If it cannot be read, or is larger than 1 GB.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadUpdateError(f"it cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise BadUpdateError("it is larger than 1 GB")
    return content


def decode_facts(content: bytes) -> dict[str, Any]:
    """The facts of an update.

    Raises:
        BadUpdateError: If it is no undamaged update of this version.
    """
    with _archive(content) as archive:
        text = _bytes_of(archive, _FACTS, None)
    try:
        facts = json.loads(text)
        version = facts["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadUpdateError("its facts are no JSON object with a version") from error
    if version != FORMAT_VERSION:
        raise BadUpdateError("it was made by another version of this program")
    return facts


def decode_arrays(
    content: bytes, expected: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, np.ndarray]:
    """The arrays of an update, by name.

    Args:
        content: From `read`.
        expected: Type (`<f4`, `<f8`, `<i8`) and shape of each array.

    Raises:
        BadUpdateError: If an array is missing, is not expected, or has another type or shape, or
            if a value is not finite.
    """
    with _archive(content) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()} - {_FACTS}
        if names != expected.keys():
            raise BadUpdateError(
                f"it has other arrays: {len(names)}, not the {len(expected)} of this model"
            )
        arrays = {
            name: np.frombuffer(_bytes_of(archive, name, form), form[0]).reshape(form[1])
            for name, form in expected.items()
        }
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise BadUpdateError(f"{len(bad)} of its {len(arrays)} arrays hold NaN or infinity")
    return arrays


def _archive(content: bytes) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    # NotImplementedError: `zipfile` does not know the version or the compression that it names.
    except (zipfile.BadZipFile, EOFError, ValueError, OverflowError, NotImplementedError) as error:
        raise BadUpdateError("it is no update, or torn") from error
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS or len({member.filename for member in members}) < len(members):
        raise BadUpdateError("it is no update: too many parts, or one twice")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise BadUpdateError("it is compressed, which an update is not")
    if any(member.flag_bits & 1 for member in members):
        raise BadUpdateError("it is encrypted, which an update is not")
    if sum(member.file_size for member in members) > len(content):
        raise BadUpdateError("it would unpack to more than it holds")
    return archive


def _bytes_of(
    archive: zipfile.ZipFile, name: str, form: tuple[str, tuple[int, ...]] | None
) -> bytes:
    """The values of an array in an archive, after its size, type and shape were checked.

    Args:
        archive: The update.
        name: Name of the array.
        form: Its type and shape; None for bytes of any number.
    """
    try:
        member = archive.getinfo(f"{name}.npy")
        wanted = np.dtype(form[0]).itemsize * int(np.prod(form[1])) if form else _MAX_FACTS_BYTES
        if member.file_size > wanted + _MAX_HEADER_BYTES:
            raise BadUpdateError(f"its {name} is too large")
        content = io.BytesIO(archive.read(member))
        if np.lib.format.read_magic(content) != (1, 0):
            raise BadUpdateError(f"its {name} is no array of NumPy's first version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(
            content, max_header_size=_MAX_HEADER_BYTES
        )
    except KeyError as error:
        raise BadUpdateError(f"it has no {name}") from error
    except (zipfile.BadZipFile, EOFError, ValueError, OSError, SyntaxError, RuntimeError) as error:
        raise BadUpdateError(f"its {name} is damaged") from error
    values = content.read()
    if form is None:
        form = ("|u1", (len(values),))
    if (dtype, shape) != (np.dtype(form[0]), tuple(form[1])) or (fortran and len(shape) > 1):
        raise BadUpdateError(f"its {name} is {dtype} {shape}, not {np.dtype(form[0])} {form[1]}")
    if len(values) != dtype.itemsize * int(np.prod(shape)):
        raise BadUpdateError(f"its {name} is torn")
    return values

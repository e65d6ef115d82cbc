"""Tensors of a file that PyTorch saved before version 1.6, read without PyTorch.

Such a file is several pickles and, after them, the numbers of each storage. A pickle may call any
function; here it may only make dictionaries and tensors.
"""

import collections
import io
import math
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from violence_detection.errors import WeightsError

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage(NamedTuple):
    """Numbers that tensors share, by their key in the file."""

    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    """A tensor before its storage is read: offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(content: bytes) -> dict[str, np.ndarray]:
    """The tensors of a saved `state_dict`, by name and in its order.

    Raises:
        WeightsError: If the content is something else.
    """
    try:
        return _read(io.BytesIO(content))
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise WeightsError(
            "The file must be a state_dict that PyTorch saved before version 1.6. "
            f"Received: another ({error})"
        ) from error


def _read(file: io.BytesIO) -> dict[str, np.ndarray]:
    magic, _, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if magic != _MAGIC or not isinstance(tensors, Mapping):
        raise ValueError("no state_dict")
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    numbers = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        numbers[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key], count)
    return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """The array of a tensor; its strides may be in any order."""
    last = sum(
        (side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if math.prod(tensor.shape) and not 0 <= tensor.offset <= tensor.offset + last < len(numbers):
        raise ValueError("a tensor reaches out of its storage")
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    ).copy()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            )
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it calls {module}.{name}")

    def persistent_load(self, reference: tuple) -> _Storage:
        _, dtype, key, *_ = reference
        return _Storage(key, dtype)

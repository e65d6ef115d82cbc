"""Reads .npy files of other programs, without trusting their headers."""

import math
import os
import tokenize
from pathlib import Path

import numpy as np

from violence_detection.errors import CacheError

# What NumPy raises of a header that it cannot parse.
_BAD_HEADERS = (
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    MemoryError,
    RecursionError,
)


def open_npy(path: Path) -> np.ndarray:
    """The array of a `.npy` file, mapped; its header is checked before anything is read.

    Raises:
        CacheError: If it is not one, holds pickled objects, or is longer or shorter than its
            header says.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                header = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                header = np.lib.format.read_array_header_2_0(file)
            else:
                raise ValueError(f"version {version} of the format")
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
        shape, is_fortran, dtype = header
        if dtype.hasobject:
            raise ValueError("pickled objects, which can run programs, are not read")
        declared = offset + math.prod(shape) * dtype.itemsize
        if declared != size or min(shape, default=0) < 0:
            raise ValueError(f"{size} bytes where its header, {dtype} {shape}, says {declared}")
        if not math.prod(shape):
            raise ValueError(f"an empty array, {shape}")
        order = "F" if is_fortran else "C"
        return np.memmap(path, dtype, "r", offset, shape, order).view(np.ndarray)
    except (OSError, *_BAD_HEADERS) as error:
        reason = " ".join(str(error).split())[:200]
        raise CacheError(
            f"{path} must be an array that numpy.save left. Received: {reason}"
        ) from error

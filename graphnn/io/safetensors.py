"""Safetensors files: the size of the header, the header as JSON, and the bytes of the arrays, which stay there."""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import short_repr
from ..core import bfloat16
from ..errors import FileFormatError, UsageError
from .paths import path_of

if TYPE_CHECKING:
    from ..core import Array

_DTYPES = {
    "BOOL": "bool",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
}
_MOST_HEADER = 100_000_000  # bytes, as the format says


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return the arrays of a safetensors file by their names: read-only, and mapped from the file where they can be.

    What is not looked at is not read, and needs no memory. Those of bfloat16 are float32, and read, where the package
    ml_dtypes is not installed. While they are used, the file must not be written to: who replaces it renames another
    one to its name.

    Raises
    ------
    FileFormatError
        When it is not such a file, or is damaged. Nothing that the file asks for is allocated before that is known.
    """
    path = path_of(path)
    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe waits for whoever writes to it
        raise FileFormatError(f"{str(path)!r} is not a regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header_size = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= header_size <= min(size - 8, _MOST_HEADER):
            raise FileFormatError(f"{str(path)!r} is not a safetensors file")
        try:
            header = json.loads(file.read(header_size), object_pairs_hook=_once)
            entries = [(name, about) for name, about in header.items() if name != "__metadata__"]
        except (ValueError, AttributeError, RecursionError):
            raise FileFormatError(f"{str(path)!r} is not a safetensors file: its header is not a JSON object") from None
        checked = [(name, about, *_entry(path, name, about, size - 8 - header_size)) for name, about in entries]
        places = sorted((start, start + length) for *_, start, length in checked if length)
        if any(start < stop for (_, stop), (start, _) in pairwise(places)):
            raise FileFormatError(f"{str(path)!r} is damaged: the bytes of two arrays overlap")
        data = np.memmap(file, np.uint8, "r", shape=(size,)).view(np.ndarray)[8 + header_size :]
    return {
        name: _array(data[start : start + length], about["dtype"], dtype).reshape(shape)
        for name, about, dtype, shape, start, length in checked
    }


def _array(raw: Array, kind: str, dtype: np.dtype[Any]) -> Array:
    """Return the elements that bytes of the file are, where they lie; a copy where NumPy could not use them there."""
    array: Array
    if dtype.kind == "b":
        array = raw != 0  # a byte that is neither 0 nor 1 is not a bool of NumPy's
    else:
        array = raw.view(dtype)
        if not array.flags.aligned or not dtype.isnative:
            array = array.astype(dtype.newbyteorder("="))
    if kind == "BF16":
        try:
            array = array.view(bfloat16())
        except UsageError:
            array = (array.astype(np.uint32) << 16).view(np.float32)
    array.flags.writeable = False
    return array


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a name that it has twice is an error."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _entry(path: Any, name: str, about: Any, size: int) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Return the dtype, the shape, the start and the length of an array, checked."""
    match about:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(stop)]} if kind in _DTYPES:
            dtype = np.dtype(_DTYPES[kind])
            sizes = len(shape) <= 64 and all(type(n) is int and n >= 0 for n in shape)
            fits = sizes and math.prod(n or 1 for n in shape) * dtype.itemsize < 2**63  # as NumPy counts, with 0 as 1
            if fits and 0 <= start <= stop <= size and stop - start == math.prod(shape) * dtype.itemsize:
                return dtype, tuple(shape), start, stop - start
    raise FileFormatError(f"{str(path)!r} is damaged, or has an array of an unknown dtype: {short_repr(name)}")

"""ONNX's tensors as arrays: dtypes, and where the bytes are, checked before anything is allocated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import counted, short_repr
from ..errors import FileFormatError

if TYPE_CHECKING:
    from ..core import Array

DTYPES: dict[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""ONNX's number of a dtype → NumPy's name."""

NUMBERS = {name: number for number, name in DTYPES.items()}
BFLOAT16 = 16
_OTHERS = {0: "undefined", 8: "string", 14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8e4m3fn"}
_OTHERS |= {18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1"}
_FIELDS = {
    **dict.fromkeys((1,), "float_data"),
    **dict.fromkeys((11,), "double_data"),
    **dict.fromkeys((7,), "int64_data"),
    **dict.fromkeys((12, 13), "uint64_data"),
}
"""The field that holds the numbers of a dtype where they are not raw bytes; else int32_data."""


_RANGES: dict[int, Any] = {2: (0, 255), 3: (-128, 127), 4: (0, 65535), 5: (-(2**15), 2**15 - 1), 12: (0, 2**32 - 1)}
_RANGES |= dict.fromkeys((10, 16), (0, 65535))
"""The smallest and largest number in a wider field; of a half float, it is the number that its bits are."""


def dtype_of(number: int, what: str) -> np.dtype[Any]:
    """Return NumPy's dtype for ONNX's; bfloat16, which NumPy lacks, is widened to float32."""
    if number == BFLOAT16:
        return np.dtype(np.float32)
    if number not in DTYPES:
        kind = _OTHERS.get(number, f"number {number}")
        raise FileFormatError(f"{what} is of ONNX's dtype {kind}, and graphnn has bool, integers and floats to 64 bits")
    return np.dtype(DTYPES[number])


def array_of(tensor: Any, folder: Path | None = None) -> Array:
    """Return a TensorProto as a read-only array: of its own bytes, or mapped from a file in the model's folder.

    Parameters
    ----------
    tensor : onnx.TensorProto
    folder : Path, optional
        Where external data are.

    Raises
    ------
    FileFormatError
        When it is of a dtype that graphnn does not have, or its bytes are not what its shape asks for.
    """
    what = f"the tensor {short_repr(tensor.name)}" if tensor.name else "a tensor without a name"
    kind = dtype_of(tensor.data_type, what)
    shape = tuple(tensor.dims)
    if len(shape) > 64 or any(dim < 0 for dim in shape) or math.prod(dim or 1 for dim in shape) >= 2**60:
        raise FileFormatError(f"{what} has the shape {short_repr(shape)}")
    if tensor.HasField("segment"):
        raise FileFormatError(f"{what} is stored in segments, which graphnn does not read")
    stored = np.dtype(np.uint16) if tensor.data_type == BFLOAT16 else kind
    count = math.prod(shape)
    if tensor.data_location == 1:
        array = _mapped(tensor, what, folder, stored, count)
    elif tensor.HasField("raw_data"):
        array = _whole(np.frombuffer(tensor.raw_data, np.uint8), what, stored, count)
    else:
        array = _typed(tensor, what, stored, count)
    if tensor.data_type == BFLOAT16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    array = array.reshape(shape)
    array.flags.writeable = False
    return array


def _whole(raw: Array, what: str, kind: np.dtype[Any], count: int) -> Array:
    if raw.size != count * kind.itemsize:
        raise FileFormatError(
            f"{what} has {counted(raw.size, 'byte')}, where its shape and dtype need {count * kind.itemsize}"
        )
    array = raw.view(kind.newbyteorder("<")) if count else np.empty(0, kind)
    if kind == np.bool_:
        array = raw != 0  # a byte that is neither 0 nor 1 is not a bool of NumPy's
    return array if array.flags.aligned and array.dtype.isnative else array.astype(kind)


def _typed(tensor: Any, what: str, kind: np.dtype[Any], count: int) -> Array:
    numbers = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    if len(numbers) != count:
        raise FileFormatError(f"{what} has {counted(len(numbers), 'number')}, where its shape needs {count}")
    array = np.array(numbers)
    lowest, highest = _RANGES.get(tensor.data_type, (None, None))
    if count and lowest is not None and not lowest <= array.min() <= array.max() <= highest:
        raise FileFormatError(f"{what} has a number that its dtype does not hold")
    if kind == np.float16:
        return array.astype(np.uint16).view(np.float16)
    return array.astype(kind)


def _mapped(tensor: Any, what: str, folder: Path | None, kind: np.dtype[Any], count: int) -> Array:
    about = {entry.key: entry.value for entry in tensor.external_data}
    if folder is None:
        raise FileFormatError(f"{what} is in a file beside the model, and the model was not read from a file")
    location = about.get("location", "")
    root = folder.resolve()
    try:
        # Links are followed first, so none leads out of the folder.
        path = (root / location).resolve() if isinstance(location, str) and "\0" not in location else root
        found = path.is_file()
    except (OSError, RuntimeError):  # a name that is too long, or links in a circle
        path, found = root, False
    if path == root or Path(location).is_absolute() or not path.is_relative_to(root):
        raise FileFormatError(f"{what} is said to be in {short_repr(location)}, which is not in the model's folder")
    try:
        offset = int(about.get("offset", "0"))
        length = int(about.get("length", str(count * kind.itemsize)))
    except ValueError:
        raise FileFormatError(f"{what} has an offset or a length that is not a number") from None
    if not found:
        raise FileFormatError(f"{what} is in {short_repr(location)}, and there is no such file in the model's folder")
    if offset < 0 or length < 0 or offset + length > path.stat().st_size:
        raise FileFormatError(f"{what} is said to be in bytes of {short_repr(location)} that it does not have")
    if not length:
        return _whole(np.empty(0, np.uint8), what, kind, count)
    return _whole(np.memmap(path, np.uint8, "r", offset, (length,)).view(np.ndarray), what, kind, count)

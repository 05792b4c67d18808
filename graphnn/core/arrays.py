"""Arrays for a graph: of a supported dtype, in range, copied and read-only."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.source_location import user_origin
from .._util.text import short_repr
from ..errors import DtypeError, GraphnnWarning, ShapeError, UsageError, ValueRangeError, restated
from .storage_dtypes import dtype_named, is_bfloat16, is_float, limits, may_become
from .symbolic_shapes import Dimension, shown

if TYPE_CHECKING:
    from .node import Node
    from .op import Array


def as_array(value: Any, what: str) -> Array:
    """Return `value` as an array of a supported dtype, in native byte order. It may be a view.

    Raises
    ------
    DtypeError
        When it holds objects, text, dates or complex numbers, or is masked.
    ShapeError
        When it is a ragged list.
    """
    if hasattr(value, "spec"):  # a node
        raise UsageError(f'{what}: "{value.name}" is a node, not an array')
    dim = value
    if isinstance(value, (list, tuple)):
        dim = next((part for part in value if isinstance(part, Dimension)), None)
    if isinstance(dim, Dimension):
        raise UsageError(
            f'{what} {"is" if value is dim else "holds"} the dimension "{dim}", which is a number only in a run: '
            "write gn.mean(x, axis) for a mean; "
            "for the size of an axis as a node, count ones along it, as gn.sum(gn.ones_like(x), axis)"
        )
    lost = f"{what}: a masked array's mask would be lost; fill it first (array.filled(…))"
    try:
        array = np.asarray(value)
    except np.ma.MaskError:
        raise DtypeError(lost) from None
    except Exception as error:
        if isinstance(error, ValueError) and "inhomogeneous" in str(error):
            raise ShapeError(f"{what}: the list is ragged, its rows differ in length") from None
        raise restated(error, f"{what}: ") from error
    dtype = supported_dtype(array.dtype, what, array)
    if _holds_mask(value):
        raise DtypeError(lost)
    return array if dtype is array.dtype else array.astype(dtype)


def _holds_mask(value: Any) -> bool:
    return any(map(_holds_mask, value)) if isinstance(value, (list, tuple)) else isinstance(value, np.ma.MaskedArray)


def cast_in_range(array: Array, dtype: np.dtype[Any], what: str) -> Array:
    """Return a copy in another dtype. An integer that does not fit is an error, where NumPy would wrap it around.

    Raises
    ------
    ValueRangeError
    """
    cast: Array = quietly(array.astype, dtype)
    if array.dtype.kind in "iu" and dtype.kind in "iu" and not np.can_cast(array.dtype, dtype, "safe"):
        # An integer that wrapped around differs in value or, where the bits are the same, in sign.
        lost = (cast != array) | ((cast < 0) != (array < 0))
        if lost.any():
            index = tuple(int(i) for i in np.argwhere(lost)[0])
            at = f" at {index}" if index else ""
            raise ValueRangeError(f"{what} holds {array[index]}{at}, which does not fit into {dtype}")
    return cast


def warn_of_overflow(given: Array, cast: Array, what: str) -> None:
    """Warn, on the user's line, about the first number that became infinite in another dtype."""
    if cast.dtype != given.dtype and is_float(cast.dtype):
        lost = np.isinf(cast) & np.isfinite(given)
        if lost.any():
            index = tuple(int(i) for i in np.argwhere(lost)[0])
            origin = user_origin()
            warnings.warn_explicit(
                f"{what} holds {given[index]:.6g}, which is {cast[index]} in {cast.dtype}: that ends at "
                f"{float(limits(cast.dtype).max):.5g} (at {origin})",
                GraphnnWarning,
                *origin,
            )


def sealed(array: Array) -> Array:
    """Make a private array read-only, and return it, in C order, as a view that nobody can make writable again."""
    own = array if array.flags.c_contiguous else np.asarray(array, order="C")
    if own.base is not None and not (isinstance(own.base, np.ndarray) and not own.base.flags.writeable):
        own = own.copy()
    own.setflags(write=False)
    return own.view()


def is_immutable(array: Array) -> bool:
    """Return whether nobody can write to an array, for its elements lie in memory that is read-only.

    So it is of a file that is mapped read-only, and of ``bytes``. An array that is only marked as read-only may be
    marked as writable again.

    Examples
    --------
    >>> marked = np.zeros(2)
    >>> marked.flags.writeable = False
    >>> is_immutable(marked), is_immutable(np.frombuffer(bytes(16)))
    (False, True)
    """
    holder: Any = array
    while isinstance(holder, np.ndarray):
        if holder.flags.writeable:
            return False
        holder = holder.base
    try:
        return memoryview(holder).readonly
    except TypeError:  # it has memory of its own, or what it is of does not tell
        return False


def _kept(array: Array) -> bool:
    """Return whether an array can be a value as it stands, and need not be copied."""
    return array.flags.c_contiguous and array.flags.aligned and is_immutable(array)


def own_array(value: Any, what: str, floats: np.dtype[Any], dtype: Any = None) -> Array:
    """Return `value` as a private, read-only array of a supported dtype. A list of floats gets the dtype `floats`.

    An array that nobody can write to, such as one of a mapped file, is not copied.
    """
    given = array = as_array(value, what)
    typed = hasattr(value, "dtype")
    if dtype is not None:
        array = cast_in_range(given, supported_dtype(dtype, what), what)
        kind_kept = may_become(given.dtype, array.dtype)
        if not kind_kept and (typed or not np.array_equal(given, array)):
            raise DtypeError(f"{what} is {given.dtype}; {array.dtype} would change its values: cast it yourself first")
    elif given.dtype == np.float64 != floats and not typed:
        array = cast_in_range(given, floats, what)
    warn_of_overflow(given, array, what)
    return array.view(np.ndarray) if _kept(array) else sealed(np.array(array, order="C"))


def checked_value(node: Node, value: Any) -> Array:
    """Return a value for a parameter, checked to have its shape and dtype."""
    array = as_array(value, f'the value of "{node.name}"')
    if array.shape != node.shape:
        raise ShapeError(f'"{node.name}" has shape {shown(node.shape)}; the value given has {shown(array.shape)}')
    fits = not hasattr(value, "dtype") and may_become(array.dtype, node.dtype)
    if array.dtype != node.dtype and not fits:
        raise DtypeError(
            f'"{node.name}" is {node.dtype}; the value given is {array.dtype}: write value.astype({str(node.dtype)!r})'
        )
    what = f'the value of "{node.name}"'
    if array.dtype == node.dtype and _kept(array):
        return array.view(np.ndarray)
    fitted = cast_in_range(array, node.dtype, what)
    warn_of_overflow(array, fitted, what)
    return sealed(fitted)


def supported_dtype(kind: Any, what: str, array: Array | None = None) -> np.dtype[Any]:
    """Return a supported dtype, in native byte order."""
    try:
        dtype = dtype_named(kind)
    except UsageError:
        raise
    except Exception:  # noqa: BLE001 - NumPy parses texts, and raises SyntaxError and more
        raise DtypeError(f"{what}: {short_repr(kind)} is not a dtype") from None
    if is_bfloat16(dtype):
        return dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        held = f" ({type(array.flat[0]).__name__})" if dtype.kind == "O" and array is not None and array.size else ""
        known = "bool, integers, and floats of 16, 32 or 64 bits, or bfloat16"
        raise DtypeError(f"{what} is of dtype {dtype}{held}; values are {known}")
    return dtype if dtype.isnative else dtype.newbyteorder("=")

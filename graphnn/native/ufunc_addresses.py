"""The addresses of NumPy's loops, read from the public fields of its ufuncs, and tried before they are used.

A ufunc's object begins with the fields of `PyUFuncObject` in NumPy's header `ufuncobject.h`. Where they lie is not
promised in words. So they are compared with what Python says of the ufunc, an address must lie in NumPy's own library,
and each loop must give the bits of its ufunc before a plan calls it.
"""

from __future__ import annotations

import ctypes
from functools import cache, reduce
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._util.numpy_warnings import quietly

if TYPE_CHECKING:
    from ..compiler.intermediate_representation import DType
    from ..core import Array

LOOP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
"""What all loops are: a function of (arguments, dimensions, steps, data)."""

_NIN, _NOUT, _NARGS, _FUNCTIONS, _DATA, _NTYPES, _TYPES = 16, 20, 24, 32, 40, 48, 64
_TRIED = 83
"""Elements that a loop is tried with: more than one register of any processor, and no multiple of one."""
_BUFFER = 8192
_NO_LIMIT = 2**62
_SPECIAL = (0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-42, 0.5, 2.0)


class Doubt(Exception):
    """What is found is not as it should be: nothing of this may be called."""


class Loop(NamedTuple):
    """A loop of NumPy's.

    Attributes
    ----------
    address, data : int
        Of the function, and what it gets as its last argument.
    """

    address: int
    data: int


class _Where(ctypes.Structure):
    """What `dladdr` tells of an address."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("symbol", ctypes.c_void_p),
    )


_known: dict[tuple[np.ufunc, tuple[DType, ...]], Loop | None] = {}
_lock = RLock()


def loop_of(ufunc: np.ufunc, dtypes: tuple[DType, ...]) -> Loop | None:
    """Return the loop of a ufunc for operands and results of these dtypes, or None if it has none of its own for them.

    Raises
    ------
    Doubt
        When it is not where it should be, or does not give what the ufunc gives.

    Examples
    --------
    >>> double = np.dtype(float)
    >>> loop_of(np.exp, (double, double)) == loop_of(np.exp, (double, double)) != None
    True
    """
    key = ufunc, dtypes
    if key not in _known:
        chars = "".join(dtype.char for dtype in dtypes)
        signature = f"{chars[: ufunc.nin]}->{chars[ufunc.nin :]}"
        with _lock:
            found = _read(ufunc, signature)
            if found is not None:
                _try_out(ufunc, dtypes, found)
            _known[key] = found
    return _known[key]


def _read(ufunc: np.ufunc, signature: str) -> Loop | None:
    """Read the loop of a signature from the ufunc's object, once its fields are seen to be where they should be."""
    here = id(ufunc)
    counts = [_int(here + offset) for offset in (_NIN, _NOUT, _NARGS, _NTYPES)]
    if counts != [ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes]:
        raise Doubt(f"numpy.{ufunc.__name__} is not laid out as its header says")
    functions, data, types = (_pointer(here + offset) for offset in (_FUNCTIONS, _DATA, _TYPES))
    if not functions or not types:
        raise Doubt(f"numpy.{ufunc.__name__} has no list of loops")
    own = _file_of(id(np.ndarray))
    for address in (functions, types, data or types):
        if _file_of(address) != own:  # nor may it be read
            raise Doubt(f"a list of numpy.{ufunc.__name__} is not in NumPy's library")
    codes = ctypes.string_at(types, ufunc.ntypes * ufunc.nargs)
    told = "".join(text.replace("->", "") for text in ufunc.types)
    if [np.dtype(char).num for char in told] != list(codes):
        raise Doubt(f"numpy.{ufunc.__name__} lists other signatures than it tells")
    if signature not in ufunc.types:
        return None
    place = 8 * ufunc.types.index(signature)
    loop = Loop(_pointer(functions + place), _pointer(data + place) if data else 0)
    if _file_of(loop.address) != own:
        raise Doubt(f"the loop {signature} of numpy.{ufunc.__name__} is not in NumPy's library")
    if loop.data:
        _file_of(loop.data)  # of a function of NumPy's or of C's
    return loop


def most_at_once() -> int:
    """Return how many numbers a reduction along one axis calls its loop with, at most.

    The last bits of a sum depend on it. Before version 2.3, NumPy reduces as many at once as its buffer holds, though
    it copies nothing there.
    """
    return _NO_LIMIT if _sums_are_whole() else np.getbufsize()


@cache
def _sums_are_whole() -> bool:
    double = np.dtype(float)
    loop = loop_of(np.add, (double,) * 3)
    if loop is None:
        raise Doubt("numpy.add has no loop for float64")
    numbers = np.random.default_rng(0).normal(size=3 * _BUFFER - 1)
    size = np.setbufsize(_BUFFER)
    try:
        expected = np.add.reduce(numbers)
    finally:
        np.setbufsize(size)
    for most in (numbers.size, _BUFFER):
        total = np.zeros(())
        for start in range(0, numbers.size, most):
            part = numbers[start : start + most]
            call(loop, [total.ctypes.data, part.ctypes.data, total.ctypes.data], [part.size], [0, 8, 0])
        if total == expected:
            return most == numbers.size
    raise Doubt("sums are not added up as NumPy adds them up")


@cache
def goes_in_order() -> bool:
    """Tell whether NumPy reduces axes that lie apart in the order of the elements, and along the last axis at once."""
    numbers = np.random.default_rng(0).normal(size=3 * _BUFFER * 7)
    for shape in ((7, 3, _BUFFER), (_BUFFER, 3, 7), (7 * 128, 3, 64), (7 * 64, 6, 16, 4)):
        x = numbers.reshape(shape)
        parts = np.add.reduce(x, 2) if len(shape) == 3 else np.moveaxis(x, 2, 1).reshape(-1, shape[1], shape[3])
        if not same_bits(np.add.reduce(x, (0, 2)), reduce(np.add, parts)):
            return False
    return True


def _file_of(address: int) -> bytes:
    """Return the file of the library that an address lies in."""
    try:
        dladdr = ctypes.CDLL(None).dladdr
    except (AttributeError, OSError, TypeError):
        raise Doubt("this system does not tell in which library an address lies") from None
    where = _Where()
    if not address or not dladdr(ctypes.c_void_p(address), ctypes.byref(where)) or not where.file:
        raise Doubt(f"there is no library at {address:#x}")
    return bytes(where.file)


def _int(address: int) -> int:
    return ctypes.c_int.from_address(address).value


def _pointer(address: int) -> int:
    return ctypes.c_void_p.from_address(address).value or 0


# --- trying out -----------------------------------------------------------------------------------------------


def _try_out(ufunc: np.ufunc, dtypes: tuple[DType, ...], loop: Loop) -> None:
    """Call a loop for some numbers, and compare what it gives with what the ufunc gives."""
    if ufunc.signature is not None:
        _try_product(ufunc, dtypes[0], loop)
        return
    # A loop for larger elements would write beyond the last one: there is room.
    operands = [drawn(dtype, 2 * _TRIED, seed)[:_TRIED] for seed, dtype in enumerate(dtypes[: ufunc.nin])]
    expected = quietly(ufunc, *operands)
    got = np.zeros(2 * _TRIED, dtypes[-1])[:_TRIED]
    arrays = [*operands, got]
    call(loop, [x.ctypes.data for x in arrays], [_TRIED], [x.itemsize for x in arrays])
    if not same_bits(got, expected):
        raise Doubt(f"a loop of numpy.{ufunc.__name__} does not give what the function gives")


def _try_product(ufunc: np.ufunc, dtype: DType, loop: Loop) -> None:
    x, y = drawn(dtype, 15, 0).reshape(3, 5), drawn(dtype, 35, 1).reshape(5, 7)
    x, y = np.nan_to_num(x, posinf=1, neginf=-1), np.nan_to_num(y, posinf=1, neginf=-1)
    got = np.zeros((3, 7), dtype)
    steps = [0, 0, 0, *x.strides, *y.strides, *got.strides]
    call(loop, [x.ctypes.data, y.ctypes.data, got.ctypes.data], [1, 3, 5, 7], steps)
    if not same_bits(got, ufunc(x, y)):
        raise Doubt(f"a loop of numpy.{ufunc.__name__} does not give what the function gives")


@cache
def same_of_rows(ufunc: np.ufunc, dtype: DType) -> bool:
    """Tell whether a function gives the same of rows with gaps between them as of a copy of them."""
    table = drawn(dtype, 37 * 29, 3).reshape(37, 29)
    rows = table[:, 3:20], table[:, ::2], table[::3]
    return all(same_bits(quietly(ufunc, apart), quietly(ufunc, apart.copy())) for apart in rows)


@cache
def same_one_by_one(ufunc: np.ufunc, dtype: DType) -> bool:
    """Tell whether a function gives the same of numbers one by one as of all of them at once."""
    numbers = drawn(dtype, 3 * _TRIED, 4)
    one_by_one = [quietly(ufunc, numbers[i : i + 1]) for i in range(len(numbers))]
    return same_bits(quietly(ufunc, numbers), np.concatenate(one_by_one))


def call(loop: Loop, arguments: list[int], dimensions: list[int], steps: list[int]) -> None:
    """Call a loop."""
    words = [(ctypes.c_ssize_t * len(numbers))(*numbers) for numbers in (arguments, dimensions, steps)]
    LOOP(loop.address)(*[ctypes.addressof(each) for each in words], loop.data)


def drawn(dtype: DType, count: int, seed: int) -> Array:
    """Return some numbers of a dtype, special ones among them."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        array = rng.normal(size=count) * 2.0 ** rng.integers(-4, 4, count)
        array[rng.integers(0, count, 2 * len(_SPECIAL))] = np.repeat(_SPECIAL, 2)
        return quietly(array.astype, dtype)
    if dtype.kind == "b":
        return rng.random(count) < 0.5
    return rng.integers(0 if dtype.kind == "u" else -20, 20, count).astype(dtype)


def same_bits(one: Array, other: Array) -> bool:
    """Tell whether two arrays are the same to the bit; a NaN is a NaN."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        nan = np.isnan(one)
        if not np.array_equal(nan, np.isnan(other)):
            return False
        one, other = np.where(nan, 0, one), np.where(nan, 0, other)
    return one.tobytes() == other.tobytes()

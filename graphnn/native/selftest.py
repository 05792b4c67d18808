"""Whether native plans can be trusted here: tried once in a process, before the first one is made."""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
import warnings
import weakref
from importlib.util import find_spec
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from .._util.numpy_warnings import quietly
from ..errors import GraphnnWarning
from .fused_kernel_loops import written
from .fused_kernels import Kernel, Line, Operand, zeros_are_ordered
from .llvm import engine
from .llvm_runtime import own_loops
from .loop_tables import Call, Keys, Pointer, Table
from .scalar_body import Body, Item
from .scalar_loops import compiled
from .ufunc_addresses import Doubt, drawn, loop_of, most_at_once, same_bits

if TYPE_CHECKING:
    from ..core import Array

_DATA = 16
"""Where the fields of an array's object begin, after the count of references and the type."""
_state: dict[str, bool] = {}
_lock = RLock()


def is_installed() -> bool:
    """Tell whether llvmlite is there."""
    return find_spec("llvmlite") is not None


def is_supported() -> bool:
    """Tell whether it is written for this Python and this system: CPython with its lock, 64 bits, Linux or macOS."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED") or os.name != "posix":
        return False
    return sys.byteorder == "little" and ctypes.sizeof(ctypes.c_void_p) == 8


def is_trusted() -> bool:
    """Tell whether native plans work here; if llvmlite is there and they do not, warn once of it."""
    with _lock:
        if "trusted" not in _state:
            trusted = is_installed() and is_supported()
            if trusted:
                try:
                    check()
                except Exception as error:  # noqa: BLE001 - whatever it is: not here
                    distrust(error)
                    trusted = False
            _state["trusted"] = trusted  # at last, whatever cuts this short
        return _state["trusted"]


def distrust(why: Exception) -> None:
    """Have no native plan made from now on, and warn of it, once."""
    _state["trusted"] = False
    if not _state.get("warned"):
        _state["warned"] = True
        warnings.warn(
            f"compiled steps are computed by NumPy, not natively, since a test of that failed here: {why}",
            GraphnnWarning,
            stacklevel=2,
        )


def check() -> None:
    """Try everything that native plans rely on.

    Raises
    ------
    Doubt
        When something is not as it should be.
    """
    _check_arrays()
    _check_choices()
    most_at_once()
    _check_run()
    _check_registers()


def _check_arrays() -> None:
    """Compare the fields of arrays with what Python says of them."""
    for array in (np.arange(6.0).reshape(2, 3), np.ones((2, 3, 4), np.int8)[::-1, 1:].T, np.zeros(())):
        words = (ctypes.c_size_t * 8).from_address(id(array) + _DATA)
        nd, flags = (ctypes.c_int.from_address(id(array) + _DATA + at).value for at in (8, 48))
        base = 0 if array.base is None else id(array.base)
        told = array.ctypes.data, array.ndim, base, id(array.dtype), array.flags.num
        right = (words[0], nd, words[4], words[5], flags) == told
        # A pointer is followed only where all around it is right.
        axes = [(ctypes.c_ssize_t * nd).from_address(words[at]) if nd else () for at in (2, 3)] if right else []
        if not right or [*map(tuple, axes)] != [array.shape, array.strides]:
            raise Doubt("arrays are not laid out as NumPy's header says")
        references = ctypes.c_int32.from_address(id(array))
        before, holds = references.value, [array, weakref.ref(array)]
        if references.value != before + 1 or not words[7]:
            raise Doubt("an object does not tell how often it is referred to")
        del holds


def _check_choices() -> None:
    """See which of 0 and -0 NumPy takes, wherever in an array they stand, and that a NaN passes."""
    for char in "fd":
        for count in (1, 3, 19, 64, 131):
            for x, y in [(0.0, -0.0), (-0.0, 0.0), (np.nan, 1.0), (1.0, np.nan), (2.0, -2.0)]:
                one, other = np.full(count, x, char), np.full(count, y, char)
                equal = (one == other) & zeros_are_ordered()
                for ufunc, takes_first in (
                    (np.maximum, (one > other) | equal & np.signbit(other)),
                    (np.minimum, (one < other) | equal & np.signbit(one)),
                ):
                    expected = np.where(takes_first | np.isnan(one), one, other)
                    if not same_bits(quietly(ufunc, one, other), expected):
                        raise Doubt(f"numpy.{ufunc.__name__} chooses otherwise than it is written here")
                for bounds, is_beyond in (((y, 3.0), one < other), ((-3.0, y), one > other)):
                    if y == y and not same_bits(np.clip(one, *bounds), np.where(is_beyond, other, one)):
                        raise Doubt("numpy.clip chooses otherwise than it is written here")


def _check_run() -> None:
    """Run a table: a kernel with a vector and a rest, and a loop of NumPy's; as a segment, and as a whole step."""
    dtype = np.dtype(np.float32)
    x, y = drawn(dtype, 77, 1), drawn(dtype, 77, 2)
    each = Operand("f", "each")
    lines = (Line("multiply", "ff", "f", (0, 1)), Line("add", "ff", "f", (2, 1)), Line("sqrt", "f", "f", (3,)))
    name, text = written(Kernel(1, (each, each), lines, ((4, each),)), engine().register)
    (kernel,) = engine().functions([(name, text)])
    loop = loop_of(np.exp, (dtype, dtype))
    if loop is None or not own_loops():
        raise Doubt("numpy.exp has no loop for float32")
    made = np.zeros(77, dtype)
    at = [Pointer("fixed", array.ctypes.data) for array in (x, y, made)]
    result = _Result((77,), dtype)
    calls = [
        Call(kernel, (at[0], at[1], at[2]), (77,), (4, 4, 4)),
        Call(loop.address, (at[2], Pointer(result, 0)), (77,), (4, 4), loop.data),  # type: ignore[arg-type]
    ]
    for long in (False, True):
        table = Table(calls, [], [result], long, Keys(0, [], ["w"]))  # type: ignore[list-item]
        run, step = (table.filled().bound(np.empty(64, np.uint8), None, name) for name in ("run", "step"))
        state: dict[str, Array] = {"w": made}
        expected = quietly(_by_numpy, x, y)
        alike = [same_bits(run()[0], expected) for _ in range(2)]
        alike += [same_bits(step({}, state)[0], expected) for _ in range(4)]  # from the third on, in memory again
        got: Array = step({}, state)[0]
        now = state["w"]
        if not all(alike) or not same_bits(got, expected) or not same_bits(now, expected):
            raise Doubt("a list of loops does not give what NumPy gives")
        if now.flags.writeable or now.base is not got or got.flags.writeable:
            raise Doubt("what a step puts into the state can be written to")


def _check_registers() -> None:
    """Go through a loop in registers, some iterations at once: a function that the next one waits for, and another."""
    dtype, count = np.dtype(np.float64), 37
    exp = loop_of(np.exp, (dtype, dtype))
    if exp is None:
        raise Doubt("numpy.exp has no loop for float64")
    items = (
        Item("state", "d", 2),
        Item("row", "d", 2),
        Item("same", "d", 1, of=1, offset=8),
        Item("splat", "d", 2, (2,)),
        Item("line", "d", 2, (0, 3), line=Line("multiply", "dd", "d", ())),
        Item("line", "d", 2, (4, 1), line=Line("add", "dd", "d", ())),
        Item("line", "d", 2, (5,), line=Line("square", "d", "d", ())),
        Item("line", "d", 2, (6,), line=Line("negative", "d", "d", ())),
        Item("call", "d", 2, (7,)),
        Item("call", "d", 2, (8,)),
    )
    x = np.random.default_rng(1).normal(size=(count, 2))
    factors, made = np.array([0.0, 0.75]), np.zeros((2, count, 2))
    for backwards in (False, True):
        body = Body(items, [8], [(8, 2), (9, 3)], [16, 0, 16, 16], [True], backwards)
        # Each iteration waits for the first call of the one before, and none for the second. After 16 it begins anew.
        loop = compiled(body, [exp], 16)
        h, expected = np.array([0.5, -0.5]), np.zeros_like(made)
        memory = np.zeros(loop.loop.size // 8)
        memory[:2] = h
        rows = range(count)[::-1] if backwards else range(count)
        for row in rows:
            h = quietly(_one_iteration, h, factors[1], x[row])
            expected[0, row] = h
        expected[1] = quietly(np.exp, expected[0])
        at = [array.ctypes.data for array in (x, factors, *made)] + 16 * rows[0] * np.array([1, 0, 1, 1])
        done = loop.run(at, np.array(body.steps) * (-1 if backwards else 1), memory.view(np.uint8), count, rows[0])
        if done != count or not same_bits(made, expected) or not same_bits(memory[:2], h):
            raise Doubt("a loop in registers does not give what NumPy gives")


def _one_iteration(h: Array, factor: Array, x: Array) -> Array:
    result: Array = np.exp(-np.square(h * factor + x))
    return result


def _by_numpy(x: Array, y: Array) -> Array:
    result: Array = np.exp(np.sqrt(np.add(np.multiply(x, y), y)))
    return result


class _Result:
    """What a table knows of the value that it makes."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[np.float32]) -> None:
        self.shape = shape
        self.dtype = dtype
        self.kind = "call"

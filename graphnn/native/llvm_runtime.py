"""What runs a list of loops: one function that Python calls, and the loops that are neither NumPy's nor fused.

All of it is LLVM text that holds for any plan. A plan is a table of words (see `tables`), and a call of it one call of
`run` with that table.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from .llvm import Address, engine
from .llvm_arrays import FITS, IS_FREE
from .llvm_axis_loops import RUNNING, TAKE, WRITE
from .llvm_iterate import ITERATE
from .llvm_loops import BLOCKS, CHECK, FILL0, GATHER, REDUCE, SCATTER
from .llvm_step import RUN, STEP, WORK
from .worker_threads import Pool, pooled

HEADER = (
    "calls",
    "calls_at",
    "given",
    "given_at",
    "made",
    "made_at",
    "results",
    "long",
    "wrong",
    "python",
    "arguments",
    "arguments_at",
    "fed",
    "objects_at",
    "updates",
    "updates_at",
    "kept",
    "pool",
)
"""The first words of a table; see `tables`."""
_PYTHON = (
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyDict_Size",
    "PyDict_GetItem",
    "PyDict_SetItem",
    "PyObject_Vectorcall",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyErr_SetString",
    "PyErr_CheckSignals",
    "Py_IncRef",
    "Py_DecRef",
)
_OBJECTS: dict[str, object] = {
    "None": None,
    "PyDict_Type": dict,
    "PyExc_ValueError": ValueError,
    "PyArray_Type": np.ndarray,
    "empty": np.empty,
    "view": np.ndarray.view,
}
"""What is known by its identity. By the last two arrays are made, in calls as Python's own: of NumPy's C API, where a
function is found by its number, nothing is called."""
_TEXTS = {"refused": b"labels are out of range", "unlike": b"an array is not as the plan takes it to be"}
_ORDER = (*_PYTHON, *_OBJECTS, *_TEXTS)


def _header(*names: str) -> str:
    """Return the lines that read words of a table's header."""
    lines = []
    for name in names:
        kind = "ptr" if name.endswith("_at") or name in ("python", "kept") else "i64"
        lines.append(f"  %{name}.p = getelementptr i64, ptr %table, i64 {HEADER.index(name)}")
        lines.append(f"  %{name} = load {kind}, ptr %{name}.p")
    return "\n".join(lines)


def _python(*names: str) -> str:
    """Return the lines that read addresses of Python's and NumPy's functions."""
    lines = []
    for name in names:
        lines.append(f"  %{name}.p = getelementptr ptr, ptr %python, i64 {_ORDER.index(name)}")
        lines.append(f"  %{name} = load ptr, ptr %{name}.p")
    return "\n".join(lines)


def _expanded(text: str) -> str:
    """Return a text with the lines that HEADER and PYTHON stand for."""
    lines = []
    for line in text.replace("WRONG", str(HEADER.index("wrong"))).splitlines():
        word, _, names = line.rstrip(")").partition("(")
        if word in ("HEADER", "PYTHON"):
            line = (_header if word == "HEADER" else _python)(*names.split(", "))
        lines.append(line)
    return "\n".join(lines) + "\n"


_SIZES = (1, 2, 4, 8)
TEXT = "\n".join(
    [FITS, IS_FREE, *map(_expanded, (WORK, RUN, ITERATE, STEP)), REDUCE, RUNNING, TAKE, WRITE, CHECK, FILL0, BLOCKS]
    + [loop.format(size=size, kind=f"i{8 * size}") for loop in (GATHER, SCATTER) for size in _SIZES]
    + [pooled(HEADER.index("pool"))]
)
_NAMES = [
    "run",
    "iterate",
    "step",
    "reduce",
    "running",
    "take",
    "write",
    "check",
    "fill0",
    "blocks",
    "together",
    "worker",
    "dismissed",
    *[f"{name}{size}" for name in ("gather", "scatter") for size in _SIZES],
]


@cache
def own_loops() -> dict[str, Address]:
    """Return the addresses of what stands here, by name."""
    found = engine().functions([(name, TEXT if name == "run" else "") for name in _NAMES])
    return dict(zip(_NAMES, found, strict=True))


@cache
def _pool() -> Pool:
    return Pool(own_loops()["worker"], own_loops()["dismissed"])


def pool_of(threads: int) -> int:
    """Return the address of the pool, which has so many threads from then on, the one that calls included."""
    _pool().ready(threads - 1)
    return _pool().address


# --- what it needs of Python --------------------------------------------------------------------------------------

_FASTCALL = 0x0080


class _Method(ctypes.Structure):
    """A `PyMethodDef`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("told", ctypes.c_char_p),
    )


@cache
def python() -> np.ndarray[Any, Any]:
    """Return the addresses of what is used of Python and NumPy, in the order in which they are looked up."""
    api = ctypes.pythonapi
    found = {name: ctypes.cast(getattr(api, name), ctypes.c_void_p).value or 0 for name in _PYTHON}
    found |= {name: id(known) for name, known in _OBJECTS.items()}
    found |= {name: ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0 for name, text in _TEXTS.items()}
    return np.array([found[name] for name in _ORDER], np.int64)


@cache
def _method(name: str) -> _Method:
    return _Method(name.encode(), own_loops()[name], _FASTCALL, None)


@cache
def _maker() -> Any:
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return prototype(("PyCFunction_NewEx", ctypes.pythonapi))


def runner(table: np.ndarray[Any, Any], name: str = "run") -> Any:
    """Return a function that runs a table: ``run`` of arrays, ``iterate`` of addresses, ``step`` of a feed and a state.

    The table is alive as long as the function is. Nobody but the plan may call it.
    """
    return _maker()(ctypes.addressof(_method(name)), table, None)

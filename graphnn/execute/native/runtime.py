"""What runs a list of loops: one function that Python calls, and the loops that are neither NumPy's nor fused.

All of it is LLVM text that holds for any plan. A plan is a table of words (see `tables`), and a call of it one call of
`run` with that table.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from .addresses import array_api
from .engine import engine

CALL_WORDS = 5
"""Of each call in a table: the function, its arguments, dimensions, steps, and data."""
HEADER = ("calls", "calls at", "given", "given at", "made", "made at", "results", "long", "wrong", "python at")
"""The first words of a table."""

_RUN = """
define ptr @run(ptr %self, ptr %arguments, i64 %count) nounwind {
entry:
  %table.p = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table.p
  %calls = load i64, ptr %table
  %calls.at.p = getelementptr i64, ptr %table, i64 1
  %calls.at = load ptr, ptr %calls.at.p
  %given.p = getelementptr i64, ptr %table, i64 2
  %given = load i64, ptr %given.p
  %given.at.p = getelementptr i64, ptr %table, i64 3
  %given.at = load ptr, ptr %given.at.p
  %made.p = getelementptr i64, ptr %table, i64 4
  %made = load i64, ptr %made.p
  %made.at.p = getelementptr i64, ptr %table, i64 5
  %made.at = load ptr, ptr %made.at.p
  %results.p = getelementptr i64, ptr %table, i64 6
  %results = load i64, ptr %results.p
  %long.p = getelementptr i64, ptr %table, i64 7
  %long = load i64, ptr %long.p
  %wrong.p = getelementptr i64, ptr %table, i64 8
  %py.p = getelementptr i64, ptr %table, i64 9
  %py = load ptr, ptr %py.p
  %tuple.new = load ptr, ptr %py
  %empty.p = getelementptr ptr, ptr %py, i64 1
  %empty = load ptr, ptr %empty.p
  %give.p = getelementptr ptr, ptr %py, i64 2
  %give = load ptr, ptr %give.p
  %take.p = getelementptr ptr, ptr %py, i64 3
  %take = load ptr, ptr %take.p
  %raise.p = getelementptr ptr, ptr %py, i64 4
  %raise = load ptr, ptr %raise.p
  %error.p = getelementptr ptr, ptr %py, i64 5
  %error = load ptr, ptr %error.p
  %text.p = getelementptr ptr, ptr %py, i64 6
  %text = load ptr, ptr %text.p
  %signals.p = getelementptr ptr, ptr %py, i64 7
  %signals = load ptr, ptr %signals.p
  %own.p = getelementptr ptr, ptr %py, i64 8
  %own = load ptr, ptr %own.p
  %drop.p = getelementptr ptr, ptr %py, i64 9
  %drop = load ptr, ptr %drop.p
  %set.p = getelementptr ptr, ptr %py, i64 10
  %set = load ptr, ptr %set.p
  %given.any = icmp sgt i64 %given, 0
  br i1 %given.any, label %put, label %make.begin
put:
  %g = phi i64 [0, %entry], [%g.next, %put]
  %g.base = mul i64 %g, 3
  %g.slot.p = getelementptr i64, ptr %given.at, i64 %g.base
  %g.slot = load ptr, ptr %g.slot.p
  %g.of.p = getelementptr i64, ptr %g.slot.p, i64 1
  %g.of = load i64, ptr %g.of.p
  %g.off.p = getelementptr i64, ptr %g.slot.p, i64 2
  %g.off = load i64, ptr %g.off.p
  %g.object.p = getelementptr ptr, ptr %arguments, i64 %g.of
  %g.object = load ptr, ptr %g.object.p
  %g.data.p = getelementptr i8, ptr %g.object, i64 16
  %g.data = load ptr, ptr %g.data.p
  %g.here = getelementptr i8, ptr %g.data, i64 %g.off
  store ptr %g.here, ptr %g.slot
  %g.next = add i64 %g, 1
  %g.more = icmp slt i64 %g.next, %given
  br i1 %g.more, label %put, label %make.begin
make.begin:
  %tuple = call ptr %tuple.new(i64 %results)
  %tuple.none = icmp eq ptr %tuple, null
  br i1 %tuple.none, label %fail, label %make.head
make.head:
  %results.any = icmp sgt i64 %results, 0
  br i1 %results.any, label %make, label %run.begin
make:
  %m = phi i64 [0, %make.head], [%m.next, %make.put]
  %m.base = mul i64 %m, 4
  %m.descr.p = getelementptr i64, ptr %made.at, i64 %m.base
  %m.descr = load ptr, ptr %m.descr.p
  %m.nd.p = getelementptr i64, ptr %m.descr.p, i64 1
  %m.nd = load i64, ptr %m.nd.p
  %m.nd.32 = trunc i64 %m.nd to i32
  %m.dims.p = getelementptr i64, ptr %m.descr.p, i64 2
  %m.dims = load ptr, ptr %m.dims.p
  call void %take(ptr %m.descr)
  %m.array = call ptr %empty(i32 %m.nd.32, ptr %m.dims, ptr %m.descr, i32 0)
  %m.none = icmp eq ptr %m.array, null
  br i1 %m.none, label %undo, label %make.put
make.put:
  %m.array.p = getelementptr ptr, ptr %m.descr.p, i64 3
  store ptr %m.array, ptr %m.array.p
  %m.set = call i32 %set(ptr %tuple, i64 %m, ptr %m.array)
  %m.next = add i64 %m, 1
  %m.more = icmp slt i64 %m.next, %results
  br i1 %m.more, label %make, label %lay.head
lay.head:
  %lay.at = getelementptr i64, ptr %made.at, i64 0
  %lay.base = mul i64 %results, 4
  %lay.first = getelementptr i64, ptr %lay.at, i64 %lay.base
  %lay.any = icmp sgt i64 %made, 0
  br i1 %lay.any, label %lay, label %run.begin
lay:
  %l = phi i64 [0, %lay.head], [%l.next, %lay]
  %l.base = mul i64 %l, 3
  %l.slot.p = getelementptr i64, ptr %lay.first, i64 %l.base
  %l.slot = load ptr, ptr %l.slot.p
  %l.of.p = getelementptr i64, ptr %l.slot.p, i64 1
  %l.of = load i64, ptr %l.of.p
  %l.off.p = getelementptr i64, ptr %l.slot.p, i64 2
  %l.off = load i64, ptr %l.off.p
  %l.record = mul i64 %l.of, 4
  %l.object.n = add i64 %l.record, 3
  %l.object.p = getelementptr ptr, ptr %made.at, i64 %l.object.n
  %l.object = load ptr, ptr %l.object.p
  %l.data.p = getelementptr i8, ptr %l.object, i64 16
  %l.data = load ptr, ptr %l.data.p
  %l.here = getelementptr i8, ptr %l.data, i64 %l.off
  store ptr %l.here, ptr %l.slot
  %l.next = add i64 %l, 1
  %l.more = icmp slt i64 %l.next, %made
  br i1 %l.more, label %lay, label %run.begin
run.begin:
  %calls.any = icmp sgt i64 %calls, 0
  br i1 %calls.any, label %which, label %done
which:
  %is.long = icmp ne i64 %long, 0
  br i1 %is.long, label %slow, label %fast
fast:
  %i = phi i64 [0, %which], [%i.next, %fast.next]
  %i.base = mul i64 %i, 5
  %call.p = getelementptr i64, ptr %calls.at, i64 %i.base
  call void @one(ptr %call.p)
  %wrong = load i64, ptr %wrong.p
  %is.wrong = icmp ne i64 %wrong, 0
  br i1 %is.wrong, label %refuse, label %fast.next
fast.next:
  %i.next = add i64 %i, 1
  %i.more = icmp slt i64 %i.next, %calls
  br i1 %i.more, label %fast, label %done
slow:
  %k = phi i64 [0, %which], [%k.next, %slow.next]
  %k.base = mul i64 %k, 5
  %slow.call.p = getelementptr i64, ptr %calls.at, i64 %k.base
  %thread = call ptr %give()
  call void @one(ptr %slow.call.p)
  call void %own(ptr %thread)
  %asked = call i32 %signals()
  %stopped = icmp slt i32 %asked, 0
  br i1 %stopped, label %undo, label %slow.on
slow.on:
  %slow.wrong = load i64, ptr %wrong.p
  %slow.is.wrong = icmp ne i64 %slow.wrong, 0
  br i1 %slow.is.wrong, label %refuse, label %slow.next
slow.next:
  %k.next = add i64 %k, 1
  %k.more = icmp slt i64 %k.next, %calls
  br i1 %k.more, label %slow, label %done
refuse:
  store i64 0, ptr %wrong.p
  call void %raise(ptr %error, ptr %text)
  br label %undo
undo:
  call void %drop(ptr %tuple)
  br label %fail
fail:
  ret ptr null
done:
  ret ptr %tuple
}

define void @one(ptr %call) alwaysinline nounwind {
  %function = load ptr, ptr %call
  %args.p = getelementptr ptr, ptr %call, i64 1
  %args = load ptr, ptr %args.p
  %dims.p = getelementptr ptr, ptr %call, i64 2
  %dims = load ptr, ptr %dims.p
  %steps.p = getelementptr ptr, ptr %call, i64 3
  %steps = load ptr, ptr %steps.p
  %data.p = getelementptr ptr, ptr %call, i64 4
  %data = load ptr, ptr %data.p
  call void %function(ptr %args, ptr %dims, ptr %steps, ptr %data)
  ret void
}
"""

# Reduces the middle one of three axes: arguments (x, out), dimensions (outer, reduced, inner), and as data the loop,
# its own data, the bytes of an element, and 1 if it begins with the first element, else 0, with the number that follows.
# Where the innermost axis has one element, the loop goes along the reduced one, as NumPy has it.
_REDUCE = """
define void @reduce(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
entry:
  %three = alloca [3 x ptr]
  %one = alloca [1 x i64]
  %by = alloca [3 x i64]
  %x.0 = load ptr, ptr %args
  %out.p = getelementptr ptr, ptr %args, i64 1
  %out.0 = load ptr, ptr %out.p
  %outer = load i64, ptr %dims
  %n.p = getelementptr i64, ptr %dims, i64 1
  %n = load i64, ptr %n.p
  %inner.p = getelementptr i64, ptr %dims, i64 2
  %inner = load i64, ptr %inner.p
  %loop = load ptr, ptr %data
  %own.p = getelementptr ptr, ptr %data, i64 1
  %own = load ptr, ptr %own.p
  %size.p = getelementptr i64, ptr %data, i64 2
  %size = load i64, ptr %size.p
  %first.p = getelementptr i64, ptr %data, i64 3
  %first = load i64, ptr %first.p
  %number.p = getelementptr i64, ptr %data, i64 4
  %row = mul i64 %inner, %size
  %whole = mul i64 %n, %row
  %second = getelementptr ptr, ptr %three, i64 1
  %third = getelementptr ptr, ptr %three, i64 2
  %by.1 = getelementptr i64, ptr %by, i64 1
  %by.2 = getelementptr i64, ptr %by, i64 2
  store i64 %size, ptr %by.1
  %is.along = icmp eq i64 %inner, 1
  %by.out = select i1 %is.along, i64 0, i64 %size
  store i64 %by.out, ptr %by
  store i64 %by.out, ptr %by.2
  br label %outer.loop
outer.loop:
  %o = phi i64 [0, %entry], [%o.next, %outer.next]
  %x = phi ptr [%x.0, %entry], [%x.next, %outer.next]
  %out = phi ptr [%out.0, %entry], [%out.next, %outer.next]
  store ptr %out, ptr %three
  store ptr %out, ptr %third
  %takes.first = icmp ne i64 %first, 0
  br i1 %takes.first, label %begin.first, label %begin.number
begin.first:
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %x, i64 %row, i1 false)
  br label %go
begin.number:
  %b = phi i64 [0, %outer.loop], [%b.next, %begin.number]
  %b.off = mul i64 %b, %size
  %b.p = getelementptr i8, ptr %out, i64 %b.off
  call void @llvm.memcpy.p0.p0.i64(ptr %b.p, ptr %number.p, i64 %size, i1 false)
  %b.next = add i64 %b, 1
  %b.more = icmp slt i64 %b.next, %inner
  br i1 %b.more, label %begin.number, label %go
go:
  %skipped = phi i64 [1, %begin.first], [0, %begin.number]
  %skip = mul i64 %skipped, %row
  %x.begin = getelementptr i8, ptr %x, i64 %skip
  %left = sub i64 %n, %skipped
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %how, label %outer.next
how:
  br i1 %is.along, label %along, label %across.begin
along:
  store ptr %x.begin, ptr %second
  store i64 %left, ptr %one
  call void %loop(ptr %three, ptr %one, ptr %by, ptr %own)
  br label %outer.next
across.begin:
  store i64 %inner, ptr %one
  br label %across
across:
  %r = phi i64 [0, %across.begin], [%r.next, %across]
  %r.x = phi ptr [%x.begin, %across.begin], [%r.x.next, %across]
  store ptr %r.x, ptr %second
  call void %loop(ptr %three, ptr %one, ptr %by, ptr %own)
  %r.x.next = getelementptr i8, ptr %r.x, i64 %row
  %r.next = add i64 %r, 1
  %r.more = icmp slt i64 %r.next, %left
  br i1 %r.more, label %across, label %outer.next
outer.next:
  %x.next = getelementptr i8, ptr %x, i64 %whole
  %out.next = getelementptr i8, ptr %out, i64 %row
  %o.next = add i64 %o, 1
  %o.more = icmp slt i64 %o.next, %outer
  br i1 %o.more, label %outer.loop, label %end
end:
  ret void
}
"""

# Labels are checked: as unsigned, a negative one is too large. Arguments (labels), dimensions (count, classes), and as
# data the word that tells that something is wrong.
_CHECK = """
define void @check(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
entry:
  %x = load ptr, ptr %args
  %n = load i64, ptr %dims
  %classes.p = getelementptr i64, ptr %dims, i64 1
  %classes = load i64, ptr %classes.p
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  %bad = phi i1 [false, %entry], [%worse, %loop]
  %p = getelementptr i64, ptr %x, i64 %i
  %label = load i64, ptr %p
  %over = icmp uge i64 %label, %classes
  %worse = or i1 %bad, %over
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %end
end:
  %told = zext i1 %worse to i64
  store i64 %told, ptr %data
  ret void
}
"""

# Arguments (x, places, out), dimensions (count).
_GATHER = """
define void @gather{size}(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{
entry:
  %x = load ptr, ptr %args
  %at.p = getelementptr ptr, ptr %args, i64 1
  %at = load ptr, ptr %at.p
  %out.p = getelementptr ptr, ptr %args, i64 2
  %out = load ptr, ptr %out.p
  %n = load i64, ptr %dims
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  %place.p = getelementptr i64, ptr %at, i64 %i
  %place = load i64, ptr %place.p
  %p = getelementptr {kind}, ptr %x, i64 %place
  %v = load {kind}, ptr %p
  %q = getelementptr {kind}, ptr %out, i64 %i
  store {kind} %v, ptr %q
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""

# Arguments (x, places, out), dimensions (count, bytes of out), steps (of x, in elements).
_SCATTER = """
define void @scatter{size}(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{
entry:
  %x = load ptr, ptr %args
  %at.p = getelementptr ptr, ptr %args, i64 1
  %at = load ptr, ptr %at.p
  %out.p = getelementptr ptr, ptr %args, i64 2
  %out = load ptr, ptr %out.p
  %n = load i64, ptr %dims
  %bytes.p = getelementptr i64, ptr %dims, i64 1
  %bytes = load i64, ptr %bytes.p
  %step = load i64, ptr %steps
  call void @llvm.memset.p0.i64(ptr %out, i8 0, i64 %bytes, i1 false)
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  %place.p = getelementptr i64, ptr %at, i64 %i
  %place = load i64, ptr %place.p
  %x.i = mul i64 %i, %step
  %p = getelementptr {kind}, ptr %x, i64 %x.i
  %v = load {kind}, ptr %p
  %q = getelementptr {kind}, ptr %out, i64 %place
  store {kind} %v, ptr %q
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""

# Arguments (out), dimensions (bytes).
_FILL0 = """
define void @fill0(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
  %out = load ptr, ptr %args
  %n = load i64, ptr %dims
  call void @llvm.memset.p0.i64(ptr %out, i8 0, i64 %n, i1 false)
  ret void
}
"""

_SIZES = (1, 2, 4, 8)
TEXT = "\n".join(
    [_RUN, _REDUCE, _CHECK, _FILL0]
    + [text.format(size=size, kind=f"i{8 * size}") for text in (_GATHER, _SCATTER) for size in _SIZES]
)
_NAMES = ["run", "reduce", "check", "fill0", *[f"{name}{size}" for name in ("gather", "scatter") for size in _SIZES]]


@cache
def own_loops() -> dict[str, int]:
    """Return the addresses of what stands here, by name."""
    found = engine().functions([(name, TEXT if name == "run" else "") for name in _NAMES])
    return dict(zip(_NAMES, found, strict=True))


# --- what it needs of Python --------------------------------------------------------------------------------------

_FASTCALL = 0x0080
_EMPTY = 184
"""The number of `PyArray_Empty` in NumPy's C API."""
_REFUSED = b"labels are out of range"


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
    """Return the addresses of what `run` calls of Python and NumPy, in its order."""
    api = ctypes.pythonapi

    def address(name: str) -> int:
        return ctypes.cast(getattr(api, name), ctypes.c_void_p).value or 0

    error = ctypes.c_void_p.in_dll(api, "PyExc_ValueError").value or 0
    text = ctypes.cast(ctypes.c_char_p(_REFUSED), ctypes.c_void_p).value or 0
    return np.array(
        [
            address("PyTuple_New"),
            array_api(_EMPTY),
            address("PyEval_SaveThread"),
            address("Py_IncRef"),
            address("PyErr_SetString"),
            error,
            text,
            address("PyErr_CheckSignals"),
            address("PyEval_RestoreThread"),
            address("Py_DecRef"),
            address("PyTuple_SetItem"),
        ],
        np.int64,
    )


@cache
def _method() -> _Method:
    return _Method(b"step", own_loops()["run"], _FASTCALL, None)


def runner(table: np.ndarray[Any, Any]) -> Any:
    """Return a function of arrays that runs a table, and returns a tuple of new arrays.

    The table is alive as long as the function is. Nobody but the plan may call it: it believes what it is given.
    """
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    make = prototype(("PyCFunction_NewEx", ctypes.pythonapi))
    return make(ctypes.addressof(_method()), table, None)

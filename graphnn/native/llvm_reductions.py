"""Sums and extrema of floating-point numbers along an axis, as LLVM text, and their bits are NumPy's.

NumPy's loop is called once for each row, which takes longer than to reduce a short row. Here, one call goes through all
rows. What NumPy computes is known: it adds up neighbors pairwise, in blocks of 128 with eight sums each, and other
axes one after the other. An extremum is the same in any order, unless it is 0, which has two signs, or there is a NaN:
such a row is handed to NumPy's loop, and so is the next one, which is likely to be alike.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .fused_kernels import TYPES, Line, Text
from .llvm import Address, engine
from .llvm_loops import of_axes
from .ufunc_addresses import Loop, call, loop_of, same_bits

if TYPE_CHECKING:
    from ..compiler.intermediate_representation import DType

_AT_ONCE = 4
"""Rows, or registers of a row, that are gone through at once: an addition ends four cycles after it begins."""
GOES_ON = 2
"""How a reduction begins that goes on with what is in its result."""
_NARROW = 4
"""Elements of a register for rows that do not fill the widest one."""
_LONG = 2**13
"""Bytes of a row from which on NumPy's loop finds its extremum in hardly more time."""

# Reduces the middle one of three axes. Arguments (x, out), dimensions (outer, reduced, inner); as data NumPy's loop,
# its own data, the bytes of an element, and how it begins: with 0 (0), with the first element (1), or with what is in
# out (2).
_REDUCE = of_axes("""
define void @{name}(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{
entry:
  %three = alloca [3 x ptr]
  %one = alloca [1 x i64]
  %by = alloca [3 x i64]
AXES
  %loop = load ptr, ptr %data
  %own.p = getelementptr ptr, ptr %data, i64 1
  %own = load ptr, ptr %own.p
  %begins.p = getelementptr i64, ptr %data, i64 3
  %begins = load i64, ptr %begins.p
  %takes.first = icmp eq i64 %begins, 1
  %goes.on = icmp eq i64 %begins, 2
  %skipped = zext i1 %takes.first to i64
  %left = sub i64 %n, %skipped
  %row = mul i64 %inner, {size}
  %whole = mul i64 %n, %row
  %skip = mul i64 %skipped, %row
  %is.along = icmp eq i64 %inner, 1
  %is.copy = icmp eq i64 %left, 0
  br i1 %is.copy, label %copy, label %outer.loop
copy:
  %all = mul i64 %outer, %row
  call void @llvm.memcpy.p0.p0.i64(ptr %out.0, ptr %x.0, i64 %all, i1 false)
  br label %end
outer.loop:
  %o = phi i64 [0, %entry], [%o.next, %outer.next]
  %x = phi ptr [%x.0, %entry], [%x.next, %outer.next]
  %out = phi ptr [%out.0, %entry], [%out.next, %outer.next]
  %was.unclear = phi i1 [0, %entry], [%is.unclear, %outer.next]
  %x.begin = getelementptr i8, ptr %x, i64 %skip
  br i1 %is.along, label %along, label %across
along:
  %before = load {kind}, ptr %out
{along}
along.end:
  store {kind} %total, ptr %out
  br label %outer.next
by.numpy:
  br i1 %takes.first, label %by.numpy.first, label %by.numpy.call
by.numpy.first:
  %first = load {kind}, ptr %x
  store {kind} %first, ptr %out
  br label %by.numpy.call
by.numpy.call:
  %second = getelementptr ptr, ptr %three, i64 1
  %third = getelementptr ptr, ptr %three, i64 2
  store ptr %out, ptr %three
  store ptr %x.begin, ptr %second
  store ptr %out, ptr %third
  store i64 %left, ptr %one
  %by.1 = getelementptr i64, ptr %by, i64 1
  %by.2 = getelementptr i64, ptr %by, i64 2
  store i64 0, ptr %by
  store i64 {size}, ptr %by.1
  store i64 0, ptr %by.2
  call void %loop(ptr %three, ptr %one, ptr %by, ptr %own)
  %by.loop = load {kind}, ptr %out
  %by.loop.unclear = fcmp ueq {kind} %by.loop, 0.0
  br label %outer.next
across:
  br i1 %goes.on, label %over, label %begin
begin:
  br i1 %takes.first, label %begin.first, label %begin.zero
begin.first:
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %x, i64 %row, i1 false)
  br label %over
begin.zero:
  call void @llvm.memset.p0.i64(ptr %out, i8 0, i64 %row, i1 false)
  br label %over
over:
  call void @{name}_over(ptr %x.begin, ptr %out, i64 %left, i64 %inner)
  br label %outer.next
outer.next:
  %is.unclear = phi i1 [0, %along.end], [%by.loop.unclear, %by.numpy.call], [0, %over]
  %x.next = getelementptr i8, ptr %x, i64 %whole
  %out.next = getelementptr i8, ptr %out, i64 %row
  %o.next = add i64 %o, 1
  %o.more = icmp slt i64 %o.next, %outer
  br i1 %o.more, label %outer.loop, label %end
end:
  ret void
}}
""")
_SUM_ALONG = """
  %sum = call {kind} @pairwise_{char}(ptr %x, i64 %n)
  %start = select i1 %goes.on, {kind} %before, {kind} 0.0
  %total = fadd {kind} %start, %sum
  br label %along.end
"""
_EXTREMUM_ALONG = """
  %long = icmp sgt i64 %n, {longest}
  %not.own = or i1 %long, %was.unclear
  br i1 %not.own, label %by.numpy, label %by.own
by.own:
  %found = call {kind} @{name}_along(ptr %x, i64 %n)
{lines}
  %total = select i1 %goes.on, {kind} {both}, {kind} %found
  %unclear = fcmp ueq {kind} %total, 0.0
  br i1 %unclear, label %by.numpy, label %along.end
"""
_PAIRWISE = """
define internal {kind} @pairwise_{char}(ptr %x, i64 %n) nounwind {{
entry:
  %short = icmp slt i64 %n, 8
  br i1 %short, label %tail, label %some
some:
  %long = icmp sgt i64 %n, 128
  br i1 %long, label %halves, label %block
halves:
  %half = lshr i64 %n, 1
  %left = and i64 %half, -8
  %right = sub i64 %n, %left
  %there = getelementptr {kind}, ptr %x, i64 %left
  %one = call {kind} @pairwise_{char}(ptr %x, i64 %left)
  %other = call {kind} @pairwise_{char}(ptr %there, i64 %right)
  %both = fadd {kind} %one, %other
  ret {kind} %both
block:
  %eight.0 = load <8 x {kind}>, ptr %x, align {size}
  %whole = and i64 %n, -8
  %fours = sub i64 %whole, 24
  %many = icmp sgt i64 %fours, 8
  br i1 %many, label %four.eights, label %left.over
four.eights:
  %k = phi i64 [8, %block], [%k.next, %four.eights]
  %sum.0 = phi <8 x {kind}> [%eight.0, %block], [%sum.4, %four.eights]
{four_eights}
  %k.next = add i64 %k, 32
  %k.more = icmp slt i64 %k.next, %fours
  br i1 %k.more, label %four.eights, label %left.over
left.over:
  %i.0 = phi i64 [8, %block], [%k.next, %four.eights]
  %eight.1 = phi <8 x {kind}> [%eight.0, %block], [%sum.4, %four.eights]
  %more = icmp slt i64 %i.0, %whole
  br i1 %more, label %eights, label %added
eights:
  %i = phi i64 [%i.0, %left.over], [%i.next, %eights]
  %eight = phi <8 x {kind}> [%eight.1, %left.over], [%eight.next, %eights]
  %p = getelementptr {kind}, ptr %x, i64 %i
  %v = load <8 x {kind}>, ptr %p, align {size}
  %eight.next = fadd <8 x {kind}> %eight, %v
  %i.next = add i64 %i, 8
  %i.more = icmp slt i64 %i.next, %whole
  br i1 %i.more, label %eights, label %added
added:
  %r = phi <8 x {kind}> [%eight.1, %left.over], [%eight.next, %eights]
  %even = shufflevector <8 x {kind}> %r, <8 x {kind}> poison, <4 x i32> <i32 0, i32 2, i32 4, i32 6>
  %odd = shufflevector <8 x {kind}> %r, <8 x {kind}> poison, <4 x i32> <i32 1, i32 3, i32 5, i32 7>
  %four = fadd <4 x {kind}> %even, %odd
  %even.2 = shufflevector <4 x {kind}> %four, <4 x {kind}> poison, <2 x i32> <i32 0, i32 2>
  %odd.2 = shufflevector <4 x {kind}> %four, <4 x {kind}> poison, <2 x i32> <i32 1, i32 3>
  %two = fadd <2 x {kind}> %even.2, %odd.2
  %two.0 = extractelement <2 x {kind}> %two, i64 0
  %two.1 = extractelement <2 x {kind}> %two, i64 1
  %sum = fadd {kind} %two.0, %two.1
  br label %tail
tail:
  %from = phi i64 [0, %entry], [%whole, %added]
  %begun = phi {kind} [0.0, %entry], [%sum, %added]
  %rest = icmp slt i64 %from, %n
  br i1 %rest, label %each, label %end
each:
  %j = phi i64 [%from, %tail], [%j.next, %each]
  %so.far = phi {kind} [%begun, %tail], [%with, %each]
  %q = getelementptr {kind}, ptr %x, i64 %j
  %w = load {kind}, ptr %q
  %with = fadd {kind} %so.far, %w
  %j.next = add i64 %j, 1
  %j.more = icmp slt i64 %j.next, %n
  br i1 %j.more, label %each, label %end
end:
  %total = phi {kind} [%begun, %tail], [%with, %each]
  ret {kind} %total
}}
"""
_UFUNCS = (np.add, np.maximum, np.minimum)


def _text(ufunc: np.ufunc, char: str, register: int) -> str:
    """Return the text of a reduction, for registers of so many bytes."""
    name, kind, size = _name(ufunc, char), TYPES[char], np.dtype(char).itemsize
    width = register // size
    if ufunc is np.add:
        within, along = _pairwise(char), _SUM_ALONG.format(kind=kind, char=char)
    else:
        text = Text(1, "b")
        both = _with(text, ufunc, char, "%before", "%found")
        within = _along(name, ufunc, char, width)
        lines = "\n".join(text.lines)
        along = _EXTREMUM_ALONG.format(kind=kind, name=name, longest=_LONG // size, lines=lines, both=both)
    whole = _REDUCE.format(name=name, kind=kind, size=size, along=along)
    return "\n".join([within, _over(name, ufunc, char, width), whole])


def _name(ufunc: np.ufunc, char: str) -> str:
    return f"{ufunc.__name__}_{char}"


def _with(text: Text, ufunc: np.ufunc, char: str, x: str, y: str) -> str:
    """Write what a ufunc makes of two operands."""
    return text.line(Line(ufunc.__name__, 2 * char, char, (0, 1)), (x, y))


def _widths(width: int) -> list[int]:
    return [width, _NARROW, 1] if width > _NARROW else [width, 1]


def _over(name: str, ufunc: np.ufunc, char: str, width: int) -> str:
    """Return the function that takes n rows, one after the other, into the row that is in out."""
    kind, lines = TYPES[char], []
    for rows, step in ((_AT_ONCE, "many"), (1, "one")):
        first, last = ("0", "%many") if rows > 1 else ("%many", "%n")
        before, after = ("entry", "one.on") if rows > 1 else ("one.on", "end")
        lines += [
            f"  %{step}.any = icmp slt i64 {first}, {last}",
            f"  br i1 %{step}.any, label %{step}.rows, label %{after}",
            f"{step}.rows:",
            f"  %{step}.r = phi i64 [{first}, %{before}], [%{step}.r.next, %{step}.rows.next]",
            *[f"  %{step}.r{k} = add i64 %{step}.r, {k}" for k in range(rows)],
            *[f"  %{step}.a{k} = mul i64 %{step}.r{k}, %inner" for k in range(rows)],
            *[f"  %{step}.x{k} = getelementptr {kind}, ptr %x, i64 %{step}.a{k}" for k in range(rows)],
        ]
        begun, came = "0", f"{step}.rows"
        for each in _widths(width):
            label = f"{step}.w{each}"
            text = Text(each, f"{label}.v")
            at = text.add(f"getelementptr {kind}, ptr %out, i64 %{label}.i")
            size = np.dtype(char).itemsize
            total = text.add(f"load {text.type(char)}, ptr {at}, align {size}")
            for k in range(rows):
                p = text.add(f"getelementptr {kind}, ptr %{step}.x{k}, i64 %{label}.i")
                v = text.add(f"load {text.type(char)}, ptr {p}, align {size}")
                total = _with(text, ufunc, char, total, v)
            text.lines.append(f"  store {text.type(char)} {total}, ptr {at}, align {size}")
            lines += [
                f"  %{label}.end = and i64 %inner, {-each}",
                f"  %{label}.any = icmp slt i64 {begun}, %{label}.end",
                f"  br i1 %{label}.any, label %{label}, label %{label}.on",
                f"{label}:",
                f"  %{label}.i = phi i64 [{begun}, %{came}], [%{label}.next, %{label}]",
                *text.lines,
                f"  %{label}.next = add i64 %{label}.i, {each}",
                f"  %{label}.more = icmp slt i64 %{label}.next, %{label}.end",
                f"  br i1 %{label}.more, label %{label}, label %{label}.on",
                f"{label}.on:",
            ]
            begun, came = f"%{label}.end", f"{label}.on"
        lines += [
            f"  br label %{step}.rows.next",
            f"{step}.rows.next:",
            f"  %{step}.r.next = add i64 %{step}.r, {rows}",
            f"  %{step}.r.more = icmp slt i64 %{step}.r.next, {last}",
            f"  br i1 %{step}.r.more, label %{step}.rows, label %{after}",
            f"{after}:",
        ]
    body = "\n".join(["entry:", f"  %many = and i64 %n, {-_AT_ONCE}", *lines, "  ret void"])
    return f"define internal void @{name}_over(ptr %x, ptr %out, i64 %n, i64 %inner) nounwind {{\n{body}\n}}\n"


# The extremum of n numbers, by registers, so many at once. The last ones overlap: a number may be taken twice.
_ALONG = """
  %{way}.fits = icmp sge i64 %n, {least}
  br i1 %{way}.fits, label %{way}, label %{way}.not
{way}:
  %{way}.a = load {vector}, ptr %x, align {size}
  %{way}.u = fcmp uno {vector} %{way}.a, %{way}.a
  %{way}.last = sub i64 %n, {width}
  br label %{way}.loop
{way}.loop:
  %{way}.i = phi i64 [{width}, %{way}], [%{way}.next, %{way}.loop]
{phis}
{loads}
  %{way}.next = add i64 %{way}.i, {step}
  %{way}.more = icmp slt i64 %{way}.next, %n
  br i1 %{way}.more, label %{way}.loop, label %{way}.end
{way}.end:
{ends}
  %{way}.total = select i1 {nan}, {kind} 0x7FF8000000000000, {kind} {found}
  ret {kind} %{way}.total
{way}.not:
"""


def _along(name: str, ufunc: np.ufunc, char: str, width: int) -> str:
    """Return the function that gives the extremum of n numbers, or NaN if there is one; of 0 and -0, either."""
    ways = [(width, _AT_ONCE), *[(each, 1) for each in _widths(width)]]
    body = "".join([_way(ufunc, char, each, count) for each, count in ways])
    kind = TYPES[char]
    return f"define internal {kind} @{name}_along(ptr %x, i64 %n) nounwind {{{body}  ret {kind} 0.0\n}}\n"


def _way(ufunc: np.ufunc, char: str, width: int, count: int) -> str:
    """Return the lines that go by so many registers at once."""
    how, reduces = ("ogt", "fmax") if ufunc is np.maximum else ("olt", "fmin")
    way, kind, size = f"w{width}.{count}", TYPES[char], np.dtype(char).itemsize
    text, ends = Text(width, f"{way}.v"), Text(width, f"{way}.e")
    vector, truths = text.type(char), text.of("i1")
    phis = []
    for k in range(count):
        at = text.add(f"add i64 %{way}.i, {k * width}")
        at = text.add(f"call i64 @llvm.smin.i64(i64 {at}, i64 %{way}.last)")
        p = text.add(f"getelementptr {kind}, ptr %x, i64 {at}")
        v = text.add(f"load {vector}, ptr {p}, align {size}")
        is_beyond = text.add(f"fcmp {how} {vector} %{way}.c{k}, {v}")
        text.lines.append(f"  %{way}.d{k} = select {truths} {is_beyond}, {vector} %{way}.c{k}, {vector} {v}")
        text.lines.append(f"  %{way}.t{k} = or {truths} %{way}.s{k}, {text.add(f'fcmp uno {vector} {v}, {v}')}")
        phis.append(f"  %{way}.c{k} = phi {vector} [%{way}.a, %{way}], [%{way}.d{k}, %{way}.loop]")
        phis.append(f"  %{way}.s{k} = phi {truths} [%{way}.u, %{way}], [%{way}.t{k}, %{way}.loop]")
    found, nan = f"%{way}.d0", f"%{way}.t0"
    for k in range(1, count):
        is_beyond = ends.add(f"fcmp {how} {vector} {found}, %{way}.d{k}")
        found = ends.choice(is_beyond, char, found, f"%{way}.d{k}")
        nan = ends.add(f"or {truths} {nan}, %{way}.t{k}")
    if width > 1:
        nan = ends.add(f"icmp ne i{width} {ends.add(f'bitcast {truths} {nan} to i{width}')}, 0")
        found = ends.add(f"call nnan {kind} @llvm.vector.reduce.{reduces}.v{width}f{8 * size}({vector} {found})")
    return _ALONG.format(
        way=way,
        width=width,
        step=count * width,
        least=1 if width == 1 else (2 * count - 1) * width,
        vector=vector,
        size=size,
        phis="\n".join(phis),
        loads="\n".join(text.lines),
        ends="\n".join(ends.lines),
        nan=nan,
        kind=kind,
        found=found,
    )


def _pairwise(char: str) -> str:
    """Return the function that adds up n numbers."""
    kind, size = TYPES[char], np.dtype(char).itemsize
    lines = []
    for j in range(_AT_ONCE):
        lines += [
            f"  %k.{j} = add i64 %k, {8 * j}",
            f"  %p.{j} = getelementptr {kind}, ptr %x, i64 %k.{j}",
            f"  %v.{j} = load <8 x {kind}>, ptr %p.{j}, align {size}",
            f"  %sum.{j + 1} = fadd <8 x {kind}> %sum.{j}, %v.{j}",
        ]
    return _PAIRWISE.format(kind=kind, char=char, size=size, four_eights="\n".join(lines))


# --- which are used ------------------------------------------------------------------------------------------------


def own_reduction(ufunc: np.ufunc, dtype: DType, along: bool) -> int | None:
    """Return the address of the loop that stands here for a ufunc, or None.

    Parameters
    ----------
    ufunc : np.ufunc
    dtype : dtype
    along : bool
        Whether it reduces the innermost axis.
    """
    if ufunc not in _UFUNCS or dtype.char not in "fd" or (along and ufunc is np.add and not _adds_as_numpy(dtype)):
        return None
    return _address(ufunc, dtype.char)


@cache
def _address(ufunc: np.ufunc, char: str) -> Address:
    (found,) = engine().functions([(_name(ufunc, char), _text(ufunc, char, engine().register))])
    return found


@cache
def _adds_as_numpy(dtype: DType) -> bool:
    """Tell whether numbers are added up as by NumPy's loop, of every count that goes another way."""
    loop, numbers = loop_of(np.add, (dtype,) * 3), np.random.default_rng(0).normal(size=1500).astype(dtype)
    if loop is None:
        return False
    own = Loop(_address(np.add, dtype.char), np.zeros(5, np.int64).ctypes.data)
    for n in (*range(1, 34), *range(63, 66), *range(127, 138), *range(255, 274), 511, 512, 777, 1025, 1500):
        one, other = np.zeros(1, dtype), np.zeros(1, dtype)
        call(loop, [one.ctypes.data, numbers.ctypes.data, one.ctypes.data], [n], [0, dtype.itemsize, 0])
        call(own, [numbers.ctypes.data, other.ctypes.data], [1, n, 1], [])
        if not same_bits(one, other):
            return False
    return True

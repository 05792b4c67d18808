"""Loops along an axis: running sums, slices taken and added, and the places of the largest, as LLVM text."""

import re

from .fused_kernels import MEMORY, TYPES
from .llvm_loops import of_axes

# Adds up along the middle one of three axes, and keeps each sum on the way. Arguments (x, out), dimensions (outer, n,
# inner); as data the loop that adds, its own data, the bytes of an element. As NumPy has it, the loop reads what it has
# just written where the innermost axis has one element.
RUNNING = of_axes("""
define void @running(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
entry:
  %three = alloca [3 x ptr]
  %one = alloca [1 x i64]
  %by = alloca [3 x i64]
AXES
  %loop = load ptr, ptr %data
  %own.p = getelementptr ptr, ptr %data, i64 1
  %own = load ptr, ptr %own.p
  %size.p = getelementptr i64, ptr %data, i64 2
  %size = load i64, ptr %size.p
  %row = mul i64 %inner, %size
  %whole = mul i64 %n, %row
  %second = getelementptr ptr, ptr %three, i64 1
  %third = getelementptr ptr, ptr %three, i64 2
  %by.1 = getelementptr i64, ptr %by, i64 1
  %by.2 = getelementptr i64, ptr %by, i64 2
  store i64 %size, ptr %by
  store i64 %size, ptr %by.1
  store i64 %size, ptr %by.2
  %left = sub i64 %n, 1
  %is.along = icmp eq i64 %inner, 1
  %count = select i1 %is.along, i64 %left, i64 %inner
  %rows = select i1 %is.along, i64 1, i64 %left
  %some = icmp sgt i64 %left, 0
  store i64 %count, ptr %one
  br label %outer.loop
outer.loop:
  %o = phi i64 [0, %entry], [%o.next, %outer.next]
  %x = phi ptr [%x.0, %entry], [%x.next, %outer.next]
  %out = phi ptr [%out.0, %entry], [%out.next, %outer.next]
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %x, i64 %row, i1 false)
  br i1 %some, label %add, label %outer.next
add:
  %r = phi i64 [0, %outer.loop], [%r.next, %add]
  %at = mul i64 %r, %row
  %before = getelementptr i8, ptr %out, i64 %at
  %after = getelementptr i8, ptr %before, i64 %row
  %x.at = getelementptr i8, ptr %x, i64 %at
  %x.here = getelementptr i8, ptr %x.at, i64 %row
  store ptr %before, ptr %three
  store ptr %x.here, ptr %second
  store ptr %after, ptr %third
  call void %loop(ptr %three, ptr %one, ptr %by, ptr %own)
  %r.next = add i64 %r, 1
  %r.more = icmp slt i64 %r.next, %rows
  br i1 %r.more, label %add, label %outer.next
outer.next:
  %x.next = getelementptr i8, ptr %x, i64 %whole
  %out.next = getelementptr i8, ptr %out, i64 %whole
  %o.next = add i64 %o, 1
  %o.more = icmp slt i64 %o.next, %outer
  br i1 %o.more, label %outer.loop, label %end
end:
  ret void
}
""")

# Of what goes to places in slices: what it is called with, and the place, from the end if it is below 0.
_SLICES = """
  %x.0 = load ptr, ptr %args
  %at.p = getelementptr ptr, ptr %args, i64 1
  %at = load ptr, ptr %at.p
  %out.p = getelementptr ptr, ptr %args, i64 2
  %out.0 = load ptr, ptr %out.p
  %outer = load i64, ptr %dims
  %n.p = getelementptr i64, ptr %dims, i64 1
  %n = load i64, ptr %n.p
  %SIZE.p = getelementptr i64, ptr %dims, i64 2
  %SIZE = load i64, ptr %SIZE.p
  %count.p = getelementptr i64, ptr %dims, i64 3
  %count = load i64, ptr %count.p
  %whole = mul i64 %n, %SIZE
  br label %outer.loop"""
_PLACE = """
  %place.p = getelementptr i64, ptr %at, i64 %i
  %told = load i64, ptr %place.p
  %is.below = icmp slt i64 %told, 0
  %from.end = add i64 %told, %n
  %place = select i1 %is.below, i64 %from.end, i64 %told
  %bad = icmp uge i64 %place, %n
  br i1 %bad, label %wrong, label %DO
wrong:
  store i64 1, ptr %data
  ret void"""


def _of_slices(text: str) -> str:
    """Return a loop over slices, with the shared lines put in."""
    text = re.sub(r"\nSLICES\((\w+)\)", lambda found: _SLICES.replace("SIZE", found[1]), text)
    return re.sub(r"\nPLACE\((\w+)\)", lambda found: _PLACE.replace("DO", found[1]), text)


# Takes slices. Arguments (x, places, out), dimensions (outer, n, bytes of a slice, places), and as data the word that
# tells that something is wrong: a place below -n, or of n and above.
TAKE = _of_slices("""
define void @take(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
entry:
SLICES(bytes)
outer.loop:
  %o = phi i64 [0, %entry], [%o.next, %outer.next]
  %x = phi ptr [%x.0, %entry], [%x.next, %outer.next]
  %out.row = phi ptr [%out.0, %entry], [%out.next, %outer.next]
  br label %loop
loop:
  %i = phi i64 [0, %outer.loop], [%j, %next]
  %out = phi ptr [%out.row, %outer.loop], [%out.next, %next]
PLACE(copy)
copy:
  %there = mul i64 %place, %bytes
  %p = getelementptr i8, ptr %x, i64 %there
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %p, i64 %bytes, i1 false)
  br label %next
next:
  %out.next = getelementptr i8, ptr %out, i64 %bytes
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %count
  br i1 %more, label %loop, label %outer.next
outer.next:
  %x.next = getelementptr i8, ptr %x, i64 %whole
  %o.next = add i64 %o, 1
  %o.more = icmp slt i64 %o.next, %outer
  br i1 %o.more, label %outer.loop, label %end
end:
  ret void
}
""")

# Writes a slice into another array, or into a copy of it, unless that is where it lies. Arguments (x, update, start,
# out), dimensions (outer, n, bytes of a slice, count), and as data the word that tells that something is wrong.
WRITE = """
define void @write(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
entry:
  %x = load ptr, ptr %args
  %update.p = getelementptr ptr, ptr %args, i64 1
  %update.0 = load ptr, ptr %update.p
  %start.p = getelementptr ptr, ptr %args, i64 2
  %start.at = load ptr, ptr %start.p
  %start = load i64, ptr %start.at
  %out.p = getelementptr ptr, ptr %args, i64 3
  %out.0 = load ptr, ptr %out.p
  %outer = load i64, ptr %dims
  %n.p = getelementptr i64, ptr %dims, i64 1
  %n = load i64, ptr %n.p
  %bytes.p = getelementptr i64, ptr %dims, i64 2
  %bytes = load i64, ptr %bytes.p
  %count.p = getelementptr i64, ptr %dims, i64 3
  %count = load i64, ptr %count.p
  %row = mul i64 %n, %bytes
  %part = mul i64 %count, %bytes
  %is.below = icmp slt i64 %start, 0
  %from.end = add i64 %start, %n
  %first = select i1 %is.below, i64 %from.end, i64 %start
  %most = sub i64 %n, %count
  %too.many = icmp slt i64 %most, 0
  %beyond = icmp ugt i64 %first, %most
  %bad = or i1 %too.many, %beyond
  br i1 %bad, label %wrong, label %right
wrong:
  store i64 1, ptr %data
  ret void
right:
  %same = icmp eq ptr %x, %out.0
  br i1 %same, label %go, label %copy
copy:
  %whole = mul i64 %outer, %row
  call void @llvm.memcpy.p0.p0.i64(ptr %out.0, ptr %x, i64 %whole, i1 false)
  br label %go
go:
  %before = mul i64 %first, %bytes
  %out.first = getelementptr i8, ptr %out.0, i64 %before
  br label %loop
loop:
  %i = phi i64 [0, %go], [%j, %loop]
  %update = phi ptr [%update.0, %go], [%update.next, %loop]
  %out = phi ptr [%out.first, %go], [%out.next, %loop]
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %update, i64 %part, i1 false)
  %update.next = getelementptr i8, ptr %update, i64 %part
  %out.next = getelementptr i8, ptr %out, i64 %row
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %outer
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""

# Adds slices to what is there. Arguments (x, places, out), dimensions (outer, n, elements of a slice, places), and as
# data the word that tells that something is wrong: a place below -n, or of n and above.
_ADDING = _of_slices("""
define void @{name}(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{
entry:
SLICES(inner)
outer.loop:
  %o = phi i64 [0, %entry], [%o.next, %outer.next]
  %x.row = phi ptr [%x.0, %entry], [%x.next, %outer.next]
  %out = phi ptr [%out.0, %entry], [%out.next, %outer.next]
  br label %loop
loop:
  %i = phi i64 [0, %outer.loop], [%j, %next]
  %x = phi ptr [%x.row, %outer.loop], [%x.next, %next]
PLACE(slice)
slice:
  %first = mul i64 %place, %inner
  %to = getelementptr {kind}, ptr %out, i64 %first
  br label %element
element:
  %k = phi i64 [0, %slice], [%k.next, %element]
  %here = getelementptr {kind}, ptr %to, i64 %k
  %from = getelementptr {kind}, ptr %x, i64 %k
  %before = load {kind}, ptr %here
  %more.of = load {kind}, ptr %from
  %after = {add} {kind} %before, %more.of
  store {kind} %after, ptr %here
  %k.next = add i64 %k, 1
  %k.more = icmp slt i64 %k.next, %inner
  br i1 %k.more, label %element, label %next
next:
  %x.next = getelementptr {kind}, ptr %x, i64 %inner
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %count
  br i1 %more, label %loop, label %outer.next
outer.next:
  %out.next = getelementptr {kind}, ptr %out, i64 %whole
  %o.next = add i64 %o, 1
  %o.more = icmp slt i64 %o.next, %outer
  br i1 %o.more, label %outer.loop, label %end
end:
  ret void
}}
""")
ADDS = frozenset(TYPES) - {"?"}
"""The dtypes of which slices are added."""


def adding(char: str) -> tuple[str, str]:
    """Return the name and the text of the loop that adds slices of a dtype."""
    name = f"adding_{char + ('_' if char.isupper() else '')}"
    return name, _ADDING.format(name=name, kind=TYPES[char], add="fadd" if char in "fd" else "add")


# Finds the first largest element, or smallest, along the middle one of three axes. Arguments (x, out), dimensions
# (outer, n, inner).
_POSITION = of_axes("""
define void @{name}(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{
entry:
AXES
  %whole = mul i64 %n, %inner
  %several = icmp sgt i64 %n, 1
  br label %outer.loop
outer.loop:
  %o = phi i64 [0, %entry], [%o.next, %outer.next]
  %x = phi ptr [%x.0, %entry], [%x.next, %outer.next]
  %out = phi ptr [%out.0, %entry], [%out.next, %outer.next]
  br label %inner.loop
inner.loop:
  %k = phi i64 [0, %outer.loop], [%k.next, %inner.next]
  %first.p = getelementptr {kind}, ptr %x, i64 %k
  %first = load {kind}, ptr %first.p
  br i1 %several, label %look, label %inner.next
look:
  %i = phi i64 [1, %inner.loop], [%i.next, %look]
  %best = phi {kind} [%first, %inner.loop], [%best.next, %look]
  %place = phi i64 [0, %inner.loop], [%place.next, %look]
  %row = mul i64 %i, %inner
  %at = add i64 %row, %k
  %p = getelementptr {kind}, ptr %x, i64 %at
  %v = load {kind}, ptr %p
  {takes}
  %best.next = select i1 %takes, {kind} %v, {kind} %best
  %place.next = select i1 %takes, i64 %i, i64 %place
  %i.next = add i64 %i, 1
  %i.more = icmp slt i64 %i.next, %n
  br i1 %i.more, label %look, label %inner.next
inner.next:
  %found = phi i64 [0, %inner.loop], [%place.next, %look]
  %q = getelementptr i64, ptr %out, i64 %k
  store i64 %found, ptr %q
  %k.next = add i64 %k, 1
  %k.more = icmp slt i64 %k.next, %inner
  br i1 %k.more, label %inner.loop, label %outer.next
outer.next:
  %x.next = getelementptr {kind}, ptr %x, i64 %whole
  %out.next = getelementptr i64, ptr %out, i64 %inner
  %o.next = add i64 %o, 1
  %o.more = icmp slt i64 %o.next, %outer
  br i1 %o.more, label %outer.loop, label %end
end:
  ret void
}}
""")


def position(char: str, largest: bool) -> tuple[str, str]:
    """Return the name and the text of the loop that finds the first largest element of a dtype, or smallest."""
    kind, how = MEMORY[char], "gt" if largest else "lt"
    if char in "fd":
        # A NaN counts as the largest and the smallest; the first one does.
        lines = [
            f"%is.nan = fcmp uno {kind} %v, %v",
            f"%is.number = fcmp ord {kind} %best, %best",
            f"%is.beyond = fcmp o{how} {kind} %v, %best",
            "%is.either = or i1 %is.nan, %is.beyond",
            "%takes = and i1 %is.either, %is.number",
        ]
    else:
        lines = [f"%takes = icmp {'s' if char in 'bhilq' else 'u'}{how} {kind} %v, %best"]
    name = f"arg{'max' if largest else 'min'}_{'bool' if char == '?' else char + ('_' if char.isupper() else '')}"
    return name, _POSITION.format(name=name, kind=kind, takes="\n  ".join(lines))

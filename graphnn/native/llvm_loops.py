"""Loops that are neither NumPy's nor fused, as LLVM text."""

# Of what goes along the middle one of three axes: what it is called with.
_AXES = """
  %x.0 = load ptr, ptr %args
  %out.p = getelementptr ptr, ptr %args, i64 1
  %out.0 = load ptr, ptr %out.p
  %outer = load i64, ptr %dims
  %n.p = getelementptr i64, ptr %dims, i64 1
  %n = load i64, ptr %n.p
  %inner.p = getelementptr i64, ptr %dims, i64 2
  %inner = load i64, ptr %inner.p"""


def of_axes(text: str) -> str:
    """Return a loop over three axes, with the shared lines put in."""
    return text.replace("\nAXES", _AXES)


# Reduces the middle one of three axes. Arguments (x, out), dimensions (outer, reduced, inner); as data the loop,
# its own data, the bytes of an element, 1 if it begins with the first element, else 0, and the number to begin with.
# Where the innermost axis has one element, the loop goes along the reduced one, as NumPy has it.
REDUCE = of_axes("""
define void @reduce(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
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
""")

# Labels are checked: as unsigned, a negative one is too large. Arguments (labels), dimensions (count, classes), and as
# data the word that tells that something is wrong.
CHECK = """
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

# Arguments (x, places, out), dimensions (count, elements of x), and as data the word that tells that something is
# wrong. Labels may have been right when they were checked, and been written to since, by another thread.
GATHER = """
define void @gather{size}(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{
entry:
  %x = load ptr, ptr %args
  %at.p = getelementptr ptr, ptr %args, i64 1
  %at = load ptr, ptr %at.p
  %out.p = getelementptr ptr, ptr %args, i64 2
  %out = load ptr, ptr %out.p
  %n = load i64, ptr %dims
  %size.p = getelementptr i64, ptr %dims, i64 1
  %size = load i64, ptr %size.p
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %inside]
  %place.p = getelementptr i64, ptr %at, i64 %i
  %place = load i64, ptr %place.p
  %outside = icmp uge i64 %place, %size
  br i1 %outside, label %wrong, label %inside
wrong:
  store i64 1, ptr %data
  ret void
inside:
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

# Arguments (x, places, out), dimensions (count, elements of out), steps (of x, in elements), and as data the word that
# tells that something is wrong.
SCATTER = """
define void @scatter{size}(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{
entry:
  %x = load ptr, ptr %args
  %at.p = getelementptr ptr, ptr %args, i64 1
  %at = load ptr, ptr %at.p
  %out.p = getelementptr ptr, ptr %args, i64 2
  %out = load ptr, ptr %out.p
  %n = load i64, ptr %dims
  %size.p = getelementptr i64, ptr %dims, i64 1
  %size = load i64, ptr %size.p
  %bytes = mul i64 %size, {size}
  %step = load i64, ptr %steps
  call void @llvm.memset.p0.i64(ptr %out, i8 0, i64 %bytes, i1 false)
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %inside]
  %place.p = getelementptr i64, ptr %at, i64 %i
  %place = load i64, ptr %place.p
  %outside = icmp uge i64 %place, %size
  br i1 %outside, label %wrong, label %inside
wrong:
  store i64 1, ptr %data
  ret void
inside:
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
FILL0 = """
define void @fill0(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
  %out = load ptr, ptr %args
  %n = load i64, ptr %dims
  call void @llvm.memset.p0.i64(ptr %out, i8 0, i64 %n, i1 false)
  ret void
}
"""

# Does some calls several times, and has their arguments move on from one time to the next; then sets them back.
# Dimensions (times, calls); as data, for each call: the function, its arguments, dimensions, steps, data, the number of
# its arguments, and how many bytes each of them moves on.
BLOCKS = """
define void @blocks(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
entry:
  %times = load i64, ptr %dims
  %calls.p = getelementptr i64, ptr %dims, i64 1
  %calls = load i64, ptr %calls.p
  %back = sub i64 0, %times
  br label %time
time:
  %t = phi i64 [0, %entry], [%t.next, %time.next]
  br label %call
call:
  %c = phi i64 [0, %time], [%c.next, %call.next]
  %c.base = mul i64 %c, 7
  %call.p = getelementptr i64, ptr %data, i64 %c.base
  call void @one(ptr %call.p)
  call void @moved(ptr %call.p, i64 1)
  br label %call.next
call.next:
  %c.next = add i64 %c, 1
  %c.more = icmp slt i64 %c.next, %calls
  br i1 %c.more, label %call, label %time.next
time.next:
  %t.next = add i64 %t, 1
  %t.more = icmp slt i64 %t.next, %times
  br i1 %t.more, label %time, label %reset
reset:
  %r = phi i64 [0, %time.next], [%r.next, %reset]
  %r.base = mul i64 %r, 7
  %r.p = getelementptr i64, ptr %data, i64 %r.base
  call void @moved(ptr %r.p, i64 %back)
  %r.next = add i64 %r, 1
  %r.more = icmp slt i64 %r.next, %calls
  br i1 %r.more, label %reset, label %end
end:
  ret void
}

define void @moved(ptr %call, i64 %times) nounwind {
entry:
  %args.p = getelementptr ptr, ptr %call, i64 1
  %args = load ptr, ptr %args.p
  %n.p = getelementptr i64, ptr %call, i64 5
  %n = load i64, ptr %n.p
  %by.p = getelementptr ptr, ptr %call, i64 6
  %by = load ptr, ptr %by.p
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  %arg.p = getelementptr ptr, ptr %args, i64 %i
  %arg = load ptr, ptr %arg.p
  %step.p = getelementptr i64, ptr %by, i64 %i
  %step = load i64, ptr %step.p
  %far = mul i64 %step, %times
  %there = getelementptr i8, ptr %arg, i64 %far
  store ptr %there, ptr %arg.p
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""

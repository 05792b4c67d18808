"""The iterations of a loop whose values fit registers, as LLVM text.

The function has the call of NumPy's loops. Its arguments are those of the body, at the first row, then memory of its
own: the states, which it goes on from and leaves there, then what it keeps of iterations. The dimensions are how many
iterations there are, and the number of the first; it writes there how many it made, and 0 if a condition has ended
them. The data are, for each function that is called, its address and its data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from .fused_kernels import MEMORY, TYPES, Text, size_of
from .scalar_body import Body, Item, Levels

_LINE = 64
"""Bytes to which everything in memory is aligned."""


class ScalarLoop:
    """Writes a loop.

    Parameters
    ----------
    body : Body
    count : int
        The most iterations that are made at once.

    Attributes
    ----------
    size : int
        The bytes of memory that it needs of its own.
    states : list of int
        Where in there each state lies.
    """

    def __init__(self, body: Body, count: int) -> None:
        self.body, self.levels = body, Levels(body)
        self.size = 0
        items = body.items
        self.states = [self._place(items[i].nbytes) for i in body.following]
        self._kept = {i: self._place(items[i].nbytes * count) for i in self.levels.kept}
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._calls = [i for i, item in enumerate(items) if item.kind == "call"]

    def _place(self, size: int) -> int:
        start = self.size
        self.size += -(-size // _LINE) * _LINE
        return start

    def written(self) -> tuple[str, str]:
        """Return the name of the function, and its text."""
        body, entry = self.body, self._entry
        for k in range(len(body.steps) + 1):
            name = "memory" if k == len(body.steps) else f"a{k}"
            entry += [f"%{name}.p = getelementptr ptr, ptr %args, i64 {k}", f"%{name} = load ptr, ptr %{name}.p"]
        for k, name in enumerate(("n", "first")):
            entry += [f"%{name}.p = getelementptr i64, ptr %dims, i64 {k}", f"%{name} = load i64, ptr %{name}.p"]
        for k, name in ((2, "made"), (3, "goes")):
            entry.append(f"%{name}.p = getelementptr i64, ptr %dims, i64 {k}")
        for k, offset in enumerate(self.states):
            entry.append(f"%state{k} = getelementptr i8, ptr %memory, i64 {offset}")
        for i, offset in self._kept.items():
            entry.append(f"%kept{i} = getelementptr i8, ptr %memory, i64 {offset}")
        for i in self._calls:
            self._lay_call(i)
        self._lines.append("br label %level0")
        for level in range(self.levels.count):
            self._level(level)
        lines = "\n".join(
            [f"  {line}" for line in entry] + [line if line.endswith(":") else f"  {line}" for line in self._lines]
        )
        head = "define void @NAME(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {"
        text = f"{head}\nentry:\n{lines}\n  ret void\n}}\n"
        name = "s" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        return name, text.replace("@NAME", f"@{name}")

    def _lay_call(self, i: int) -> None:
        """Lay out what a function of NumPy's is called with."""
        items, at_once = self.body.items, i in self.levels.at_once
        item, entry = items[i], self._entry
        ends = [items[x] for x in item.operands] + [item]
        for name, at in (("f", 2 * item.of), ("d", 2 * item.of + 1)):
            entry += [
                f"%{name}{i}.p = getelementptr ptr, ptr %data, i64 {at}",
                f"%{name}{i} = load ptr, ptr %{name}{i}.p",
            ]
        for name in ("args", "steps"):
            entry.append(f"%{name}{i} = alloca [{len(ends)} x i64], align {_LINE}")
        entry.append(f"%dims{i} = alloca i64, align 8")
        if at_once:
            entry += [f"%dims{i}.n = mul i64 %n, {item.width}", f"store i64 %dims{i}.n, ptr %dims{i}"]
        else:
            entry.append(f"store i64 {item.width}, ptr %dims{i}")
        for k, end in enumerate(ends):
            if at_once:
                slot = f"%kept{item.operands[0] if k == 0 else i}"
            else:
                slot = f"%slot{i}.{k}"
                entry.append(f"{slot} = alloca [{max(_LINE, end.nbytes)} x i8], align {_LINE}")
            step = size_of(end.char) if at_once or end.width > 1 else 0
            entry += [f"%args{i}.{k} = getelementptr ptr, ptr %args{i}, i64 {k}", f"store ptr {slot}, ptr %args{i}.{k}"]
            entry += [
                f"%steps{i}.{k} = getelementptr i64, ptr %steps{i}, i64 {k}",
                f"store i64 {step}, ptr %steps{i}.{k}",
            ]

    def _level(self, level: int) -> None:
        body, levels = self.body, self.levels
        needed = levels.needed(level)
        loop = _Iterations(self, level)
        for i in needed:
            loop.add(i)
        self._lines.append(f"level{level}:")
        if needed:
            self._lines += loop.lines()
        after = f"level{level + 1}" if level + 1 < levels.count else ""
        for i in sorted(levels.at_once):
            if levels.of[i] == level + 1:
                self._lines.append(f"call void %f{i}(ptr %args{i}, ptr %dims{i}, ptr %steps{i}, ptr %d{i})")
        if after:
            self._lines.append(f"br label %{after}")
        elif body.flag < 0 or not needed:
            self._lines += ["store i64 %n, ptr %made.p", "store i64 1, ptr %goes.p"]

    def kept(self, i: int) -> bool:
        """Tell whether an item has memory for all iterations."""
        return i in self._kept


class _Iterations:
    """Writes the iterations of a level."""

    def __init__(self, loop: ScalarLoop, level: int) -> None:
        self._body, self._levels, self._level = loop.body, loop.levels, level
        self._loop = loop
        self._before: list[str] = []
        self._each: list[str] = []
        self._texts: dict[tuple[bool, int], Text] = {}
        self._names: dict[int, str] = {}
        self._states: list[int] = [k for k, of in enumerate(self._levels.of_states) if of == level]

    def _text(self, fixed: bool, width: int) -> Text:
        """Return what writes operations of so many numbers: before the iterations, or in each."""
        key = fixed, width
        if key not in self._texts:
            self._texts[key] = text = Text(width, f"l{self._level}{'f' if fixed else 'e'}{width}.")
            text.lines = self._before if fixed else self._each
        return self._texts[key]

    def add(self, i: int) -> None:
        """Write an item, and what it is written to."""
        item = self._body.items[i]
        fixed = i in self._levels.fixed
        self._names[i] = self._written(i, item, self._text(fixed, item.width))

    def _written(self, i: int, item: Item, text: Text) -> str:
        operands = [self._names.get(x, "") for x in item.operands]
        if self._levels.is_kept_for(i, self._level):
            return self._loaded(text, item, self._at(text, f"%kept{i}", item.nbytes, "t"))
        match item.kind:
            case "row" | "same":
                at = f"%a{item.of}"
                if item.kind == "row":
                    at = self._at(text, at, self._body.steps[item.of], "u")
                if item.offset:
                    at = text.add(f"getelementptr i8, ptr {at}, i64 {item.offset}")
                return self._loaded(text, item, at)
            case "state":
                return f"%state{item.of}.{self._level}"
            case "index":
                return text.add(f"add i64 %first, %u{self._level}")
            case "line":
                assert item.line is not None
                return text.line(item.line, operands)
            case "call":
                return self._called(i, item, operands)
            case "splat":
                kind = text.type(item.char)
                one = text.add(f"insertelement {kind} poison, {TYPES[item.char]} {operands[0]}, i64 0")
                return text.add(f"shufflevector {kind} {one}, {kind} poison, <{item.width} x i32> zeroinitializer")
            case "element":
                whole = self._body.items[item.operands[0]]
                kind = f"<{whole.width} x {TYPES[whole.char]}>"
                return text.add(f"extractelement {kind} {operands[0]}, i64 {item.of}")

    def _called(self, i: int, item: Item, operands: list[str]) -> str:
        """Call a function of NumPy's for one iteration."""
        for k, (x, name) in enumerate(zip(item.operands, operands, strict=True)):
            self._store(self._body.items[x], name, f"%slot{i}.{k}")
        text = self._text(False, item.width)
        text.lines.append(f"  call void %f{i}(ptr %args{i}, ptr %dims{i}, ptr %steps{i}, ptr %d{i})")
        return self._loaded(text, item, f"%slot{i}.{len(operands)}")

    def _at(self, text: Text, start: str, step: int, number: str) -> str:
        return text.add(f"getelementptr [{step} x i8], ptr {start}, i64 %{number}{self._level}")

    def _loaded(self, text: Text, item: Item, at: str) -> str:
        x = text.add(f"load {text.of(MEMORY[item.char])}, ptr {at}, align {size_of(item.char)}")
        return text.add(f"icmp ne {text.of('i8')} {x}, {text.number('b', 0)}") if item.char == "?" else x

    def _store(self, item: Item, name: str, at: str) -> None:
        text = self._text(False, item.width)
        kind = text.type(item.char)
        if item.char == "?":
            name, kind = text.add(f"zext {kind} {name} to {text.of('i8')}"), text.of("i8")
        text.lines.append(f"  store {kind} {name}, ptr {at}, align {size_of(item.char)}")

    def lines(self) -> Iterator[str]:
        """Write what comes of the iterations, and yield their lines."""
        body, p = self._body, self._level
        items = body.items
        for i, argument in body.outputs:
            if self._levels.of[i] == p:
                text = self._text(False, items[i].width)
                self._store(items[i], self._names[i], self._at(text, f"%a{argument}", body.steps[argument], "u"))
        for i in self._levels.kept:
            if self._levels.of[i] == p and i not in self._levels.at_once:
                text = self._text(False, items[i].width)
                self._store(items[i], self._names[i], self._at(text, f"%kept{i}", items[i].nbytes, "t"))
        phis = []
        for k in self._states:
            item = items[body.following[k]]
            text = self._text(True, item.width)
            first, last = self._loaded(text, item, f"%state{k}"), self._names[body.following[k]]
            phis.append(f"%state{k}.{p} = phi {text.type(item.char)} [{first}, %level{p}], [{last}, %each{p}]")
        each = [line.strip() for line in self._each]
        yield from (line.strip() for line in self._before)
        yield f"br label %each{p}"
        yield f"each{p}:"
        yield f"%t{p} = phi i64 [0, %level{p}], [%t{p}.next, %each{p}]"
        yield from phis
        yield f"%u{p} = {'sub i64 0, ' if body.backwards else 'add i64 0, '}%t{p}"
        yield from each
        yield f"%t{p}.next = add i64 %t{p}, 1"
        yield f"%more{p} = icmp slt i64 %t{p}.next, %n"
        on = f"%more{p}"
        if body.flag >= 0:
            on = f"%on{p}"
            yield f"%on{p} = and i1 %more{p}, {self._names[body.flag]}"
        yield f"br i1 {on}, label %each{p}, label %done{p}"
        yield f"done{p}:"
        if body.flag >= 0:
            yield f"store i64 %t{p}.next, ptr %made.p"
            yield f"%goes{p} = zext i1 {self._names[body.flag]} to i64"
            yield f"store i64 %goes{p}, ptr %goes.p"
        self._each.clear()
        for k in self._states:
            self._store(items[body.following[k]], self._names[body.following[k]], f"%state{k}")
        yield from (line.strip() for line in self._each)

"""The loops of fused kernels, as LLVM text."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from .fused_kernels import MEMORY, TYPES, Kernel, Operand, Text, size_of


@lru_cache(512)  # a text may have 10 kB
def written(kernel: Kernel, register: int) -> tuple[str, str]:
    """Return the name of a kernel's function, and its text, for registers of so many bytes."""
    text = (_Narrow if kernel.narrow else _Loops)(kernel, register).text()
    name = "k" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    return name, text.replace("@NAME", f"@{name}")


class _Loops:
    """Writes a kernel: loops over the outer axes, and along the innermost one as many elements as fit a register."""

    def __init__(self, kernel: Kernel, register: int) -> None:
        self._kernel = kernel
        self._operands = [*kernel.inputs, *[operand for _, operand in kernel.outputs]]
        widest = max(size_of(operand.char) for operand in self._operands)
        self._width = max(2, register // widest)
        self._lines: list[str] = []

    def text(self) -> str:
        count, depth = len(self._operands), self._kernel.depth
        self._label("entry")
        for k in range(count):
            self._add(f"%a{k}.p = getelementptr ptr, ptr %args, i64 {k}")
            self._add(f"%a{k} = load ptr, ptr %a{k}.p")
        for d in range(depth):
            self._add(f"%n{d}.p = getelementptr i64, ptr %dims, i64 {d}")
            self._add(f"%n{d} = load i64, ptr %n{d}.p")
            for k in range(count):
                if d == depth - 1 and self._operands[k].way != "apart":
                    continue
                self._add(f"%s{d}.{k}.p = getelementptr i64, ptr %steps, i64 {d * count + k}")
                self._add(f"%s{d}.{k} = load i64, ptr %s{d}.{k}.p")
        self._loops(0, "entry", [f"%a{k}" for k in range(count)])
        self._add("ret void")
        body = "\n".join(self._lines)
        return f"define void @NAME(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{\n{body}\n}}\n"

    def _loops(self, d: int, before: str, pointers: list[str]) -> str:
        """Write the loop over an axis and all within it; return the label of where it goes on."""
        if d == self._kernel.depth - 1:
            return self._innermost(before, pointers)
        self._add(f"br label %loop{d}")
        self._label(f"loop{d}")
        head = len(self._lines)
        inner = [f"%q{d}.{k}" for k in range(len(pointers))]
        end = self._loops(d + 1, f"loop{d}", inner)
        self._add(f"%j{d} = add i64 %i{d}, 1")
        phis = [f"%i{d} = phi i64 [0, %{before}], [%j{d}, %{end}]"]
        for k, pointer in enumerate(pointers):
            phis.append(f"%q{d}.{k} = phi ptr [{pointer}, %{before}], [%r{d}.{k}, %{end}]")
            self._add(f"%r{d}.{k} = getelementptr i8, ptr %q{d}.{k}, i64 %s{d}.{k}")
        self._lines[head:head] = phis
        self._add(f"%m{d} = icmp slt i64 %j{d}, %n{d}")
        self._add(f"br i1 %m{d}, label %loop{d}, label %end{d}")
        self._label(f"end{d}")
        return f"end{d}"

    def _innermost(self, before: str, pointers: list[str]) -> str:
        n, width = f"%n{self._kernel.depth - 1}", self._width
        same = {}
        for k, operand in enumerate(self._kernel.inputs):
            if operand.way == "same":
                same[k] = self._loaded(operand.char, pointers[k], f"c{k}")
        wide = dict(same)
        for k, x in same.items():
            kind = TYPES[self._kernel.inputs[k].char]
            self._add(f"%w{k}.0 = insertelement <{width} x {kind}> poison, {kind} {x}, i64 0")
            self._add(
                f"%w{k} = shufflevector <{width} x {kind}> %w{k}.0, <{width} x {kind}> poison, "
                f"<{width} x i32> zeroinitializer"
            )
            wide[k] = f"%w{k}"
        self._add(f"%whole = and i64 {n}, {-width}" if not width & (width - 1) else "")
        self._add("%any = icmp sgt i64 %whole, 0")
        self._add("br i1 %any, label %wide, label %narrow.on")
        self._label("wide")
        self._add(f"%i = phi i64 [0, %{before}], [%i.next, %wide]")
        self._elements(width, "v", "%i", pointers, wide)
        self._add(f"%i.next = add i64 %i, {width}")
        self._add("%i.more = icmp slt i64 %i.next, %whole")
        self._add("br i1 %i.more, label %wide, label %narrow.on")
        self._label("narrow.on")
        self._add(f"%rest = icmp slt i64 %whole, {n}")
        self._add("br i1 %rest, label %narrow, label %done")
        self._label("narrow")
        self._add("%j = phi i64 [%whole, %narrow.on], [%j.next, %narrow]")
        self._elements(1, "s", "%j", pointers, same)
        self._add("%j.next = add i64 %j, 1")
        self._add(f"%j.more = icmp slt i64 %j.next, {n}")
        self._add("br i1 %j.more, label %narrow, label %done")
        self._label("done")
        return "done"

    def _elements(self, width: int, prefix: str, index: str, pointers: list[str], known: dict[int, str]) -> None:
        """Write what is computed of so many elements. All of them are read before the first is written."""
        text = Text(width, prefix)
        names: list[str] = []
        for k, operand in enumerate(self._kernel.inputs):
            names.append(known[k] if k in known else self._read(text, operand, pointers[k], index, k))
        for line in self._kernel.lines:
            names.append(text.line(line, [names[place] for place in line.places]))
        for k, (place, operand) in enumerate(self._kernel.outputs, len(self._kernel.inputs)):
            kind, x = text.type(operand.char), names[place]
            if operand.char == "?":
                x = text.add(f"zext {kind} {x} to {text.of('i8')}")
                kind = text.of("i8")
            size = size_of(operand.char)
            if operand.way == "apart" and width > 1:
                self._scatter(text, operand, (kind, x), pointers[k], index, k)
                continue
            at = self._address(text, operand, pointers[k], index, k)
            text.lines.append(f"  store {kind} {x}, ptr {at}, align {size}")
        self._lines += text.lines

    def _scatter(self, text: Text, operand: Operand, x: tuple[str, str], pointer: str, index: str, k: int) -> None:
        """Write elements that lie apart, one by one."""
        size, memory = size_of(operand.char), MEMORY[operand.char]
        for lane in range(self._width):
            one = text.add(f"extractelement {x[0]} {x[1]}, i64 {lane}")
            at = self._address(text, operand, pointer, text.add(f"add i64 {index}, {lane}"), k)
            text.lines.append(f"  store {memory} {one}, ptr {at}, align {size}")

    def _read(self, text: Text, operand: Operand, pointer: str, index: str, k: int) -> str:
        size, memory = size_of(operand.char), MEMORY[operand.char]
        if operand.way == "apart" and text.of("i8") != "i8":
            return self._gathered(text, operand, pointer, index, k)
        at = self._address(text, operand, pointer, index, k)
        x = text.add(f"load {text.of(memory)}, ptr {at}, align {size}")
        return text.add(f"icmp ne {text.of('i8')} {x}, {text.number('b', 0)}") if operand.char == "?" else x

    def _gathered(self, text: Text, operand: Operand, pointer: str, index: str, k: int) -> str:
        size, memory, d = size_of(operand.char), MEMORY[operand.char], self._kernel.depth - 1
        found = "poison"
        for lane in range(self._width):
            i = text.add(f"add i64 {index}, {lane}")
            offset = text.add(f"mul i64 {i}, %s{d}.{k}")
            at = text.add(f"getelementptr i8, ptr {pointer}, i64 {offset}")
            x = text.add(f"load {memory}, ptr {at}, align {size}")
            found = text.add(f"insertelement {text.of(memory)} {found}, {memory} {x}, i64 {lane}")
        return text.add(f"icmp ne {text.of('i8')} {found}, {text.number('b', 0)}") if operand.char == "?" else found

    def _address(self, text: Text, operand: Operand, pointer: str, index: str, k: int) -> str:
        if operand.way == "apart":
            offset = text.add(f"mul i64 {index}, %s{self._kernel.depth - 1}.{k}")
            return text.add(f"getelementptr i8, ptr {pointer}, i64 {offset}")
        return text.add(f"getelementptr {MEMORY[operand.char]}, ptr {pointer}, i64 {index}")

    def _loaded(self, char: str, pointer: str, name: str) -> str:
        self._add(f"%{name}.m = load {MEMORY[char]}, ptr {pointer}, align {size_of(char)}")
        if char != "?":
            return f"%{name}.m"
        self._add(f"%{name} = icmp ne i8 %{name}.m, 0")
        return f"%{name}"

    def _add(self, line: str) -> None:
        self._lines.append(f"  {line}")

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")


class _Narrow(_Loops):
    """Writes a kernel for narrow rows, of which several fit a register.

    A block of so many rows is as many registers as a row has elements. In each of them, which row and which column an
    element belongs to is known when this is written.
    """

    def text(self) -> str:
        """Return the text of the function, but for its name."""
        n, width, operands = self._kernel.narrow, self._width, self._operands
        self._label("entry")
        for k in range(len(operands)):
            self._add(f"%a{k}.p = getelementptr ptr, ptr %args, i64 {k}")
            self._add(f"%a{k} = load ptr, ptr %a{k}.p")
        self._add("%rows = load i64, ptr %dims")
        self._add(f"%whole = and i64 %rows, {-width}")
        patterns = [self._fixed(k, operand) for k, operand in enumerate(self._kernel.inputs)]
        self._add("%any = icmp sgt i64 %whole, 0")
        self._add("br i1 %any, label %wide, label %narrow.on")
        self._label("wide")
        self._add("%i = phi i64 [0, %entry], [%i.next, %wide]")
        self._add(f"%at = mul i64 %i, {n}")
        columns = Text(width, "c")
        of_rows = {
            k: self._memory(columns, operand.char, f"%a{k}", "%i")
            for k, operand in enumerate(self._kernel.inputs)
            if operand.way == "column"
        }
        self._lines += columns.lines
        for j in range(n):
            self._register(j, patterns, of_rows)
        self._add(f"%i.next = add i64 %i, {width}")
        self._add("%i.more = icmp slt i64 %i.next, %whole")
        self._add("br i1 %i.more, label %wide, label %narrow.on")
        self._label("narrow.on")
        self._add(f"%first = mul i64 %whole, {n}")
        self._add(f"%last = mul i64 %rows, {n}")
        self._add("%rest = icmp slt i64 %first, %last")
        self._add("br i1 %rest, label %narrow, label %done")
        self._label("narrow")
        self._add("%j = phi i64 [%first, %narrow.on], [%j.next, %narrow]")
        self._add(f"%row = udiv i64 %j, {n}")
        self._add(f"%row.at = mul i64 %row, {n}")
        self._add("%column = sub i64 %j, %row.at")
        text = Text(1, "s")
        index = {"each": "%j", "row": "%column", "column": "%row", "same": "0"}
        names = [
            self._memory(text, operand.char, f"%a{k}", index[operand.way])
            for k, operand in enumerate(self._kernel.inputs)
        ]
        self._computed(text, names, "%j")
        self._add("%j.next = add i64 %j, 1")
        self._add("%j.more = icmp slt i64 %j.next, %last")
        self._add("br i1 %j.more, label %narrow, label %done")
        self._label("done")
        self._add("ret void")
        body = "\n".join(self._lines)
        return f"define void @NAME(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{\n{body}\n}}\n"

    def _fixed(self, k: int, operand: Operand) -> list[str]:
        """Write the registers of an operand that are the same in every block, and return them."""
        n, width = self._kernel.narrow, self._width
        if operand.way not in ("row", "same"):
            return []
        count = n if operand.way == "row" else 1
        kind = TYPES[operand.char]
        text = Text(count, f"f{k}.")
        loaded = self._memory(text, operand.char, f"%a{k}", "0")
        if count == 1:
            loaded = text.add(f"insertelement <1 x {kind}> poison, {kind} {loaded}, i64 0")
        found = []
        for j in range(n if count > 1 else 1):
            lanes = ", ".join(f"i32 {(j * width + lane) % count}" for lane in range(width))
            vector = f"<{count} x {kind}>"
            found.append(text.add(f"shufflevector {vector} {loaded}, {vector} poison, <{width} x i32> <{lanes}>"))
        self._lines += text.lines
        return found * (n // len(found))

    def _register(self, j: int, patterns: list[list[str]], of_rows: dict[int, str]) -> None:
        """Write what is computed of one register of a block."""
        n, width = self._kernel.narrow, self._width
        text = Text(width, f"v{j}.")
        index = text.add(f"add i64 %at, {j * width}")
        names = []
        for k, operand in enumerate(self._kernel.inputs):
            if patterns[k]:
                names.append(patterns[k][j])
            elif operand.way == "column":
                lanes = ", ".join(f"i32 {(j * width + lane) // n}" for lane in range(width))
                kind = text.type(operand.char)
                names.append(text.add(f"shufflevector {kind} {of_rows[k]}, {kind} poison, <{width} x i32> <{lanes}>"))
            else:
                names.append(self._memory(text, operand.char, f"%a{k}", index))
        self._computed(text, names, index)

    def _memory(self, text: Text, char: str, pointer: str, index: str) -> str:
        """Read elements that lie side by side."""
        memory, size = MEMORY[char], size_of(char)
        at = text.add(f"getelementptr {memory}, ptr {pointer}, i64 {index}")
        x = text.add(f"load {text.of(memory)}, ptr {at}, align {size}")
        return text.add(f"icmp ne {text.of('i8')} {x}, {text.number('b', 0)}") if char == "?" else x

    def _computed(self, text: Text, names: list[str], index: str) -> None:
        """Write the lines, and the elements that come out."""
        for line in self._kernel.lines:
            names.append(text.line(line, [names[place] for place in line.places]))
        for k, (place, operand) in enumerate(self._kernel.outputs, len(self._kernel.inputs)):
            kind, x, memory = text.type(operand.char), names[place], MEMORY[operand.char]
            if operand.char == "?":
                kind = text.of("i8")
                x = text.add(f"zext {text.of('i1')} {x} to {kind}")
            at = text.add(f"getelementptr {memory}, ptr %a{k}, i64 {index}")
            text.lines.append(f"  store {kind} {x}, ptr {at}, align {size_of(operand.char)}")
        self._lines += text.lines

"""What a native plan does with each node, and its loops, to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import short_name
from ..compiler import intermediate_representation as do
from ..compiler.buffer_allocation import most_apart
from ..compiler.plan_explanation import Explanation, Piece, names_of, same_fate
from .fused_kernel_loops import written
from .fused_kernels import SHORT
from .llvm import engine
from .loop_rates import expected
from .row_blocks import flat
from .work_list import place_of

if TYPE_CHECKING:
    from ..compiler.buffer_allocation import Buffer
    from ..compiler.ir_values import Value
    from ..compiler.lowering import Lowering
    from ..core import Node
    from .kernel_fusion import Fused
    from .work_list import Work


@dataclass(frozen=True, slots=True)
class Loop:
    """One thing that a native plan does.

    Attributes
    ----------
    what : str
        ``"fused"``, a kernel of its own; ``"loop"``, a loop of NumPy's or ours; ``"python"``, a call from Python.
    nodes : tuple of str
    why : str
        Why it is called from Python.
    read, written : int
        The bytes that it reads and writes.
    text : str
        What it computes: of a kernel, what it reads, a line for each operation, and what it writes.
    llvm : str
        Of a kernel: the same as LLVM takes it.
    threads : int
        By how many it is computed.
    expected : float or None
        The seconds that it is expected to take, from what this machine does in a second; None of a call from Python.
    """

    what: str
    nodes: tuple[str, ...]
    why: str
    read: int
    written: int
    text: str
    llvm: str = ""
    threads: int = 1
    expected: float | None = None

    @property
    def assembly(self) -> str:
        """What the processor gets of a kernel."""
        return engine().assembly(self.llvm) if self.llvm else ""

    def __str__(self) -> str:
        nodes = ", ".join(short_name(name, 80) for name in self.nodes)
        head = f"{self.what}: {nodes}; reads {self.read:,} bytes, writes {self.written:,}"
        if self.threads > 1:
            head += f"; on {self.threads} threads"
        return "\n".join([head + (f" ({self.why})" if self.why else ""), *(f"    {x}" for x in self.text.splitlines())])


def _moved(work: Work, scratch: set[Value]) -> tuple[int, int, int]:
    """Return the bytes that a work reads and writes, and those of them that are scratch memory's."""
    if isinstance(work.values[0].how, do.Patch):  # of the table only rows, and those of the last time
        _, *operands = work.values[0].operands
        return 2 * operands[0].nbytes + sum(x.nbytes for x in operands), 2 * operands[0].nbytes, 0
    own = set(work.values)
    reads = {x: None for value in work.values for x in value.operands if x.root not in own}
    writes = [value for value in work.values if value not in work.inner]
    cached = sum(x.nbytes for x in (*reads, *writes) if x.root in scratch)
    return sum((x.repeats or x).nbytes for x in reads), sum(value.nbytes for value in writes), cached


def loops_of(works: Sequence[Work], kernels: Mapping[Work, Fused]) -> list[Loop]:
    """Return what a plan does, to read."""
    found = []
    for whole in works:
        for work in flat([whole]):
            read, writes, cached = _moved(work, whole.scratch)
            if work in kernels:
                text, llvm = _lines_of(kernels[work]), written(kernels[work].kernel, engine().register)[1]
            else:
                text, llvm = "\n".join(map(_line_of, work.values)), ""
            seconds = expected(work, read + writes, cached)
            told = work.how, names_of(work.values), work.why, read, writes, text, llvm, whole.threads
            found.append(Loop(*told, None if seconds is None else seconds / whole.threads))
    return found


_WAYS = {
    "each": "each element",
    "same": "one number for all elements",
    "apart": "each element, and they lie apart",
    "row": "one row for all rows",
    "column": "one number for each row",
}


def _lines_of(each: Fused) -> str:
    """Return a kernel as lines: what it reads, what it computes, what it writes."""
    kernel, count = each.kernel, len(each.kernel.inputs)
    lines = [
        f"x{place} = {_shown(part)}: {_WAYS[operand.way]}"
        for place, (operand, part) in enumerate(zip(kernel.inputs, each.parts, strict=False))
    ]
    for place, line in enumerate(kernel.lines, count):
        name = f"to_{'bfloat16' if line.gives == SHORT else np.dtype(line.gives)}" if line.name == "cast" else line.name
        lines.append(f"x{place} = {name}({', '.join(f'x{x}' for x in line.places)})")
    lines += [f"{_shown(part)} = x{place}" for (place, _), part in zip(kernel.outputs, each.parts[count:], strict=True)]
    return "\n".join(lines)


def _line_of(value: Value) -> str:
    """Return a value that is made by one loop, or by a call of NumPy, as a line."""
    match value.how:
        case do.Ufunc(ufunc):
            name = ufunc.__name__
        case do.Reduce(ufunc):
            name = f"{ufunc.__name__}.reduce"
        case do.Call(_, name) | do.Own(_, name):
            pass
        case how:
            name = type(how).__name__.lower()
    return f"{_shown(value)} = {name}({', '.join(map(_shown, value.operands))})"


def _shown(value: Value) -> str:
    """Return what a value is called, its dtype and its shape; of a number, the number; of a view, of what it is one."""
    root, place = value.root, place_of(value)
    number = root.array is not None and root.array.size == 1
    name = str(root.array.flat[0]) if number and root.array is not None else short_name(root.node.name, 80)
    if value.kind == "view" and not number:
        name = f"view of {name}" + (f" from byte {place.offset}" if place is not None and place.offset else "")
    return f"{name} {value.dtype}{list(value.shape)}"


class NativeExplanation(Explanation):
    """What a native plan does with each node. Made by ``plan.explain()``.

    Attributes
    ----------
    why : dict of Node to str
        Of each node that is computed by a call of NumPy from Python: why.
    loops : list of Loop
    """

    loops: list[Loop]

    def __init__(
        self,
        lowering: Lowering,
        works: Sequence[Work],
        of: dict[Value, Buffer],
        buffers: Sequence[Buffer],
        size: int,
        loops: list[Loop],
    ) -> None:
        work_of = {value: work for work in flat(works) for value in work.values}
        outputs = {fetch.operands[0].root if fetch not in lowering.of.values() else fetch for fetch in lowering.fetches}
        self.fates = {}
        self.why: dict[Node, str] = {}
        first_of: dict[Value, Node] = {}
        for node, value in lowering.of.items():
            if not node.op.is_leaf:
                fate = same_fate(node, value, first_of)
                self.fates[node] = fate or _fate(node, value, work_of, outputs)
                work = work_of.get(value.root)
                if fate is None and work is not None and work.how == "python":
                    self.why[node] = work.why
            first_of.setdefault(value, node)
        scratch = {value for work in works for value in work.scratch}
        self.pieces = sorted(
            Piece(each.offset, each.size, names_of(each.values), each.start, each.end, each.values[0] in scratch)
            for each in buffers
            if each.values
        )
        self.arena = size
        self.live = max((sum(b.size for b in buffers if b.start <= at <= b.end) for at in range(len(works))), default=0)
        self.handed_out = sum(value.nbytes for value in lowering.fetches)
        self.apart = most_apart(lowering.values)
        self.calls = len(works)
        self.chains = [(work.rows, list(names_of(work.values))) for work in works if work.parts]
        self.loops = loops
        self.read, self.written = sum(loop.read for loop in loops), sum(loop.written for loop in loops)
        self.expected = sum(loop.expected or 0.0 for loop in loops)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = "what", "nodes", "read", "written", "threads", "expected"
        loops = [{name: getattr(loop, name) for name in names} for loop in self.loops]
        return super().to_dict() | {
            "read": self.read,
            "written": self.written,
            "expected": self.expected,
            "loops": loops,
        }


def _fate(node: Node, value: Value, work_of: dict[Value, Work], outputs: set[Value]) -> str:
    work = work_of.get(value.root)
    if value.index < 0:
        return "not needed"
    if work is None:
        return "constant"
    if isinstance(value.how, do.Patch):
        return "handed out, few rows written"
    others = [name for name in names_of(work.values) if name != node.name]
    how = "a loop of NumPy" if isinstance(value.how, (do.Ufunc, do.Product)) else "a loop"
    if work.how == "python":
        how = "a call of NumPy"
    if work.how == "fused":
        how = f"fused with {', '.join(others[:4])}{', …' if len(others) > 4 else ''}" if others else "a kernel"
    return f"handed out, {how}" if value in outputs else how

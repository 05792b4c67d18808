"""Loops over a few numbers: all iterations as one compiled function, with what is carried in registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from ..compiler.ir_values import in_c_order, squeezed
from ..control_flow.bundle import place_written
from ..control_flow.loop_lowering import FAST_LOOP
from . import loop_iterations
from .fused_kernels import Line
from .kernel_fusion import called
from .llvm import Address, engine
from .llvm_scalars import ScalarLoop
from .loop_iterations import InOneGo
from .native_plan import Native
from .row_blocks import flat
from .scalar_body import Body, Item
from .ufunc_addresses import LOOP, Loop, loop_of, same_one_by_one
from .work_list import address_of, place_of, spread

if TYPE_CHECKING:
    from ..compiler import intermediate_representation as do
    from ..compiler.ir_values import Value
    from ..control_flow.loop_op import Loop as LoopOp
    from ..core import Array
    from .loop_tables import Words

MOST_NUMBERS = 16
"""The most numbers of a value that is computed in registers."""
MOST_ITEMS = 400
"""The most items of a body: compiling takes longer with each."""
AT_ONCE = 8192
"""The most iterations that are made at once; even, and at least 4."""
_COST = 2**19
"""How many numbers are computed at once, at most; then other threads run, and Ctrl-C is heard."""
_CALL = 32
"""As many numbers as a call of a function takes the time of."""


class _Unfit(Exception):
    """The body does something else."""


class Compiled(NamedTuple):
    """A loop, ready to be run.

    Attributes
    ----------
    loop : ScalarLoop
    address : Address
    functions : array of int64
        The addresses and data of what it calls.
    at_once : int
        The most iterations of one call.
    """

    loop: ScalarLoop
    address: Address
    functions: Words
    at_once: int

    def run(self, arguments: Words, steps: Words, memory: Array, most: int, first: int) -> int:
        """Make the iterations, and return how many there were.

        Parameters
        ----------
        arguments : array of int64
            Where they are in the first iteration.
        steps : array of int64
            How far they move on, in bytes, from one iteration to the next.
        memory : array of uint8
            With the first states; then with the last.
        most : int
            The most iterations.
        first : int
            The number of the first.
        """
        function = LOOP(self.address)
        words, sizes = np.append(arguments, address_of(memory)), np.array([0, first, 0, 1], np.int64)
        onwards = np.append(steps, 0) * self.at_once
        of_index = -self.at_once if self.loop.body.backwards else self.at_once
        places = [*map(address_of, (words, sizes)), None, address_of(self.functions)]
        done = 0
        while True:
            sizes[0] = min(self.at_once, most - done)
            function(*places)
            done += int(sizes[2])
            if done >= most or not sizes[3]:
                return done
            words += onwards
            sizes[1] += of_index


def compiled(body: Body, functions: Sequence[Loop], at_once: int | None = None) -> Compiled:
    """Return a loop with this body, and the functions that it calls; at most so many iterations at once."""
    cost = sum(_CALL if item.kind == "call" else item.width for item in body.items)
    count = max(4, min(at_once or AT_ONCE, _COST // max(cost, 1) // 2 * 2))
    loop = ScalarLoop(body, count)
    (address,) = engine().functions([loop.written()])
    return Compiled(loop, address, np.array([*functions, (0, 0)], np.int64).reshape(-1), count)


class InRegisters(InOneGo):
    """Computes a loop by a function that holds what is carried in registers.

    Parameters
    ----------
    op : Loop
        With numbers for its dimensions.
    plan : Native
        Of its body.
    read : _Reader
    """

    def __init__(self, op: LoopOp, plan: Native, read: _Reader) -> None:
        super().__init__(op, plan)
        self._read_of, self._compiled = read, compiled(read.body(), read.functions)
        self._memory: list[Array] = []

    def _run(self, most: int, given: Sequence[Array], made: Sequence[Array]) -> int:
        op, read, compiled = self._op, self._read_of, self._compiled
        steps = np.array(compiled.loop.body.steps, np.int64)
        if op.backwards:
            steps = -steps
        first = most - 1 if op.backwards else 0
        arrays = [*[given[x] if isinstance(x, int) else x for x in read.arguments], *[made[k] for k in read.written]]
        arguments = np.array([address_of(x) for x in arrays], np.int64) + abs(steps) * first
        try:
            memory = self._memory.pop()
        except IndexError:
            memory = np.empty(compiled.loop.size + 64, np.uint8)
        own = memory[-address_of(memory) % 64 :]
        states = list(zip(compiled.loop.states, given[: len(op.carried)], strict=True))
        for start, x in states:
            own[start : start + x.nbytes] = x.reshape(-1).view(np.uint8)
        done = compiled.run(arguments, steps, own, most, first)
        for at, (start, x) in zip(op.carried, states, strict=True):
            last = made[op.wanted.index(at)]
            if len(last) == 2:  # the others are where they were written
                last[(done - 1) % 2] = own[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
        self._memory.append(memory)
        return done


class _Reader:
    """Reads what the plan of a body does as a body of items.

    Attributes
    ----------
    arguments : list of int or array
        Which operands of the loop are read, the carried ones aside; and constants.
    written : list of int
        Which of what is wanted each iteration writes.
    functions : list of Loop
        What is called.

    Raises
    ------
    _Unfit
        When it does something else than to compute a few numbers.
    """

    def __init__(self, op: LoopOp, plan: Native) -> None:
        self._op = op
        self._items: list[Item] = []
        self._known: dict[Item, int] = {}
        self._steps: list[int] = []
        self.arguments: list[int | Array] = []
        self._argument: dict[object, int] = {}
        self.functions: list[Loop] = []
        self._each: list[bool] = []
        self._of: dict[Value, int] = {}
        self._fetches = plan._lowering.fetches
        for work in flat(plan.works):
            for value in work.values:
                if not 0 < value.size <= MOST_NUMBERS or work.how not in ("fused", "loop"):
                    raise _Unfit
                self._of[value] = self._fused(value) if work.how == "fused" else self._called(value)
        self.written = [k for k, at in enumerate(op.wanted) if ("each", at) in op.kept]

    def body(self) -> Body:
        """Return the body."""
        op, of = self._op, [self._of[value] for value in self._fetches]
        first = len(self._steps)
        outputs = [(of[k], first + place) for place, k in enumerate(self.written)]
        steps = [*self._steps, *[self._items[i].nbytes for i, _ in outputs]]
        flag = of[op.wanted.index(op.while_)] if op.while_ >= 0 else -1
        following = [of[op.wanted.index(at)] for at in op.carried]
        return Body(self._items, following, outputs, steps, self._each, op.backwards, flag)

    def _add(self, item: Item) -> int:
        if item not in self._known:
            self._known[item] = len(self._items)
            self._items.append(item)
            if len(self._items) > MOST_ITEMS:
                raise _Unfit
        return self._known[item]

    def _fused(self, value: Value) -> int:
        name, dtypes = called(value)
        operands = []
        for x, dtype in zip(value.operands, dtypes, strict=True):
            i = self._read(x, value)
            if x.dtype != dtype:
                line = Line("cast", x.dtype.char, dtype.char, ())
                i = self._add(Item("line", dtype.char, self._items[i].width, (i,), line=line))
            operands.append(self._wide(i, value.size))
        if name == "positive":
            return operands[0]
        chars = "".join([dtype.char for dtype in dtypes])
        line = Line(name, chars, value.dtype.char, ())
        return self._add(Item("line", value.dtype.char, value.size, tuple(operands), line=line))

    def _called(self, value: Value) -> int:
        if value.kind != "each":
            raise _Unfit
        how = cast("do.Ufunc", value.how)  # of loops, only theirs goes by elements
        ufunc, dtypes = how.ufunc, how.loop
        found = loop_of(ufunc, dtypes)
        assert found is not None
        if found not in self.functions:
            self.functions.append(found)
            self._each.append(len(value.operands) == 1 and same_one_by_one(ufunc, dtypes[0]))
        operands = tuple([self._read(x, value) for x in value.operands])
        return self._add(Item("call", value.dtype.char, value.size, operands, self.functions.index(found)))

    def _wide(self, i: int, width: int) -> int:
        item = self._items[i]
        return i if item.width == width else self._add(Item("splat", item.char, width, (i,)))

    def _read(self, x: Value, value: Value) -> int:
        """Return the item of an operand: as many numbers as the value has, or one."""
        place = place_of(x)
        assert place is not None
        steps = spread(place.strides, x.shape, value.shape)
        if not any(steps) or x.size == 1:
            width = 1
        elif steps == in_c_order(squeezed(value.shape), x.dtype):
            width = value.size
        else:
            raise _Unfit
        root, item = place.root, Item("row", x.dtype.char, width, offset=place.offset)
        if root.dtype != x.dtype:
            raise _Unfit
        if root in self._of:
            return self._part(self._of[root], item)
        if root.array is not None:
            return self._add(item._replace(kind="same", of=self._takes(id(root.array), root.array, 0)))
        op = self._op
        which = op.inputs.index(root.node) - int(op.indexed)
        if which < 0:
            return self._add(Item("index", x.dtype.char, 1))
        if which < len(op.carried):
            if not 0 < root.size <= MOST_NUMBERS:
                raise _Unfit
            return self._part(self._add(Item("state", root.dtype.char, root.size, of=which)), item)
        if which < len(op.carried) + op.rows:
            return self._add(item._replace(of=self._takes(which, which, root.nbytes)))
        return self._add(item._replace(kind="same", of=self._takes(which, which, 0)))

    def _takes(self, key: object, argument: int | Array, step: int) -> int:
        """Return the place of an argument."""
        if key not in self._argument:
            self._argument[key] = len(self.arguments)
            self.arguments.append(argument)
            self._steps.append(step)
        return self._argument[key]

    def _part(self, i: int, part: Item) -> int:
        """Return the item that is a part of another one, which has all of a value."""
        whole = self._items[i]
        if whole.width == part.width:
            return i
        if part.width > 1:
            raise _Unfit
        return self._add(Item("element", whole.char, 1, (i,), part.offset // (whole.nbytes // whole.width)))


@FAST_LOOP.give(Native)
def fast_loop(op: LoopOp, plan: Native) -> InOneGo | None:
    """Return what computes a loop without Python between iterations; None if they differ, or take long anyhow."""
    each = [(at, place) for (kind, at), place in zip(op.kept, op.layout.places, strict=True) if kind == "each"]
    as_made = all(place_written(place, op.layout.dtype).dtype == place.dtype for _, place in each)
    once = len(set(op.kept)) == len(op.kept)
    if int(op.length) < loop_iterations.LEAST or not once or not as_made:
        return None
    try:
        return InRegisters(op, plan, _Reader(op, plan))
    except _Unfit:
        return InOneGo(op, plan)

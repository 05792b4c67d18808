"""`Loop`: an operation that computes a body again and again, each time from what the time before gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from .._util.text import counted
from ..core import Array, Count, Dim, Graph, Node, Op, Row, Several, Spec, Whole, fn
from ..core.attributes import Choice
from ..core.symbolic_shapes import multiply
from ..errors import DtypeError, GraphnnError, NoRuleError, ShapeError
from ..runtime.evaluation_loop import Prepared
from ..runtime.program import program_of
from .bundle import Layout, place_to_write
from .loop_body import (
    BodyOf,
    Dims,
    Inside,
    Keeping,
    constraints_of,
    flops_in,
    graph_of,
    outside,
    text_of,
)
from .loop_gradients import pulled_back, pushed_forward
from .run_iterations import Iterations

if TYPE_CHECKING:
    from ..core.symbolic_shapes import Constraint

UNLIMITED = 2**62 - 1
"""The maximum number of iterations of a loop that only its condition ends."""
Kept = tuple[str, int]
"""What a loop keeps: ("last", number of the carried value), ("each", place of a node in the body), ("count", 0)."""


class Loop(Keeping):
    """Compute a body again and again. What it keeps of that is one bundle, of which `loop_item` reads the arrays.

    The operands are, one after the other: the number of iterations, if it is `counted`, or a bool that says whether
    there are any; the first value of what is carried from one iteration to the next; the arrays of which each iteration
    gets one row; and what is the same for all.

    Notes
    -----
    Where it ends before `length` iterations, the rows of the others are zeros.
    """

    body: BodyOf
    names: tuple[str, ...]
    """Dimensions in the body, and in `dims` what they stand for."""
    dims: Dims
    length: Dim
    """The maximum number of iterations."""
    carried: tuple[Count, ...]
    """Places in the body of the next value of each carried one."""
    rows: Count = 0
    """How many operands have one row for each iteration."""
    kept: Annotated[tuple[Kept, ...], Several(Row((Choice(("last", "each", "count")), Whole(0))))] = ()
    indexed: bool = False
    """Whether the first input of the body is the number of the iteration, from 0."""
    counted: bool = False
    backwards: bool = False
    """Whether it goes through the rows from the last to the first."""
    while_: Annotated[int, Whole(-1)] = -1
    """The place in the body of a bool: after the first iteration where it is False there is no other. -1: none."""
    recomputed: bool = False
    """Whether a gradient computes the iterations again, from what was carried into each, instead of keeping more."""
    name = "loop"
    formula = "loop({0}, …)"

    # --- what the operands and results are ---------------------------------------------------------------------

    def split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Return the operands that are carried, that have rows, and that are the same for all iterations."""
        first = int(self.counted)
        rows = first + len(self.carried)
        return operands[first:rows], operands[rows : rows + self.rows], operands[rows + self.rows :]

    @property
    def bodies(self) -> dict[str, Graph]:
        """The graph of one iteration."""
        return {"iteration": graph_of(self.body)}

    @cached_property
    def nodes(self) -> list[Node]:
        """The nodes of the body."""
        return list(graph_of(self.body))

    @cached_property
    def inputs(self) -> list[Node]:
        """The inputs of the body."""
        return graph_of(self.body).placeholders

    @cached_property
    def layout(self) -> Layout:
        """Where what is kept lies in the bundle."""
        return Layout([self._spec_of(*kept) for kept in self.kept])

    def _spec_of(self, kind: str, which: int) -> tuple[tuple[Dim, ...], np.dtype[Any]]:
        if kind == "count":
            return (), np.dtype(np.int64)
        node = self.nodes[self.carried[which] if kind == "last" else which]
        shape = outside(node.shape, self.names, self.dims)
        return ((self.length, *shape) if kind == "each" else shape), node.dtype

    def infer(self, *operands: Spec) -> Spec:
        """Return the bundle, if the operands are what the body takes."""
        self._check_places()
        inputs = self.inputs[int(self.indexed) :]
        given = list(operands[int(self.counted) :])
        if len(given) != len(inputs):
            raise ShapeError(f"loop: the body takes {len(inputs)} operands, not {len(given)}")
        if self.counted and (operands[0].shape or operands[0].dtype.kind not in "biu"):
            raise DtypeError(f"loop: how many iterations there are is one integer or bool, not {operands[0]}")
        constraints: list[Constraint] = []
        for position, (node, spec) in enumerate(zip(inputs, given, strict=True)):
            shape = outside(node.shape, self.names, self.dims)
            if len(self.carried) <= position < len(self.carried) + self.rows:
                shape = (self.length, *shape)
            constraints += constraints_of("loop", node, shape, spec)
        for node, at in zip(inputs, self.carried, strict=False):
            if self.nodes[at].shape != node.shape or self.nodes[at].dtype != node.dtype:
                raise ShapeError(f'loop: the next value of "{node.name}" is {self.nodes[at].spec}, not {node.spec}')
        spec = self.layout.spec
        return Spec(spec.shape, spec.dtype, tuple(constraints))

    def _check_places(self) -> None:
        """Refuse places where the body has no node, which only a file may name."""
        count, ends = len(self.nodes), [self.while_] if self.while_ >= 0 else []
        for at in (*self.carried, *[at for kind, at in self.kept if kind == "each"], *ends):
            if at >= count:
                raise ShapeError(f"loop: the body has {count} nodes, and none at place {at}")
        for kind, which in self.kept:
            if kind == "last" and which >= len(self.carried):
                raise ShapeError(f"loop: {len(self.carried)} values are carried, and none is number {which}")
        taken = len(self.inputs) - int(self.indexed)
        if len(self.carried) + self.rows > taken:
            raise ShapeError(
                f"loop: the body takes {taken} operands, and not {len(self.carried)} carried ones and {self.rows} rows"
            )
        if self.indexed and (self.inputs[0].ndim or self.inputs[0].dtype != np.int64):
            raise DtypeError(f"loop: the number of an iteration is one int64, not {self.inputs[0].spec}")
        for at in ends:
            if self.nodes[at].ndim or self.nodes[at].dtype != np.bool_:
                raise DtypeError(f"loop: whether it goes on is one bool, not {self.nodes[at].spec}")
        if len(self.names) != len(self.dims) or len(set(self.names)) < len(self.names):
            raise ShapeError(f"loop: names of dimensions stand for one each: {self.names} for {self.dims}")

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return how many floating-point operations all iterations take; one, if data tell how many there are."""
        times = 1 if self.while_ >= 0 else self.length
        return multiply(outside((flops_in(graph_of(self.body)),), self.names, self.dims)[0], times)

    @property
    def insides(self) -> list[Inside]:
        """What one sees of the body."""
        first, carried = int(self.counted), len(self.carried)
        taken = ["carried"] * carried + ["row"] * self.rows
        taken += ["same"] * (len(self.inputs) - int(self.indexed) - len(taken))
        takes = ([("index", -1)] if self.indexed else []) + [(how, first + k) for k, how in enumerate(taken)]
        following = {k + int(self.indexed): at for k, at in enumerate(self.carried)}
        told = {"last": "last", "each": "stacked", "count": "count"}
        gives = [
            (told[kind], self.carried[at] if kind == "last" else at if kind == "each" else -1) for kind, at in self.kept
        ]
        notes = {self.while_: "goes on while True"} if self.while_ >= 0 else {}
        times = None if self.while_ >= 0 else self.length
        note = "from the last row to the first" if self.backwards and self.rows else ""
        if times is None and self.length != UNLIMITED:
            note = f"at most {self.length} times"
        return [Inside(self.body, "", times, takes, following, gives, notes, note)]

    # --- running ------------------------------------------------------------------------------------------------

    def prepared(self, inputs: Sequence[Array] = ()) -> Prepared:
        """Return one iteration, ready to be evaluated; without inputs, ready to be planned."""
        sizes: dict[str, Any] = dict(zip(self.names, self.dims, strict=True))
        program = program_of(graph_of(self.body), [self.nodes[at] for at in self.wanted])
        given = dict(zip(self.inputs, inputs, strict=False))
        return Prepared(program, program.binding(sizes), given, sizes)

    def bound_inside(self, sizes: Mapping[str, int]) -> int:
        """Check the body for some sizes, before anything is computed; return the bytes of its largest value."""
        try:
            return self.bound(sizes).prepared().binding.largest
        except GraphnnError as error:
            raise error.within("in each iteration: ") from error

    @cached_property
    def wanted(self) -> list[int]:
        """The places in the body of the nodes whose values an iteration must give."""
        each = [at for kind, at in self.kept if kind == "each"]
        return sorted({*self.carried, *each, *([self.while_] if self.while_ >= 0 else [])})

    def forward(self, *operands: Array, out: Array | None = None) -> Array:
        """Compute the iterations, node by node."""
        return self.collected(Iterations(self, operands), out)

    def collected(self, iterations: Iterations, out: Array | None = None) -> Array:
        """Go through the iterations, and return what is kept of them."""
        words = self.layout.words(out)
        places = [place_to_write(words, place) for place in self.layout.places]
        each = [(rows, at) for (kind, at), rows in zip(self.kept, places, strict=True) if kind == "each"]
        for row, values in iterations:
            for rows, at in each:
                rows[row] = values[at]
        for rows, _ in each:
            rows[: iterations.rows_done.start] = 0
            rows[iterations.rows_done.stop :] = 0
        for (kind, at), place in zip(self.kept, places, strict=True):
            if kind != "each":
                place[...] = iterations.done if kind == "count" else iterations.carry[at]
        return words

    def __repr__(self) -> str:
        settings = {name: value for name, value in self.attributes.items() if name != "body"}
        listed = ", ".join([f"{name}={value!r}" for name, value in settings.items()])
        return f"Loop(body of {counted(len(self.nodes), 'node')}, {listed})"

    # --- derivatives --------------------------------------------------------------------------------------------

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the cotangent of one operand."""
        return next(self.vjps([i], cotangent, output, inputs))

    def vjps(self, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Iterator[Node]:
        """Return the cotangents of operands: all by one loop, which goes through the iterations the other way.

        Raises
        ------
        NoRuleError
            When there is no limit to the iterations.
        """
        if self.length == UNLIMITED:
            raise NoRuleError(
                "a gradient stores values from every iteration, so it needs a limit: give while_loop max_steps=. "
                "gn.jvp needs no limit"
            )
        return iter(pulled_back(self, positions, cotangent, inputs))

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the tangent: that of a loop that computes values and tangents together."""
        return pushed_forward(self, tangents, output, inputs)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return all: which iteration made what is told by the iterations."""
        return (...,) * len(operands)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw a loop that adds up tanh of the sum of rows and the sum before."""
        width, length = draw.integer(1, 3), draw.integer(0, 4)
        graph = Graph("body")
        h, x = (graph.placeholder(name, (width,)) for name in ("h", "x"))
        following = fn.tanh(h + x)
        op = cls(text_of(graph), (), (), length, (following.index,), 1, (("last", 0), ("each", following.index)))
        return op, (draw.array((width,)), draw.array((length, width)))

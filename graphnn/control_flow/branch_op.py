"""`Branch`: an operation that computes one of two bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any

import numpy as np

from .._util.text import counted
from ..core import Array, Dim, Graph, Node, Op, Row, Several, Spec, Whole, fn
from ..core.symbolic_shapes import Constraint, shown, unify
from ..errors import DtypeError, GraphnnError, ShapeError
from ..runtime.evaluation_loop import Prepared, collect
from ..runtime.program import program_of
from .branch_gradients import pulled_back, pushed_forward
from .bundle import Layout, Place, place_written, shown_in
from .iteration_names import located
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

Pair = tuple[int, int]
"""What a branch keeps: the place of a node in each body, or -1 if the other body alone gives it."""


class Branch(Keeping):
    """Compute one of two bodies. What it keeps of that is one bundle, of which `loop_item` reads the arrays.

    The operands are one bool, and the inputs of both bodies.

    Notes
    -----
    What is kept of the body that is not computed is zeros.
    """

    then: BodyOf
    otherwise: BodyOf
    names: tuple[str, ...]
    """Dimensions in the bodies, and in `dims` what they stand for."""
    dims: Dims
    kept: Annotated[tuple[Pair, ...], Several(Row((Whole(-1), Whole(-1))))] = ()
    name = "branch"
    formula = "branch({0}, …)"

    # --- what the operands and results are ---------------------------------------------------------------------

    @property
    def bodies(self) -> dict[str, Graph]:
        """The graphs of both bodies."""
        return {"then": graph_of(self.then), "otherwise": graph_of(self.otherwise)}

    @cached_property
    def nodes(self) -> list[list[Node]]:
        """The nodes of each body."""
        return [list(graph) for graph in self.bodies.values()]

    @cached_property
    def layout(self) -> Layout:
        """Where what is kept lies in the bundle."""
        return Layout([(spec.shape, spec.dtype) for spec in map(self._spec_of, self.kept)])

    def _spec_of(self, pair: Pair) -> Spec:
        """Return the shape and dtype of what is kept, with what must hold if both bodies give it."""
        if max(pair) < 0 or any(at >= len(nodes) for at, nodes in zip(pair, self.nodes, strict=True)):
            raise ShapeError(f"branch: the bodies have no nodes {pair}")
        given = [nodes[at] for at, nodes in zip(pair, self.nodes, strict=True) if at >= 0]
        shapes = [outside(node.shape, self.names, self.dims) for node in given]
        met = [unify(a, b) for a, b in zip(shapes[0], shapes[-1], strict=False)]
        if len(shapes[0]) != len(shapes[-1]) or None in met:
            raise ShapeError(f"branch: one body gives {shown(shapes[0])}, and the other {shown(shapes[-1])}")
        if given[0].dtype != given[-1].dtype:
            raise DtypeError(f"branch: one body gives {given[0].dtype}, and the other {given[-1].dtype}")
        known = [found for found in met if found is not None]
        constraints: list[Constraint] = [pair for _, pairs in known for pair in pairs]
        return Spec(tuple([dim for dim, _ in known]), given[0].dtype, tuple(constraints))

    @cached_property
    def _written(self) -> list[tuple[Pair, Place]]:
        """Where what is kept is written."""
        places = [place_written(place, self.layout.dtype) for place in self.layout.places]
        return list(zip(self.kept, places, strict=True))

    def infer(self, *operands: Spec) -> Spec:
        """Return the bundle, if the operands are what the bodies take."""
        if len(self.names) != len(self.dims) or len(set(self.names)) < len(self.names):
            raise ShapeError(f"branch: names of dimensions stand for one each: {self.names} for {self.dims}")
        constraints = [each for pair in self.kept for each in self._spec_of(pair).constraints]
        if not operands or operands[0] != Spec((), np.dtype(bool)):
            raise DtypeError("branch: the first operand is one bool")
        for body in self.bodies.values():
            inputs = body.placeholders
            if len(inputs) != len(operands) - 1:
                raise ShapeError(f"branch: the bodies take {len(inputs)} operands, not {len(operands) - 1}")
            for node, spec in zip(inputs, operands[1:], strict=True):
                constraints += constraints_of("branch", node, outside(node.shape, self.names, self.dims), spec)
        spec = self.layout.spec
        return Spec(spec.shape, spec.dtype, tuple(constraints))

    @property
    def insides(self) -> list[Inside]:
        """What one sees of the bodies."""
        found = []
        for side, (title, graph) in enumerate(self.bodies.items()):
            takes = [("same", 1 + place) for place in range(len(graph.placeholders))]
            gives = [("", pair[side]) for pair in self.kept]
            found.append(Inside((self.then, self.otherwise)[side], title, None, takes, {}, gives))
        return found

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return how many floating-point operations the body takes that takes more; by names, `then`."""
        found = outside([flops_in(graph) for graph in self.bodies.values()], self.names, self.dims)
        return max(map(int, found)) if all(isinstance(each, int) for each in found) else found[0]

    # --- running ------------------------------------------------------------------------------------------------

    def taken(self, operands: Sequence[Array]) -> int:
        """Return which body is computed: 0 is `then`, 1 is `otherwise`."""
        return 0 if operands[0] else 1

    @cached_property
    def wanted(self) -> list[list[int]]:
        """The places in each body of the nodes whose values it must give."""
        return [sorted({pair[side] for pair in self.kept} - {-1}) for side in (0, 1)]

    def prepared(self, side: int, inputs: Sequence[Array] = ()) -> Prepared:
        """Return a body, ready to be evaluated; without inputs, ready to be planned."""
        sizes: dict[str, Any] = dict(zip(self.names, self.dims, strict=True))
        graph = list(self.bodies.values())[side]
        program = program_of(graph, [self.nodes[side][at] for at in self.wanted[side]])
        given = dict(zip(graph.placeholders, inputs, strict=False))
        return Prepared(program, program.binding(sizes), given, sizes)

    def bound_inside(self, sizes: Mapping[str, int]) -> int:
        """Check the bodies for some sizes, before anything is computed; return the bytes of their largest value."""
        op = self.bound(sizes)
        return max([op.prepared(side).binding.largest for side in (0, 1)])

    def forward(self, *operands: Array, out: Array | None = None) -> Array:
        """Compute the body that is taken, node by node."""
        return self.collected(operands, lambda side, inputs: collect(self.prepared(side, inputs)), out)

    def collected(
        self,
        operands: Sequence[Array],
        computed: Callable[[int, Sequence[Array]], Sequence[Array]],
        out: Array | None = None,
    ) -> Array:
        """Compute the body that is taken, and return what is kept of it."""
        side = self.taken(operands)
        inputs = [np.asarray(x, order="C") for x in operands[1:]]
        try:
            values = computed(side, inputs) if self.wanted[side] else []
        except GraphnnError as error:
            title = list(self.bodies)[side]
            raise error.within(f'in "{title}": ', located=partial(located, error, title)) from error
        found = dict(zip(self.wanted[side], values, strict=True))
        words = self.layout.words(out)
        for pair, place in self._written:
            shown_in(words, place)[...] = found.get(pair[side], 0)
        return words

    def __repr__(self) -> str:
        sizes = " and ".join([counted(len(nodes), "node") for nodes in self.nodes])
        return f"Branch(bodies of {sizes}, names={self.names!r}, dims={self.dims!r}, kept={self.kept!r})"

    # --- derivatives --------------------------------------------------------------------------------------------

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the cotangent of one operand."""
        return next(self.vjps([i], cotangent, output, inputs))

    def vjps(self, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Iterator[Node]:
        """Return the cotangents of operands: all by one branch."""
        return iter(pulled_back(self, positions, cotangent, inputs))

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the tangent, by a branch."""
        return pushed_forward(self, tangents, output, inputs)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw a branch that takes the tanh of an array, or twice the array."""
        x = draw.floats(draw.shape())
        bodies = []
        for function in (fn.tanh, lambda x: x * 2.0):
            graph = Graph("body")
            function(graph.placeholder("x", x.shape, x.dtype))
            bodies.append(text_of(graph))
        ends = [len(graph_of(body)) - 1 for body in bodies]
        op = cls(bodies[0], bodies[1], (), (), ((ends[0], ends[1]),))
        return op, (np.asarray(bool(draw.integer(0, 1))), x)

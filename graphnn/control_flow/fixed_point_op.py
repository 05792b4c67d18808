"""`FixedPoint`: a loop that ends where its state stays as it is. Its derivatives are those of that state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..core import Array, Graph, Node, Op, Spec, fn, is_float, limits
from ..core.fetches import ordered
from ..errors import EvaluationError, ShapeError
from ..transforms.substitutions import Changes
from .body_tracing import apart, names_of
from .branch_gradients import cotangents_of, tangents_of
from .bundle import LoopBundle, found_in, item_of
from .loop_body import Read, graph_of
from .loop_op import Kept, Loop
from .state_function import items_in, traced

Step = Callable[[Any], Any]


class FixedPoint(Loop):
    """Compute a body until what is carried stays as it is.

    The last of what is carried is the residual: how much the largest element of the others has changed.

    Notes
    -----
    The derivatives are those of a state z = f(z, w): with the cotangent v, that of w is uᵀ ∂f/∂w, where
    u = v + uᵀ ∂f/∂z is found as the fixed point of this.
    """

    tolerance: float = 0.0
    """The most that the residual may be."""
    name = "implicit_loop"
    formula = "fixed point({0}, …)"

    def collected(self, iterations: Any, out: Array | None = None) -> Array:
        """Go through the iterations, and refuse a state that still changes. NaN ends them, and is the result.

        Without a condition, these are some of the iterations only, as a debugger makes them.

        Raises
        ------
        EvaluationError
            When it does.
        """
        words = super().collected(iterations, out)
        residual = float(iterations.carry[-1])
        spoilt = any(np.isnan(part).any() for part in iterations.carry[:-1])
        if self.while_ >= 0 and not (residual <= self.tolerance or spoilt):
            raise EvaluationError(
                f"fixed_point: the state does not stay as it is. In step {iterations.done} of at most {self.length}, "
                f"its largest change is {residual:.3g}, and the tolerance {self.tolerance:.3g}. More steps "
                "(max_steps=), a larger tolerance= or smaller steps, as 0.5 * z + 0.5 * f(z), may help"
            )
        return words

    def infer(self, *operands: Spec) -> Spec:
        """Return the bundle, if the operands are what the body takes, and the last that is carried is a residual."""
        spec = super().infer(*operands)
        residual = self.nodes[self.carried[-1]] if self.carried else None
        if residual is None or residual.shape != () or not is_float(residual.dtype):
            raise ShapeError("implicit_loop: the last of what is carried is the residual, one float")
        return spec

    # --- derivatives --------------------------------------------------------------------------------------------

    def flows(self, i: int) -> bool:
        """Whether a gradient passes: where the loop began does not matter."""
        return i >= len(self.carried)

    def vjps(self, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Iterator[Node]:
        """Return the cotangents of operands: all by one fixed point."""
        arriving = [found_in(cotangent, self.place("last", k)) for k in range(len(self.carried) - 1)]
        state, after, given = self._once_more(output, inputs)
        first = [
            fn.zeros(z.shape, z.dtype, graph=z.graph) if v is None else v for v, z in zip(arriving, state, strict=True)
        ]

        def step(u: Sequence[Node]) -> list[Node]:
            return [v + moved for v, moved in zip(first, cotangents_of(_sums(after, u), state), strict=True)]

        found = self._solved(step, first)
        wanted = [given[position - len(self.carried)] for position in positions]
        return iter(cotangents_of(_sums(after, found), wanted))

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the tangent, by a fixed point."""
        state, after, given = self._once_more(output, inputs)
        pairs = zip(given, tangents[len(self.carried) :], strict=True)
        first = tangents_of(after, {node: tangent for node, tangent in pairs if tangent is not None})

        def step(dz: Sequence[Node]) -> list[Node]:
            return [
                t + more for t, more in zip(first, tangents_of(after, dict(zip(state, dz, strict=True))), strict=True)
            ]

        parts = []
        for k, found in enumerate(self._solved(step, first)):
            place = self.place("last", k)
            parts.append(LoopBundle(place.start, output.shape[0], output.dtype.name)(found))
        return reduce(lambda a, b: a + b, parts)

    def _once_more(self, output: Node, inputs: tuple[Node, ...]) -> tuple[list[Node], list[Node], list[Node]]:
        """Make the body again at the state that was found: the state, what follows, and the other operands."""
        count, body = len(self.carried), graph_of(self.body)
        state = [apart(item_of(output, self.place("last", k))) for k in range(count - 1)]
        given = [apart(node) for node in inputs[count:]]
        known = dict(zip(body.placeholders, [*state, inputs[count - 1], *given], strict=True))
        changes = Changes(sizes=dict(zip(self.names, self.dims, strict=True)))
        return state, _made_again([self.nodes[at] for at in self.carried[:-1]], known, changes), given

    def _solved(self, step: Step, first: list[Node]) -> list[Node]:
        return solved(step, first, first, self.tolerance, int(self.length), relative=True)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw the fixed point of half the tanh of a number, plus another."""
        b = draw.floats(draw.shape(min_side=1))
        graph = Graph("x")
        z, given = graph.constant(np.zeros_like(b)), graph.placeholder("b", b.shape, b.dtype)
        (found,) = solved(lambda z: [0.5 * fn.tanh(z[0]) + given], [z], [z], None, 1000)
        bundle = found.inputs[0]
        assert isinstance(bundle.op, FixedPoint)
        return bundle.op, (np.zeros_like(b), np.asarray(np.inf, b.dtype), b)


def solved(
    f: Step,
    z0: Any,
    first: Sequence[Node],
    tolerance: float | None,
    limit: int,
    steps: bool = False,
    relative: bool = False,
) -> list[Node]:
    """Make the node that computes a fixed point, and return its parts, and the number of steps if asked.

    Parameters
    ----------
    f : callable
        Takes and returns a state in the form of `z0`.
    z0 : object
    first : list of Node
        The parts of `z0`.
    tolerance : float or None
    limit : int
        The maximum number of steps.
    steps : bool
    relative : bool
        Whether a change is measured by the largest element, however small that is: for derivatives, which are as large
        as what they are multiplied with.
    """
    graph: Graph = first[0].graph
    epsilon = max(float(limits(node.dtype).eps) for node in first)
    dtype = max([node.dtype for node in first], key=lambda dtype: dtype.itemsize)
    # As the dtype has it, so that the body and the operation compare the residual with the same number.
    most = float(np.asarray(epsilon ** (2 / 3) if tolerance is None else tolerance, dtype))
    floor = float(limits(dtype).tiny) if relative else 1.0

    def ends(state: Any, before: list[Node], after: list[Node]) -> tuple[list[Node], Node]:
        changes = [
            fn.cast(fn.max(fn.absolute(new - old)) / fn.maximum(fn.max(fn.absolute(new)), floor), dtype.name)
            for old, new in zip(before, after, strict=True)
        ]
        residual = reduce(fn.maximum, changes)
        return [residual], residual > most

    with graph.building, graph.new_scope("fixed_point", numbered=True, kind="fixed_point"):
        beside = graph.constant(np.asarray(np.inf, dtype), name="residual")
        once = traced("fixed_point", graph, f, z0, first, ends, [beside], drawn=False)
        kept: list[Kept] = [("last", k) for k in range(len(first) + 1)] + [("count", 0)] * steps
        read_after = kept[: len(first)] + kept[len(first) + 1 :]

        def make(after: Sequence[Node], goes_on: Node, read: Read) -> list[Node]:
            excerpt, same = once.excerpt(after, goes_on, read)
            names = names_of(graph_of(excerpt.body))
            carried = tuple([excerpt.of[node] for node in after])
            op = FixedPoint(
                excerpt.body,
                names,
                names,
                limit,
                carried,
                kept=tuple(kept),
                while_=excerpt.of[goes_on],
                tolerance=most,
            )
            return items_in(op(*first, beside, *same, graph=graph), op, read_after)

        return once.made(make)


def _sums(nodes: Sequence[Node], cotangents: Sequence[Node]) -> dict[Node, Node]:
    """Return the cotangent of each node; of one that is there twice, their sum."""
    found: dict[Node, Node] = {}
    for node, cotangent in zip(nodes, cotangents, strict=True):
        found[node] = found[node] + cotangent if node in found else cotangent
    return found


def _made_again(wanted: Sequence[Node], known: Mapping[Node, Node], changes: Changes) -> list[Node]:
    """Make nodes of a body in the graph around it."""
    copies = dict(known)
    graph = next(iter(known.values())).graph
    for node in ordered(wanted):
        if node in copies:
            continue
        if node.op.is_constant:
            copies[node] = graph._holding(node.graph._stored(node))
        else:
            copies[node] = graph._add(changes.op(node), [copies[operand] for operand in node.inputs])
    return [copies[node] for node in wanted]

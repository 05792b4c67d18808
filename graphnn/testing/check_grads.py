"""The checks of gradients and operations, and which node is to blame."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._util.text import short_repr
from ..core import Array, Node, Op, Spec, is_float
from ..core.attributes import whole
from ..core.fetches import ancestors, resolve
from ..core.op import inferred
from ..core.symbolic_shapes import shown
from ..errors import DtypeError, GradientError, GraphnnWarning, ShapeError, UsageError, ValueRangeError
from ..runtime.evaluation_loop import compute
from ..runtime.feed import Feed, checked_feed
from ..runtime.interpreter import steps
from .check_cases import Case, case_of, copied, flowing, reached
from .finite_differences import Comparison, Derivatives, Mismatch, signs
from .random_samples import Draw

# The maximum number of directions that are tried to find the elements of one node that are at a kink.
_MOST_DIRECTIONS = 256


@dataclass(frozen=True)
class GradientReport:
    """How much a check of gradients has covered.

    Attributes
    ----------
    checked : int
        Elements of what was differentiated by whose derivatives are right.
    left_out : int
        Elements at a kink or too near to one, where finite differences say nothing.
    """

    checked: int
    left_out: int


def check_grads(
    fetch: Any,
    feed: Feed | None = None,
    wrt: Any = None,
    order: int = 1,
    modes: Iterable[str] = ("vjp", "jvp"),
    rtol: float = 1e-6,
    rng: int | np.random.Generator = 0,
) -> GradientReport:
    """Compare the gradients of a graph with finite differences; raise an error that names the node that is wrong.

    Parameters
    ----------
    fetch : Node, str, or list, tuple or dict of them
        What to differentiate; of any shape.
    feed : mapping of Node or str to array_like
        Where to do so.
    wrt : Node, str, or list, tuple or dict of them, optional
        What to differentiate with respect to. By default, all trainable parameters that the fetch needs.
    order : int
        2 also compares the gradients of the gradients.
    modes : sequence of str
        ``"vjp"``, ``"jvp"`` or both; order 2 applies each of them to each.
    rtol : float
        How exact a derivative in one direction must be, relative to the sum of the sizes of its terms.
    rng : int or numpy.random.Generator
        Draws the random directions, or its seed.

    Returns
    -------
    GradientReport
        How many elements were checked, and how many were left out because they are at a kink.

    Raises
    ------
    GradientError
        When a gradient is wrong. The message names the node whose rule is wrong at the values it had, its operation,
        the operand, the user's line, and what was expected and got. (An AssertionError.)
    NoRuleError
        When an operation has no rule for one of the modes.
    DtypeError
        When a node is not a float.
    ValueRangeError
        When nothing could be checked: `order` is below 1, there are no elements, all are at kinks, or what comes out
        is not finite.

    Notes
    -----
    The check runs on a copy in float64, whatever the graph's dtype, so the graph gains no nodes. What passes no
    gradient (`stop_gradient`, comparisons, integers) keeps its value. Of the nodes in `wrt`, one moves at a time.
    Derivatives are projected on random directions. The finite differences are central, with a Richardson step. If
    they do not converge as those of a smooth function do, there is a kink, and the direction is halved until only the
    elements at the kink are left.

    How far rounding alone moves the result is measured: every value before it is changed in its last bits. A smaller
    difference does not count as a fault. If rounding hides what `rtol` asks for, as it does when a loss is small
    beside the numbers it is made of, the rule of each node is checked by itself, at the values the node has.

    Examples
    --------
    >>> from graphnn import Graph
    >>> x = Graph().placeholder("x", shape=3)
    >>> check_grads(x * abs(x), {x: [1.0, -2.0, 3.0]}, wrt=x, order=2)
    GradientReport(checked=3, left_out=0)
    >>> check_grads(abs(x), {x: [1.0, 0.0, 3.0]}, wrt=x)
    GradientReport(checked=2, left_out=1)
    """
    order = whole("order=", order, 1)
    graph, results, _ = resolve(fetch, others=feed or ())
    if wrt is None:
        needed = ancestors(results)
        nodes = [node for node in graph.parameters if node in needed]
        if not nodes:
            raise UsageError(f'"{results[0].name}" needs no trainable parameter: say wrt=')
    else:
        nodes = list(dict.fromkeys(resolve(wrt, graph, results=False)[1]))
        if not nodes:
            raise ValueRangeError("nothing could be checked: wrt= is empty")
    for node in (*results, *nodes):
        if not is_float(node.dtype):
            raise DtypeError(f'"{node.name}" is {node.dtype}; only floats have gradients')
    check = _Check(_checked_modes(modes), rtol, rng)
    case = copied(graph, results, nodes, feed)
    fed = checked_feed(graph, feed)[0].values()
    if fed and not any(array.size for array in fed):
        raise ValueRangeError("nothing could be checked: all that is fed is empty")
    report = check.report(case, order)
    if not report.checked:
        raise ValueRangeError(f"nothing could be checked: {_why_nothing(case, report.left_out)}")
    return report


def check_op(
    op_class: type[Op],
    examples: int = 25,
    order: int = 2,
    modes: Iterable[str] = ("vjp", "jvp"),
    rng: int = 0,
) -> GradientReport:
    """Test an operation on operands that its `samples` draw: its results against `infer`, and its gradients.

    Parameters
    ----------
    op_class : type
        A subclass of `Op` with `samples`.
    examples : int
        How many times to draw.
    order : int
        The highest order of gradients to check.
    modes : sequence of str
        ``"vjp"``, ``"jvp"`` or both. Name one if the operation has no rule for the other.
    rng : int
        The seed of the draws.

    Returns
    -------
    GradientReport
        Of all examples together.

    Raises
    ------
    ShapeError, DtypeError
        When `infer` says another shape or dtype than comes out.
    GradientError
        When a gradient is wrong, or none of a differentiable operation could be checked.
    NoRuleError
        When the operation has no rule for one of the modes.
    UsageError, ValueRangeError
        When `op_class` is not a class of operations, or another argument is out of range.

    Examples
    --------
    >>> from graphnn.core import operation
    >>> check_op(operation("tanh"), examples=5).left_out
    0
    """
    order = whole("order=", order, 1)
    if not (isinstance(op_class, type) and issubclass(op_class, Op)):
        raise UsageError(
            f"what is checked is a class of operations, such as operation('tanh'), not {short_repr(op_class)}"
        )
    examples, rng = whole("examples=", examples, 1), whole("rng=", rng, 0)
    modes = _checked_modes(modes)
    checked = left_out = tried = 0
    for example in range(examples):
        generator = np.random.default_rng([rng, example])
        op, arrays = op_class.samples(Draw(generator))
        _check_infer(op, arrays)
        case, through = case_of(op, arrays)
        if not through:
            continue
        tried += 1
        if generator.integers(2):  # the others are then constants, which have no tangents
            case = case._replace(wrt=[case.wrt[generator.integers(len(through))]])
        report = _Check(modes, 1e-6, generator).report(case, order)
        checked += report.checked
        left_out += report.left_out
    if tried and not checked:
        raise GradientError(
            f'nothing of "{op_class.name}" could be checked: in {examples} examples all operands are empty or at kinks'
        )
    return GradientReport(checked, left_out)


def _why_nothing(case: Case, left_out: int) -> str:
    if not left_out:
        return "all by which is differentiated is empty"
    if not all(np.isfinite(value).all() for value in case.values(case.outputs)):
        return "what comes out is not finite"
    return f"all elements, {left_out:,}, are left out, since they stand at kinks or their derivatives are not finite"


def _check_infer(op: Op, arrays: Sequence[Array]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphnnWarning)
        value = compute(op, *arrays)
    spec = inferred(op, [Spec(array.shape, array.dtype) for array in arrays])
    operands = " and ".join(f"{shown(array.shape)} {array.dtype}" for array in arrays) or "nothing"
    text = f"{op!r} of {operands}: infer says {spec}, and {shown(value.shape)} {value.dtype} comes out"
    if value.shape != spec.shape:
        raise ShapeError(text)
    if value.dtype != spec.dtype:
        raise DtypeError(text)


def _checked_modes(modes: Iterable[str]) -> tuple[str, ...]:
    chosen = (modes,) if isinstance(modes, str) else tuple(modes)
    if not chosen or not set(chosen) <= {"vjp", "jvp"}:
        raise UsageError(f'modes are "vjp" and "jvp", not {chosen}')
    return chosen


class _Check:
    """A check of one case: of its derivatives, and of the rules of its nodes where those are in doubt."""

    def __init__(self, modes: tuple[str, ...], rtol: float, rng: int | np.random.Generator) -> None:
        self.modes, self.rtol = modes, rtol
        self.rng = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(whole("rng=", rng, 0))
        self.right: dict[Node, int] = {}
        """The nodes whose rules were found to be right, and up to which order. (All cases feed the same values.)"""

    def report(self, case: Case, order: int) -> GradientReport:
        """Check the derivatives of a case; raise the error that names the node to blame."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)  # a derivative may well be zeros here
            try:
                left_out = self.check_orders(case, case.wrt, order)
            except Mismatch as mismatch:
                raise self.error_of(mismatch) from None
        return GradientReport(sum(case.feed[node].size for node in case.wrt) - len(left_out), len(left_out))

    def check_orders(self, case: Case, first: list[Node], order: int) -> set[tuple[Node, int]]:
        """Check the derivatives by the nodes `first`, then those of them by all; return the elements left out.

        Raises
        ------
        Mismatch
            When one is wrong.
        GradientError
            When rounding hides whether one is, and the rule of a node is wrong.
        """
        left_out: set[tuple[Node, int]] = set()
        cases = [case._replace(wrt=first)]
        for level in range(1, order + 1):
            derived = [each for one in cases for each in self.check_level(one, level, left_out)]
            cases = [each._replace(wrt=case.wrt) for each in derived]
        return left_out

    def check_level(self, case: Case, level: int, left_out: set[tuple[Node, int]]) -> list[Case]:
        """Check the first derivatives of one case; return them as cases of their own."""
        derivatives = Derivatives(case, level, self.modes, self.rtol, self.rng)
        hidden, not_constant = False, reached(case.outputs)
        for node in case.wrt:
            point, tried, mismatch = case.feed[node], 0, None
            pending = [np.array([i for i in range(point.size) if (node, i) not in left_out], int)]
            while pending:
                elements = pending.pop()
                if not elements.size:
                    continue
                tried += 1
                direction = np.zeros(point.shape)
                direction.flat[elements] = signs(self.rng, elements.shape)
                direction.flat[elements] *= np.maximum(1.0, np.abs(point.flat[elements]))
                found = derivatives.compare(node, direction)
                if found is None:  # a kink: look at the halves
                    if elements.size == 1 or tried > _MOST_DIRECTIONS:
                        left_out.update((node, int(i)) for i in elements)
                    else:
                        pending += np.array_split(elements, 2)
                    continue
                hidden |= found.hidden and node in not_constant
                if found.wrong_mode:
                    # On to the halves, for as long as one of them is wrong by itself.
                    mismatch = Mismatch(case, level, found.wrong_mode, node, _difference(found, elements, direction))
                    pending = np.array_split(elements, 2) if elements.size > 1 else []
            if mismatch is not None:
                raise mismatch
        hidden |= derivatives.is_unsteady
        if hidden and not case.is_single_node and (fault := self.fault_of_a_node(case)) is not None:
            raise GradientError(fault)
        return derivatives.cases

    def error_of(self, mismatch: Mismatch) -> GradientError:
        """Return the error of a wrong derivative, with the node whose own rule is wrong at the values it had."""
        case = mismatch.case
        fault = self.fault_of_a_node(case)
        if fault is not None:
            return GradientError(fault)
        by = f' with respect to "{mismatch.node.name}"' if mismatch.node is not None else ""
        names = ", ".join(f'"{node.name}"' for node in case.outputs[:4])
        return GradientError(
            f"the {mismatch.mode} of {names}{by} is wrong: {mismatch.text}. Each node's own rule is right at the "
            "values it has here, so they are put together wrongly, or a kink is near"
        )

    def fault_of_a_node(self, case: Case) -> str | None:
        """Return what is wrong with the rule of the first node whose rule is wrong at the values it had."""
        order, within = 1, case
        while True:
            for step in steps(within.outputs, within.feed, sizes=within.sizes):
                if self.right.get(step.node, 0) >= order:
                    continue
                fault = self.fault_of_a_rule(step.node, step.operands, order, within.sizes)
                if fault is not None:
                    return fault
                self.right[step.node] = order
            if within.source is None:
                return None
            # The nodes seen so far were made by rules. A rule may be right while the derivative of its nodes is wrong.
            within, order = within.source, order + 1

    def fault_of_a_rule(
        self, node: Node, operands: Sequence[Array], order: int, sizes: Mapping[str, int]
    ) -> str | None:
        """Return what is wrong with a node's rule, checked by itself on the operands it had."""
        if not flowing(node):
            return None
        case, through = case_of(node.op.bound(sizes), operands)
        together = [case.wrt] if len(case.wrt) > 1 else []
        for first in [*([each] for each in case.wrt), *together]:
            try:
                self.check_orders(case, first, order)
            except Mismatch as wrong:
                by = wrong.node if wrong.level == 1 and wrong.node is not None else first[0]
                position = through[case.wrt.index(by)]
                operand = node.inputs[position]
                twin = f', for "{node.twin.name}"' if node.twin is not None else ""
                rule = wrong.mode if wrong.level == 1 else f"{wrong.case.mode}'s own derivative"
                shape = shown(operands[position].shape)
                return (
                    f'the {rule} of "{node.name}" ({node.op.name}{twin}, made at {node.origin}) is wrong for operand '
                    f'{position}, "{operand.name}" {shape}: {wrong.text}'
                )
        return None


def _difference(found: Comparison, elements: Array, direction: Array) -> str:
    expected, got, where = found.expected, found.got, " in a random direction"
    if elements.size == 1:
        scale = direction.flat[elements[0]]
        expected, got = expected / scale, got / scale
        index = tuple(int(i) for i in np.unravel_index(elements[0], direction.shape))
        where = f" at {index}" if index else ""
    return f"the derivative{where} is {expected:.10g} by finite differences, got {got:.10g}"

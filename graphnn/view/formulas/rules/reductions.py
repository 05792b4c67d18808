"""How sums, means and the like over axes are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ....ops import reductions, shape
from ..algebra import averaged, is_number, over, squared
from ..expressions import Block, Call, Expression, Letter, Number, Power
from ..writer import NeedsPlaces, Places, Writer, rules
from .elementwise import as_number, truth

if TYPE_CHECKING:
    from ....core import Node
    from ....core.symbolic_shapes import Dim


def over_axes(
    kind: str, node: Node, x: Node, axes: Sequence[int], kept: bool, write: Writer, at: Places
) -> tuple[Expression, list[Dim]]:
    """Return a reduction of x over some axes, and the sizes of those.

    Raises
    ------
    NeedsPlaces
        When axes in front of these stay, and their places are not given.
    """
    if not axes:
        return (truth(x, write(x, at)) if kind in ("any", "all") else write(x, at)), []
    last = max(axes)
    inner: list[Expression | None] = []
    letters = []
    outer = 0
    needed = 0
    for axis in range(last + 1):
        if axis in axes:
            inner.append(None)
            outer += kept
        else:
            needed = outer + 1
            inner.append(at[outer] if outer < len(at) else None)
            outer += 1
    given = at[:needed]
    if len(given) < needed or any(place is None or isinstance(place, Block) for place in given):
        raise NeedsPlaces(needed)
    rest = at[outer:]
    try:
        for axis in axes:
            dim = x.spec.shape[axis]
            if dim == 1:
                inner[axis] = Number(0)
            else:
                letter = write.letter(dim, *_hint(node, axis))
                letters.append(letter)
                inner[axis] = letter
        body = write(x, (*inner, *rest))
        body = truth(x, body) if kind in ("any", "all") else as_number(body) if kind in ("sum", "prod") else body
    finally:
        write.close(letters)
    return over(kind, tuple(letters), body), [x.spec.shape[axis] for axis in axes]


def _hint(node: Node, axis: int) -> tuple[str, int]:
    scope = node.graph.scopes.get(node.scope)
    pooled = scope is not None and scope.kind.endswith("_pool") and node.phase == "forward"
    return ("uvw"[axis : axis + 1], 0) if pooled else ("", 1)


def _reduced(kind: str) -> Callable[[Any, Node, Writer, Places], Expression]:
    def rule(op: Any, node: Node, write: Writer, at: Places) -> Expression:
        (x,) = node.inputs
        return over_axes(kind, node, x, op.over(x.ndim), op.keepdims, write, at)[0]

    return rule


def _sum(op: reductions.Sum, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    axes = op.over(x.ndim)
    (inner,) = x.inputs if x.op.bounds is not None and len(x.inputs) == 1 else (None,)
    if not at and inner is not None and inner.op.is_leaf and len(axes) == x.ndim > 0 and not op.keepdims:
        found = write(x)
        if isinstance(found, Power) and is_number(found.exponent, 2):
            return squared(Call("norm", (found.base,)))
    return over_axes("sum", node, x, axes, op.keepdims, write, at)[0]


def _mean(op: reductions.Mean, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    found, dims = over_axes("sum", node, x, op.over(x.ndim), op.keepdims, write, at)
    return averaged(found, dims)


def _sum_to(op: shape.SumTo, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    front = x.ndim - node.ndim
    for_one = [axis + front for axis, dim in enumerate(node.spec.shape) if dim == 1 and x.spec.shape[axis + front] != 1]
    if not front:
        return over_axes("sum", node, x, for_one, True, write, at)[0]
    if not for_one:
        return over_axes("sum", node, x, range(front), False, write, at)[0]
    kept = [axis for axis in range(front, x.ndim) if axis not in for_one]
    if kept and min(kept) < max(for_one) and len(at) <= min(kept) - front:
        raise NeedsPlaces(max(for_one) - front + 1)
    letters: list[Letter] = []
    inner: list[Expression | None] = []
    for axis in range(x.ndim):
        if axis < front or axis in for_one:
            letters.append(write.letter(x.spec.shape[axis]))
            inner.append(letters[-1])
        else:
            inner.append(at[axis - front] if axis - front < len(at) else None)
    body = write(x, tuple(inner))
    write.close(letters)
    return over("sum", tuple(letters), body)


rules[reductions.Sum], rules[reductions.Mean], rules[shape.SumTo] = _sum, _mean, _sum_to
for _kind, _class in {
    "max": reductions.Max,
    "min": reductions.Min,
    "prod": reductions.Prod,
    "any": reductions.AnyOf,
    "all": reductions.AllOf,
}.items():
    rules[_class] = _reduced(_kind)

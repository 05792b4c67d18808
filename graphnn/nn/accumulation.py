"""Updates that are made only in some steps: gradients are summed until then, and everything else keeps its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import Node, Scope, fn
from ..graph.scopes import mirrored

if TYPE_CHECKING:
    from ..graph.provenance import Provenance


GROUP = "group"
"""The kind of the scope of what the parameters of a group share."""


def place_of(parameter: Node, root: Scope) -> Provenance:
    """Return a new scope for what is made for a parameter: ``sgd_1/dense_1/weight`` within ``sgd_1``.

    If a group is called so, it is the scope of the group.
    """
    graph = parameter.graph
    around = mirrored(graph, graph.scopes.get(parameter.scope), root) or root
    own = parameter.name.removeprefix(f"{parameter.scope}/")
    known = graph.scopes.get(f"{around.path}/{own}")
    if known is not None and known.kind == GROUP:
        return graph.in_scope(known.path, twin=parameter)
    return graph.new_scope(own, twin=parameter, within=around)


def accumulated(gradients: Mapping[Node, Node], steps: int, result: dict[Node, Node]) -> tuple[dict[Node, Node], Node]:
    """Return the mean gradients of the last steps, and the node of whether a step is the last of them.

    Parameters
    ----------
    gradients : mapping of Node to Node
    steps : int
        How many there are.
    result : dict of Node to Node
        Takes the updates of the sums, and of the number of steps in them.
    """
    graph = next(iter(gradients)).graph
    means = {}
    with graph.new_scope("accumulate", kind="accumulate") as place:
        root = place.scope
        assert root is not None
        count = graph.parameter("count", np.int64(0), trainable=False)
        number = count + 1
        last = fn.equal(number, steps, name="is_last")
        result[count] = fn.where(last, 0, number)
        for parameter, gradient in gradients.items():
            with place_of(parameter, root):
                empty = np.zeros_like(parameter.value, gradient.dtype)
                total = graph.parameter("total", empty, trainable=False)
                sum_so_far = total + gradient
                result[total] = fn.where(last, np.zeros((), gradient.dtype), sum_so_far)
                means[parameter] = sum_so_far / steps
    return means, last


def held(following: Node, before: Node, moves: Node | None) -> Node:
    """Return the next value in steps that move, and the value from before in the others."""
    return following if moves is None else fn.where(moves, following, before)


def precise(parameter: Node, dtype: Any) -> tuple[Node, Node]:
    """Return the value of a parameter in a longer dtype, and the parameter that keeps what rounding takes away.

    If somebody has set the parameter, the value is that of the parameter.
    """
    wide = np.asarray(parameter.value, dtype)
    copy = parameter.graph.parameter("precise", wide, trainable=False)
    same = fn.equal(fn.cast(copy, parameter.dtype), parameter)
    return fn.where(same, copy, fn.cast(parameter, dtype)), copy

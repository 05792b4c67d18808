"""Where the updates of a parameter are made, and those that are made only in some steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, Scope, fn
from ...core.scopes import mirrored

if TYPE_CHECKING:
    from ...core.provenance import Provenance


GROUP = "group"
"""The kind of the scope of what the parameters of a group share."""


def place_of(parameter: Node, root: Scope, twinned: bool = True) -> Provenance:
    """Return a new scope for what is made for a parameter: ``sgd_1/dense_1/weight`` within ``sgd_1``.

    If a group is called so, it is the scope of the group. Unless they are `twinned`, nodes in it have no twin. The root
    was opened in the same call of the user's.
    """
    graph = parameter.graph
    around = mirrored(graph, graph.scopes.get(parameter.scope), root) or root
    twin = parameter if twinned else None
    own = parameter.name.removeprefix(f"{parameter.scope}/")
    known = graph.scopes.get(f"{around.path}/{own}")
    if known is not None and known.kind == GROUP:
        return graph.in_scope(known.path, twin=twin)
    return graph.new_scope(own, origin=root.origin, twin=twin, within=around)


def held(following: Node, before: Node, moves: Node | None) -> Node:
    """Return the next value in steps that move, and the value from before in the others."""
    return following if moves is None else fn.where(moves, following, before)


def precise(parameter: Node, dtype: Any) -> tuple[Node, Node | None]:
    """Return the value of a parameter in a dtype; if that is longer, also the parameter that keeps what rounding takes.

    If somebody has set the parameter, the value is that of the parameter.
    """
    if dtype == parameter.dtype:
        return parameter, None
    wide = np.asarray(parameter.value, dtype)
    copy = parameter.graph.parameter("precise", wide, trainable=False)
    same = fn.equal(fn.cast(copy, parameter.dtype), parameter)
    return fn.where(same, copy, fn.cast(parameter, dtype)), copy

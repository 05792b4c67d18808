"""Some iterations of a loop as a loop of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .loop_body import Excerpt, new_graph_of

if TYPE_CHECKING:
    from .loop_op import Loop


@lru_cache(maxsize=64)
def stretch_of(op: Loop, each: tuple[int, ...]) -> tuple[Loop, dict[int, int]]:
    """Return a loop that can begin anywhere: it carries the number of the iteration, and keeps some nodes of each.

    Returns
    -------
    Loop
    dict of int to int
        {place of a node in the body that was given: its place in that of the loop}
    """
    joint = new_graph_of(op.body)
    nodes = list(joint)
    index = nodes[0] if op.indexed else joint.placeholder("iteration", (), np.int64)
    following = index - 1 if op.backwards else index + 1
    others = joint.placeholders[1:] if op.indexed else joint.placeholders[:-1]
    carried = [nodes[place] for place in op.carried]
    body = Excerpt(joint, [following, *carried, *[nodes[place] for place in each]], [index, *others])
    of = {place: body.of[nodes[place]] for place in each}
    kept: list[Any] = [("last", k) for k in range(1, len(carried) + 1)] + [("each", inside) for inside in of.values()]
    part = replace(
        op,
        body=body.body,
        carried=tuple([body.of[node] for node in (following, *carried)]),
        kept=tuple(dict.fromkeys(kept)),
        indexed=False,
        counted=False,
        while_=-1,
    )
    return part, of

"""Which call of one watched program corresponds to which of another, where the two make other calls.

Calls are matched module by module: within a module and a phase by operation and shape, in order, and what lies between
them by operation alone. So what was inserted or left out in one module moves nothing in another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...core import Node
    from .compared_runs import Side


def make_other_calls(a: Side, b: Side) -> bool:
    """Return whether two runs are of watched programs, and do not make the same calls in the same modules."""
    calls = [Counter((node.scope, node.op.name) for node in side.order if node.op.is_torch_call) for side in (a, b)]
    return all(calls) and calls[0] != calls[1]


def align_calls(a: Side, b: Side) -> dict[int, int]:
    """Return the counterparts of nodes, {position in `a`: position in `b`}."""
    found: dict[int, int] = {}
    unsure: dict[int, int] = {}
    groups, others = _by_module(a.order), _by_module(b.order)
    for key, places in groups.items():
        sure, by_name = _matched([a.order[i] for i in places], [b.order[j] for j in others.get(key, ())])
        found.update((places[i], others[key][j]) for i, j in sure)
        unsure.update((places[i], others[key][j]) for i, j in by_name)
    for i, j in sorted(unsure.items()):
        # Another shape, and nothing that both read: these only have the same name.
        if any(found.get(source) == other for source, other in zip(a.operands[i], b.operands[j], strict=False)):
            found[i] = j
    return found


def _by_module(order: Sequence[Node]) -> dict[Hashable, list[int]]:
    """Return the positions of nodes by phase and module; of what is given, by name."""
    found: dict[Hashable, list[int]] = {}
    for position, node in enumerate(order):
        key: Hashable = node.name if node.op.is_variable else (node.phase, node.scope, node.op.is_constant)
        found.setdefault(key, []).append(position)
    return found


def _matched(first: Sequence[Node], second: Sequence[Node]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return which of some nodes belong together: by operation and shape; and between these by operation alone."""
    mine, its = ([(_called(node), node.spec.shape) for node in each] for each in (first, second))
    sure, unsure = _common(mine, its), []
    for (i, j), (to_i, to_j) in pairwise([(-1, -1), *sure, (len(first), len(second))]):
        pairs = _common([name for name, _ in mine[i + 1 : to_i]], [name for name, _ in its[j + 1 : to_j]])
        unsure += [(i + 1 + k, j + 1 + n) for k, n in pairs]
    return sure, unsure


def _called(node: Node) -> tuple[str, int]:
    return node.op.name, getattr(node.op, "result", 0)


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[tuple[int, int]]:
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]

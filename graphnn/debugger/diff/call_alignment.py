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
    from collections.abc import Mapping

    from ...core import Node
    from .compared_runs import Side

_MOVES = frozenset(
    (
        *("view", "_unsafe_view", "t", "transpose", "permute", "expand", "clone", "contiguous", "detach", "_to_copy"),
        *("alias", "unsqueeze", "squeeze", "reshape", "lift_fresh"),
    )
)
"""Calls that move, copy or cast what they read."""
_MOST_INSERTED = 200
"""So many calls without a counterpart are gone through to what they read."""


def make_other_calls(a: Side, b: Side) -> bool:
    """Return whether two runs are of watched programs, and do not make the same calls in the same modules."""
    calls = [Counter((node.scope, node.op.name) for node in side.order if node.op.is_torch_call) for side in (a, b)]
    return all(calls) and calls[0] != calls[1]


def align_calls(a: Side, b: Side) -> dict[int, int]:
    """Return the counterparts of nodes, {position in `a`: position in `b`}."""
    pairs: dict[int, int] = {}
    groups, others = _by_module(a.order), _by_module(b.order)
    for key, places in groups.items():
        for i, j in _matched([a.order[i] for i in places], [b.order[j] for j in others.get(key, ())]):
            pairs[places[i]] = others[key][j]
    found: dict[int, int] = {}
    back: dict[int, int] = {}
    for i, j in sorted(pairs.items()):
        if _belong(i, j, a, b, found, back):
            found[i], back[j] = j, i
    return found


def _belong(i: int, j: int, a: Side, b: Side, found: Mapping[int, int], back: Mapping[int, int]) -> bool:
    """Return whether two calls of one name have something in common that they read.

    Within a module that was written anew, calls may have the same name and nothing more. What reads another module's
    result belongs together: there the two programs meet again.
    """
    mine, its = _sources(i, a), _sources(j, b)
    if not mine or not its:
        return not mine and not its
    if all(
        any(_module(side.order[each]) != _module(side.order[place]) for each in sources)
        for side, place, sources in ((a, i, mine), (b, j, its))
    ):
        return True
    known = {found[each] for each in mine if each in found}
    if not known.isdisjoint(its) or not known.isdisjoint(_behind(its, b, back)):
        return True
    return not {back[each] for each in its if each in back}.isdisjoint(_behind(mine, a, found))


def _module(node: Node) -> str:
    """Return the module of a call, in whatever phase."""
    return node.scope.removeprefix("grad").removeprefix("update").removeprefix("/")


def _behind(places: set[int], side: Side, paired: Mapping[int, int]) -> set[int]:
    """Return what has a counterpart and is read by way of some calls without one: what was inserted reads it."""
    waiting, seen, found = list(places), set(places), set()
    while waiting and len(seen) < _MOST_INSERTED:
        place = waiting.pop()
        if place in paired:
            found.add(place)
            continue
        more = [each for each in side.operands[place] if each not in seen]
        seen.update(more)
        waiting += more
    return found


def _sources(place: int, side: Side) -> set[int]:
    """Return what a call reads, before it was moved or cast."""
    found = set()
    for source in side.operands[place]:
        each = source
        while side.order[each].op.name.rpartition(".")[2] in _MOVES and side.operands[each]:
            each = side.operands[each][0]
        found.add(each)
    return found


def _by_module(order: Sequence[Node]) -> dict[Hashable, list[int]]:
    """Return the positions of nodes by phase and module; of what is given, by name."""
    found: dict[Hashable, list[int]] = {}
    for position, node in enumerate(order):
        key: Hashable = node.name if node.op.is_variable else (node.phase, node.scope, node.op.is_constant)
        found.setdefault(key, []).append(position)
    return found


def _matched(first: Sequence[Node], second: Sequence[Node]) -> list[tuple[int, int]]:
    """Return which of some nodes belong together: by operation and shape; and between these by operation alone."""
    mine, its = ([(_called(node), node.spec.shape) for node in each] for each in (first, second))
    sure = _common(mine, its)
    found = list(sure)
    for (i, j), (to_i, to_j) in pairwise([(-1, -1), *sure, (len(first), len(second))]):
        pairs = _common([name for name, _ in mine[i + 1 : to_i]], [name for name, _ in its[j + 1 : to_j]])
        found += [(i + 1 + k, j + 1 + n) for k, n in pairs]
    return found


def _called(node: Node) -> tuple[str, int]:
    return node.op.name, getattr(node.op, "result", 0)


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[tuple[int, int]]:
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]

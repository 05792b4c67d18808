"""Which nodes of a step have the rows of its batch, and so are computed by shards, and which run once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ..._util.text import with_article
from ...core import Dim, Node, Op
from ...core.fetches import ancestors, ordered
from ...core.symbolic_shapes import names_in
from ...errors import UsageError
from ...ops.elementwise import DivideBySize
from .sharding_rules import Joined, Mixed, Use, axis_of_rows, has_rule, remedy, result_of


class Kind(Enum):
    """Where the value of a node comes from."""

    WHOLE = auto()
    """It is the same for all shards."""
    ROWS = auto()
    """Each shard has some of its rows, along one axis."""
    JOINED = auto()
    """What the shards give is put together; the result is the same for all."""
    LOCAL = auto()
    """Each shard has its own, as if it were the whole batch."""


@dataclass(frozen=True)
class Part:
    """What a node is in a step that is split.

    Attributes
    ----------
    kind : Kind
    stage : int
        When it is computed: after so many rounds in which what the shards give is put together.
    axis : int or None
        That of the rows.
    outer : int, str or None
        How often each row stands in it, one after the other; None: all rows are alike.
    joined : Joined or None
        How two shards make one.
    """

    kind: Kind
    stage: int
    axis: int | None = None
    outer: Dim | None = None
    joined: Joined | None = None

    @property
    def ready(self) -> int:
        """The first stage in which others can read it."""
        return self.stage + (self.kind is Kind.JOINED)


@dataclass(frozen=True)
class Cut:
    """A step that is split.

    Attributes
    ----------
    finals : list of Node
        The fetches and the next values.
    parts : dict of Node to Part
        Of everything that they need.
    rows : frozenset of str
        The names of the number of rows.
    moved : list of Node
        The parameters that are updated.
    """

    finals: list[Node]
    parts: dict[Node, Part]
    rows: frozenset[str]
    moved: list[Node]

    @property
    def stages(self) -> int:
        """How many rounds there are in which shards compute."""
        by_shards = (part.stage for part in self.parts.values() if part.kind is not Kind.WHOLE)
        return 1 + max(by_shards, default=-1)

    def counts_all(self, node: Node) -> bool:
        """Return whether a node divides by a number of rows, of all shards together."""
        is_count = isinstance(node.op, DivideBySize) and not self.rows.isdisjoint(node.op.dimension_names)
        return is_count and self.parts[node].kind is not Kind.LOCAL


PartRule = Callable[[Node, Mapping[Node, Part], frozenset[str]], Part]
_of_operations: dict[type[Op], PartRule] = {}


def part_by(kind: type[Op]) -> Callable[[PartRule], PartRule]:
    """Register the decorated function: it says what a node of this operation is, if an operand has rows."""

    def register(rule: PartRule) -> PartRule:
        _of_operations[kind] = rule
        return rule

    return register


def cut(fetches: Sequence[Node], updates: Mapping[Node, Node], rows: Iterable[str], statistics: str = "all") -> Cut:
    """Cut a step by the rows of its batch.

    Parameters
    ----------
    fetches : sequence of Node
    updates : mapping of Node to Node
        {parameter: its next value}.
    rows : iterable of str
        The names of the number of rows: the first dimensions of the placeholders that are split.
    statistics : {"all", "shard"}
        Over which rows a normalization takes its statistics in training.

    Returns
    -------
    Cut

    Raises
    ------
    UsageError
        When a node mixes rows, and nothing says how it is put together from shards.
    """
    names = frozenset(rows)
    finals = [*fetches, *updates.values()]
    order = ordered(finals)
    own = _statistics(order) if statistics == "shard" else set()
    parts: dict[Node, Part] = {}
    for node in order:
        _check_sizes(node, names)
        try:
            parts[node] = _part_of(node, parts, names, own)
        except Mixed:
            raise _mixed(node, names) from None
    for node in fetches:
        if parts[node].outer not in (None, 1):
            raise _mixed(node, names)
    return Cut(finals, parts, names, list(updates))


def _part_of(node: Node, parts: Mapping[Node, Part], rows: frozenset[str], own: set[Node]) -> Part:
    operands = [parts[operand] for operand in node.inputs]
    stage = max((operand.ready for operand in operands), default=0)
    axes = [operand.axis for operand in operands]
    local = any(operand.kind is Kind.LOCAL for operand in operands)
    if node.op.is_placeholder:
        axis = axis_of_rows(node.shape, rows)
        if axis or (axis == 0 and not str(node.shape[0]).isidentifier()):
            raise Mixed
        return Part(Kind.WHOLE if axis is None else Kind.ROWS, 0, axis, 1)
    if all(axis is None for axis in axes):
        named = axis_of_rows(node.shape, rows) is not None or not rows.isdisjoint(node.op.dimension_names)
        if not named or isinstance(node.op, DivideBySize):
            return Part(Kind.LOCAL if local else Kind.WHOLE, stage)
    own_rule = _of_operations.get(type(node.op))
    if own_rule is not None:
        return own_rule(node, parts, rows)
    found, outer = result_of(Use(node, axes, [operand.outer for operand in operands], rows))
    if not isinstance(found, Joined):
        return Part(Kind.ROWS, stage, found, outer)
    if node in own or _is_slope_of_local(node, parts):
        return Part(Kind.LOCAL, stage)
    return Part(Kind.JOINED, stage, joined=found)


# --- statistics of each shard -------------------------------------------------------------------------------------


def _statistics(order: Sequence[Node]) -> set[Node]:
    """Return what only a normalization in training computes: what takes its place in evaluation does without it."""
    found: set[Node] = set()
    here = set(order)
    for trained, evaluated in order[0].graph.evaluation.items() if order else ():
        if trained in here:
            found |= ancestors([trained]) - ancestors([evaluated])
    return found


def _is_slope_of_local(node: Node, parts: Mapping[Node, Part]) -> bool:
    """Return whether a node is the gradient by something of which each shard has its own: it is of the shard, too."""
    whose = node.twin
    if node.phase != "backward" or whose is None:
        return False
    return any(
        operand in parts and parts[operand].kind is Kind.LOCAL and operand.shape == node.shape
        for operand in (whose, *whose.inputs)
    )


# --- errors -------------------------------------------------------------------------------------------------------


def _check_sizes(node: Node, rows: frozenset[str]) -> None:
    for pair in node.spec.constraints:
        names = names_in(pair)
        if not rows.isdisjoint(names) and (not names <= rows or any(isinstance(dim, int) for dim in pair)):
            raise UsageError(
                f'"{node.name}" ({node.op.name}, made at {node.origin}) holds only where {pair[0]} = {pair[1]}, and a '
                "shard has fewer rows than the batch: train it without shards=, or build it for any number of rows",
                node=node,
                op=node.op.name,
                origin=node.origin,
            )


def _mixed(node: Node, rows: frozenset[str]) -> UsageError:
    over = ", ".join(f'"{operand.name}" {operand.spec}' for operand in node.inputs) or "nothing"
    instead = remedy(node.op) or "sums, means, products of matrices, max and min over the rows"
    mixes = "mixes" if has_rule(node.op) else "may mix"
    return UsageError(
        f'"{node.name}" cannot be computed by shards: it is {with_article(node.op.name)} of {over}, which {mixes} the '
        f"rows of a batch ({', '.join(sorted(rows))}), made at {node.origin}. What shards compute: {instead}; "
        "or train it without shards=",
        node=node,
        op=node.op.name,
        origin=node.origin,
    )

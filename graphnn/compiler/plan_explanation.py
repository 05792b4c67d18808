"""What a plan does with each node of a schedule, and where values lie in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.display import Shown, as_text
from .._util.text import PAGE, columns_there
from .intermediate_representation import Patch

if TYPE_CHECKING:
    from ..core import Node
    from .buffer_allocation import Layout
    from .fusion import Chain
    from .ir_values import Value
    from .lowering import Lowering


class Piece(NamedTuple):
    """A piece of the arena.

    Attributes
    ----------
    offset, size : int
        In bytes.
    nodes : tuple of str
        Whose values lie there, one after the other; of scratch memory those of which its chain holds a block there.
    first, last : int
        From which call of the plan to which it is taken.
    scratch : bool
        Whether it holds no more than a block of rows at a time.
    """

    offset: int
    size: int
    nodes: tuple[str, ...]
    first: int
    last: int
    scratch: bool


class Explanation(Shown):
    """What a plan does with each node. Made by ``plan.explain()``; `print` shows it as text.

    Attributes
    ----------
    fates : dict of Node to str
        Of each node that computes something, how: ``"constant"``, ``"a view of …"``, ``"the same as …"``, ``"call"``,
        ``"over …"`` (in the place of an operand that nothing needs any more), ``"in blocks"``, ``"handed out"``,
        ``"not needed"``.
    pieces : list of Piece
        All of the arena.
    arena : int
        Its bytes.
    live : int
        The most of them that are taken at once: no arena could be smaller.
    handed_out : int
        The bytes of the fetches and of what parameters are updated to: each call makes them anew.
    apart : int
        What the same values would take, each with memory of its own for as long as it is needed.
    calls : int
        How many calls of NumPy, or of operations, a step makes; a chain's count once.
    loops : sequence, or None
        What a plan that is not NumPy's does, one after the other: each ``what`` of which ``nodes``, the bytes ``read``
        and ``written``, on how many ``threads``, and the seconds ``expected``, if they are known.
    read, written : int
        The bytes that its loops read and write, each for itself: from the cache or from memory.
    expected : float
        The seconds that its loops are expected to take, calls from Python aside.
    """

    loops: Sequence[Any] | None = None
    read = written = 0
    expected = 0.0

    def __init__(self, lowering: Lowering, chains: Sequence[Chain], layout: Layout, most_apart: int) -> None:
        chain_of = {member: chain for chain in chains for member in chain.members}
        self.fates: dict[Node, str] = {}
        first_of: dict[Value, Node] = {}
        for node, value in lowering.of.items():
            if not node.op.is_leaf:
                self.fates[node] = _fate(node, value, first_of, chain_of, layout, lowering)
            first_of.setdefault(value, node)
        self.pieces = [
            Piece(buffer.offset, buffer.size, names_of(buffer.values), buffer.start, buffer.end, scratch=False)
            for buffer in layout.buffers
            if buffer.values
        ]
        for chain, buffer in layout.scratch.items():
            names = names_of(chain.slots)
            self.pieces.append(Piece(buffer.offset, buffer.size, names, chain.first, chain.last, scratch=True))
        self.pieces.sort()
        self.arena = layout.size
        self.live = layout.live
        self.handed_out = sum(value.nbytes for value in lowering.fetches)
        self.apart = most_apart
        self.calls = sum(value.kind in ("each", "call", "fresh") for value in lowering.values)
        self.chains = [(chain.rows, [member.node.name for member in chain.members]) for chain in chains]

    def count(self, fate: str) -> int:
        """Return how many nodes have a fate that begins so."""
        return sum(told.startswith(fate) for told in self.fates.values())

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "fates": {node.name: fate for node, fate in self.fates.items()},
            "pieces": [piece._asdict() for piece in self.pieces],
            "chains": [{"rows": rows, "nodes": nodes} for rows, nodes in self.chains],
            "arena": self.arena,
            "live": self.live,
            "handed out": self.handed_out,
            "apart": self.apart,
            "calls": self.calls,
        }

    def table(self, width: int | None = PAGE) -> str:
        """Return it as tables: what became of each node, and what lies where in the arena.

        Parameters
        ----------
        width : int or None
            The most cells of a line; long names are cut, and of each table the first 200 rows are there. None: all
            rows, and whole names.

        Examples
        --------
        >>> import graphnn as gn
        >>> x = gn.Graph().placeholder("x", (2,))
        >>> print(gn.compile(gn.exp(x) * 2.0, backend="numpy").plan({x: [0.0, 1.0]}).explain().table(60))
        2 calls for 2 nodes: 0 folded into constants, 0 the same as
        another, 0 views
        arena 64 B; the most taken at once 64 B; handed out 16 B;
        each value apart would take 128 B
        <BLANKLINE>
        node      op        how
        --------  --------  ----------
        exp       exp       call
        multiply  multiply  handed out
        <BLANKLINE>
        at byte  size  calls   whose
        -------  ----  ------  -----
              0  64 B  0 to 2  exp
        """
        return as_text(self, width)

    def __str__(self) -> str:
        return self.table(columns_there() or PAGE)

    def __repr__(self) -> str:
        return f"<Explanation: {self.calls} calls for {len(self.fates)} nodes, {self.arena:,} bytes>"


def names_of(values: Iterable[Value]) -> tuple[str, ...]:
    """Return the names of the nodes that values are of."""
    return tuple(dict.fromkeys(value.node.name for value in values))


def _fate(
    node: Node,
    value: Value,
    first_of: Mapping[Value, Node],
    chain_of: Mapping[Value, Chain],
    layout: Layout,
    lowering: Lowering,
) -> str:
    same = same_fate(node, value, first_of)
    if same is not None:
        return same
    value = value.root if value.kind == "view" else value
    where = " in blocks" if value in chain_of else ""
    if value.index < 0:
        return "not needed"
    if isinstance(value.how, Patch):
        return "handed out, few rows written"
    if value in {fetch.root for fetch in lowering.fetches}:
        return f"handed out{where}"
    buffer = layout.of.get(value) or layout.anew.get(value)
    if buffer is not None:
        position = buffer.values.index(value)
        if position and buffer.values[position - 1].node is not node:
            return f"over {buffer.values[position - 1].node.name}{where}"
    return f"call{where}"


def same_fate(node: Node, value: Value, first_of: Mapping[Value, Node]) -> str | None:
    """Return the fate of a node for which nothing is computed, else None."""
    first = first_of.get(value)
    if value.kind == "constant" or node.op.is_constant:
        return "constant"
    if first is not None and first is not node:
        return f"the same as {first.name}"
    if value.kind == "given":
        return f"the same as {value.node.name}"
    if value.kind == "view" and value.root.node is not node:
        return f"a view of {value.root.node.name}"
    return None

"""What nodes of bodies are called: ``scan_1@137/tanh`` is the loop, the iteration, and the node of its body.

``cond_1@then/exp`` is a branch, the side of it, and the node of its body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ..core import Graph, Node, Op, Origin, Spec
    from ..errors import GraphnnError
    from ..runtime.evaluation_loop import Stop


class NodeInside:
    """A node of the body of a loop in one iteration, or of a side of a branch. Made by ``graph["scan_1@137/tanh"]``.

    Traces and debuggers take it as they take its name.

    Attributes
    ----------
    loop : Node
        The loop, or the branch.
    iteration : int or str
        Its row, where the loop has rows: a loop that goes backwards comes to the last one first. For a branch, "then"
        or "otherwise".
    node : Node or NodeInside
        The node of the body, which is in a graph of its own; in a loop inside the loop, again one in an iteration.
    name : str
    """

    _instead_of_fetch: ClassVar[str] = (
        "its value is trace[…] or dbg[…]; what the function returns besides the state, scan gives as a node"
    )

    def __init__(self, loop: Node, iteration: int | str, node: Node | NodeInside) -> None:
        self.loop, self.iteration, self.node = loop, iteration, node

    @property
    def name(self) -> str:
        """The loop, the iteration, and the node."""
        return f"{short_name_of(self.loop)}@{self.iteration}/{self.node.name}"

    @property
    def graph(self) -> Graph:
        """The graph that has the loop."""
        return self.loop.graph

    @property
    def op(self) -> Op:
        """The operation of the node."""
        return self.node.op

    @property
    def spec(self) -> Spec:
        """Shape and dtype, with the names of dimensions of the body."""
        return self.node.spec

    @property
    def origin(self) -> Origin:
        """The user's line that made the node."""
        return self.node.origin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeInside) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.loop, self.iteration, self.node

    def __repr__(self) -> str:
        return f'<NodeInside "{self.name}": {self.op.name} {self.spec}>'


def short_name_of(loop: Node) -> str:
    """Return what a loop is called in names: the scope that was opened for it, or else its own name."""
    loop = first_like(loop)
    return loop.scope if loop_of_scope(loop.graph, loop.scope) is loop else loop.name


_LOOPS = ("loop", "implicit_loop")


def is_loop(node: Node) -> bool:
    """Whether the operation of a node is a loop."""
    return node.op.name in _LOOPS


def is_branch(node: Node) -> bool:
    """Whether the operation of a node is a branch."""
    return node.op.name == "branch"


def has_bodies(node: Node) -> bool:
    """Whether the operation of a node is a loop or a branch."""
    return node.op.holds_bodies


def is_bundle(node: Node) -> bool:
    """Whether a value is several arrays in one, whose numbers say nothing."""
    return node.op.holds_bodies or node.op.name == "loop_bundle"


def first_like(loop: Node) -> Node:
    """Return the first loop that computes the same: a gradient makes others, which keep more."""
    op: Any = loop.op
    readers = loop.graph._users(loop.inputs[0]) if loop.inputs else ()
    for node in readers:
        other: Any = node.op
        if has_bodies(node) and node.inputs == loop.inputs and op.keeping(()) == other.keeping(()):
            return node
    return loop


def loop_of_scope(graph: Graph, scope: str) -> Node | None:
    """Return the first loop or branch made in a scope, if that was opened for it; none that computes what one did."""
    for kind in (*_LOOPS, "branch"):
        name, number = f"{scope}/{kind}", 1
        while scope and (node := graph._find(name)) is not None:
            if has_bodies(node) and first_like(node) is node:
                return node
            number += 1
            name = f"{scope}/{kind}_{number}"
    return None


def located(error: GraphnnError, iteration: int | str, loop: Node, stop: Stop) -> GraphnnError:
    """Return the error of a node of a body, with the loop or branch, and the iteration or side, in its name."""
    found = error.within("", stopped=stop._replace(prepared=stop.prepared.with_own_feed()))
    if error.node is not None:
        found.node = node = NodeInside(loop, iteration, error.node)
        found.context = f'while evaluating "{node.name}" ({node.op.name} {node.spec}), made at {node.origin}: '
    return found

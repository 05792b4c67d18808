"""Values as an editor shows them: one line each, and their parts in pages."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.text import visible
from ..control_flow.iteration_names import is_bundle
from ..core.symbolic_shapes import shown
from .protocol import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core import Array, Node
    from ..debugger.debugger import Debugger

PAGE = 100
"""How many parts are listed unless `count` asks for others."""
LARGEST_PAGE = 1000
_WHOLE = 10**6
"""Elements up to which a range is that of all of them."""
_SAMPLE = 10**5
_FEW = 6
_HELD, _MOST_REFERENCES = 64, 100_000


def number_text(value: Any) -> str:
    """Return one element with all its digits."""
    if isinstance(value, np.generic) and value.dtype.kind in "fiubc":
        value = value.item() if value.dtype.itemsize >= 8 or value.dtype.kind in "iub" else value
    return str(value)


def sampled(value: Array, most: int = _SAMPLE) -> Array:
    """Return a strided view of an array with up to `most` elements, some from everywhere in it."""
    strides, extents = [1] * value.ndim, list(value.shape)
    while math.prod(extents) > most:
        axis = extents.index(max(extents))
        strides[axis] *= 2
        extents[axis] = -(-value.shape[axis] // strides[axis])
    return value[tuple(slice(None, None, stride) for stride in strides)]


def _range(value: Array) -> str:
    """Return between which numbers the elements lie."""
    if value.dtype.kind == "b":
        return f"true {np.count_nonzero(value):,} of {value.size:,}"
    if value.dtype.kind == "c":
        return ""
    wide = value if value.dtype.kind in "iu" else value.astype(np.float64)
    if wide.dtype.kind in "iu":
        return f"{wide.min()} to {wide.max()}"
    finite = np.isfinite(wide)
    counts = [(int(np.isnan(wide).sum()), "NaN"), (int((wide == np.inf).sum()), "inf")]
    counts.append((int((wide == -np.inf).sum()), "-inf"))
    parts = []
    if finite.any():
        numbers = wide[finite]
        parts.append(f"{numbers.min():.6g} to {numbers.max():.6g}")
    parts += [f"{count:,} {name}" for count, name in counts if count]
    return ", ".join(parts)


def in_one_line(value: Array, whole: int = _WHOLE) -> str:
    """Return a value on one line: shape, dtype, range; of a large one that of a sample, which it says.

    Examples
    --------
    >>> in_one_line(np.array([[1.0, 0.5], [-2.0, np.nan]]))
    '(2, 2) float64, -2 to 1, 1 NaN'
    >>> in_one_line(np.array(0.1)), in_one_line(np.array([1, 2]))
    ('0.1', '(2,) int64, 1 to 2: [1, 2]')
    """
    if value.ndim == 0:
        return number_text(value[()])
    head = f"{shown(value.shape)} {value.dtype}"
    if not value.size:
        return head
    if value.size > whole:
        sample = sampled(value, min(_SAMPLE, whole))
        return f"{head}, {quietly(_range, sample)} in a sample of {sample.size:,}"
    spread = quietly(_range, value)
    line = f"{head}, {spread}" if spread else head
    if value.ndim == 1 and value.size <= _FEW:
        line += f": [{', '.join(map(number_text, value))}]"
    return line


class Part(NamedTuple):
    """A variable, as it is listed.

    Attributes
    ----------
    name : str
    value : str
    type : str
    container : tuple, optional
        What its own parts are of; None where it has none.
    indexed, named : int
        How many parts it has by number, and by name.
    expression : str
        What `evaluate` takes for it.
    sets : tuple, optional
        The node, and the index or the attribute of it, that setting the variable changes; None where it cannot be set.
    """

    name: str
    value: str
    type: str = ""
    container: tuple[Any, ...] | None = None
    indexed: int = 0
    named: int = 0
    expression: str = ""
    sets: tuple[Node, tuple[int, ...] | str] | None = None


class Holder:
    """An array that is no node's, whose parts a client may ask for."""

    def __init__(self, value: Array) -> None:
        self.value: Array | None = value


class Page(NamedTuple):
    """Which of the parts are asked for."""

    start: int = 0
    count: int = PAGE  # type: ignore[assignment]
    asked: bool = False


def page_of(start: int, count: int) -> Page:
    """Return the page that a request means; a count of 0 asks for all, and gets `PAGE`."""
    return Page(start, min(count, LARGEST_PAGE) if count else PAGE, bool(count))


class Variables:
    """The scopes of a stop, and what is in them.

    Attributes
    ----------
    references : list of tuple
        What a client may ask for the parts of at this stop, by number: those of earlier stops are not used again.
    """

    def __init__(self, dbg: Debugger, ranks: Mapping[Node, int]) -> None:
        self._dbg = dbg
        self._ranks = ranks
        self._held: deque[Holder] = deque()
        self._parameters = [node for node in dbg.order if node.op.is_parameter]
        self.references: list[tuple[Any, ...]] = []
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._forgotten = 0

    def clear(self) -> None:
        """Forget the references of a stop that is past."""
        self._forgotten += len(self.references)
        self.references.clear()
        self._numbers.clear()

    def hold(self, value: Array) -> tuple[Any, ...]:
        """Return what refers to the parts of an array that is no node's; of the oldest of many, they are let go."""
        self._held.append(Holder(value))
        if len(self._held) > _HELD:
            self._held.popleft().value = None
        return "constant", self._held[-1], ()

    def reference(self, container: tuple[Any, ...] | None) -> int:
        """Return the number by which a client asks for parts; 0 where there are none."""
        if container is None:
            return 0
        if container not in self._numbers:
            if len(self.references) >= _MOST_REFERENCES:
                raise Refused(f"up to {_MOST_REFERENCES:,} variables can be open at one stop")
            self.references.append(container)
            self._numbers[container] = self._forgotten + len(self.references)
        return self._numbers[container]

    def container(self, number: int) -> tuple[Any, ...]:
        """Return what a number refers to."""
        place = number - self._forgotten - 1
        if not 0 <= place < len(self.references):
            raise Refused(f"there are no variables of reference {number} at this stop")
        return self.references[place]

    # --- scopes ---------------------------------------------------------------------------------------------

    def scopes(self, node: Node | None, inside: str | None) -> list[dict[str, Any]]:
        """Return the scopes of a frame: of an operation, or of a scope of the graph."""
        scopes: list[dict[str, Any]] = []
        if node is not None:
            scopes.append(self._scope("Operation", ("operation", node), 0))
        elif inside is not None:
            scopes.append(self._scope("Scope", ("inside", inside), len(self._nodes_of(inside))))
        if self._parameters:
            scopes.append(self._scope("Parameters", ("stored",), len(self._parameters)))
        scopes.append({**self._scope("Run", ("run", ""), 0), "expensive": True})
        return scopes

    def _scope(self, name: str, container: tuple[Any, ...], named: int) -> dict[str, Any]:
        scope: dict[str, Any] = {"name": name, "variablesReference": self.reference(container), "expensive": False}
        return {**scope, "namedVariables": named} if named else scope

    # --- parts ----------------------------------------------------------------------------------------------

    def parts(self, container: tuple[Any, ...], page: Page) -> list[Part]:
        """Return the parts of what a reference refers to."""
        kind, *rest = container
        parts: list[Part] = getattr(self, f"_{kind}")(page, *rest)
        return parts

    def of_node(self, name: str, node: Node) -> Part:
        """Return a node as a variable."""
        spot = self._dbg[node]
        if not spot.known:
            return Part(name, f"{shown(node.shape)} {node.dtype}, {spot.state}", str(node.dtype))
        if is_bundle(node):
            one = f'"at": "{visible(node.title).partition("@")[0]}@…" of the launch shows one of them'
            return Part(name, f"what these iterations give together; {one}", "iterations")
        return self.of_array(name, spot.value, ("array", node, ()), node.title)

    def of_array(
        self, name: str, value: Array, container: tuple[Any, ...] | None, expression: str = "", whole: int = _WHOLE
    ) -> Part:
        """Return an array as a variable."""
        kind = f"{value.dtype} {shown(value.shape)}" if value.ndim else str(value.dtype)
        rows = len(value) if value.ndim else 0
        line = in_one_line(value, whole)
        sets = None if container is None or container[0] != "array" else container[1:]
        return Part(name, line, kind, container if rows else None, rows, 0, expression, sets)

    def _operation(self, page: Page, node: Node) -> list[Part]:
        dbg = self._dbg
        parts = [self.of_node("result", node)]
        parts += [self.of_node(visible(operand.title), operand) for operand in dict.fromkeys(node.inputs)]
        twins = self._twins.get(node, []) if node.twin is None else [node.twin]
        for twin in twins[:_FEW]:
            called = "gradient" if node.twin is None else "forward"
            parts.append(self.of_node(f"{called}: {visible(twin.title)}", twin))
        attributes = dict(dbg.op_of(node).attributes)
        if attributes:
            parts.append(
                Part("attributes", visible(self._listed(attributes)), "", ("attributes", node), 0, len(attributes))
            )
        return parts[page.start : page.start + page.count]

    @staticmethod
    def _listed(attributes: dict[str, Any]) -> str:
        text = ", ".join(f"{name}={value!r}" for name, value in attributes.items())
        return text if len(text) <= 120 else text[:120] + "…"

    def _attributes(self, page: Page, node: Node) -> list[Part]:
        attributes = dict(self._dbg.op_of(node).attributes)
        return [
            Part(visible(name), visible(repr(value)[:1000]), type(value).__name__, sets=(node, name))
            for name, value in attributes.items()
        ][page.start : page.start + page.count]

    def _array(self, page: Page, node: Node, index: tuple[int, ...]) -> list[Part]:
        return self._rows(page, self._dbg[node].value[index], ("array", node, index), node.title)

    def _constant(self, page: Page, holder: Holder, index: tuple[int, ...]) -> list[Part]:
        if holder.value is None:
            raise Refused("this value is held no longer: evaluate its expression again")
        return self._rows(page, holder.value[index], ("constant", holder, index), "")

    def _rows(self, page: Page, value: Array, container: tuple[Any, ...], title: str) -> list[Part]:
        kind, owner, index = container
        stop = min(page.start + page.count, len(value))
        whole = max(_WHOLE // max(stop - page.start, 1), 1)
        parts = []
        for place in range(page.start, stop):
            inner = (*index, place)
            expression = f"{title}[{', '.join(map(str, inner))}]" if title else ""
            parts.append(self.of_array(f"[{place}]", np.asarray(value[place]), (kind, owner, inner), expression, whole))
        if not page.asked and stop < len(value):
            parts.append(Part("…", f"{stop:,} of {len(value):,} are listed"))
        return parts

    def _stored(self, page: Page) -> list[Part]:
        return self._listed_nodes(page, self._parameters)

    def _listed_nodes(self, page: Page, nodes: Sequence[Node]) -> list[Part]:
        stop = page.start + page.count
        parts = [self.of_node(visible(node.title), node) for node in nodes[page.start : stop]]
        if not page.asked and stop < len(nodes):
            parts.append(Part("…", f"{stop:,} of {len(nodes):,} are listed"))
        return parts

    @cached_property
    def _twins(self) -> dict[Node, list[Node]]:
        """The operations of gradients, by the forward node that they are made for."""
        twins: defaultdict[Node, list[Node]] = defaultdict(list)
        for node in self._dbg.order:
            if node.twin is not None and node.inputs:
                twins[node.twin].append(node)
        return dict(twins)

    @cached_property
    def _tree(self) -> tuple[dict[str, list[str]], dict[str, list[Node]]]:
        """The scopes in each scope, and the nodes of its own, in the order of the run."""
        graph = self._dbg.graph
        scopes: defaultdict[str, dict[str, None]] = defaultdict(dict)
        nodes: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self._dbg.order:
            if node.scope not in nodes:
                scope = graph.scopes.get(node.scope)
                while scope is not None:
                    around = scope.parent.path if scope.parent is not None else ""
                    if scope.path in scopes[around]:
                        break
                    scopes[around][scope.path] = None
                    scope = scope.parent
            nodes[node.scope].append(node)
        return {around: list(inner) for around, inner in scopes.items()}, dict(nodes)

    def _nodes_of(self, path: str) -> list[Node]:
        return self._tree[1].get(path, [])

    def _inside(self, page: Page, path: str) -> list[Part]:
        return self._listed_nodes(page, self._nodes_of(path))

    def _run(self, page: Page, path: str) -> list[Part]:
        """Return the scopes in a scope, then the nodes of its own that are known."""
        graph, direct = self._dbg.graph, self._tree[0].get(path, [])
        ranks, position = self._ranks, self._dbg.position
        listed: list[Any] = [*direct, *(node for node in self._nodes_of(path) if ranks.get(node, -1) < position)]
        stop = page.start + page.count
        parts = [
            Part(visible(each), graph.scopes[each].kind or "scope", "scope", ("run", each))
            if isinstance(each, str)
            else self.of_node(visible(each.title), each)
            for each in listed[page.start : stop]
        ]
        if not page.asked and stop < len(listed):
            parts.append(Part("…", f"{stop:,} of {len(listed):,} are listed"))
        return parts

    def as_variable(self, part: Part) -> dict[str, Any]:
        """Return a variable as the protocol has it."""
        variable: dict[str, Any] = {
            "name": part.name,
            "value": part.value,
            "variablesReference": self.reference(part.container),
        }
        if part.type:
            variable["type"] = part.type
        if part.indexed:
            variable["indexedVariables"] = part.indexed
        if part.named:
            variable["namedVariables"] = part.named
        if part.expression:
            variable["evaluateName"] = part.expression
        if part.sets is None:
            variable["presentationHint"] = {"attributes": ["readOnly"]}
        return variable

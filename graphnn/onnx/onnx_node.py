"""One ONNX node, as its rule sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .._util.text import listed
from ..core import Graph, Node, fn
from ..core.symbolic_shapes import add, names_in
from ..errors import NoRuleError
from ..ops.shape import Arange
from .shape_arithmetic import Scaled, Sizes, boxed, dims_of

if TYPE_CHECKING:
    from .model_reader import Reader
    from .rule_registry import Dims, Known, Value


_MOST_ASKED = 8
"""Sizes that an error asks for."""


class Call:
    """What a rule gets first: the node's name, its opset, and what its operands and subgraphs become.

    Attributes
    ----------
    reader : Reader
    graph : Graph
        Where nodes are made. While numbers are folded it is a graph that is thrown away.
    op : str
        The ONNX operation.
    version : int
        Of the operation's domain, as the model imports it.
    outputs : tuple of str
        The names of the results; "" where nobody reads one.
    """

    def __init__(self, reader: Reader, graph: Graph, op: str, version: int, outputs: tuple[str, ...]) -> None:
        self.reader = reader
        self.graph = graph
        self.op = op
        self.version = version
        self.outputs = outputs
        self.attributes: dict[str, Any] = {}
        self.frame: Any = None
        self.bindings: dict[str, Any] = {}

    def refuse(self, why: str) -> NoReturn:
        """Raise the error that this node cannot be read."""
        raise NoRuleError(why)

    # --- what is given, in the form that a rule asks for ---

    def node(self, value: Value, dtype: Any = None) -> Node:
        """Return a value as a node; a Python number gets the dtype that is given."""
        if isinstance(value, Node):
            return value
        if isinstance(value, Sizes):
            return self._counted(value)
        if isinstance(value, (list, tuple)):
            self.refuse("a sequence stands where an array is needed")
        return self.reader.constant(self.graph, np.asarray(value, dtype))

    def known(self, value: Value, what: str = "an operand") -> Known:
        """Return a value as an array of numbers."""
        if isinstance(value, Sizes):
            self.ask_for_sizes(what, (p.dim if isinstance(p, Scaled) else p for p in value.places.flat))
        if isinstance(value, Node):
            array = self.reader.stored(value)
            if array is None:
                names = sizes_behind(value)
                if names:
                    self.ask_for_sizes(what, names)
                behind = inputs_behind(value)
                small = behind <= set(self.reader.graph.placeholders) and all(map(_is_small, behind))
                how = f"; fix it: {to_hold(behind)}" if behind and small else ""
                self.refuse(f"{what} is computed from data, and must be known when the model is read{how}")
            return array
        return np.asarray(value)

    def ask_for_sizes(self, what: str, dims: Iterable[Any]) -> NoReturn:
        """Raise the error that something depends on dimensions, which must be known."""
        dims = [dim for dim in dims if isinstance(dim, str)]
        names = names_in(dims)
        number = "size" if len(names) == 1 else "sizes"
        self.refuse(f"{what} depends on the {number} {listed(sorted(names))}{to_give(self.reader.graph, names)}")

    def dims(self, value: Value, what: str = "a shape") -> Dims:
        """Return a value as dimensions."""
        if not isinstance(value, Sizes):
            value = self.known(value, what)
        places = [int(p) if isinstance(p, float) and p.is_integer() else p for p in boxed(value).reshape(-1)]
        if any(isinstance(place, (Scaled, float)) for place in places):
            self.refuse(f"{what} is not of whole numbers")
        return dims_of(places)

    def _counted(self, value: Sizes) -> Node:
        """Return sizes as a node that counts them in a run."""
        parts = [self._place(place) for place in value.places.flat]
        whole = parts[0] if value.shape == () else fn.reshape(fn.stack(parts), value.shape)
        return fn.cast(whole, value.dtype)

    def _place(self, place: Any) -> Node:
        dim, by = place if isinstance(place, Scaled) else (place, Fraction(1))
        if not isinstance(dim, str):
            return self.graph.constant(np.float64(dim * by) if by.denominator != 1 else np.int64(dim * by))
        number = fn.reshape(fn.arange(str(dim), add(str(dim), 1), graph=self.graph), ())
        if by == 1:
            return number
        return fn.cast(number, "float64") * float(by.numerator) / float(by.denominator)

    # --- what is inside ---

    def body(self, graph: Any, operands: Sequence[Value], name: str = "") -> list[Value]:
        """Return the outputs of a subgraph, whose nodes are made here, in a scope of that name."""
        return self.reader.inner(self, graph, operands, name)


def to_give(graph: Graph, names: Iterable[str] | None = None) -> str:
    """Return the advice to fix those of these sizes, or of all, that the inputs of a graph leave open."""
    left_open = names_in(dim for node in graph.placeholders for dim in node.spec.shape)
    asked = sorted(left_open if names is None else left_open.intersection(names))
    if not asked:
        return ""
    them = "it" if len(asked) == 1 else "them"
    more = ", …" if len(asked) > _MOST_ASKED else ""
    given = ", ".join(f'"{name}": …' for name in asked[:_MOST_ASKED]) + more
    options = " ".join(f"--size {name}=…" for name in asked[:_MOST_ASKED]) + more.replace(",", "")
    return f"; fix {them}: from_onnx(…, sizes={{{given}}}), or {options} of a command"


def to_hold(inputs: Iterable[Node]) -> str:
    """Return what to write so that these inputs have fixed values, for an error."""
    inputs = sorted(inputs, key=lambda node: node.name)
    given = ", ".join(f'"{node.name}": …' for node in inputs)
    options = " ".join(f"--value {node.name}=…" for node in inputs)
    numbers = all(set(node.shape) <= {1} for node in inputs)
    return f"values={{{given}}}" + (f", or {options} of a command" if numbers else "")


def _is_small(node: Node) -> bool:
    """Return whether an input is a few integers or bools, as those that say how a model computes."""
    return node.dtype.kind in "biu" and node.ndim < 2 and all(isinstance(dim, int) and dim <= 8 for dim in node.shape)


def sizes_behind(node: Node) -> set[str]:
    """Return the names of sizes that a node is computed from, if it is from nothing but sizes and constants."""
    names: set[str] = set()
    seen, stack = {node}, [node]
    while stack:
        last = stack.pop()
        if last.op.is_variable:
            return set()
        if isinstance(last.op, Arange):
            names |= names_in(end for end in (last.op.start, last.op.stop) if isinstance(end, str))
        stack += [each for each in last.inputs if each not in seen]
        seen.update(last.inputs)
    return names


def inputs_behind(node: Node) -> set[Node]:
    """Return the inputs of the model that a node is computed from."""
    seen, stack = {node}, [node]
    while stack:
        stack += [each for each in stack.pop().inputs if each not in seen]
        seen.update(stack)
    return {each for each in seen if each.op.is_placeholder}

"""What a copy of a graph may have otherwise: what is fed, the sizes of dimensions, names. `transform` makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._util.text import short_repr
from ..core import Graph, Node, Op, Spec
from ..core.graph_tables import checked_name, owned
from ..core.op import check_wide, over_dimensions
from ..core.symbolic_shapes import Dim, dimension, names_in, shape_of, shown, substitute
from ..errors import GraphError, GraphnnError, ShapeError, UsageError
from ..ops.elementwise import DivideBySize


@dataclass
class Changes:
    """What a copy of a graph has otherwise.

    Attributes
    ----------
    inputs : dict of Node to Spec
        The nodes that are fed in the copy.
    sizes : dict of str to int or str
        What the names of dimensions become.
    names : dict of Node to str
    """

    inputs: dict[Node, Spec] = field(default_factory=dict)
    sizes: dict[str, Dim] = field(default_factory=dict)
    names: dict[Node, str] = field(default_factory=dict)
    _resized: dict[Node, str] = field(default_factory=dict)
    """The placeholders of which a number becomes another dimension, and how to say so."""
    _touched: set[Node] = field(default_factory=set)
    """What is computed from these."""
    _fresh: frozenset[str] = frozenset()
    """The names that come in the place of numbers."""

    @property
    def cuts(self) -> bool:
        """Whether a node that was computed, or had a value, is fed."""
        return any(not node.op.is_placeholder for node in self.inputs)

    def dim(self, dim: Dim) -> Dim:
        """Return a dimension of the copy."""
        return substitute(dim, self.sizes) if self.sizes else dim

    def given(self, node: Node) -> Spec | None:
        """Return the shape and dtype of what is fed; None of any other node."""
        spec = self.inputs.get(node, node.spec if node.op.is_placeholder else None)
        return spec if spec is None or not self.sizes else Spec(tuple(map(self.dim, spec.shape)), spec.dtype)

    def op(self, node: Node) -> Op:
        """Return the operation of a node in the copy."""
        op = node.op
        if not self.sizes or not self.sizes.keys() & op.dimension_names:
            return op
        changed = {name: over_dimensions(getattr(op, name), self.dim) for name in op.sized}
        return replace(op, **changed)  # type: ignore[type-var]

    def inferred(self, target: Graph, node: Node, op: Op, inputs: tuple[Node, ...]) -> Spec:
        """Return shape and dtype of a node in the copy.

        Raises
        ------
        ShapeError
            When it does not fit any more; also when it holds a number, or meets one, that came from a size.
        """
        try:
            check_wide(op, inputs)
            spec = target._inferred(op, inputs)
        except GraphnnError as error:
            how = ", ".join(dict.fromkeys(self._resized.values()))
            raise (error.within(f'with {how}, "{node.name}" does not fit: ') if how else error) from None
        for pair in spec.constraints:
            names = sorted(names_in(pair) & self._fresh)
            if names and any(isinstance(dim, int) for dim in pair):
                self._refuse(node, op, f"makes {' = '.join(map(str, pair))}")
        return spec

    def check(self, source: Graph, order: Sequence[Node], operand: Callable[[None, Node], Node]) -> None:
        """Check the names in a copy of these nodes, and mark what is computed from inputs of another size.

        Parameters
        ----------
        source : Graph
        order : sequence of Node
        operand : callable
            Takes None and a node, and returns the node of which a copy has a copy instead.

        Raises
        ------
        GraphError
            When a name is taken.
        ShapeError
            When a node may hold a number that came from a size that is changed, and nothing would show it.
        """
        if self.names:
            _check_names(source, order, self.names, operand)
        for node in order if self._resized else ():
            fed = node in self.inputs
            if node in self._resized or (not fed and any(operand in self._touched for operand in node.inputs)):
                self._touched.add(node)
                if node.phase != "forward" and not fed:
                    self._refuse(node, node.op, f"is of the {node.phase} pass, which holds such numbers")
                if isinstance(node.op, DivideBySize) and isinstance(node.op.count, int):
                    self._refuse(node, node.op, f"divides by {node.op.count}, which may be such a number")

    def _refuse(self, node: Node, op: Op, why: str) -> None:
        settings = "".join(f", {name}={getattr(op, name)!r}" for name in op.sized)
        how = ", ".join(dict.fromkeys(self._resized.values()))
        raise ShapeError(
            f'{how}: "{node.name}" ({op.name}{settings}), made at {node.origin}, {why}. A number that came from the '
            "old size would be wrong: build the graph with a named dimension",
            node=node,
            op=op.name,
            origin=node.origin,
        )


UNCHANGED = Changes()


def checked_changes(
    source: Graph, inputs: Any, sizes: Mapping[str, int | str] | None, names: Mapping[Any, str] | None
) -> Changes:
    """Return the changes that are asked for.

    Raises
    ------
    UsageError, GraphError, ShapeError, NotFoundError
    """
    if isinstance(inputs, (str, Node, np.ndarray)) or not isinstance(inputs, Iterable):
        raise UsageError(f"inputs= must be a list of nodes, or {{node: shape}}, not {short_repr(inputs)}")
    for what, given in (("sizes", sizes), ("names", names)):
        if given is not None and not isinstance(given, Mapping):
            raise UsageError(f"{what}= must be a dict, not {type(given).__name__}")
    found = Changes()
    known = names_in(dim for node in source for dim in node.shape)
    for name, size in (sizes or {}).items():
        if name not in known:
            raise UsageError(f'sizes= names "{name}", which is not a dimension of "{source.name}"')
        found.sizes[name] = dimension(size)
    shapes = inputs.items() if isinstance(inputs, Mapping) else [(each, None) for each in inputs]
    for key, shape in shapes:
        node = owned(source, key, "what is fed")
        found.inputs[node] = Spec(node.spec.shape, node.dtype) if shape is None else _respec(found, node, shape)
    for key, name in (names or {}).items():
        found.names[owned(source, key, "what is renamed")] = checked_name(name)
    return found


def _respec(found: Changes, node: Node, given: Any) -> Spec:
    """Return what is fed for a placeholder of another shape; names of dimensions that change, change everywhere."""
    if not node.op.is_placeholder:
        raise UsageError(f'inputs= gives a shape for "{node.name}", but only a placeholder can get another shape')
    shape = shape_of(given)
    if len(shape) != len(node.shape):
        raise ShapeError(f'"{node.name}" has the shape {shown(node.shape)}, and {shown(shape)} has other axes')
    how = f'"{node.name}" {shown(node.shape)} becomes {shown(shape)}'
    for old, new in zip(node.spec.shape, shape, strict=True):
        if old == new:
            continue
        if isinstance(old, int):
            found._resized[node] = how
            found._fresh |= names_in((new,))
        elif not old.isidentifier():
            raise ShapeError(f"{how}: {old} is made of names; sizes= says what these become")
        elif found.sizes.setdefault(old, new) != new:
            raise ShapeError(f'{how}: "{old}" cannot become both {found.sizes[old]} and {new}')
    # With the old names, which `given` changes as it does those of all other nodes.
    pairs = zip(node.spec.shape, shape, strict=True)
    return Spec(tuple([new if isinstance(old, int) else old for old, new in pairs]), node.dtype)


def _check_names(
    source: Graph, order: Sequence[Node], names: Mapping[Node, str], operand: Callable[[None, Node], Node]
) -> None:
    here = {node.name: node for node in order if node not in names}
    for node in order:
        if node not in names:
            continue
        name = names[node]
        output = source.outputs.get(name, source.names.get(name))
        taken = output is not None and operand(None, output) is not node
        if not name or name in here or name in source.scopes or taken:
            raise GraphError(f'"{node.name}" cannot be renamed to "{name}": a node, a scope or an output has that name')
        here[name] = node

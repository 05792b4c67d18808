"""Whole matrices of derivatives, `jacobian` and `hessian`, and the product of a Hessian with vectors, `hvp`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .._util.garbage_collection import collector_paused
from .._util.text import short_repr, with_article
from ..core import Dim, Graph, Node, flatten, fn
from ..core.fetches import resolve
from ..core.scopes import mirrored
from ..core.symbolic_shapes import add, product
from ..errors import NoRuleError, UsageError
from ..transforms.batching_rules import batched
from ..transforms.extract_replace import extract
from .grad import grad, jvp, vjp

Mode = Literal["reverse", "forward"]


def jacobian(results: Any, wrt: Any, mode: Mode | None = None) -> Any:
    """Return the derivatives of each element of a result with respect to each element of a node, as nodes.

    Parameters
    ----------
    results : Node, str, or list, tuple or dict of them
    wrt : Node, str, or list, tuple or dict of them
        What to differentiate with respect to; any float node.
    mode : {None, "reverse", "forward"}
        "reverse": a cotangent for each element of a result, all carried back together, as rows of one array. "forward":
        a tangent for each element of `wrt`. By default what has fewer rows, where the sizes are known; else reverse.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `results`, and in each place in that of `wrt`. The shape is ``result.shape + wrt.shape``.

    Raises
    ------
    DtypeError
        When one of them is not a float.
    NoRuleError
        When an operation on the way has no rule for the mode.
    ShapeError
        When the number of rows is not a number, and an operation on the way has to be made once for each row.

    Notes
    -----
    A few operations, and those that you define, do not take stacks. They are made once for each row. An error leaves no
    nodes in the graph.

    The values on the way take the memory of one pass, times the number of rows.

    Examples
    --------
    >>> from graphnn.runtime.interpreter import run
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> run(jacobian(x * x, x), {x: [3.0, 4.0]})
    array([[6., 0.],
           [0., 8.]])
    """
    if mode is not None and (not isinstance(mode, str) or mode not in ("reverse", "forward")):
        raise UsageError(f'the mode of a Jacobian is "reverse" or "forward", not {short_repr(mode)}')
    graph, ys, of_y = resolve(results, others=flatten(wrt)[0])
    _, xs, of_x = resolve(wrt, graph, results=False)
    rows, columns = (_total(nodes) for nodes in (ys, xs))
    fewer = isinstance(rows, int) and isinstance(columns, int) and columns <= rows
    modes: list[Mode] = [mode] if mode else ["forward", "reverse"] if fewer else ["reverse", "forward"]
    with graph.building:
        for tried in modes:
            try:
                if not isinstance(rows if tried == "reverse" else columns, int):
                    # An operation may refuse so many rows: then in a copy, which is thrown away.
                    copy = extract([*ys, *xs], graph)
                    with warnings.catch_warnings(action="ignore"):
                        _blocks(copy, [copy[y.name] for y in ys], [copy[x.name] for x in xs], tried)
                blocks = _blocks(graph, ys, xs, tried)
                break
            except NoRuleError:
                if tried == modes[-1]:
                    raise
    return of_y([of_x(row) for row in blocks])


def hessian(result: Any, wrt: Any) -> Any:
    """Return the second derivatives of a scalar, as nodes of its graph.

    Parameters
    ----------
    result : Node or str
        Of shape ``()``.
    wrt : Node, str, or list, tuple or dict of them

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `wrt`, and in each place again: ``hessian(loss, [w, b])[0][1]`` is the derivative by w and b, of
        shape ``w.shape + b.shape``.

    Raises
    ------
    ShapeError, DtypeError, NoRuleError
        As `grad` and `jacobian` do.

    Notes
    -----
    It is the Jacobian of the gradient: forward over reverse if all sizes are known and the operations have the rules,
    else reverse over reverse.

    Each pair of nodes has a block of its own. So by P nodes, such as the parameters of a network, some 10 P² nodes are
    made. `hvp` makes few, whatever P is.

    Examples
    --------
    >>> from graphnn.runtime.interpreter import run
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> run(hessian(x[0] * x[0] * x[1], x), {x: [3.0, 4.0]})
    array([[8., 6.],
           [6., 0.]])
    """
    return jacobian(grad(result, wrt), wrt)


def hvp(result: Any, wrt: Any, vectors: Any) -> Any:
    """Return the product of the Hessian of a scalar with vectors, forward over reverse; no Hessian is made.

    Parameters
    ----------
    result : Node or str
        Of shape ``()``.
    wrt : Node, str, or list, tuple or dict of them
    vectors : Node or array_like, or list, tuple or dict of them
        In the form of `wrt`, each of its node's shape.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `wrt`.

    Raises
    ------
    UsageError
        When the vectors are not in the form of `wrt`.
    ShapeError, DtypeError, NoRuleError
        As `grad` and `jvp` do.

    Examples
    --------
    >>> from graphnn.runtime.interpreter import run
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> run(hvp(x[0] * x[0] * x[1], x, [1.0, 10.0]), {x: [3.0, 4.0]})
    array([68.,  6.])
    """
    pairs = in_form_of(wrt, vectors, "the vectors of hvp")
    if not pairs:
        raise UsageError("hvp: wrt is empty; give the nodes to differentiate with respect to")
    for node, _ in pairs:
        if not isinstance(node, (Node, str)):
            raise UsageError(f"hvp: wrt has the nodes to differentiate with respect to, not {type(node).__name__}")
    if len(dict(pairs)) < len(pairs):
        raise UsageError("hvp: a node is given twice in wrt; add up its vectors")
    return jvp(grad(result, wrt), dict(pairs))


def in_form_of(wrt: Any, values: Any, what: str) -> list[tuple[Any, Any]]:
    """Return pairs of nodes and the values for them, which are given in the same form.

    Raises
    ------
    UsageError
        When the forms differ.

    Examples
    --------
    >>> in_form_of({"a": "x", "b": ["y"]}, {"a": [1.0, 2.0], "b": [3.0]}, "the values")
    [('x', [1.0, 2.0]), ('y', 3.0)]
    """
    pairs: list[tuple[Any, Any]] = []
    waiting = [(wrt, values)]
    while waiting:
        form, given = waiting.pop()
        if not isinstance(form, (Mapping, list, tuple)):
            pairs.append((form, given))
            continue
        keys = list(form) if isinstance(form, Mapping) else range(len(form))
        alike = isinstance(given, Mapping) == isinstance(form, Mapping) and hasattr(given, "__len__")
        if not alike or len(given) != len(form) or (isinstance(form, Mapping) and set(given) != set(form)):
            raise UsageError(
                f"{what} are given in the form of what to differentiate by, one for each node: "
                f"{_form(form)}, not {_form(given)}"
            )
        waiting.extend([(form[key], given[key]) for key in reversed(keys)])
    return pairs


def _form(given: Any) -> str:
    """Return of which form something is, for an error."""
    if isinstance(given, Mapping):
        return f"a dict of {short_repr(list(given))}"
    size = f" of {len(given)}" if isinstance(given, (list, tuple)) else ""
    return with_article(type(given).__name__) + size


# --- the rows -------------------------------------------------------------------------------------------------


def _total(nodes: Sequence[Node]) -> Dim:
    total: Dim = 0
    for node in nodes:
        total = add(total, product(node.shape))
    return total


@collector_paused()
def _blocks(graph: Graph, ys: Sequence[Node], xs: Sequence[Node], mode: Mode) -> list[list[Node]]:
    """Return for each y the derivatives by each x."""
    copies = _Copies(graph, [*ys, *xs])
    starts, ends = (ys, xs) if mode == "reverse" else (xs, ys)
    # All are made of one row before the first node is made in the graph: what has no rule leaves none there.
    ones = [copies.one(start, ends, mode) for start in starts]
    found = [copies.rows(start, ends, one) for start, one in zip(starts, ones, strict=True)]
    if mode == "reverse":
        return found
    return [[_turned(column[i], y, x) for column, x in zip(found, xs, strict=True)] for i, y in enumerate(ys)]


class _Copies:
    """A copy of a part of a graph, in which derivatives are made of one row; of all rows, they are made in the graph.

    The graph itself would keep the nodes of the one row.
    """

    def __init__(self, graph: Graph, nodes: Sequence[Node]) -> None:
        self.graph = graph
        self.copy = extract(list(nodes), graph)
        self.plain = {node: graph[node.name] for node in self.copy}
        self.of = {node: copy for copy, node in self.plain.items()}

    def one(self, start: Node, ends: Sequence[Node], mode: Mode) -> tuple[Node, list[Node]]:
        """Return a seed of the shape of a node, and the derivatives that it gives at the ends, in the copy."""
        seed = self.copy.placeholder(self.copy.free_name("seed"), start.shape, start.dtype)
        derivative = vjp if mode == "reverse" else lambda seeds, results: jvp(results, seeds)
        return seed, derivative({self.of[start]: seed}, [self.of[end] for end in ends])

    def rows(self, start: Node, ends: Sequence[Node], one: tuple[Node, list[Node]]) -> list[Node]:
        """Return the derivatives that a unit vector for each element of a node gives at the ends.

        They are of shape ``start.shape + end.shape``.
        """
        graph, size, (seed, wanted) = self.graph, product(start.shape), one
        with graph.new_scope("jacobian", kind="jacobian", phase="backward") as provenance:
            root = provenance.scope
            assert root is not None

            def begin(node: Node) -> None:
                """Attribute what is made from now on to the node that the derivative is of."""
                like = node if node.twin is None else node.twin
                while like not in self.plain and like.twin is not None:  # a derivative of a derivative
                    like = like.twin
                made_for = self.plain[like]
                provenance.scope = mirrored(graph, graph.scopes.get(made_for.scope), root)
                provenance.origin, provenance.twin = made_for.origin, made_for

            unit = fn.reshape(fn.eye(size, start.dtype.name, graph=graph), (size, *start.shape))
            found = batched(wanted, self.plain, {seed: unit}, size, begin)
            provenance.scope, provenance.origin, provenance.twin = root, None, None
            return [fn.reshape(row, (*start.shape, *end.shape)) for row, end in zip(found, ends, strict=True)]


def _turned(block: Node, y: Node, x: Node) -> Node:
    """Return a block of shape ``x.shape + y.shape`` as one of shape ``y.shape + x.shape``."""
    return fn.transpose(block, (*range(x.ndim, x.ndim + y.ndim), *range(x.ndim)))

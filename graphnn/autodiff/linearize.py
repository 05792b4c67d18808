"""A function at a point as a linear map: `linearize`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core import Node, flatten
from ..core.fetches import ordered, resolve
from ..core.symbolic_shapes import names_in
from ..errors import UsageError
from ..runtime.feed import Feed, prepare
from ..runtime.interpreter import run
from ..runtime.program import program_of
from ..transforms.extract_replace import extract, replace
from .grad import jvp
from .jacobian import in_form_of


class Linearization:
    """What a result changes by, to first order, when nodes move from a point: a linear map of tangents.

    Attributes
    ----------
    value : array, or list, tuple or dict of them
        The result at the point, in the form in which it was asked for.
    graph : graphnn.Graph
        The map: placeholders of tangents, and the operations that depend on them. All else is a constant.
    tangents : list of Node
        Its placeholders, one for each node that moves.
    results : list of Node
        What it computes.
    """

    def __init__(
        self,
        value: Any,
        results: Sequence[Node],
        tangents: Sequence[Node],
        form: tuple[Any, Callable[..., Any]],
        sizes: Mapping[str, int],
    ) -> None:
        self.value = value
        self.results = list(results)
        self.graph = results[0].graph
        self.tangents = list(tangents)
        self._x, self._of_y = form
        known = {name for node in self.tangents for name in names_in(node.shape)}
        known.update(program_of(self.graph, self.results).dimension_names)  # also those that only a mean divides by
        self._sizes = {name: size for name, size in sizes.items() if name in known}

    def __call__(self, tangents: Any) -> Any:
        """Return what the result changes by, for a tangent of each node that moves, in their form.

        Raises
        ------
        UsageError
            When the tangents are not in the form of the nodes.
        ShapeError, DtypeError
            When a tangent is not as its node.
        """
        given = in_form_of(self._x, tangents, "tangents")
        feed = {node: tangent for node, (_, tangent) in zip(self.tangents, given, strict=True)}
        return self._of_y(run(self.results, feed, sizes=self._sizes))

    def __repr__(self) -> str:
        return f"<Linearization of {len(self.tangents)} nodes: {len(self.graph)} nodes>"


def linearize(
    results: Any, wrt: Any, feed: Feed | None = None, *, sizes: Mapping[str, int] | None = None
) -> Linearization:
    """Return the derivative of a result at a point as a map of tangents, which computes nothing twice.

    `jvp` gives nodes that compute the result again in each run. Here all that does not depend on a tangent is computed
    once, at the point of the feed; a call computes the rest.

    Parameters
    ----------
    results : Node, str, or list, tuple or dict of them
    wrt : Node, str, or list, tuple or dict of them
        What moves; any float nodes of the graph.
    feed : mapping of Node or str to array_like, optional
        The point.
    sizes : mapping of str to int, optional
        As in `run`.

    Returns
    -------
    Linearization
        Called with tangents in the form of `wrt`, it returns Σ ∂result/∂wrt · tangent in the form of `results`. Its
        ``value`` is that of the results.

    Raises
    ------
    UsageError
        When a node is given twice in `wrt`, or there is none in `wrt` or `results`.
    NotFoundError, ShapeError, DtypeError, NoRuleError
        As `run` and `jvp` do.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x", shape=2)
    >>> moved = linearize(x * x, x, {x: [3.0, 4.0]})
    >>> moved.value
    array([ 9., 16.])
    >>> moved([1.0, 10.0]), moved([0.5, 0.0])
    (array([ 6., 80.]), array([3., 0.]))
    """
    source, ys, of_y = resolve(results, others=flatten(wrt)[0])
    xs = resolve(wrt, source, results=False)[1]
    if not xs or not ys:
        empty, holds = ("results", "what is linearized") if xs else ("wrt", "the nodes that move")
        raise UsageError(f"linearize: {empty} is empty; it has {holds}")
    if len(set(xs)) < len(xs):
        raise UsageError("linearize: a node is given twice in wrt; add up its tangents")
    prepared = prepare(source, ys, feed, sizes)
    copy = extract([*ys, *xs], source)
    names = [copy.placeholder(copy.free_name("tangent"), node.shape, node.dtype).name for node in xs]
    made = jvp([copy[node.name] for node in ys], {node.name: copy[name] for node, name in zip(xs, names, strict=True)})
    tangents, moving = set(names), set[Node]()
    for node in ordered(made):
        if node.name in tangents or not moving.isdisjoint(node.inputs):
            moving.add(node)
    still = list(dict.fromkeys(node for mover in moving for node in mover.inputs if node not in moving))
    still += [node for node in made if node not in moving]
    fed = {node.name: prepared.given[node] for node in prepared.program.placeholders}
    needed = prepared.program.dimension_names  # more may be fed
    bound = {name: size for name, size in prepared.sizes.items() if name in needed}
    values = run([*[copy[node.name] for node in ys], *still], fed, sizes=bound)
    constants = {node: copy.constant(value) for node, value in zip(still, values[len(ys) :], strict=True)}
    replaced = replace(made, constants)
    left = replaced[0].graph
    for node, name in zip(xs, names, strict=True):
        if name not in left:  # no result depends on it; a call checks its tangent all the same
            left.placeholder(name, node.shape, node.dtype)
    return Linearization(of_y(values[: len(ys)]), replaced, [left[name] for name in names], (wrt, of_y), bound)

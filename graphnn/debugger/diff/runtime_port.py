"""Other runtimes as a side of a comparison: they run what a graph was read from. Higher rooms register them.

The modules that do are listed in `later`, under ``"runtime"``, and load when a runtime is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from ..._util.ports import Port
from ..._util.text import short_repr
from ...core import Array, Graph, Node, as_array
from ...errors import GraphnnError, UsageError, near
from ...runtime.evaluation_loop import Step
from .compared_runs import Side

if TYPE_CHECKING:
    from ...runtime.evaluation_loop import Prepared
    from ...runtime.program import Program


class Runtime(Protocol):
    """What `runtime` registers."""

    def __call__(
        self, graph: Graph, nodes: Sequence[Node], feed: Mapping[Node, Array], sizes: Mapping[str, int]
    ) -> Iterator[tuple[Node, Array]] | None:
        """Return the values of nodes of a graph as the runtime computes them.

        Parameters
        ----------
        graph : Graph
        nodes : sequence of Node
            Those that are wanted, in the order of the steps.
        feed : mapping of Node to array
            The checked values of the placeholders among them.
        sizes : mapping of str to int
            Those of the dimensions.

        Returns
        -------
        iterator of (Node, array), or None
            In the order of `nodes`; those that the runtime does not know are left out. It is asked for the next value
            when the last one has been compared, and should compute no more ahead than it must: one group of values,
            say. None where the graph was not read from anything that the runtime can run.
        """


class _Registered(NamedTuple):
    run: Runtime
    reads: str


RUNTIMES: Port[_Registered] = Port("runtimes")
"""By their names."""
_R = TypeVar("_R", bound=Runtime)


def runtime(name: str, *, reads: str) -> Callable[[_R], _R]:
    """Register the decorated function as the runtime of a name, for ``gn.compare(…, runtime=name)``.

    Parameters
    ----------
    name : str
    reads : str
        The call that reads a graph of what the runtime runs, such as ``"gn.from_onnx(path)"``; errors suggest it.

    Examples
    --------
    >>> @runtime("a copy", reads="a copy of it")
    ... def run_copy(graph, nodes, feed, sizes):
    ...     from graphnn import steps
    ...     wanted = set(nodes)
    ...     return ((step.node, step.value) for step in steps(list(nodes), feed) if step.node in wanted)
    >>> from graphnn import compare
    >>> x = Graph().placeholder("x", ("n",))
    >>> compare(abs(x) * 2.0, feed={x: [-1.0, 3.0]}, runtime="a copy")
    <Comparison of "graph": the run and a copy are equal to the bit>
    """

    def register(run: _R) -> _R:
        RUNTIMES.give(name)(_Registered(run, reads))
        return run

    return register


def checked_runtime(name: Any) -> str | None:
    """Return the name of a runtime that is registered, or None.

    Raises
    ------
    UsageError
        When there is none of that name.
    """
    if name is None:
        return None
    runtimes = [*map(str, RUNTIMES.load())]
    if not isinstance(name, str) or name not in runtimes:
        known = ", ".join(sorted(runtimes)) or "none"
        hint = near(name, runtimes) if isinstance(name, str) and runtimes else ""
        raise UsageError(
            f"runtime= is the name of a runtime that is registered ({known}), not {short_repr(name)}.{hint}"
        )
    return name


def run_by(name: str, prepared: Prepared) -> Side:
    """Return the side of what a runtime computes of a run.

    Raises
    ------
    UsageError
        When the graph was not read from anything that the runtime runs.
    """
    program, (run, reads) = prepared.program, RUNTIMES.load()[name]
    feed = {node: prepared.given[node] for node in program.placeholders}
    values = run(program.graph, program.order, feed, prepared.sizes)
    if values is None:
        raise UsageError(
            f'"{program.graph.name}" was not read from anything that {name} runs, so {name} cannot compute its '
            f"values: {reads} gives a graph of which it can"
        )
    return Side(name, program, _steps(name, program, values), prepared.sizes, len(program.order), through=True)


def _steps(name: str, program: Program, values: Iterator[tuple[Node, Array]]) -> Iterator[Step]:
    """Yield a step for each node, without a value where the runtime has none; none is held longer than it is read."""
    held: list[Any] = [None] * len(program.order)
    upcoming: tuple[Node, Array] | None = None
    places = {node: place for place, node in enumerate(program.order)}
    for place, (node, dying) in enumerate(zip(program.order, program.dying, strict=True)):
        upcoming = upcoming or next(values, None)
        if upcoming is not None and upcoming[0] is node:
            held[place] = as_array(np.asarray(upcoming[1]), f'the value of "{node.name}" by {name}')
            upcoming = next(values, None) if node is program.order[-1] else None
        if upcoming is not None and places.get(upcoming[0], -1) <= place:
            raise GraphnnError(f"{name} gave a value that was not asked for, or was asked for before: {upcoming[0]!r}")
        operands = tuple([held[source] for source in program.operands[place]])
        yield Step(place, node, operands, held[place])
        del operands
        for source in dying:
            held[source] = None

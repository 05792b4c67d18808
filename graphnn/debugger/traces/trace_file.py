"""A trace as it is read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.graph_tables import checked_update
from ...core.shape_complexity import reading
from ...core.symbolic_shapes import concrete
from ...errors import FileFormatError
from ...io.graph_files import LOADERS, Loader, from_data, from_settings
from ...runtime.evaluation_loop import Prepared
from ...runtime.feed import checked_feed, prepare
from ...runtime.guard import checked_guard
from ...runtime.program import program_of
from ..what_if_runs import with_op, with_value
from .trace import VERSION, Trace
from .value_digests import blanks_of, forget_values
from .value_digests import decoded as decoded_digests
from .value_statistics import Condensed, Stats, is_valid, strides

if TYPE_CHECKING:
    from ...core import Array, Graph, Node, Shape

_LONGEST = 1e9  # seconds that a file may give for one node: some thirty years


def _from_data(data: Any, arrays: dict[str, Array]) -> Trace:
    try:
        with reading("the trace"):
            return _decoded(data, arrays)
    except FileFormatError:
        raise
    except Exception as error:
        # Forged data may fail anywhere.
        raise FileFormatError(f"the data do not describe a trace: {type(error).__name__}: {error}") from error


LOADERS.give("trace")(Loader(VERSION, _from_data))


def _decoded(data: Any, arrays: dict[str, Array]) -> Trace:
    if "digests" in arrays:
        return _decoded_digests(data, arrays)
    by_kind: dict[str, dict[str, Array]] = {"state": {}, "feed": {}, "given": {}, "value": {}, "preview": {}}
    for name, array in arrays.items():
        array.flags.writeable = False
        kind, _, rest = name.partition("/")
        by_kind[kind][rest] = array
    graph, fetches, updates = _asked(data, by_kind["state"])
    prepared = prepare(graph, fetches, by_kind["feed"], data["sizes"])
    for key, array in by_kind["given"].items():
        prepared = with_value(prepared, prepared.program.order[int(key)], array)
    prepared = _altered(prepared, data)
    shape_of = cache(partial(concrete, sizes=prepared.sizes))  # many nodes share what is long
    places = range(min(len(data["times"]), len(prepared.program.order)))
    kept = [_kept(place, prepared, shape_of, by_kind, data["condensed"]) for place in places]
    trace = _traced(data, prepared, kept, updates)
    trace._relaid = frozenset(data["strided"])
    if not all(type(place) is int for place in trace._relaid):
        raise FileFormatError("the positions of values with another memory layout are not valid")
    return trace


def _decoded_digests(data: Any, arrays: dict[str, Array]) -> Trace:
    """Return a trace that has kept digests: of a run, and a graph, without values."""
    if len(arrays) > 1:
        raise FileFormatError("it holds digests, and other arrays beside them")
    graph, fetches, updates = _asked(data, blanks_of(data["graph"]))
    program, sizes = program_of(graph, fetches), checked_feed(graph, None, data["sizes"])[1]
    prepared = _altered(Prepared(program, program.binding(sizes), {}, sizes), data)
    by_hand = {program.order[place]: None for place in data["set"]}
    prepared = prepared._replace(overridden={**prepared.overridden, **by_hand})
    kept = decoded_digests(prepared, arrays["digests"])
    known = {node: each for node, each in zip(program.order, kept, strict=False) if isinstance(each, np.ndarray)}
    forget_values(graph, known)
    return _traced(data, kept.prepared, kept, updates)


def _asked(data: Any, state: Mapping[str, Array]) -> tuple[Graph, list[Node], dict[Node, Node]]:
    """Return the graph of a run, its fetches and its updates."""
    graph = from_data(data["graph"], state, unknown=True)
    fetches = [_node(graph, name) for name in data["fetches"]]
    updates = dict(checked_update(graph, _node(graph, a), _node(graph, b)) for a, b in data["updates"])
    if not set(fetches).issuperset(updates.values()):
        raise FileFormatError("it has updates whose next values it has not computed")
    return graph, fetches, updates


def _altered(prepared: Prepared, data: Any) -> Prepared:
    """Return a run with the operations that a what-if had altered."""
    for place, attributes in data["altered"]:
        node = prepared.program.order[place]
        if not node.op.is_unknown:
            prepared = with_op(prepared, node, from_settings(type(node.op), attributes))
    return prepared


def _traced(data: Any, prepared: Prepared, kept: Sequence[Array | Condensed], updates: Mapping[Node, Node]) -> Trace:
    """Return the trace of what was kept, with what else its file says of the run."""
    times, stopped, order = data["times"], data["stopped"], prepared.program.order
    timed = all(type(time) is float and 0 <= time < _LONGEST for time in times)
    if not timed or len(times) > len(order) or len(kept) != len(times):
        raise FileFormatError("its times are not one per node")
    if type(data["error"]) is not str or not (stopped is None or (type(stopped) is int and 0 <= stopped < len(order))):
        raise FileFormatError("the position at which it was stopped is not valid")
    sources = {
        file: {number: text for number, text in lines if type(number) is int and type(text) is str}
        for file, lines in data["sources"].items()
    }
    error, guard = data["error"], checked_guard(data["guard"])
    return Trace(prepared, kept, times, updates, stopped=stopped, error=error, sources=sources, guard=guard)


def _node(graph: Graph, name: Any) -> Node:
    if type(name) is not str or name not in graph.dag:
        raise FileFormatError("it names a node that is not in its graph")
    return graph[name]


def _kept(
    place: int,
    prepared: Prepared,
    shape_of: Callable[[Shape], tuple[int, ...]],
    arrays: Mapping[str, Mapping[str, Array]],
    condensed: Mapping[str, Any],
) -> Array | Condensed:
    node, key = prepared.program.order[place], str(place)
    if node in prepared.given:
        return prepared.given[node]
    if node.has_value:
        return node.graph._stored(node)
    value, shape = arrays["value"].get(key), shape_of(node.spec.shape)
    if value is not None:
        if value.shape != shape or value.dtype != node.dtype:
            raise FileFormatError(f"the value of node {place} is not of its shape and dtype")
        return value
    stats, digest = condensed[key]
    preview = arrays["preview"][key]
    minimum, maximum, mean, std = map(float, stats[:4])
    known = Stats(minimum, maximum, mean, std, *map(int, stats[4:]))
    fits = preview.dtype == node.dtype and list(preview.shape) == strides(shape)[1]
    if type(digest) is not str or not fits or not is_valid(known, shape):
        raise FileFormatError(f"what was kept of the value of node {place} is not valid")
    return Condensed(known, preview, digest)

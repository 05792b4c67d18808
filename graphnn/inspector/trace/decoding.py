"""A trace as it is read from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import FileFormatError
from ...execute.feed import prepare
from ...execute.guard import checked_guard
from ...files import from_data, from_settings, loads
from ...graph import Array, Graph, Node, Unknown
from ...graph.tables import checked_update
from ..altered import with_op, with_value
from .recorded import VERSION, Trace
from .values import Condensed, Stats, strides

if TYPE_CHECKING:
    from ...execute.loop import Prepared

_LONGEST = 1e9  # seconds that a file may give for one node: some thirty years


@loads("trace", VERSION)
def _from_data(data: Any, arrays: dict[str, Array]) -> Trace:
    try:
        return _decoded(data, arrays)
    except FileFormatError:
        raise
    except Exception as error:
        # Forged data may fail anywhere.
        raise FileFormatError(f"the data do not describe a trace: {type(error).__name__}: {error}") from error


def _decoded(data: Any, arrays: dict[str, Array]) -> Trace:
    by_kind: dict[str, dict[str, Array]] = {"state": {}, "feed": {}, "given": {}, "value": {}, "preview": {}}
    for name, array in arrays.items():
        array.flags.writeable = False
        kind, _, rest = name.partition("/")
        by_kind[kind][rest] = array
    graph = from_data(data["graph"], by_kind["state"], unknown=True)
    fetches = [_node(graph, name) for name in data["fetches"]]
    updates = dict(checked_update(graph, _node(graph, a), _node(graph, b)) for a, b in data["updates"])
    if not set(fetches).issuperset(updates.values()):
        raise FileFormatError("it has updates whose next values it has not computed")
    prepared = prepare(graph, fetches, by_kind["feed"], data["sizes"])
    times, stopped, order = data["times"], data["stopped"], prepared.program.order
    for key, array in by_kind["given"].items():
        prepared = with_value(prepared, order[int(key)], array)
    for place, attributes in data["altered"]:
        node = order[place]
        if not isinstance(node.op, Unknown):
            prepared = with_op(prepared, node, from_settings(type(node.op), attributes))
    if not all(type(time) is float and 0 <= time < _LONGEST for time in times) or len(times) > len(order):
        raise FileFormatError("its times are not one per node")
    if type(data["error"]) is not str or not (stopped is None or (type(stopped) is int and 0 <= stopped < len(order))):
        raise FileFormatError("the position at which it was stopped is not valid")
    kept = [_kept(place, prepared, by_kind, data["condensed"]) for place in range(len(times))]
    sources = {
        file: {number: text for number, text in lines if type(number) is int and type(text) is str}
        for file, lines in data["sources"].items()
    }
    error, guard = data["error"], checked_guard(data.get("guard"))
    trace = Trace(prepared, kept, times, updates, stopped=stopped, error=error, sources=sources, guard=guard)
    trace._relaid = frozenset(data["strided"])
    if not all(type(place) is int for place in trace._relaid):
        raise FileFormatError("the positions of values with another memory layout are not valid")
    return trace


def _node(graph: Graph, name: Any) -> Node:
    if type(name) is not str or name not in graph.dag:
        raise FileFormatError("it names a node that is not in its graph")
    return graph[name]


def _kept(
    place: int, prepared: Prepared, arrays: Mapping[str, Mapping[str, Array]], condensed: Mapping[str, Any]
) -> Array | Condensed:
    node, key = prepared.program.order[place], str(place)
    if node in prepared.given:
        return prepared.given[node]
    if node.has_value:
        return node.value
    value, shape = arrays["value"].get(key), prepared.shape_of(node)
    if value is not None:
        if value.shape != shape or value.dtype != node.dtype:
            raise FileFormatError(f"the value of node {place} is not of its shape and dtype")
        return value
    stats, digest = condensed[key]
    preview = arrays["preview"][key]
    minimum, maximum, mean, std = map(float, stats[:4])
    known = Stats(minimum, maximum, mean, std, *map(int, stats[4:]))
    fits = preview.dtype == node.dtype and list(preview.shape) == strides(shape)[1]
    if type(digest) is not str or not fits or not _is_valid(known, shape):
        raise FileFormatError(f"what was kept of the value of node {place} is not valid")
    return Condensed(known, preview, digest)


def _is_valid(stats: Stats, shape: tuple[int, ...]) -> bool:
    counts = stats[4:]
    counted = all(count >= 0 for count in counts) and sum(counts[:4]) <= stats.size == math.prod(shape)
    none = all(map(math.isnan, stats[:4]))
    return counted and (none or (stats.min <= stats.max and stats.std >= 0))

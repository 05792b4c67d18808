"""The input of a run: the feed checked against the placeholders, the sizes it binds, and the memory budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np

from .._util.text import short_repr
from ..core import Array, Graph, Node, as_array, cast_in_range, is_float, may_become
from ..core.symbolic_shapes import dimension, names_in, shown, size_of
from ..errors import DtypeError, GraphError, MemoryBudgetError, NotFoundError, ShapeError, UsageError, near
from .evaluation_loop import Prepared
from .program import Binding, Program, program_of, warn_of_infinity

Feed = Mapping[Any, Any]
_SHARE_OF_FREE = 0.8


def prepare(
    graph: Graph, fetches: Sequence[Node], feed: Feed | None = None, sizes: Mapping[str, int] | None = None
) -> Prepared:
    """Check a feed, bind the sizes, and return everything an evaluation needs.

    Raises
    ------
    NotFoundError
        When a feed is missing or unknown, or the size of a dimension is unknown.
    ShapeError, DtypeError
        When a feed is not as declared, or sizes that must be equal differ.
    MemoryBudgetError
        When a value would be larger than the memory budget.
    """
    program = program_of(graph, fetches)
    given, all_sizes = checked_feed(graph, feed, sizes)
    if missing := [node for node in program.placeholders if node not in given]:
        listed = ", ".join(f'"{node.name}" {node.spec}' for node in missing)
        needed = "it is" if len(missing) == 1 else "they are"
        unfed = tuple(node.name for node in missing)
        raise NotFoundError(f"the feed lacks {listed}; {needed} needed for {_fetch_names(program)}", unfed=unfed)
    for name in [name for name in sizes or () if name not in program.dimension_names]:
        known = {*program.dimension_names}.union(*(names_in(node.shape) for node in graph.placeholders))
        if name not in known:
            raise NotFoundError(
                f'sizes= names "{name}", which is not a dimension of "{graph.name}".{near(name, known)}'
            )
    binding = program.binding(all_sizes)
    if not binding.fits_any_memory(graph):
        _check_memory(graph, binding)
    fed = {node: _normalized(node, given[node]) for node in program.placeholders}
    return Prepared(program, binding, graph.state | fed, all_sizes)


def _normalized(node: Node, given: Array) -> Array:
    """Return a fed array with the placeholder's dtype, read-only, aligned and in C order.

    Equal feeds must give equal bits, and the last bits of a sum depend on the layout. Those of a function of a single
    element depend on its stride, which NumPy ignores when it says that an array is in C order.
    """
    array = given if given.dtype == node.dtype else copy_context().run(_cast, node, given)
    array = np.asarray(array, order="C")
    compact = all(0 <= step <= array.nbytes for step in array.strides)
    array = array.view() if compact and array.flags.aligned else array.copy()
    array.flags.writeable = False
    return array


def _cast(node: Node, given: Array) -> Array:
    """Return a fed array in the placeholder's dtype; a number that becomes infinite is warned of. In a context's copy.

    NumPy notes an overflow while it casts, so nothing has to be searched for infinities.
    """
    if not is_float(node.dtype):
        return cast_in_range(given, node.dtype, f'the feed of "{node.name}"')
    # Never left, as in `quietly`.
    np.errstate(all="ignore", over="call", call=lambda *_: warn_of_infinity(node, np.inf, ())).__enter__()
    return given.astype(node.dtype)


def _fetch_names(program: Program) -> str:
    return ", ".join(
        [f'"{program.order[i].name}"' for i in program.fetches[:4]] + (["…"] if len(program.fetches) > 4 else [])
    )


def checked_feed(
    graph: Graph, feed: Feed | None, sizes: Mapping[str, int] | None = None
) -> tuple[dict[Node, Array], dict[str, int]]:
    """Return the fed arrays by placeholder, as they were given, and the sizes they bind."""
    if feed is not None and not isinstance(feed, Mapping):
        raise UsageError(f"a feed is a dict {{placeholder: array}}, not {type(feed).__name__}")
    if sizes is not None and not isinstance(sizes, Mapping):
        raise UsageError(f"sizes are a dict {{name of a dimension: size}}, not {type(sizes).__name__}")
    given: dict[Node, Array] = {}
    bound: dict[str, int] = {}
    bound_by: dict[str, str] = {}
    for name, size in (sizes or {}).items():
        number = dimension(size)
        if not isinstance(name, str) or not isinstance(number, int):
            raise UsageError(
                f"sizes are given as {{name of a dimension: size}}, not {short_repr(name)}: {short_repr(size)}"
            )
        bound[name], bound_by[name] = number, "sizes="
    for key, value in (feed or {}).items():
        node = _fed(graph, key)
        if node in given:
            raise NotFoundError(f'"{node.name}" is fed twice, as a node and by name')
        array = value if type(value) is np.ndarray and value.dtype == node.spec.dtype else _castable(node, value)
        declared = node.spec.shape
        if array.shape != declared:
            if len(array.shape) != len(declared):
                raise _misshapen(node, array)
            for dim, size in zip(declared, array.shape, strict=True):
                if dim == size:
                    continue
                if isinstance(dim, int):
                    raise _misshapen(node, array)
                if bound.setdefault(dim, size) != size:
                    raise ShapeError(
                        f'the feed of "{node.name}" has {dim} = {size} (shape {shown(array.shape)} for '
                        f"{shown(declared)}), but {bound_by[dim]} has {dim} = {bound[dim]}; "
                        f"declared at {node.origin}"
                    )
                bound_by.setdefault(dim, f'"{node.name}"')
        given[node] = array
    for dim in [dim for dim in bound if not dim.isidentifier()]:
        # A placeholder may be declared ("2*batch",): its feed must agree with the size of "batch".
        if size_of(dim, {k: v for k, v in bound.items() if k.isidentifier()}) != bound[dim]:
            raise ShapeError(f"the feed of {bound_by[dim]} has {dim} = {bound[dim]}, which its names do not give")
    return given, bound


def _fed(graph: Graph, key: Any) -> Node:
    node = key
    if isinstance(key, str):
        if key not in graph:
            names = [node.name for node in graph.placeholders]
            raise NotFoundError(
                f'the feed names "{key}", which is not a placeholder of "{graph.name}".{near(key, names)}'
            )
        node = graph[key]
    if not isinstance(node, Node):
        raise UsageError(f"a feed's keys are placeholders or their names, not {type(key).__name__}")
    if node.graph is not graph:
        whose = f'of the graph "{node.graph.name}", not of "{graph.name}"'
        if node.graph.name == graph.name:
            whose = f'of another graph that is called "{graph.name}", too; a copy is fed by name'
        raise GraphError(f'the feed gives "{node.name}" {whose}')
    if not node.op.is_placeholder:
        raise NotFoundError(
            f'"{node.name}" ({node.op.name}) is not a placeholder, and only placeholders are fed; '
            "gn.extract(fetches, inputs=[node]) makes a placeholder of it"
        )
    return node


def _castable(node: Node, value: Any) -> Array:
    """Return `value` as an array, if its dtype can be cast to the placeholder's; else raise."""
    array = as_array(value, f'the feed of "{node.name}"')
    if not may_become(array.dtype, node.dtype):
        remedy = f"cast it yourself if you mean to, array.astype({str(node.dtype)!r})"
        if _is_one_hot(array, node):
            remedy = "of rows that are one-hot, array.argmax(axis=-1) is the classes"
        raise DtypeError(
            f'the feed of "{node.name}" is {array.dtype}, and the placeholder is {node.dtype} '
            f"(declared at {node.origin}): {remedy}",
            node=node,
            given=array.dtype,
            expected=node.dtype,
        )
    return array


def _misshapen(node: Node, array: Array) -> ShapeError:
    return ShapeError(
        f'the feed of "{node.name}" has shape {shown(array.shape)}; expected {shown(node.shape)}, '
        f"as declared at {node.origin}{_remedy(node, array)}",
        node=node,
        given=array.shape,
        expected=node.shape,
    )


def _remedy(node: Node, array: Array) -> str:
    if array.ndim == node.ndim > 1 and _fits(array.shape[::-1], node.shape):
        return "; its transpose would fit, array.T"
    if _is_one_hot(array, node):
        return "; of rows that are one-hot, array.argmax(axis=-1) is the classes"
    classes = node.shape[-1] if node.ndim > 1 and is_float(node.dtype) else None
    whole = array.dtype.kind in "iu" and array.size and _fits(array.shape, node.shape[:-1])
    if isinstance(classes, int) and classes > 1 and whole and array.min() >= 0 and array.max() < classes:
        return f"; if these are classes, np.eye({classes})[array] is one-hot"
    return ""


def _is_one_hot(array: Array, node: Node) -> bool:
    """Return whether an array has one-hot rows where the placeholder takes classes."""
    fits = node.dtype.kind in "iu" and array.ndim > 1 and array.shape[-1] > 1 and _fits(array.shape[:-1], node.shape)
    return bool(fits and array.size and np.isin(array, (0, 1)).all() and (array.sum(axis=-1) == 1).all())


def _fits(shape: tuple[int, ...], dims: tuple[Any, ...]) -> bool:
    return len(shape) == len(dims) and all(isinstance(b, str) or a == b for a, b in zip(shape, dims, strict=True))


def _check_memory(graph: Graph, binding: Binding) -> None:
    budget = memory_budget(graph)
    if binding.largest > budget and binding.largest_node is not None:
        node = binding.largest_node
        raise MemoryBudgetError(
            f'"{node.name}" ({node.op.name} {node.spec}, made at {node.origin}) would take {binding.largest:,} bytes; '
            f"the budget is {budget:,.0f}. Nothing was computed; graph.memory_budget sets another budget"
        )


def memory_budget(graph: Graph) -> float:
    """Return how many bytes a value may take: the graph's budget, else a share of the free memory."""
    return graph.memory_budget if graph.memory_budget is not None else _free_memory() * _SHARE_OF_FREE


def _free_memory() -> float:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return math.inf

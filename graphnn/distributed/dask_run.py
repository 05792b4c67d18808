"""`graphnn.run` on arrays and columns of Dask: arrays of Dask, which are computed chunk by chunk, and later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import with_article
from ..core import Origin, user_origin
from ..core.fetches import ordered
from ..core.symbolic_shapes import names_in, size_of
from ..errors import GraphnnError, NotFoundError, UsageError
from ..runtime.batches import needed_placeholders
from ..runtime.interpreter import BY_CHUNKS, run
from .dask_data import Chunks, chunks_of
from .sharding import Cut, cut
from .sharding.shard_partition import Kind
from .worker import State, step_of
from .worker_programs import Program, named, packed

if TYPE_CHECKING:
    from ..core import Graph, Node
    from ..runtime.feed import Feed
    from .lazy_chunks import Taken


@BY_CHUNKS.give()
def run_by_chunks(
    graph: Graph, nodes: Sequence[Node], feed: Feed, sizes: Mapping[str, int] | None, guard: str | None
) -> list[Any]:
    """Return what nodes will be on a feed of chunks: arrays of Dask, or values of what has no rows."""
    import dask
    import dask.array as da

    if guard is not None:
        raise UsageError("guard= stops a run, and chunks are computed later: gn.check_health(fetches, feed) finds NaN")
    chunks = chunks_of(graph, feed, needed_placeholders(graph, nodes), "the feed", None)
    assert isinstance(chunks, Chunks)
    fed = {*chunks.cut, *chunks.whole}
    if missing := [node for node in needed_placeholders(graph, nodes) if node not in fed]:
        listed = ", ".join(f'"{node.name}" {node.spec}' for node in missing)
        raise NotFoundError(f"the feed lacks {listed}", unfed=tuple(node.name for node in missing))
    whole = _cut_by_rows(nodes, chunks)
    by_rows = [node for node in nodes if whole.parts[node].kind is Kind.ROWS]
    others = [node for node in nodes if node not in by_rows]
    values = dict(zip(others, run(others, chunks.whole, sizes=sizes), strict=True)) if others else {}
    if by_rows:
        program = dask.delayed(packed(by_rows, None, None), traverse=False)
        state = dask.delayed(State(dask.base.tokenize(named(graph.state)), named(graph.state)), traverse=False)
        beside = dask.delayed(named(chunks.whole), traverse=False)
        compute = dask.delayed(computed, pure=False, nout=len(by_rows))
        told = partial(compute, program, state, chunks.taken, beside, sizes, user_origin())
        parts = [told(number, chunk.part) for number, chunk in enumerate(chunks.chunks)]
        for k, node in enumerate(by_rows):
            axis = whole.parts[node].axis
            blocks = [
                da.from_delayed(part[k], _shape(node, chunks, number, sizes), node.dtype)
                for number, part in enumerate(parts)
            ]
            values[node] = da.concatenate(blocks, axis=axis, allow_unknown_chunksizes=True)
    return [values[node] for node in nodes]


def computed(
    program: Program,
    state: State,
    taken: Taken,
    whole: Mapping[str, Any],
    sizes: Mapping[str, int] | None,
    origin: Origin,
    number: int,
    loaded: Any,
) -> list[Any]:
    """Compute a program on a chunk."""
    import dask

    try:
        return list(step_of(program, state)({**whole, **taken.arrays(loaded)}, sizes=sizes))
    except GraphnnError as error:
        told = error
        if Path(dask.__file__).parent in Path(error.origin.file).parents:  # the user's line is not on a task's stack
            told = error.within("", f"  at {origin}", origin=origin)
        told.add_note(f"in chunk {number} of the feed")
        raise told from error.__cause__


def _cut_by_rows(nodes: Sequence[Node], chunks: Chunks) -> Cut:
    """Return which nodes have rows.

    Raises
    ------
    UsageError
        When one is computed from the rows of several chunks, or at random.
    """
    rows = {name for node in chunks.cut for name in names_in(node.shape[:1])}
    try:
        whole = cut(nodes, {}, rows)
    except UsageError as error:
        if error.node is None:
            raise
        raise _together(error.node, rows) from None
    for node in nodes:
        for each in ordered([node]):
            part = whole.parts[each]
            if part.kind in (Kind.JOINED, Kind.LOCAL) or whole.counts_all(each):
                raise _together(each, rows)
            if part.kind is Kind.ROWS and each.op.name.startswith("random_"):
                raise UsageError(
                    f'"{each.name}" ({each.op.name}, made at {each.origin}) would draw the same numbers for each '
                    "chunk: run the evaluation form of the network, network(x)"
                )
    return whole


def _together(node: Node, rows: set[str]) -> UsageError:
    return UsageError(
        f'"{node.name}" is {with_article(node.op.name)} of rows of the batch ({", ".join(sorted(rows))}) together, '
        f"made at {node.origin}, and each chunk is computed by itself. nn.evaluate gives losses and metrics of all "
        "rows; of a network, run what it gives for each row",
        node=node,
        op=node.op.name,
        origin=node.origin,
    )


def _shape(node: Node, chunks: Chunks, number: int, sizes: Mapping[str, int] | None) -> tuple[float, ...]:
    """Return the shape of what a chunk gives; NaN where it is still unknown."""
    bound: dict[str, int] = dict(sizes or {})
    shapes = {**{node: array.shape for node, array in chunks.whole.items()}, **chunks.shapes(number)}
    for placeholder, shape in shapes.items():
        bound |= {
            dim: int(size)
            for dim, size in zip(placeholder.shape, shape, strict=True)
            if isinstance(dim, str) and not np.isnan(size)
        }
    found = []
    for dim in node.shape:
        try:
            found.append(float(size_of(dim, bound)))
        except NotFoundError:
            found.append(np.nan)
    return tuple([size if np.isnan(size) else int(size) for size in found])

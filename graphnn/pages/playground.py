"""`playground`: a page that trains a network on data that one can move, add and replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.compile import Compiled
from ..core import Node
from ..debugger.traces import trace
from ..errors import UsageError
from .replay.network_sight import sight
from .replay.page_data import Maker

if TYPE_CHECKING:
    from pathlib import Path

    from ..core import Array
    from .replay.replay_page import Page


_MOST_ROWS = 512
"""Rows of the step that is recorded; the others are in the page, and come in batches."""


def playground(step: Compiled, data: Mapping[Any, Any], path: str | Path | None = "play.html") -> Page:
    """Write a page that trains a network: change its numbers, its learning rate and its data, and see what it learns.

    One file, no server, no network: the page computes by itself. It has the whole state, and all rows of `data`, of
    which it takes as many at a time as one sets. It shows what the network sees: the plane or the curve of one that
    takes two numbers a sample or one, else samples; and its units as pictures. The points of a plane or curve can be
    dragged, added and deleted; a CSV file replaces the data of any network.

    Parameters
    ----------
    step : Compiled
        With updates: what ``gn.compile(loss, updates=optimizer.updates(loss))`` returns.
    data : mapping of Node or str to array_like
        A feed with all rows there are.
    path : str or path-like, optional
        Where to write the page; None: nowhere.

    Returns
    -------
    Page
        A notebook shows it in a frame.

    Raises
    ------
    UsageError
        When it is no compiled step, or has no updates; when the page cannot compute it, with what is missing.
    NotFoundError, ShapeError, DtypeError
        When the data are not a feed of the step.
    OSError
        When the file cannot be written.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> fetches, feed = gn.demo.build()
    >>> step = gn.compile(fetches["loss"], updates=nn.Adam(0.02).updates(fetches["loss"]))
    >>> gn.playground(step, feed, path=None).data["live"]["play"]["count"]
    300
    """
    if not isinstance(step, Compiled):
        raise UsageError(
            f"a playground is of a compiled step, gn.compile(loss, updates=…), not of {type(step).__name__}"
        )
    if not step.updates:
        raise UsageError("a playground is of a step that trains: gn.compile(loss, updates=optimizer.updates(loss))")
    if not isinstance(data, Mapping):
        raise UsageError(f"the data are a feed, {{placeholder: array}}, not {type(data).__name__}")
    graph = step.graph
    whole = {key if isinstance(key, Node) else graph[key]: np.asarray(rows) for key, rows in data.items()}
    seen = trace(step, _first_rows(whole))
    maker = Maker(seen, [seen], [""])
    maker.live = True
    maker.data |= {"sight": sight(maker), "playground": True}
    maker.rows_to_play = _rows(whole, seen.prepared.program.placeholders, maker.dim)
    page = maker.page("run")
    if path is not None:
        page.save(path)
    return page


def _first_rows(data: Mapping[Node, Array]) -> dict[Node, Array]:
    """Return so many rows as are recorded, of what has a named first dimension."""
    return {
        node: rows[:_MOST_ROWS] if node.shape and isinstance(node.shape[0], str) and rows.ndim else rows
        for node, rows in data.items()
    }


def _rows(data: Mapping[Node, Array], placeholders: Sequence[Node], dim: str | None) -> dict[Node, Array]:
    """Return what comes in batches: what is fed and has its rows along the batch."""
    return {
        node: np.ascontiguousarray(data[node], node.dtype)
        for node in placeholders
        if dim is not None and node.shape[:1] == (dim,)
    }

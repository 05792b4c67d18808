"""How far each node, edge or part of one moves a metric from one run to another: `effects`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.text import short_repr
from ..core import is_float
from ..core.attributes import whole
from ..errors import UsageError
from .attribution import attributed
from .effect_sweep import Sweep
from .effect_tables import Effects, short_places
from .patch_places import Place, places_in
from .progress_line import Progress
from .run_pair import Pair, pair_of
from .sweep_file import Resumed

if TYPE_CHECKING:
    from ..core import Graph
    from ..debugger.traces import Trace
    from ..io.paths import StrPath
    from ..runtime.feed import Feed

Direction = Literal["denoise", "noise"]
Method = Literal["exact", "attribution"]


def effects(
    metric: Any,
    clean: Feed | Trace,
    corrupted: Feed | Trace,
    over: Any = "nodes",
    direction: Direction = "denoise",
    method: Method = "exact",
    *,
    steps: int | None = None,
    progress: Any = True,
    path: StrPath | None = None,
    graph: Graph | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Effects:
    """Measure how far single values move a metric from one run to another.

    One run is patched: at one place after the other it gets the value of the other run, and the metric is taken again.

    Parameters
    ----------
    metric : Node or str
        A number, of shape ``()``: a loss, or the difference of two logits.
    clean, corrupted : mapping or Trace
        Two runs of the same sizes: feeds, or traces of the graph, which may have been made with other parameters.
    over : "nodes", "edges", or list of places
        "nodes": all that depend on what differs between the runs, but for the metric. "edges": of these, what each
        reader alone sees. Else keys as `patched` takes them: nodes, names, ``(node, reader)``,
        ``gn.patches.at(node)[:, 3]``, the name of a scope; ``gn.patches.each(node, axis)`` gives a list of parts.
    direction : {"denoise", "noise"}
        "denoise": values of the clean run come into the corrupted one, which tells what suffices. "noise": values of
        the corrupted run come into the clean one, which tells what is needed.
    method : {"exact", "attribution"}
        "exact": each patch is computed. "attribution": to first order, the difference of the values times the gradient
        of the metric, for all places by one pass.
    steps : int, optional
        For attribution: integrated gradients, which take the gradient at so many points between the runs. Where the
        runs first differ in floats, the values go evenly from those of the one to those of the other.
    progress : bool, None, stream or callable
        True: a line on standard error, once it has taken a second. A stream gets lines, a callable is called with each.
    path : str or path-like, optional
        For exact effects: a file in which they are kept as they are computed. With the same arguments, a call goes on
        from there.
    graph, sizes
        As `run` takes them.

    Returns
    -------
    Effects

    Raises
    ------
    UsageError
        When the runs are equal in all that the metric depends on, or at all places; or an argument is none of these.
    ShapeError, DtypeError
        When the metric is not a number, a feed does not fit, the runs have different sizes, or attribution meets a
        value that is not a float.
    NotFoundError
        When the metric does not depend on a place.
    AxisError
        When a value has no such part.
    GraphError
        When a trace is of another graph.
    FileFormatError
        When the file is of another sweep.

    Notes
    -----
    Exact effects are those that whole runs with the value set would give, but for rounding: only what depends on a
    place is computed again, for many places at once where values are small. Places whose patches come to the same are
    computed once. Memory holds the values of both runs and those recomputed for a few patches.

    Attribution is exact where the metric is linear in the values. It misses what saturates, as softmax does; `steps`
    helps there. Its gradient is that of `grad`: a place has the effect 0 if all that leads from it to the metric passes
    no gradient, as ``stop_gradient``, ``round`` and comparisons do not. It is NaN where a value goes from or to
    infinity. The second call with the same metric and places compiles it, and those after it are fast.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", 2)
    >>> y = gn.tanh(x[0]) * 3.0 + x[1]
    >>> found = gn.effects(y, {x: [1.0, 1.0]}, {x: [0.0, 0.0]}, over=["tanh", "x[1]", "x"])
    >>> print(found)
    "add": 3.285 clean, 0 corrupted; each of 3 places alone, denoise, exact
      effect  recovered  place
       3.285      100 %  x
       2.285       70 %  tanh
           1       30 %  x[1]
    >>> linear = gn.effects(y, {x: [1.0, 1.0]}, {x: [0.0, 0.0]}, over=["tanh", "x[1]", "x"], method="attribution")
    >>> round(found.agreement(linear).spearman, 6)
    1.0
    """
    _check_choice("direction", direction, ("denoise", "noise"))
    _check_choice("method", method, ("exact", "attribution"))
    if method == "exact" and steps is not None:
        raise UsageError('steps= are those of integrated gradients: they go with method="attribution"')
    if method == "attribution" and path is not None:
        raise UsageError('path= keeps what takes long: it goes with method="exact"')
    count = None if steps is None else whole("steps=", steps, 1)
    pair = pair_of(metric, clean, corrupted, direction == "denoise", graph, sizes)
    places = _places(pair, over, floats=method == "attribution")
    told = Progress(progress, "effects", len(places) if method == "exact" else count or 1)
    if method == "exact":
        found, base, other = _swept(pair, places, told, path)
    else:
        with told:
            found, base, other = attributed(pair, places, count, told.tell)
    ends = (other, base) if direction == "denoise" else (base, other)
    return Effects(pair.metric, places, found, *ends, direction, method, count)


def _check_choice(what: str, given: Any, choices: Sequence[str]) -> None:
    if not isinstance(given, str) or given not in choices:
        listed = " or ".join(f'"{choice}"' for choice in choices)
        raise UsageError(f"{what}= is {listed}, not {short_repr(given)}")


def _places(pair: Pair, over: Any, floats: bool) -> list[Place]:
    """Return the places that are asked for, once each.

    Raises
    ------
    UsageError, NotFoundError
    """
    pair.check_differ()
    if isinstance(over, str) and over in ("nodes", "edges"):
        nodes = [pair.order[i] for i in sorted(pair.reached) if pair.order[i] is not pair.metric]
        nodes = [node for node in nodes if not floats or is_float(node.dtype)]
        if not nodes:
            raise UsageError(
                f'nothing {"with floats " if floats else ""}that "{pair.metric.name}" is computed of differs between '
                "the clean and the corrupted run: there is nothing to patch"
            )
        if over == "nodes":
            return [Place(node) for node in nodes]
        return [Place(node, pair.order[i]) for node in nodes for i in pair.readers[pair.position[node]]]
    if isinstance(over, str) and over in ("node", "edge") and over not in pair.graph:
        raise UsageError(f'over="{over}s" means all of them; "{over}" is not the name of a node')
    waiting = list(over) if isinstance(over, list) else [over]
    found: dict[Place, None] = {}
    while waiting:
        key = waiting.pop(0)
        if isinstance(key, list):
            waiting = [*key, *waiting]
            continue
        found.update(dict.fromkeys(places_in(pair.order, pair.graph, key)))
    if not found:
        raise UsageError('over= is empty: it has "nodes", "edges", or a list of nodes, edges and parts of them')
    if not any(pair.position[place.node] in pair.reached for place in found):
        raise UsageError(
            f"the clean and the corrupted run have the same value of {short_places(list(found))}, as nothing that "
            "differs between them leads there: a patch would change nothing"
        )
    for place in found:
        place.part_in(pair.base.shape_of(place.node))
    return list(found)


def _swept(
    pair: Pair, places: Sequence[Place], told: Progress, path: StrPath | None
) -> tuple[np.ndarray[Any, Any], float, float]:
    """Return the exact effects, and the metric of the run that is patched and of the other one."""
    kept = None if path is None else Resumed(path, pair, places)
    sweep = quietly(Sweep, pair, places)
    found = dict(sweep.found) if kept is None else {**kept.found, **sweep.found}
    with told:
        try:
            told.tell(len(found))
            for number, chunk in enumerate(sweep.chunks):
                if not found.keys() >= set(chunk):
                    found.update(sweep.run(number))
                    if kept is not None:
                        kept.keep(found)
                told.tell(len(found))
        finally:
            if kept is not None:
                kept.keep(found, now=True)
    metrics = np.array([found[number] for number in range(len(places))])
    return metrics - sweep.base, sweep.base, sweep.other

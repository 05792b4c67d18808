"""What is compared with what: `compare`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Graph, Node
from ...errors import UsageError
from ...runtime.cluster_port import check_exact
from ...runtime.feed import prepare
from ..traces import Trace
from .compared_runs import (
    Side,
    are_arrays,
    arrays_of,
    can_be_run,
    fed_to,
    feed_for,
    from_files,
    graph_of,
    names_of,
    read_trace,
    results_of,
    run_of,
)
from .diff_arguments import checked_backends, checked_dtypes, checked_names, checked_tolerance
from .lockstep import Lockstep, same_results
from .node_alignment import Pairs, align
from .runtime_port import checked_runtime, run_by
from .sample_diff import Pair, compared

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...runtime.batches import Data
    from ...runtime.feed import Feed
    from .differences import Comparison
    from .sample_diff import Samples


def compare(
    a: Any,
    b: Any = None,
    feed: Feed | None = None,
    feed_b: Feed | None = None,
    *,
    dtypes: tuple[Any, Any] | None = None,
    backends: tuple[str, str] | None = None,
    runtime: str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    names: tuple[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    data: Data | None = None,
    batch_size: int | None = None,
    limit: int | None = None,
    client: Any = None,
    exact: bool = True,
) -> Any:
    """Compare two runs node by node, in lock step, and find the first node at which they differ.

    With `data`, compare the results of two models on each sample of a set, and find those that differ most.

    Only the values that each run still needs are held in memory, and those of the first difference.

    A node's counterpart is the one that computes the same from the same operands, or else the one that is read in the
    same way up to the fetches. So nodes that were edited, added, removed or renamed do not hide what is alike after
    them. Parameters are matched by name and by value, gradients and updates by the nodes that they were made for.
    Results are matched by their keys, next values by their parameters, those of traces and all others by their order.

    Parameters
    ----------
    a : Node, str, or list, tuple or dict of them, Graph, Compiled, Trace, Run, or path
        Fetches or a compiled step, which are run without making updates; or a recorded run, which is read. A path, or
        text that ends in ``.trace`` or ``.gnt``, is the file of one. For a trace of digests
        (``gn.trace(…, keep="digests")``), what the samples, the statistics and the hashes tell is compared, and it is
        not run again: beside it, what is run needs its feed.
    b : the same, or dict of str to array, optional
        What it is compared with, of the same graph or another. Or arrays from elsewhere by the names of nodes: only
        those are compared. By default `a` again: with another feed, at another dtype, or a trace that is run again.
    feed : mapping of Node or str to array_like, optional
        The feed of what is run; for two graphs, by name. Beside a trace, the default is the feed of the trace.
    feed_b : mapping of Node or str to array_like, optional
        Another feed for `b`.
    dtypes : pair of dtype, optional
        Run each in a copy of the graph whose floats have this dtype; None leaves one as it is. Floats that are computed
        from integers (``count / 3``) keep the dtype that NumPy gives them.
    backends : pair of str, optional
        Run each by this executor, as `graphnn.compile` takes it: ``("interpreter", "numpy")`` compares the interpreter
        with the plan. All values of a plan are held at once; those that are not fetched come from a second plan that
        returns every node.
    runtime : str, optional
        Compare with what another runtime computes of the model that the graph was read from, instead of `b`. `a` may be
        the graph itself, of which then all outputs are run. Nodes between two values that the runtime gives are
        compared as one.
    rtol, atol : float, optional
        Values agree where ``abs(a - b) <= atol + rtol * abs(b)``. If only one is given, the other is 0. Unless given,
        values of the same dtype must be equal to the bit (zeros in sign, too; NaN equals NaN), and floats of two
        dtypes, or arrays from elsewhere, agree to 1.3e-6 and 1e-5 (float32), 1e-7 and 1e-7 (float64), 1e-3 and 1e-5
        (float16), 1.6e-2 and 1e-5 (bfloat16): as ``torch.testing.assert_close`` has it, by the coarser dtype.
    names : pair of str, optional
        What the two are called when printed. By default it is what they differ in: the names of their graphs, dtypes,
        feeds or fetches; else a and b.
    sizes, graph
        As `graphnn.run` takes them.
    data : mapping, iterable of batches, or function, optional
        A set of samples, as `nn.evaluate` takes it. `a` and `b` are then fetches or compiled steps with as many
        results, each with a row for every sample; both are fed the same, by name.
    batch_size : int, optional
        Rows of a batch of `data`, if these are to be split. By default 1,024.
    limit : int, optional
        How many samples to return, those that differ most. By default 10.
    client : distributed.Client, optional
        Let the workers of this client of Dask go through `data`.
    exact : bool
        With a client: refuse workers that may compute other bits than this process. If False, only warn.

    Returns
    -------
    Comparison, or Samples
        Samples with `data`.

    Raises
    ------
    GraphnnError
        As `graphnn.run` does.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> found = compare(abs(x) * 2.0, -x * 2.0, {x: [-1.0, 3.0]})
    >>> found.first
    <Difference at "absolute": op changed: absolute → negative>
    >>> found.first.element, float(found.first.a), float(found.first.b)
    ((1,), 3.0, -3.0)

    Which digits a float32 loses, and where:

    >>> found = compare(x * x - x, feed={x: [1.0001]}, dtypes=("float32", "float64"))
    >>> [(name, round(digits.lost)) for name, digits in found.digits.items()]
    [('x', 0), ('multiply_3', 0), ('subtract', 3)]

    Two runs that are in no one process:

    >>> import tempfile
    >>> from graphnn.debugger.traces import trace
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, slope in (("here", 2.0), ("there", 3.0)):
    ...         trace(abs(x) * slope, {x: range(50)}, keep="digests").save(f"{folder}/{name}.trace")
    ...     found = compare(f"{folder}/here.trace", f"{folder}/there.trace", names=("here", "there"))
    >>> found
    <Comparison of "graph": here and there first differ at "constant_3">

    Two models on many samples:

    >>> rows = np.linspace(-1.0, 1.0, 5000)
    >>> found = compare(abs(x), x, data={x: rows}, limit=2)
    >>> found
    <Samples: a and b differ at 2,500 of 5,000 samples>
    >>> print(found[0])
    sample 0: absolute_4 is 1 and -1, 2 apart

    One executor beside the other:

    >>> compare(abs(x) * 2.0, feed={x: [-1.0, 3.0]}, backends=("interpreter", "numpy"))
    <Comparison of "graph": the interpreter and the plan are equal to the bit>
    """
    tolerance, called = checked_tolerance(rtol, atol), checked_names(names)
    check_exact(client, exact)
    if not data is client is batch_size is limit is None:
        others = (feed, feed_b, dtypes, backends, runtime, sizes)
        return _on_data(a, b, graph, data, others, tolerance)(batch_size, limit, called, client, exact)
    if graph is not None and not isinstance(graph, Graph):
        raise UsageError(f"graph= is a graph, not {type(graph).__name__}")
    a, b, files = from_files(a, b)
    by_runtime = checked_runtime(runtime)
    if by_runtime is not None:
        if any(each is not None for each in (b, feed_b, dtypes, backends)):
            raise UsageError("runtime= is the second side: it takes no other one, no second feed, dtypes= or backends=")
        return _with_runtime(by_runtime, a, feed, sizes, graph, tolerance, called)
    (dtype_a, dtype_b), (backend_a, backend_b) = checked_dtypes(dtypes), checked_backends(backends)
    by_feed = feed is not None and feed_b is not None
    arrays = _checked_arrays(a, b)
    run_again = b is None or feed_b is not None or dtype_b is not None or backends is not None
    if arrays and run_again:
        raise UsageError("arrays are compared as they are: they take no feed, no dtype and no backend")
    b = _other(a, (feed_b, dtypes, backends)) if b is None else b
    reads_a = isinstance(a, Trace) and dtype_a is None and backends is None
    reads_b = arrays or (isinstance(b, Trace) and not run_again)
    if feed is not None and reads_a and (reads_b or feed_b is not None):
        raise UsageError("a trace has its own feed and takes no other")
    if sizes is not None and reads_a and reads_b:
        raise UsageError("sizes= is for what is run, and both sides are recorded or given")
    graph_a, graph_b = _graphs_of(a, b, graph, arrays)
    feed_a, feed_b = _feeds_of(a, b, feed, feed_b, None if arrays else (graph_a, graph_b))
    alike = graph_a is graph_b or (graph_a is not None and graph_b is not None and graph_a.dtype == graph_b.dtype)
    exact = alike and not arrays and tolerance is None and dtype_a is dtype_b is None

    inside = backends is None and all(map(can_be_run, (a, b)))

    def side(target: Any, reads: bool, *how: Any) -> Side:
        return read_trace(target, exact, inside) if reads else run_of(target, *how)

    first = side(a, reads_a, feed_for(feed_a, graph_a, graph_b), sizes, graph_a, dtype_a, backend_a, inside)
    second = arrays_of(b, first) if arrays else side(b, reads_b, feed_b, sizes, graph_b, dtype_b, backend_b, inside)
    called = called or files or names_of(first, second, (dtype_a, dtype_b), by_feed)
    first, second = first._replace(name=called[0]), second._replace(name=called[1])

    def match_results(known: Mapping[Node, Node]) -> Pairs:
        return same_results(first) if arrays else results_of(a, b, first, second, known)

    return Lockstep(first, second, align(first, second, match_results), tolerance, arrays).compare()


def partners_of(a: Trace, b: Trace) -> dict[Node, Node]:
    """Return the counterpart of each node of a recorded run in another one; a loop is one node, as it was recorded."""
    first, second = read_trace(a, exact=False), read_trace(b, exact=False)
    places, _ = align(first, second, lambda known: results_of(a, b, first, second, known))
    return {first.order[i]: second.order[j] for i, j in places.items()}


def _other(a: Any, given: tuple[Any, ...]) -> Any:
    """Return what to compare with if there is no `b`: `a` again, if it is a trace or if an argument makes it differ."""
    if all(each is None for each in given) and not isinstance(a, Trace):
        raise UsageError("nothing differs between the two runs: give b, feed_b=, dtypes=, backends= or runtime=")
    return a


def _graphs_of(a: Any, b: Any, graph: Graph | None, arrays: bool) -> tuple[Graph | None, Graph | None]:
    """Return the graphs of both sides."""
    graph_a = graph_of(a) or graph or (None if arrays else graph_of(b))
    graph_b = graph_a if arrays else graph_of(b) or graph or graph_a
    if graph is not None and graph is not graph_a and graph is not graph_b:
        raise UsageError("graph= is for fetches by name; what is compared has its own graph")
    return graph_a, graph_b


def _feeds_of(
    a: Any, b: Any, feed: Feed | None, feed_b: Feed | None, graphs: tuple[Graph | None, Graph | None] | None
) -> tuple[Feed | None, Feed | None]:
    """Return the feeds of both sides; there are no graphs if one side is arrays."""
    # What is run beside a trace is fed as that was; a trace that is run again, as it was itself.
    one_trace = graphs is not None and feed is None and isinstance(a, Trace) != isinstance(b, Trace)
    feed_a = fed_to(b) if one_trace and isinstance(b, Trace) else feed
    if feed_b is None:
        feed_b = fed_to(a) if one_trace and isinstance(a, Trace) else feed
        feed_b = feed_b if graphs is None else feed_for(feed_b, graphs[1], graphs[0])
    return feed_a, feed_b


def _on_data(
    a: Any, b: Any, graph: Graph | None, data: Any, others: tuple[Any, ...], tolerance: tuple[float, float] | None
) -> Callable[..., Samples]:
    """Return what compares two models on a set."""
    if data is None:
        raise UsageError("client=, batch_size= and limit= are for data=, a set of samples: one run is compared here")
    if any(other is not None for other in others):
        raise UsageError("data= is all that is fed: it takes no feed, sizes=, dtypes=, backends= or runtime=")
    if b is None or isinstance(a, Trace) or isinstance(b, Trace) or are_arrays(b):
        raise UsageError("with data=, two models are compared: fetches, or compiled steps, as a and b")

    def again(feed: dict[str, Any]) -> Comparison:
        rtol, atol = tolerance or (None, None)
        found: Comparison = compare(a, b, feed, rtol=rtol, atol=atol, graph=graph)
        return found

    return partial(compared, Pair(a, b, graph, data, tolerance), data, again)


def _with_runtime(
    runtime: str,
    a: Any,
    feed: Feed | None,
    sizes: Mapping[str, int] | None,
    graph: Graph | None,
    tolerance: tuple[float, float] | None,
    called: tuple[str, str] | None,
) -> Comparison:
    """Compare a run, or a trace, with what a runtime computes of it."""
    if not isinstance(a, Trace):
        first = run_of(a, feed, sizes, graph, None)
    elif feed is not None and a.has_values:
        raise UsageError("a trace has its own feed and takes no other")
    else:
        first = read_trace(a, exact=False)
    prepared = first.prepared
    if isinstance(a, Trace):
        prepared = prepare(a.graph, a.fetches, feed, sizes) if feed is not None else a.checked_run()
    assert prepared is not None
    second = run_by(runtime, prepared)
    called = called or names_of(first, second, (None, None), by_feed=False)
    first, second = first._replace(name=called[0]), second._replace(name=called[1])
    return Lockstep(
        first, second, align(first, second, lambda _: same_results(first)), tolerance, foreign=True
    ).compare()


def _checked_arrays(a: Any, b: Any) -> bool:
    """Return whether the second side is arrays, if they can be compared with the first."""
    if are_arrays(a):
        raise UsageError("arrays are compared with a run, and the run comes first: compare(trace, {name: array})")
    if isinstance(b, np.ndarray) or (isinstance(b, (list, tuple)) and any(isinstance(part, np.ndarray) for part in b)):
        raise UsageError('arrays are compared by the names of nodes: compare(trace, {"dense_1/add": array})')
    return are_arrays(b)

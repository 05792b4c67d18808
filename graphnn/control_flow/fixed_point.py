"""`fixed_point`: the state that a function leaves as it is, with the implicit gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._util.callables import check_takes
from ..core import flatten, is_float
from ..core.attributes import whole
from ..errors import DtypeError, UsageError, ValueRangeError
from .body_tracing import as_node, graph_of_arguments
from .fixed_point_op import solved
from .loop_validation import check_bool, check_functions


def fixed_point(
    f: Callable[[Any], Any],
    z0: Any,
    *,
    tolerance: float | None = None,
    max_steps: int = 1000,
    steps: bool = False,
) -> Any:
    """Apply a function to a state until the state stays as it is.

    Parameters
    ----------
    f : callable
        Called once, with a state; returns the next one, in the form of `z0`. It may read other nodes, and call layers.
    z0 : Node or array_like, or list, tuple or dict of them
        Where to begin: floats. Each part keeps its shape and dtype. Arrays alone serve where
        `f` reads a node.
    tolerance : float, optional
        How much the largest element may change in the last step, relative to the largest element of the state, if that
        is above 1. By default the epsilon of the dtype to the power of 2/3: 4e-11 for float64, 2e-5 for float32.
    max_steps : int
        The maximum number of steps.
    steps : bool
        Whether to return also how many steps were made.

    Returns
    -------
    z : Node, or list, tuple or dict of them
        The state after the last step, in the form of `z0`.
    count : Node
        The number of steps, an int64, if `steps`.

    Raises
    ------
    UsageError
        When `f` does not return a state in the form of `z0`, or makes updates.
    ShapeError, DtypeError
        When the next state has another shape or dtype than the state, or the state is not of floats.

    Notes
    -----
    A run raises EvaluationError, with the residual, if the state still changes by more than the tolerance after
    `max_steps`, or becomes infinite. Then smaller steps may help, ``0.5 * z + 0.5 * f(z)``. A state that becomes NaN is
    returned as it is; ``guard="nan"`` and `gn.check_health` say where it began.

    The gradient is implicit: of ``z = f(z, w)``, with cotangent v, it solves ``u = v + uᵀ ∂f/∂z`` in the same way, and
    is ``uᵀ ∂f/∂w``. It needs no step but the last, does not depend on `z0`, and has gradients of any order. What `f`
    draws at random is the same in all steps.

    Examples
    --------
    >>> import graphnn as gn
    >>> a = gn.Graph().placeholder("a")
    >>> z = gn.fixed_point(lambda z: 0.5 * (z + a / z), 1.0 + 0.0 * a)
    >>> gn.run([z, gn.grad(z, a)], {a: 4.0})
    [array(2.), array(0.25)]

    It may begin at an array:

    >>> import numpy as np
    >>> z = gn.fixed_point(lambda z: gn.tanh(z + a), np.zeros(3))
    >>> gn.run(z, {a: 0.5}).round(3)
    array([0.881, 0.881, 0.881])
    """
    check_functions("fixed_point", f)
    check_takes("fixed_point: f", f, "the state")
    check_bool("fixed_point: steps=", steps)
    limit = whole("fixed_point: max_steps=", max_steps, 1)
    graph = graph_of_arguments("fixed_point", z0, functions=[f])
    leaves, rebuild = flatten(z0)
    if tolerance is not None and not isinstance(tolerance, (int, float)):
        raise UsageError(f"fixed_point: tolerance= is a number, not {type(tolerance).__name__}")
    if tolerance is not None and not tolerance >= 0:
        raise ValueRangeError(f"fixed_point: tolerance= is 0 or more, not {tolerance}")
    with graph.building:
        first = [as_node(graph, leaf, "fixed_point: a state is") for leaf in leaves]
        for node in first:
            if not is_float(node.dtype):
                raise DtypeError(f'fixed_point: the state is of floats, and "{node.name}" is {node.dtype}')
        items = solved(f, z0, first, tolerance, limit, steps)
    z = rebuild(items[: len(leaves)])
    return (z, items[-1]) if steps else z

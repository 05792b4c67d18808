"""How losses of elements or rows are combined to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core import Node, fitting, fn
from ...core.symbolic_shapes import shown
from ...errors import ShapeError
from ..argument_validation import check_choice
from ..input_validation import as_float, as_nodes, call_scope, check_same_shape, operands, unbroadcast

REDUCTIONS = ("mean", "sum", "none")


def reduced(losses: Node, reduction: str, sizes: Node | None = None) -> Node:
    """Return the losses combined.

    Parameters
    ----------
    losses : Node
        With their weights.
    reduction : {"mean", "sum", "none"}
    sizes : Node, optional
        The weight of each: the mean is divided by their sum. Without it, all weigh 1. These sums are tallies, because
        they differ from batch to batch.
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return fn.sum(losses)
    if sizes is None:
        return fn.mean(losses)
    return fn.sum_over_batches(fn.sum(losses), name="total") / fn.sum_over_batches(fn.sum(sizes), name="weight")


def of_elements(kind: str, losses: Callable[..., Any], reduction: str, **given: Any) -> Node:
    """Return a loss that compares values of one shape element by element, all as floats of one dtype.

    Parameters
    ----------
    kind : str
        The name of the loss.
    losses : callable
        Takes the values. Returns the losses, or these and the sizes that `reduced` takes.
    reduction : {"mean", "sum", "none"}
    **given : Node or array_like
        The values by name.
    """
    return _compared(kind, losses, reduction, given, {})


def of_rows(
    kind: str, losses: Callable[..., Any], reduction: str, labels: Mapping[str, Any] | None = None, **given: Any
) -> Node:
    """Return a loss of rows of one shape, as `of_elements`; `labels` have one axis fewer, and come last."""
    return _compared(kind, losses, reduction, given, labels or {}, rows=True)


def _compared(
    kind: str,
    losses: Callable[..., Any],
    reduction: str,
    given: Mapping[str, Any],
    labels: Mapping[str, Any],
    rows: bool = False,
) -> Node:
    graph, values = operands(kind, **given, **labels)
    (first_name, first_value), *rest = zip(given, values, strict=False)
    for name, value in rest:
        check_same_shape(kind, **{first_name: first_value, name: value})
    with fitting(kind, values):
        if rows and not first_value.ndim:
            raise ShapeError(f"{kind}: the last axis is that of a row, but a scalar has no axis")
        for name, value in zip(labels, values[len(given) :], strict=True):
            if not unbroadcast(first_value.shape[:-1], value.shape):
                raise ShapeError(
                    f"{kind}: {name} has a number for each row, shape {shown(first_value.shape[:-1])}, not "
                    f"{shown(value.shape)}"
                )
    check_choice(kind, "reduction", reduction, REDUCTIONS)
    with call_scope(kind, graph):
        first, *others = as_nodes(graph, values)
        first = as_float(first)
        found = losses(first, *[as_float(other, first.dtype) for other in others])
        return reduced(found, reduction) if isinstance(found, Node) else reduced(found[0], reduction, found[1])

"""Functions that make several nodes, so that their parts can be inspected."""

from __future__ import annotations

from ..core import Node, composition, fn


def softmax_nodes(x: Node, axis: int = -1) -> Node:
    """Return exp(x - max) / Σ exp(x - max) as nodes in the scope that is open."""
    shifted = x - fn.stop_gradient(fn.max(x, axis=axis, keepdims=True))
    powers = fn.exp(shifted)
    return powers / fn.sum(powers, axis=axis, keepdims=True)


def log_softmax_nodes(x: Node, axis: int = -1) -> Node:
    """Return x - max - log Σ exp(x - max) as nodes in the scope that is open."""
    shifted = x - fn.stop_gradient(fn.max(x, axis=axis, keepdims=True))
    return shifted - fn.log(fn.sum(fn.exp(shifted), axis=axis, keepdims=True))


@composition
def softmax(x: Node, axis: int = -1) -> Node:
    """Exponentials that add up to 1 along an axis, without overflow; in a scope of its own.

    Parameters
    ----------
    x : Node
    axis : int

    Returns
    -------
    Node
        Of x's shape: ``exp(x - max) / sum(exp(x - max))``, each of them a node. NaN where there is an inf.
    """
    with x.graph.new_scope("softmax", numbered=True, kind="softmax"):
        return softmax_nodes(x, axis)


@composition
def log_softmax(x: Node, axis: int = -1) -> Node:
    """The logarithm of the softmax, without overflow and without losing digits; in a scope of its own.

    Parameters
    ----------
    x : Node
    axis : int

    Returns
    -------
    Node
        Of x's shape: ``x - max - log(sum(exp(x - max)))``, each of them a node.
    """
    with x.graph.new_scope("log_softmax", numbered=True, kind="log_softmax"):
        return log_softmax_nodes(x, axis)

"""`summary`: the layers of a network as a table, which a higher floor makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..show import rendered

if TYPE_CHECKING:
    from ..graph import Graph


class Asked(NamedTuple):
    """What a summary is asked for, by the arguments of `summary`."""

    network: Any
    detail: Any
    sizes: Mapping[str, int] | None
    depth: int | None
    graph: Graph | None


def summary(
    network: Any,
    detail: Any = "layer",
    *,
    sizes: Mapping[str, int] | None = None,
    depth: int | None = None,
    graph: Graph | None = None,
) -> Any:
    """Return the layers of a network, nested, with shapes and parameters, and what they take; as `gn.summary`.

    Parameters
    ----------
    network : Layer, Node, Graph, Compiled, or what else `gn.summary` takes
        Of a layer, what its last call returned.
    detail, sizes, depth, graph
        As `gn.summary` takes them.

    Returns
    -------
    Summary

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> network = nn.Sequential(nn.Dense(5), nn.ReLU(), nn.Dense(2))
    >>> y = network(gn.Graph().placeholder("x", ("batch", 3)))
    >>> print(nn.summary(network, sizes={"batch": 10}))
    layer            output shape  parameters  flops  memory  connected to
    ---------------  ------------  ----------  -----  ------  ------------
    x (placeholder)  (10, 3)                0      0     0 B
    dense_1 (Dense)  (10, 5)               20    350   800 B  x
    relu_1           (10, 5)                0     50   400 B  dense_1
    dense_2 (Dense)  (10, 2)               12    220   320 B  relu_1
    <BLANKLINE>
    parameters     32  256 B
    trainable      32  256 B
    not trainable   0    0 B
    <BLANKLINE>
    for batch = 10
    flops     620
    memory  1.48 KiB
    peak    1.27 KiB
    """
    return rendered(Asked(network, detail, sizes, depth, graph), "summary")

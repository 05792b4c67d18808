"""What optimizers keep for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..graph.scopes import mirrored

if TYPE_CHECKING:
    from ..graph import Node, Provenance, Scope


class Slots:
    """What an optimizer keeps for one parameter, as parameters that are not trained.

    Attributes
    ----------
    scalars : mapping of str to Node
        What `Optimizer.scalars` returned, of the parameter's dtype.
    """

    def __init__(self, root: Scope, parameter: Node, scalars: Mapping[str, Node], result: dict[Node, Node]) -> None:
        self._root, self._parameter, self._result = root, parameter, result
        self.scalars = scalars

    def around(self) -> Provenance:
        """Go where the parameter's own scope is mirrored: ``sgd_1/dense_1``."""
        graph = self._parameter.graph
        mirror = mirrored(graph, graph.scopes.get(self._parameter.scope), self._root) or self._root
        return graph.in_scope(mirror.path)

    def opened(self) -> Provenance:
        """Make this parameter's nodes, in a scope of its own in that: ``sgd_1/dense_1/weight``."""
        parameter = self._parameter
        return parameter.graph.new_scope(parameter.name.removeprefix(f"{parameter.scope}/"), twin=parameter)

    def kept(self, name: str, next_of: Callable[[Node], Node], start: float = 0.0) -> Node:
        """Make a slot of the parameter's shape and return the node of its next value.

        Parameters
        ----------
        name : str
            The slot is called so, in the parameter's scope: ``sgd_1/dense_1/weight/velocity``.
        next_of : callable
            From the node of the slot to that of its next value.
        start : float
            What it is filled with at first.

        Returns
        -------
        Node
        """
        parameter = self._parameter
        slot = parameter.graph.parameter(name, np.full(parameter.shape, start, parameter.dtype), trainable=False)
        following = next_of(slot)
        self._result[slot] = following
        return following

"""What optimizers keep for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..graph import Node


class Slots:
    """What an optimizer keeps for one parameter, as parameters that are not trained.

    Attributes
    ----------
    scalars : mapping of str to Node
        What `Optimizer.scalars` returned, of the parameter's dtype.
    """

    def __init__(self, parameter: Node, scalars: Mapping[str, Node], result: dict[Node, Node]) -> None:
        self._parameter, self._result = parameter, result
        self.scalars = scalars

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
        self._result[slot] = next_of(slot)
        return self._result[slot]

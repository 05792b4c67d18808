"""The arrays that an optimizer keeps for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from .accumulation import held

if TYPE_CHECKING:
    from ..graph import Node


class Slots:
    """The arrays that an optimizer keeps for one parameter, as parameters that are not trained.

    Attributes
    ----------
    scalars : mapping of str to Node
        The result of `Optimizer.scalars`, cast to the dtype of the parameter.
    """

    def __init__(
        self, parameter: Node, scalars: Mapping[str, Node], result: dict[Node, Node], moves: Node | None = None
    ) -> None:
        self._parameter, self._result, self._moves = parameter, result, moves
        self.scalars = scalars

    def kept(self, name: str, next_of: Callable[[Node], Node], start: float = 0.0) -> Node:
        """Make a slot with the shape of the parameter, and return the node of its next value.

        Parameters
        ----------
        name : str
            The name of the slot within the parameter's scope: ``sgd_1/dense_1/weight/velocity``.
        next_of : callable
            A function that takes the node of the slot and returns the node of its next value.
        start : float
            The initial value of all elements.

        Returns
        -------
        Node
        """
        parameter = self._parameter
        slot = parameter.graph.parameter(name, np.full(parameter.shape, start, parameter.dtype), trainable=False)
        following = next_of(slot)
        self._result[slot] = held(following, slot, self._moves)
        return following

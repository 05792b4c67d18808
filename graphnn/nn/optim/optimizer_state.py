"""The arrays that an optimizer keeps for each parameter, and what the rules of optimizers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.graph_tables import checked_update
from .update_accumulation import held

if TYPE_CHECKING:
    from ...core import Node


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

    def kept(
        self, name: str, next_of: Callable[[Node], Node], start: float = 0.0, shape: Sequence[Any] | None = None
    ) -> Node:
        """Make a slot, and return the node of its next value.

        Parameters
        ----------
        name : str
            The name of the slot within the parameter's scope: ``sgd_1/dense_1/weight/velocity``.
        next_of : callable
            A function that takes the node of the slot and returns the node of its next value.
        start : float
            The initial value of all elements.
        shape : tuple of int, optional
            By default, that of the parameter.

        Returns
        -------
        Node
        """
        parameter = self._parameter
        sizes: tuple[Any, ...] = parameter.shape if shape is None else tuple(shape)
        slot = parameter.graph.parameter(name, np.full(sizes, start, parameter.dtype), trainable=False)
        _, following = checked_update(parameter.graph, slot, next_of(slot))
        self._result[slot] = held(following, slot, self._moves)
        return following


def decayed(gradient: Node, parameter: Node, weight_decay: float) -> Node:
    """Return the gradient with a multiple of the parameter added, which is that of a penalty on its square."""
    return gradient + parameter * weight_decay if weight_decay else gradient

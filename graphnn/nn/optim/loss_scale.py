"""Scaling of a loss, so that its gradients stay within the range of float16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from ...autodiff.grad import grad, vjp
from ...core import Graph, Node, Scope, computed_in, fn, is_float
from ...core.attributes import whole
from ..argument_validation import checked_number
from ..input_validation import as_float

_LARGEST = {"float16": 2.0**15}
"""The largest power of two in a dtype, where it is less than that in float32, the dtype of the scale."""
_LEAST = 2.0**-14  # a smaller one would lose digits in float16


@dataclass(frozen=True)
class LossScale:
    """A scale of a loss that adapts itself: as large as it can be without an overflow of the gradients.

    The gradients of a network in float16 are often so small that they are rounded to 0. So the gradients of
    ``scale * loss`` are computed, and divided by the scale in float32. If one of them is infinite or NaN, the step
    changes no parameter and nothing that the optimizer keeps, and the scale decreases. After some steps without an
    overflow it increases. It is never less than 2**-14: where gradients overflow even then, the loss is the reason, as
    `check_health` says. A parameter in float16 gets a copy in float32, ``adam_1/dense_1/weight/precise``, which the
    optimizer moves. The scale is a parameter that is not trained, ``loss_scale_1/scale``.

    Parameters
    ----------
    initial : float
        The scale at the beginning, 2**-14 or more.
    growth : float
        The scale is multiplied by this after `interval` updates without an overflow.
    backoff : float
        The scale is multiplied by this after an overflow.
    interval : int

    Notes
    -----
    P. Micikevicius et al., "Mixed precision training", ICLR 2018. As PyTorch's ``GradScaler``.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> g = gn.Graph(dtype=np.float16)
    >>> x, w = g.placeholder("x", 2), g.parameter("w", [1.0, 2.0])
    >>> loss = gn.sum(gn.cast(x * w, "float32")) * 1e-3
    >>> step = gn.compile(loss, nn.SGD(1.0).updates(loss, loss_scale=nn.LossScale()))
    >>> step({x: [1e-4, 1e-4]}).dtype, g["loss_scale_1/scale"].value
    (dtype('float32'), array(32768., dtype=float32))
    """

    initial: float = 2.0**15
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000

    def __post_init__(self) -> None:
        checked_number("LossScale: initial", self.initial, _LEAST)
        checked_number("LossScale: growth", self.growth, 1)
        checked_number("LossScale: backoff", self.backoff, 0, 1, strictly=True)
        whole("LossScale: interval", self.interval, 1)


class Scaled:
    """The scale of one loss, as nodes of its graph."""

    def __init__(self, loss: Node, given: Any, chosen: list[Node]) -> None:
        self._how = given if isinstance(given, LossScale) else None
        initial = given.initial if isinstance(given, LossScale) else given
        self._largest = _LARGEST.get(loss.dtype.name, 2.0**127)
        number = checked_number("loss_scale", initial, _LEAST, 2 * self._largest)
        if loss.shape != () or not is_float(loss.dtype):
            grad(loss, chosen)  # raises the error of such a loss
        self._graph: Graph = loss.graph
        with self._graph.new_scope("loss_scale", numbered=True, kind="loss_scale", phase="update") as place:
            assert place.scope is not None
            self._scope: Scope = place.scope
            self.scale = self._graph.parameter("scale", np.float32(number), trainable=False)
        self._cotangents: dict[Any, Node] = {}

    def gradients(self, node: Node, points: Sequence[Node]) -> list[Node]:
        """Return the gradients of a scalar, times the scale."""
        if node.dtype not in self._cotangents:
            with self._graph.in_scope(self._scope.path):
                self._cotangents[node.dtype] = as_float(self.scale, node.dtype)
        return list(vjp({node: self._cotangents[node.dtype]}, list(points)))

    def unscaled(self, gradients: Mapping[Node, Node]) -> dict[Node, Node]:
        """Return gradients of the loss from those of the scaled loss."""
        unscaled = {}
        with self._graph.in_scope(self._scope.path):
            scales = {
                dtype: as_float(self.scale, dtype) for dtype in dict.fromkeys(d.dtype for d in gradients.values())
            }
            for parameter, gradient in gradients.items():
                with self._graph.in_scope(None, twin=parameter):
                    unscaled[parameter] = gradient / scales[gradient.dtype]
        return unscaled

    def moves(
        self, gradients: Mapping[Node, Node], last: Node | None, result: dict[Node, Node], loss: Node | None = None
    ) -> Node | None:
        """Return the node of whether a step updates the parameters; None: always.

        Parameters
        ----------
        gradients : mapping of Node to Node
            Without the scale.
        last : Node or None
            Whether the step is the last of those over which gradients are summed.
        result : dict of Node to Node
            Takes the updates of the scale.
        loss : Node, optional
            A step whose loss overflows, or for which the scale cannot be less, is not left out: a line search turns
            back then.
        """
        how = self._how
        if how is None:
            return last
        with self._graph.in_scope(self._scope.path):
            each = []
            for parameter, gradient in gradients.items():
                with self._graph.in_scope(None, twin=parameter):
                    each.append(fn.all(fn.isfinite(gradient)))
            finite = each[0] if len(each) == 1 else reduce(fn.logical_and, each)
            if loss is not None:
                hopeless = fn.logical_or(fn.logical_not(fn.isfinite(loss)), self.scale <= _LEAST)
                finite = fn.logical_or(finite, hopeless)
            good = self._graph.parameter("good", np.int64(0), trainable=False)
            number = good + 1
            grows = number >= how.interval
            larger = fn.minimum(self.scale * how.growth, self._largest)
            smaller = fn.maximum(self.scale * how.backoff, _LEAST, name="smaller")
            following = fn.where(finite, fn.where(grows, larger, self.scale), smaller)
            count = fn.where(fn.logical_and(finite, fn.logical_not(grows)), number, 0)
            result[self.scale] = following if last is None else fn.where(last, following, self.scale)
            result[good] = count if last is None else fn.where(last, count, good)
            return finite if last is None else fn.logical_and(finite, last, name="moves")


def widened(gradient: Node) -> Node:
    """Return a gradient in a dtype in which it can be divided by the scale."""
    return as_float(gradient, "float32" if gradient.dtype == np.float16 else computed_in(gradient.dtype))

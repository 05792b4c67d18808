"""Learning-rate schedules: functions that take the node of the number of steps so far and return the learning rate.

Any function of this form is a schedule: ``nn.SGD(lambda step: 0.1 / (1.0 + step))``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..graph import Node, fn
from ..graph.attributes import whole
from .checks import checked_number

Schedule = Callable[[Node], Any]


def constant(learning_rate: float) -> Schedule:
    """Return a constant schedule.

    Parameters
    ----------
    learning_rate : float

    Returns
    -------
    callable
    """
    _check_rates(learning_rate=learning_rate)
    return lambda step: learning_rate


def step_decay(learning_rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Return a schedule that decreases by a factor after every `every` steps.

    Parameters
    ----------
    learning_rate : float
        The initial learning rate.
    every : int
        Number of steps between decreases.
    factor : float

    Returns
    -------
    callable
        ``learning_rate * factor ** floor(step / every)``.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", 0.0)
    >>> optimizer = nn.SGD(nn.schedules.step_decay(0.1, every=2, factor=0.5))
    >>> step = gn.compile(w, optimizer.updates(-w))
    >>> [round(float(step()), 3) for _ in range(6)]
    [0.0, 0.1, 0.2, 0.25, 0.3, 0.325]
    """
    _check_rates(learning_rate=learning_rate, factor=factor)
    whole("every", every, 1)
    return lambda step: learning_rate * fn.power(factor, fn.floor(step / every))


def cosine(learning_rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Return a schedule that decreases along half a cosine, and then stays constant.

    Parameters
    ----------
    learning_rate : float
        The initial learning rate.
    steps : int
        Number of steps until `final` is reached.
    final : float

    Returns
    -------
    callable
        ``final + (learning_rate - final) * (1 + cos(π step / steps)) / 2``.

    Notes
    -----
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017; without restarts.
    """
    _check_rates(learning_rate=learning_rate, final=final)
    whole("steps", steps, 1)

    def rate(step: Node) -> Node:
        angle = fn.minimum(step, steps) * (math.pi / steps)
        return final + (learning_rate - final) * ((1.0 + fn.cos(angle)) * 0.5)

    return rate


def warmup(steps: int, then: Schedule | float) -> Schedule:
    """Return a schedule that increases linearly for some steps, and then follows another schedule from its start.

    Parameters
    ----------
    steps : int
    then : callable or float
        The schedule that follows, or its constant rate. The increase ends at its first rate.

    Returns
    -------
    callable
        ``then(0) * (step + 1) / steps`` for ``step < steps``, afterwards ``then(step - steps)``.
    """
    whole("steps", steps, 1)
    following = then if callable(then) else constant(then)
    return lambda step: following(fn.maximum(step - steps, 0)) * fn.minimum((step + 1) / steps, 1.0)


def _check_rates(**rates: Any) -> None:
    for name, rate in rates.items():
        if not isinstance(rate, Node):
            checked_number(name, rate)

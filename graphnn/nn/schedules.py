"""Learning-rate schedules: functions that take the node of the number of steps so far and return the learning rate.

Any function of this form is a schedule: ``nn.SGD(lambda step: 0.1 / (1.0 + step))``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from .._util.call_errors import explain_public
from .._util.callables import check_takes
from .._util.hints import attribute_error, instead
from ..core import Node, fn
from ..core.attributes import whole
from ..errors import UsageError, ValueRangeError
from .argument_validation import checked_flag, checked_number

__all__ = [
    "constant",
    "cosine",
    "exponential",
    "linear",
    "multi_step",
    "one_cycle",
    "piecewise",
    "polynomial",
    "step_decay",
    "warmup",
]

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


def multi_step(learning_rate: float, milestones: Iterable[int], factor: float = 0.1) -> Schedule:
    """Return a schedule that decreases by a factor at given steps.

    Parameters
    ----------
    learning_rate : float
        The initial learning rate.
    milestones : iterable of int
        The numbers of steps, in increasing order, after which the rate decreases.
    factor : float

    Returns
    -------
    callable
    """
    _check_rates(learning_rate=learning_rate, factor=factor)
    reached = np.array(_checked_milestones(milestones), np.float64)
    return lambda step: learning_rate * fn.power(factor, fn.sum(fn.cast(step >= reached, "float64")))


def exponential(learning_rate: float, factor: float) -> Schedule:
    """Return a schedule that decreases by a factor in every step.

    Parameters
    ----------
    learning_rate : float
        The initial learning rate.
    factor : float

    Returns
    -------
    callable
        ``learning_rate * factor ** step``.
    """
    _check_rates(learning_rate=learning_rate, factor=factor)
    return lambda step: learning_rate * fn.power(factor, step)


def linear(learning_rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Return a schedule that goes from one rate to another along a line, and then stays constant.

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
        ``learning_rate + (final - learning_rate) * step / steps``.
    """
    return polynomial(learning_rate, steps, final)


def polynomial(learning_rate: float, steps: int, final: float = 0.0, power: float = 1.0) -> Schedule:
    """Return a schedule that goes from one rate to another along a power of the steps that are left.

    Parameters
    ----------
    learning_rate : float
        The initial learning rate.
    steps : int
        Number of steps until `final` is reached. From then on the rate is constant.
    final : float
    power : float

    Returns
    -------
    callable
        ``final + (learning_rate - final) * (1 - step / steps) ** power``.
    """
    _check_rates(learning_rate=learning_rate, final=final)
    whole("steps", steps, 1)
    power = checked_number("power", power, 0, strictly=True)

    def rate(step: Node) -> Node:
        left = 1.0 - fn.minimum(step, steps) / steps
        return final + (learning_rate - final) * (left if power == 1 else fn.power(left, power))

    return rate


def cosine(learning_rate: float, steps: int, final: float = 0.0, restarts: bool = False) -> Schedule:
    """Return a schedule that decreases along half a cosine, and then stays constant or begins again.

    Parameters
    ----------
    learning_rate : float
        The initial learning rate.
    steps : int
        Number of steps until `final` is reached.
    final : float
    restarts : bool
        Whether to begin again after every `steps` steps.

    Returns
    -------
    callable
        ``final + (learning_rate - final) * (1 + cos(π step / steps)) / 2``.

    Notes
    -----
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """
    _check_rates(learning_rate=learning_rate, final=final)
    whole("steps", steps, 1)
    restarts = checked_flag("cosine: restarts", restarts)

    def rate(step: Node) -> Node:
        angle = (fn.remainder(step, steps) if restarts else fn.minimum(step, steps)) * (math.pi / steps)
        return final + (learning_rate - final) * ((1.0 + fn.cos(angle)) * 0.5)

    return rate


def one_cycle(
    learning_rate: float, steps: int, rise: float = 0.3, start: float | None = None, final: float | None = None
) -> Schedule:
    """Return a schedule that increases along half a cosine to its largest rate, and then decreases along another.

    Parameters
    ----------
    learning_rate : float
        The largest learning rate.
    steps : int
        Number of steps of the training; afterwards the rate stays constant.
    rise : float
        The share of the steps in which the rate increases, between 0 and 1.
    start : float, optional
        The first rate; by default, ``learning_rate / 25``.
    final : float, optional
        The last rate; by default, ``start / 10_000``.

    Returns
    -------
    callable

    Notes
    -----
    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    2018; the same steps as PyTorch's ``OneCycleLR``.
    """
    _check_rates(learning_rate=learning_rate, **{} if start is None else {"start": start})
    start = learning_rate / 25 if start is None else start
    final = start / 1e4 if final is None else final
    _check_rates(final=final)
    whole("steps", steps, 2)
    top = checked_number("rise", rise, 0, 1, strictly=True) * steps - 1
    up = cosine(start, 1, learning_rate)
    down = cosine(learning_rate, 1, final)

    def rate(step: Node) -> Node:
        falling: Node = down(fn.maximum(step - top, 0.0) / (steps - 1 - top))
        return falling if top <= 0 else fn.where(step <= top, up(step / top), falling)

    return rate


def piecewise(schedules: Iterable[Schedule | float], milestones: Iterable[int]) -> Schedule:
    """Return a schedule that follows one schedule after another.

    Parameters
    ----------
    schedules : iterable of callable or float
        Schedules or constant rates. Each schedule is followed from its start.
    milestones : iterable of int
        The numbers of steps, in increasing order, at which the next one begins: one fewer than there are schedules.

    Returns
    -------
    callable

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", 0.0)
    >>> schedule = nn.schedules.piecewise([0.5, nn.schedules.linear(0.4, 2), 0.1], [1, 3])
    >>> step = gn.compile(w, nn.SGD(schedule).updates(-w))
    >>> [round(float(step()), 3) for _ in range(6)]
    [0.0, 0.5, 0.9, 1.1, 1.2, 1.3]
    """
    if not isinstance(schedules, Iterable):
        raise UsageError(f"piecewise takes a list of schedules, not {type(schedules).__name__}")
    parts = [_as_schedule("a schedule of piecewise", each) for each in schedules]
    begins = _checked_milestones(milestones)
    if len(parts) != len(begins) + 1:
        raise ValueRangeError(f"{len(begins)} milestones divide {len(begins) + 1} schedules, not {len(parts)}")

    def rate(step: Node) -> Any:
        found = parts[0](step)
        for begin, part in zip(begins, parts[1:], strict=True):
            found = fn.where(step >= begin, part(fn.maximum(step - begin, 0)), found)
        return found

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
    following = _as_schedule("warmup: then", then)
    return lambda step: following(fn.maximum(step - steps, 0)) * fn.minimum((step + 1) / steps, 1.0)


def _as_schedule(what: str, given: Schedule | float) -> Schedule:
    if not callable(given):
        return constant(given)
    check_takes(what, given, "the number of steps")
    return given


def __getattr__(name: str) -> NoReturn:
    known = [each for each, thing in globals().items() if getattr(thing, "__module__", "") == __name__]
    hint = instead("gn", name, [each for each in known if not each.startswith("_")])
    raise attribute_error(f'there is no "nn.schedules.{name}".{hint}')


def _check_rates(**rates: Any) -> None:
    for name, rate in rates.items():
        if not isinstance(rate, Node):
            checked_number(name, rate)


def _checked_milestones(given: Iterable[int]) -> list[int]:
    if not isinstance(given, Iterable):
        raise UsageError(f"milestones are numbers of steps, not {type(given).__name__}")
    milestones = [whole("a milestone", each, 1) for each in given]
    if not milestones or any(a >= b for a, b in pairwise(milestones)):
        raise ValueRangeError(f"milestones are in increasing order, and at least one; not {milestones}")
    return milestones


explain_public(globals())

"""What a place can be patched with, beside a value: zero, a mean, other samples. And the places themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._util.call_errors import explain_public
from ..core import Node, fn, is_float
from ..core.attributes import whole
from ..core.symbolic_shapes import shown
from ..errors import AxisError, DtypeError, UsageError
from .patch_places import at as at
from .patch_places import each as each

__all__ = [
    "Patch",
    "at",
    "each",
    "mean",
    "resample",
    "zero",
]


class Patch:
    """What takes the place of an old value, as nodes made of it: of the whole, where a part is patched."""

    def __call__(self, old: Node) -> Node:
        """Return the new value."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Zero(Patch):
    def __call__(self, old: Node | None = None) -> Any:
        return self if old is None else fn.zeros_like(old)  # so that zero() works, as mean() does

    def __repr__(self) -> str:
        return "zero"


@dataclass(frozen=True)
class _Mean(Patch):
    axis: int = 0

    def __call__(self, old: Node) -> Node:
        if not is_float(old.dtype):
            raise DtypeError(f'the mean of "{old.name}" would be a float, and the node is {old.dtype}')
        _check_axis(old, self.axis)
        return fn.broadcast_to(fn.mean(old, axis=self.axis, keepdims=True), old.shape)

    def __repr__(self) -> str:
        return f"mean(axis={self.axis})"


@dataclass(frozen=True)
class _Resample(Patch):
    seed: int = 0
    axis: int = 0

    def __call__(self, old: Node) -> Node:
        _check_axis(old, self.axis)
        drawn = fn.random_uniform(old.graph.constant(0), (old.shape[self.axis],), self.seed)
        return fn.take(old, fn.argsort(drawn), axis=self.axis)

    def __repr__(self) -> str:
        return f"resample(seed={self.seed}, axis={self.axis})"


def _check_axis(old: Node, axis: int) -> None:
    if not -len(old.shape) <= axis < len(old.shape):
        raise AxisError(f'"{old.name}" has no axis {axis}: its shape is {shown(old.shape)}')


def _whole(patch: str, what: str, value: object, least: int | None = None) -> int:
    if isinstance(value, Node):
        raise UsageError(f"gn.patches.{patch} is not a patch yet: write gn.patches.{patch}()")
    return whole(f"the {what} of gn.patches.{patch}", value, least)


zero = _Zero()
"""Zeros, the ablation of what is added to a stream."""


def mean(axis: int = 0) -> Patch:
    """Return a patch by the mean along an axis: each sample gets that of the batch.

    Parameters
    ----------
    axis : int
        That of the samples.

    Returns
    -------
    Patch
        A value for `patched`.

    Examples
    --------
    >>> mean()
    mean(axis=0)
    """
    return _Mean(_whole("mean", "axis", axis))


def resample(seed: int = 0, axis: int = 0) -> Patch:
    """Return a patch by the values of other samples: those of the batch, in an order that the seed draws.

    Parameters
    ----------
    seed : int
        The same seed gives the same order.
    axis : int
        That of the samples.

    Returns
    -------
    Patch
        A value for `patched`.

    Examples
    --------
    >>> resample(seed=3)
    resample(seed=3, axis=0)
    """
    return _Resample(_whole("resample", "seed", seed, 0), _whole("resample", "axis", axis))


explain_public(globals(), ["at", "each", "mean", "resample"])

"""The derivatives of a case, and how they compare with finite differences."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autodiff.grad import jvp, vjp
from ..core import is_float
from ..errors import GraphnnError, NoRuleError
from ..runtime.evaluation_loop import collect, evaluate
from ..runtime.feed import prepare

if TYPE_CHECKING:
    from ..core import Array, Node
    from .check_cases import Case

# A step is used where the finite difference can be trusted: the first is exact for smooth functions, the last fits
# between the kinks of a wide layer.
_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
# Multiples of those: the steps that must agree before a derivative is called wrong.
_OTHER_STEPS = (0.61, 0.37, 0.1)
_EPS = float(np.finfo(np.float64).eps)
# The relative error of a value after many operations.
_ROUNDING = 250 * _EPS
# A factor on the error of a slope: a kink may be hidden where only rounding is seen.
_UNSEEN = 4
# How often the effect of rounding is measured, and the factor on the largest effect found.
_NUDGES, _TIMES_NUDGED = 4, 16.0
# Each value is then changed by up to this many units in the last place: a single one would mostly be rounded away.
_LAST_BITS = 1024.0


class Mismatch(Exception):
    """A derivative is wrong: of which function, with respect to which node, and how."""

    def __init__(self, case: Case, level: int, mode: str, node: Node | None, text: str) -> None:
        super().__init__(text)
        self.case, self.level, self.mode, self.node, self.text = case, level, mode, node, text


class Slope(NamedTuple):
    """The slope of the weighted outputs along a direction, by finite differences."""

    value: float
    tolerance: float
    rounding: float
    """The error that rounding may add."""


class Comparison(NamedTuple):
    """How the derivatives in one direction compare with finite differences."""

    expected: float
    got: float
    wrong_mode: str
    """The mode whose derivative is wrong, if one is."""
    hidden: bool
    """Whether the error exceeds the tolerance, but not what rounding explains."""


class Derivatives:
    """The first derivatives of a case, by each mode.

    Attributes
    ----------
    cases : list of Case
        The derivatives as cases of their own.
    is_unsteady : bool
        Whether some finite differences contradicted a derivative and others did not.

    Raises
    ------
    Mismatch
        When they cannot be made or evaluated.
    """

    def __init__(self, case: Case, level: int, modes: Sequence[str], rtol: float, rng: np.random.Generator) -> None:
        graph = case.wrt[0].graph
        self.case, self.modes, self.rtol = case, modes, rtol
        self.at_point = prepare(graph, case.outputs, case.feed, case.sizes)
        values = collect(self.at_point)
        self.weights = {node: signs(rng, value.shape) for node, value in zip(case.outputs, values, strict=True)}
        self.here = self._terms(values)
        self.rounding = _ROUNDING * self._total(values)
        cotangents = {node: graph.placeholder(graph.free_name("cotangent"), node.shape) for node in case.outputs}
        self.tangents = {node: graph.placeholder(graph.free_name("tangent"), node.shape) for node in case.wrt}
        self.feed = case.feed | {cotangents[node]: weight for node, weight in self.weights.items()}
        self.feed |= {tangent: signs(rng, case.feed[node].shape) for node, tangent in self.tangents.items()}
        self.nodes: dict[str, list[Node]] = {}
        self.gradients: dict[Node, Array] = {}
        self.is_unsteady = False
        self.cases: list[Case] = []
        mode = ""
        try:
            for mode in modes:
                made = vjp(cotangents, case.wrt) if mode == "vjp" else jvp(case.outputs, self.tangents)
                self.nodes[mode] = made
                derived = list(dict.fromkeys(made))
                self.cases.append(case._replace(outputs=derived, feed=self.feed, mode=mode, source=case))
                values = case.values(made, self.feed)
                if mode == "vjp":
                    self.gradients = dict(zip(case.wrt, values, strict=True))
        except NoRuleError:
            raise
        except GraphnnError as error:
            raise Mismatch(case, level, mode, None, f"it fails: {error}") from None

    def compare(self, node: Node, direction: Array) -> Comparison | None:
        """Compare the derivatives along a direction with finite differences; None means that there is a kink."""
        slope = self._slope(node, direction, 0.0)
        got: dict[str, float] = {}
        if slope is not None:
            got = {mode: self._along(mode, node, direction) for mode in self.modes}
            exact = slope.rounding <= slope.tolerance
            if exact and all(abs(each - slope.value) <= slope.tolerance for each in got.values()):
                return Comparison(slope.value, slope.value, "", False)
        elif self._noise <= self.rounding:
            return None
        # Rounding may have a larger effect than the size of the outputs suggests.
        slope = self._slope(node, direction, self._noise)
        if slope is None:
            return None
        hidden = slope.rounding > slope.tolerance
        for mode in self.modes:
            each = got[mode] if got else self._along(mode, node, direction)
            error = abs(each - slope.value)
            if not error <= slope.tolerance + slope.rounding:
                own_rounding = self._rounding_of(mode, node, direction)
                hidden |= own_rounding > slope.tolerance
                if not error <= slope.tolerance + slope.rounding + own_rounding:
                    if not self._is_steady(node, direction, slope.value, error):
                        self.is_unsteady = True
                        return None
                    return Comparison(slope.value, each, mode, hidden)
        return Comparison(slope.value, slope.value, "", hidden)

    def _is_steady(self, node: Node, direction: Array, expected: float, error: float) -> bool:
        """Return whether other steps give the same slope: with a kink between, they agree only by chance."""
        others = (self._slope(node, direction, self._noise, scale) for scale in _OTHER_STEPS)
        return all(slope is not None and not abs(slope.value - expected) > error / 2 for slope in others)

    def _slope(self, node: Node, direction: Array, noise: float, scale: float = 1.0) -> Slope | None:
        """Return the slope of the weighted outputs, or None at a kink; `noise` is the rounding of the outputs."""
        point = self.case.feed[node]

        def terms(step: float) -> Array:
            # A sum of arrays of shape () is a NumPy scalar, not an array.
            moved = self.at_point.given | {node: np.asarray(point + step * direction, order="C")}
            return self._terms(collect(self.at_point._replace(given=moved)))

        here = self.here
        with np.errstate(all="ignore"):
            for step in [scale * step for step in _STEPS]:
                ahead, behind, half_ahead, half_behind = terms(step), terms(-step), terms(step / 2), terms(-step / 2)
                wide, narrow = (ahead - behind) / (2 * step), (half_ahead - half_behind) / step
                slope = (4 * narrow - wide) / 3
                # How far the one-sided slopes differ. Of a smooth function it is half as far at half the step.
                bend, half_bend = (
                    (ahead - 2 * here + behind) / step,
                    (half_ahead - 2 * here + half_behind) / (step / 2),
                )
                doubt = np.sum(np.abs(slope - narrow)) + np.sum(np.abs(bend - 2 * half_bend))
                tolerance = self.rtol * float(np.sum(np.abs(slope)))
                rounding = (_ROUNDING * float(np.sum(np.abs(here))) + noise) / step
                if doubt <= tolerance / 4 + rounding:
                    return Slope(float(np.sum(slope)), tolerance, _UNSEEN * rounding)
        return None

    def _terms(self, values: Iterable[Array]) -> Array:
        """Return the weighted outputs as one array."""
        return np.concatenate([np.ravel(w * v) for w, v in zip(self.weights.values(), values, strict=True)])

    def _along(self, mode: str, node: Node, direction: Array) -> float:
        """Return the derivative of the weighted outputs along a direction, as a mode gives it."""
        if mode == "vjp":
            return float(np.sum(self.gradients[node] * direction))
        moved = self.case.values(self.nodes[mode], self._moving(node, direction))
        return sum(float(np.sum(w * t)) for w, t in zip(self.weights.values(), moved, strict=True))

    def _rounding_of(self, mode: str, node: Node, direction: Array) -> float:
        """Return the error that rounding may cause in a derivative."""
        if mode == "vjp":
            position = self.case.wrt.index(node)
            return _TIMES_NUDGED * max(_total([direction], [draw[position]]) for draw in self._gradient_errors)
        draws = _rounding_errors(self.case, self.nodes[mode], self._moving(node, direction))
        return _TIMES_NUDGED * max(map(self._total, draws))

    def _moving(self, node: Node, direction: Array) -> dict[Node, Array]:
        """Return the feed in which one node moves along a direction and the others stay."""
        still = {tangent: np.zeros_like(self.feed[tangent]) for tangent in self.tangents.values()}
        return self.feed | still | {self.tangents[node]: direction}

    def _total(self, errors: Iterable[Array]) -> float:
        return _total(self.weights.values(), errors)

    @cached_property
    def _noise(self) -> float:
        """The error that rounding may cause in the weighted outputs."""
        return _TIMES_NUDGED * max(map(self._total, _rounding_errors(self.case, self.case.outputs, self.case.feed)))

    @cached_property
    def _gradient_errors(self) -> list[list[Array]]:
        return _rounding_errors(self.case, self.nodes["vjp"], self.feed)


def signs(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Return numbers of either sign with sizes from 0.5 to 1."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.0, shape))


def _total(weights: Iterable[Array], errors: Iterable[Array]) -> float:
    """Return by how much a weighted sum changes at most; values that are not finite do not count."""
    with np.errstate(all="ignore"):
        moved = [np.abs(w * d) for w, d in zip(weights, errors, strict=True)]
    return sum(float(np.sum(each, where=np.isfinite(each))) for each in moved)


def _rounding_errors(case: Case, nodes: Sequence[Node], feed: Mapping[Node, Array]) -> list[list[Array]]:
    """Return, for each draw, how much the values of nodes move if every value before them is off in its last bit.

    Each operation then gives the exact result of operands that are nearly right, which is what rounding does to it.
    What jumps, as a comparison does, stays as it is.
    """
    prepared = prepare(case.wrt[0].graph, list(nodes), feed, case.sizes)
    order, fetches = prepared.program.order, prepared.program.fetches
    smooth = {node for node in order if is_float(node.dtype) and node.op.differentiable}
    moving = set(case.wrt)
    for node in order:
        if not moving.isdisjoint(node.inputs):
            moving.add(node)
    exact: list[Any] = [None] * len(order)
    found = []
    with np.errstate(all="ignore"):
        deque(evaluate(prepared, None, exact), maxlen=0)
        for draw in range(_NUDGES):
            rng, nudged = np.random.default_rng(draw), list(exact)
            for position, node, _, value in evaluate(prepared, [i for i, n in enumerate(order) if n in moving], nudged):
                nudge = _LAST_BITS * _EPS * rng.uniform(-1, 1, value.shape) if node in smooth else None
                nudged[position] = exact[position] if nudge is None else np.asarray(value * (1 + nudge))
            found.append([(nudged[i] - exact[i]) / _LAST_BITS for i in fetches])
    return found

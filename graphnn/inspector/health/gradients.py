"""Gradients that vanish, explode or never come; and units that stay alike."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...graph import Placeholder, Trait
from ...text import with_article
from ..trace import norm_of
from .checks import check, declare
from .evaluation import made_of
from .findings import Finding, at_line, listed, said
from .training import Training, slopes_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...graph import Array, Node
    from .evaluation import Evaluation

LAYERS = 3
"""How many layers there must be before their gradients are compared."""
LAYER_RATIO = 1e-6
"""How small a layer's gradient may be beside the largest."""
HUGE_GRADIENT = 1e8
"""How large a gradient may be beside its parameter, or beside 1."""
LARGE_GRADIENT = 1e3
"""How large it must be beside them, or beside 1, to be called so for being out of proportion to other layers'."""
NO_WAY = "let the loss depend on it, without argmax, round or gn.stop_gradient on the way; or do not train it"


@check(
    "vanishing-gradient",
    "a layer's gradient is lost beside those of later layers",
    "relu in place of a saturating function, nn.init.he_normal, and shortcuts around layers keep it up",
)
def vanishing(run: Evaluation) -> Iterator[Finding]:
    """Look whether a layer's gradient is out of proportion, beside its parameter or beside those of other layers."""
    yield from run.part(Gradients).out_of_proportion()


exploding = declare(
    "exploding-gradient",
    "a layer's gradient is out of all proportion",
    "smaller weights to begin with (nn.init.he_normal), clipped gradients, a lower learning rate, or inputs "
    "that are scaled to about 1",
)


@check(
    "no-gradient",
    "the gradient of a trained parameter is 0 in every element, or is never computed",
    "nothing, if it is meant to begin so; else weights that are not all 0, and operations with a slope",
)
def none_comes(run: Evaluation) -> Iterator[Finding]:
    """Look for trained parameters that no gradient comes to, unless what is found already says why."""
    yield from run.part(Gradients).lost()


@check(
    "units-alike",
    "units have the same weights and the same gradients, so that they stay alike",
    "draw the weights at random, as nn.init.glorot_uniform does: what begins alike learns alike",
)
def alike(run: Evaluation) -> Iterator[Finding]:
    """Look for units that are the same, and stay so."""
    training, found = run.part(Training), []
    for parameter, gradient in training.gradients.items():
        value, slope = training.value_of(parameter), training.value_of(gradient)
        if value.ndim == 2 and slope.any():
            axes = [k for k in (1, 0) if value.shape[k] > 1 and _alike(value, k, 0.0) and _alike(slope, k, 1e-6)]
            found += [(parameter, f"all {value.shape[k]:,} {'columns' if k else 'rows'}") for k in axes[:1]]
    if found:
        (parameter, what), *others = found
        cause = f"{what} of {parameter.name}{at_line(parameter)} are the same, and so are their gradients"
        so_too = f"; so it is with {listed([other for other, _ in others])}" if others else ""
        yield alike.of(parameter, cause + so_too)


class Stage(NamedTuple):
    """A layer, as its gradients are compared with those of others: a scope, or a matrix that has none to itself."""

    name: str
    nodes: set[Node]
    """Of the forward pass."""
    norm: float
    """Of its gradients together."""
    parameter: Node
    """The one with the largest gradient."""


class Gradients:
    """The gradients of a run."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self.training = run.part(Training)
        self._lost: dict[Node, tuple[Node, list[Node]]] = {}
        self._zero: dict[Node, bool] = {}

    def out_of_proportion(self) -> Iterator[Finding]:
        """Look for the gradients that are too large, or else for layers that do not fit each other."""
        norms = {
            parameter: norm_of(self.training.value_of(gradient))
            for parameter, gradient in self.training.gradients.items()
        }
        norms = {parameter: norm for parameter, norm in norms.items() if norm}
        beside = {
            parameter: norm / max(norm_of(self.training.value_of(parameter)), 1.0) for parameter, norm in norms.items()
        }
        huge = [parameter for parameter in norms if beside[parameter] > HUGE_GRADIENT]
        if huge:
            parameter = max(huge, key=beside.__getitem__)
            others = [other for other in huge if other is not parameter]
            so_too = f"; so it is with {listed(others)}" if others else ""
            yield self._of(parameter, f"has norm {said(norms[parameter])}{so_too}")
            return
        layers = self._layers_of(norms)
        found = self._out_of_proportion(layers) if len(layers) >= LAYERS else None
        if found is None:
            return
        least, most, is_lost = found
        if is_lost or beside[most.parameter] >= LARGE_GRADIENT:  # else the other one is at rest, or counts for little
            told = " to ".join(f"{said(layer.norm)} in {layer.name}" for layer in (least, most))
            sizes = f"is out of proportion: the layers' gradients have norms from {told}"
            yield self._of((least if is_lost else most).parameter, sizes, is_lost)

    def _of(self, parameter: Node, sizes: str, is_lost: bool = False) -> Finding:
        cause = f"the gradient of {parameter.name}{at_line(parameter)} {sizes}"
        if is_lost:
            return vanishing.of(self.training.gradients[parameter], cause)
        remedy = self.training.scaled_down or exploding.remedy
        return exploding.of(self.training.gradients[parameter], cause, remedy=remedy)

    def _layers_of(self, norms: Mapping[Node, float]) -> list[Stage]:
        scopes: dict[str, list[Node]] = {}
        for parameter in norms:
            scopes.setdefault(parameter.scope, []).append(parameter)
        inside: dict[str, set[Node]] = {}
        for node in self.run.order:
            if node.phase == "forward":
                inside.setdefault(node.scope, set()).add(node)
        layers = []
        for scope, parameters in scopes.items():
            matrices = [parameter for parameter in parameters if parameter.ndim > 1]
            if scope and len(matrices) <= 1:
                nodes = inside.get(scope, set())
                largest = max(parameters, key=norms.__getitem__)
                layers.append(Stage(scope, nodes, math.hypot(*[norms[each] for each in parameters]), largest))
                continue
            for matrix in matrices:
                nodes = {user for user in matrix.users if user.phase == "forward" and user in self.run.places}
                layers.append(Stage(matrix.name, nodes, norms[matrix], matrix))
        return layers

    def _out_of_proportion(self, layers: Sequence[Stage]) -> tuple[Stage, Stage, bool] | None:
        """Return two layers, one after the other, whose gradients are so; and whether they get smaller on their way."""
        forward = [node for node in self.run.order if node.phase == "forward"]
        fed = [node for node in forward if isinstance(node.op, Placeholder)]

        def leads_around(least: Stage, most: Stage) -> bool:
            made = made_of([node for node in forward if node not in least.nodes], fed)
            return not made.isdisjoint(most.nodes)

        for near, far in ((min, max), (max, min)):
            start = near(layers, key=lambda layer: layer.norm)
            made_of_it, makes_it = made_of(forward, start.nodes), set(start.nodes)
            for node in reversed(forward):
                if node in makes_it:
                    makes_it.update(node.inputs)
            others = [layer for layer in layers if layer is not start]
            later = [layer for layer in others if not made_of_it.isdisjoint(layer.nodes)]
            earlier = [layer for layer in others if not makes_it.isdisjoint(layer.nodes)]
            if not later and not earlier:
                continue
            end = far([*later, *earlier], key=lambda layer: layer.norm)
            least, most = (start, end) if near is min else (end, start)
            vanishing = end in (later if start is least else earlier)
            # A shortcut brings the gradient to what comes before.
            if least.norm < LAYER_RATIO * most.norm and not (vanishing and leads_around(least, most)):
                return least, most, vanishing
        return None

    def lost(self) -> Iterator[Finding]:
        """Look for the trained parameters to which none comes."""
        if any(each.severity == "error" for each in self.run.found) or self.training.has_learnt:
            return  # which is why; or there is nothing left to learn
        trained = {node for node in self.run.updates if node.trainable}
        lost, never = self._lost_among(trained)
        # A bias alone that learns makes no network.
        weights = {parameter for parameter in trained if parameter.ndim > 1 or _is_a_factor(parameter)} or trained
        serious = bool(weights) and weights <= {parameter for parameters in lost.values() for parameter in parameters}
        for (where, remedy), parameters in lost.items():
            first, *others = parameters
            nor = f", nor to {listed(others)}" if others else ""
            cause = f"no gradient comes to {first.name}{at_line(first)}{nor}: {where}"
            severity = "warning" if serious or (where, remedy) in never else "note"
            yield none_comes.of(first, cause, severity=severity, remedy=remedy)

    def _lost_among(self, trained: set[Node]) -> tuple[dict[tuple[str, str], list[Node]], set[tuple[str, str]]]:
        """Return the parameters by where their gradients are lost, and what to do; and which no training ever mends."""
        told = {each.node for each in self.run.found}
        lost: dict[tuple[str, str], list[Node]] = {}
        never: set[tuple[str, str]] = set()
        for parameter, gradient in slopes_in(self.run.order).items():
            if parameter not in trained:
                continue
            if gradient.op.name == "zeros" or not self._learns_of_data(parameter):
                where = f"none is made, since {self._end_of_the_way_from(parameter)}"
                lost.setdefault((where, NO_WAY), []).append(parameter)
                never.add((where, NO_WAY))
            elif parameter in self.training.gradients and not self.training.value_of(gradient).any():
                twin, zeros = self._lost_in(gradient)
                cancels = not zeros and (twin.trainable or _is_a_sum(twin))
                if told.isdisjoint({twin, *zeros}) and not cancels:
                    where = f"it is lost in {twin.name}{at_line(twin)}"
                    where += f", where {zeros[0].name} is 0" if zeros else ""
                    lost.setdefault((where, none_comes.remedy), []).append(parameter)
                    if zeros and self._moving.isdisjoint(zeros):
                        never.add((where, none_comes.remedy))
        return lost, never

    def _learns_of_data(self, parameter: Node) -> bool:
        """Return whether a gradient comes to a parameter by way of what is fed, if it meets that: not by a penalty."""
        learns, meets = self._ways
        return parameter in learns or parameter not in meets

    @cached_property
    def _ways(self) -> tuple[set[Node], set[Node]]:
        """What a loss passes a gradient to, and what meets anything that is fed; neither by way of an added penalty."""
        learns = set(self.training.losses_of(self.run.updates))
        meets: set[Node] = set()
        if not learns:
            return learns, meets
        for node in reversed(self.run.order):
            if node.phase != "forward":
                continue
            for i, operand in enumerate(node.inputs):
                joins = node in self.run.fed and operand not in self.run.fed
                if joins and not node.shape and node.op.name in ("add", "subtract"):
                    continue  # where a penalty is added to the loss
                if joins or node in meets:
                    meets.add(operand)
                if node in learns and node.op.differentiable and node.op.flows(i):
                    learns.add(operand)
        return learns, meets

    @cached_property
    def _moving(self) -> set[Node]:
        """What depends on what is fed, or on what is updated: it may be another one in the next step."""
        given = [*self.run.prepared.program.placeholders, *self.run.updates]
        return made_of(self.run.order, given)

    def _end_of_the_way_from(self, parameter: Node) -> str:
        """Return why no gradient is made for a parameter: where the way from it to the loss ends."""
        reached = {parameter}
        for node in self.run.order:
            if node.phase == "forward" and not reached.isdisjoint(node.inputs):
                if not node.op.differentiable:
                    return f"{node.name}{at_line(node)}, {with_article(node.op.name)}, passes none on"
                reached.add(node)
        return "the loss does not depend on it"

    def _lost_in(self, gradient: Node) -> tuple[Node, list[Node]]:
        """Return the forward node that lets nothing through of a gradient, and what is 0 of what its rule reads."""
        way = [gradient]
        while way[-1] not in self._lost:
            node = way[-1]
            # Between the cotangents of two nodes may stand several nodes of one rule.
            read = dict.fromkeys(node.inputs)
            for each in (ahead := [*read]):
                if each.phase == "backward" and each not in self.run.cotangents:
                    ahead += [operand for operand in each.inputs if operand not in read]
                    read.update(dict.fromkeys(each.inputs))
            zeros = [each for each in read if self._is_zero(each)]
            came = next((each for each in zeros if each in self.run.cotangents), None)
            if came is None:
                twin = node.twin if node.twin is not None else node
                self._lost[node] = twin, [each for each in zeros if each.phase == "forward"]
            else:
                way.append(came)
        self._lost.update(dict.fromkeys(way, self._lost[way[-1]]))
        return self._lost[gradient]

    def _is_zero(self, node: Node) -> bool:
        if node not in self._zero:
            self._zero[node] = node in self.run.places and not self.training.value_of(node).any()
        return self._zero[node]


def _is_a_sum(node: Node) -> bool:
    """Return whether a gradient that passes a node may be a sum, whose terms come to 0."""
    return Trait.ADDS_UP in node.op.traits or node.op.name in ("add", "subtract", "matmul")


def _is_a_factor(parameter: Node) -> bool:
    """Return whether something is multiplied by a parameter: else it is a bias, or the like."""
    return any(user.op.name in ("matmul", "einsum") for user in parameter.users)


def _alike(value: Array, axis: int, rtol: float) -> bool:
    apart = np.abs(value - value.take([0], axis))
    return bool((apart <= rtol * np.abs(value).max()).all())

"""Gradients that vanish, explode or are never computed; and units that stay equal."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core import Array, Node, Trait
from ..traces import norm_of
from .check_registry import Check, check, declare
from .evaluation import Evaluation, dependents
from .findings import Finding, at_line, listed, rounded, same_in
from .training_facts import Training

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LAYERS = 3
"""Gradients are compared between layers from this number of layers on."""
LAYER_RATIO = 1e-6
"""A layer's gradient is lost below this share of the largest."""
HUGE_GRADIENT = 1e8
"""A gradient is huge above this, times the norm of its parameter if that exceeds 1."""
LARGE_GRADIENT = 1e3
"""A gradient that is out of proportion to other layers' must be this large to be reported."""
NO_WAY = "make the loss depend on it, without argmax, round or gn.stop_gradient in between; or do not train it"


@check(
    "vanishing-gradient",
    "a layer's gradient is tiny compared with those of later layers",
    "use relu instead of a saturating activation, nn.init.he_normal, or skip connections",
)
def vanishing(run: Evaluation) -> Iterator[Finding]:
    """Look for gradients that are too large, or else for layers whose gradients are out of proportion."""
    training = run.part(Training)
    norms = {
        parameter: norm for parameter, slope in training.gradients.items() if (norm := norm_of(run.value_of(slope)))
    }
    relative = {parameter: norm / max(norm_of(run.value_of(parameter)), 1.0) for parameter, norm in norms.items()}
    huge = [parameter for parameter in norms if relative[parameter] > HUGE_GRADIENT]
    parameter, says, each = None, "", exploding
    if huge:
        parameter = max(huge, key=relative.__getitem__)
        says = f"has norm {rounded(norms[parameter])}{same_in(other for other in huge if other is not parameter)}"
    elif found := _out_of_proportion(run, _layers_of(run, norms)):
        least, most, each = found
        # A gradient that is small, or not large, is out of proportion to a layer that has learned or counts for little.
        if each is vanishing or relative[most.parameter] >= LARGE_GRADIENT:
            parameter = (least if each is vanishing else most).parameter
            norms_of = " to ".join(f"{rounded(layer.norm)} in {layer.name}" for layer in (least, most))
            size = "small" if each is vanishing else "large"
            says = f"is too {size}: the norms of the layers' gradients range from {norms_of}"
    if parameter is not None:
        remedy = (training.scaled_down if each is exploding else "") or each.remedy
        cause = f"the gradient of {parameter.name}{at_line(parameter)} {says}"
        yield each.of(training.gradients[parameter], cause, remedy=remedy)


exploding = declare(
    "exploding-gradient",
    "a layer's gradient is far too large",
    "use smaller initial weights (nn.init.he_normal), clip the gradients, lower the learning rate, or scale the "
    "inputs to about 1",
)


class Stage(NamedTuple):
    """A layer whose gradient is compared with those of others: a scope, or a matrix that shares its scope."""

    name: str
    nodes: set[Node]
    """Those of the forward pass."""
    norm: float
    """Of all its gradients together."""
    parameter: Node
    """The one with the largest gradient."""


def _layers_of(run: Evaluation, norms: Mapping[Node, float]) -> list[Stage]:
    scopes: dict[str, list[Node]] = {}
    for parameter in norms:
        scopes.setdefault(parameter.scope, []).append(parameter)
    inside: dict[str, set[Node]] = {}
    for node in run.forward_nodes:
        inside.setdefault(node.scope, set()).add(node)
    layers = []
    for scope, parameters in scopes.items():
        matrices = [parameter for parameter in parameters if parameter.ndim > 1]
        if scope and len(matrices) <= 1:
            largest = max(parameters, key=norms.__getitem__)
            norm = math.hypot(*[norms[each] for each in parameters])
            layers.append(Stage(scope, inside.get(scope, set()), norm, largest))
        else:
            layers += [Stage(matrix.name, set(run.readers(matrix)), norms[matrix], matrix) for matrix in matrices]
    return layers


def _out_of_proportion(run: Evaluation, layers: Sequence[Stage]) -> tuple[Stage, Stage, Check] | None:
    """Return two layers, one after the other, with the smaller gradient first; and what that is called."""
    forward, fed = list(run.forward_nodes), run.prepared.program.placeholders
    if len(layers) < LAYERS:
        return None
    for near, far in ((min, max), (max, min)):
        start = near(layers, key=lambda layer: layer.norm)
        after, before = dependents(forward, start.nodes), set(run.ancestors(start.nodes))
        others = [layer for layer in layers if layer is not start]
        later = [layer for layer in others if not after.isdisjoint(layer.nodes)]
        earlier = [layer for layer in others if not before.isdisjoint(layer.nodes)]
        if not later and not earlier:
            continue
        end = far([*later, *earlier], key=lambda layer: layer.norm)
        least, most = (start, end) if near is min else (end, start)
        if least.norm < LAYER_RATIO * most.norm:
            if end not in (later if start is least else earlier):
                return least, most, exploding
            # A skip connection around the layer still brings the gradient to earlier ones.
            around = dependents([node for node in forward if node not in least.nodes], fed)
            if around.isdisjoint(most.nodes):
                return least, most, vanishing
    return None


@check(
    "no-gradient",
    "the gradient of a trained parameter is 0 in every element, or is never computed",
    "nothing to do, if the weights start at 0 on purpose; otherwise use weights that are not all 0, and operations "
    "with a derivative",
)
def none_comes(run: Evaluation) -> Iterator[Finding]:
    """Look for trained parameters without a gradient, unless another finding already says why."""
    if any(each.severity == "error" for each in run.found) or run.part(Training).has_learnt:
        return
    trained = {node for node in run.updates if node.trainable}
    lost, never = run.part(Gradients).lost_among(trained)
    # The biases alone cannot learn a network.
    weights = {parameter for parameter in trained if parameter.ndim > 1 or _is_a_factor(parameter)} or trained
    serious = bool(weights) and weights <= {parameter for parameters in lost.values() for parameter in parameters}
    for (where, remedy), (first, *others) in lost.items():
        more = f", {listed(others)}" if others else ""
        severity = "warning" if serious or (where, remedy) in never else "note"
        cause = f"no gradient reaches {first.name}{at_line(first)}{more}: {where}"
        yield none_comes.of(first, cause, severity=severity, remedy=remedy)


class Gradients:
    """Where the gradients of a run are lost."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self.training = run.part(Training)
        self._lost: dict[Node, tuple[Node, list[Node]]] = {}
        self._zero: dict[Node, bool] = {}

    def lost_among(self, trained: set[Node]) -> tuple[dict[tuple[str, str], list[Node]], set[tuple[str, str]]]:
        """Return the parameters without a gradient, by cause and remedy; and those that no training ever changes."""
        reported = {each.node for each in self.run.found}
        lost: dict[tuple[str, str], list[Node]] = {}
        never: set[tuple[str, str]] = set()
        for parameter, gradient in self.training.slopes.items():
            if parameter not in trained:
                continue
            if gradient.op.bounds == (0, 0) or not self._learns_of_data(parameter):
                found, for_good = (self._end_of_the_way_from(parameter), NO_WAY), True
            elif not self.run.readers(parameter):
                continue  # what reads it is the side of a branch that was not taken
            elif parameter in self.training.gradients and not self.run.value_of(gradient).any():
                twin, zeros = self._lost_in(gradient)
                cancels = not zeros and (twin.trainable or _is_a_sum(twin))
                if cancels or not reported.isdisjoint({twin, *zeros}):
                    continue
                because = f", because {zeros[0].name} is 0" if zeros else ""
                found = f"it becomes 0 in {twin.name}{at_line(twin)}{because}", none_comes.remedy
                for_good = bool(zeros) and self._moving.isdisjoint(zeros)
            else:
                continue
            lost.setdefault(found, []).append(parameter)
            never |= {found} if for_good else set()
        return lost, never

    def _learns_of_data(self, parameter: Node) -> bool:
        """Return whether a parameter that meets the feed gets a gradient that depends on it, not only a penalty's."""
        learns, meets = self._ways
        return parameter in learns or parameter not in meets

    @cached_property
    def _ways(self) -> tuple[set[Node], set[Node]]:
        """The nodes that a loss passes a gradient to, and those that meet the feed; both without added penalties."""
        learns, fed = set(self.training.losses_of(self.run.updates)), self.run.fed
        meets: set[Node] = set()
        for node in reversed(self.run.forward_nodes) if learns else ():
            for i, operand in enumerate(node.inputs):
                joins = node in fed and operand not in fed
                if joins and not node.shape and node.op.signs:
                    continue  # here a penalty is added to the loss
                if joins or node in meets:
                    meets.add(operand)
                if node in learns and node.op.differentiable and node.op.flows(i):
                    learns.add(operand)
        return learns, meets

    @cached_property
    def _moving(self) -> set[Node]:
        """What depends on the feed or on updates, and so may differ in the next step."""
        return dependents(self.run.order, [*self.run.prepared.program.placeholders, *self.run.updates])

    def _end_of_the_way_from(self, parameter: Node) -> str:
        """Return why no gradient is computed for a parameter: where its path to the loss is cut."""
        learns, _ = self._ways
        reached = {parameter}
        for node in self.run.forward_nodes:
            if not reached.isdisjoint(node.inputs):
                # Other operations without a derivative, as in a softmax, may lie before the one that cuts the way.
                flows = node.op.differentiable and any(
                    operand in reached and node.op.flows(i) for i, operand in enumerate(node.inputs)
                )
                if not flows and (node in learns or not learns):
                    return f"it ends at {node.name}{at_line(node)}, because {node.op.name} passes no gradient on"
                reached.add(node)
        return "the loss does not depend on it"

    def _lost_in(self, gradient: Node) -> tuple[Node, list[Node]]:
        """Return the forward node that makes a gradient 0, and the zeros that its derivative reads."""
        way = [gradient]
        while way[-1] not in self._lost:
            node = way[-1]
            # The derivative of one operation may be several nodes: look through those between two cotangents.
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
            self._zero[node] = node in self.run.places and not self.run.value_of(node).any()
        return self._zero[node]


def _is_a_sum(node: Node) -> bool:
    """Return whether the gradient that a node passes on may be a sum whose terms cancel."""
    return Trait.ADDS_UP in node.op.traits or bool(node.op.signs) or node.op.name == "matmul"


def _is_a_factor(parameter: Node) -> bool:
    """Return whether a parameter is multiplied with something: others are biases and the like."""
    return any(user.op.contracts for user in parameter.users)


@check(
    "units-alike",
    "units have equal weights and equal gradients, so they stay equal",
    "initialize the weights at random, for example with nn.init.glorot_uniform: equal units stay equal",
)
def alike(run: Evaluation) -> Iterator[Finding]:
    """Look for units that are equal and stay so."""
    found: dict[Node, str] = {}
    for parameter, gradient in run.part(Training).gradients.items():
        value, slope = run.value_of(parameter), run.value_of(gradient)
        if value.ndim == 2 and slope.any():
            axes = [k for k in (1, 0) if value.shape[k] > 1 and _alike(value, k, 0.0) and _alike(slope, k, 1e-6)]
            for k in axes[:1]:
                found[parameter] = f"all {value.shape[k]:,} {'columns' if k else 'rows'}"
    if found:
        first, *others = found
        cause = f"{found[first]} of {first.name}{at_line(first)} are equal, and so are their gradients"
        yield alike.of(first, cause + same_in(others))


def _alike(value: Array, axis: int, rtol: float) -> bool:
    apart = np.abs(value - value.take([0], axis))
    return bool((apart <= rtol * np.abs(value).max()).all())

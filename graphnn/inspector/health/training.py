"""How training goes in a run: gradients that vanish, explode or never come, parameters that run off or stand still."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import GraphnnError
from ...graph import Constant, Parameter, Placeholder
from ...text import with_article
from ..trace import norm_of
from .evaluation import ADDS_UP
from .findings import Finding, at_line, listed, said
from .hazards import (
    HUGE_GRADIENT,
    HUGE_LOSS,
    HUGE_PARAMETER,
    LARGE_DATA,
    LARGE_GRADIENT,
    LARGE_UPDATE,
    LAYER_RATIO,
    LAYERS,
    LEARNT,
    NEGATED_LOSS,
    NO_PROGRESS,
    NO_WAY,
    REMEDIES,
    RISEN,
    RISEN_FAR,
    STEEP,
    VAST_UPDATE,
    finding_of,
    scaled_down,
)

if TYPE_CHECKING:
    from ...graph import Array, Node
    from .evaluation import Evaluation
    from .findings import Element


_MOST_TERMS = 256  # of one loss
_EXPLAIN = frozenset({"exploding-gradient", "out-of-reach"})
"""What explains a step that is too large."""
_PENALTIES = ADDS_UP | {"square", "absolute", "add", "multiply", "divide", "divide_by", "norm", "reshape", "getitem"}
"""Of what a penalty is made: what grows with the parameters without end."""
_SUMS = ADDS_UP | {"add", "subtract", "matmul"}
"""Of these, a gradient may be a sum, whose terms come to 0."""
_OF_CLASSES = ("categorical_crossentropy", "softmax_crossentropy")
_LOSSES = (*_OF_CLASSES, "binary_crossentropy", "sigmoid_crossentropy", "mean_squared_error", "mean_absolute_error")


class Stage(NamedTuple):
    """A layer, as its gradients are compared with those of others: a scope, or a matrix that has none to itself."""

    name: str
    nodes: set[Node]
    """Of the forward pass."""
    norm: float
    """Of its gradients together."""
    parameter: Node
    """The one with the largest gradient."""


class Training:
    """Looks for it in a run, and adds to what was found."""

    def __init__(self, run: Evaluation, updates: Mapping[Node, Node], found: list[Finding]) -> None:
        self.run = run
        self.updates = updates
        self.found = found
        self._lost: dict[Node, tuple[Node, list[Node]]] = {}
        self._zero: dict[Node, bool] = {}

    def look(self) -> None:
        """Look at the gradients, the parameters and the updates."""
        self._of_gradients()
        self._of_no_gradients()
        self._of_units()
        if self.grown is not None:
            self.found.append(
                Finding(
                    code="huge-parameter",
                    severity="warning",
                    node=self.grown.node,
                    index=self.grown.index,
                    value=self.grown.value,
                    cause=f"{self.grown}: training diverges",
                    remedy=self.against_divergence,
                    size=self._value_of(self.grown.node).size,
                )
            )
        else:
            self._of_updates()
            self._of_penalties()
            self._of_other_parameters()
            if self._falling is not None:
                node, value = self._falling
                cause = f"{node.name}{at_line(node)} is {said(value)}, and training makes it smaller still"
                self.found.append(finding_of("unbounded-loss", node, cause))

    def _value_of(self, node: Node) -> Array:
        value: Array = self.run.values[self.run.places[node]]
        return value

    # --- gradients

    @cached_property
    def _gradients(self) -> dict[Node, Node]:
        """By parameter, the nodes of gradients that are finite."""
        found = {}
        for parameter, gradient in gradients_in(self.run.order):
            value = self._value_of(gradient)
            if value is not None and value.size and np.isfinite(value).all():
                found[parameter] = gradient
        return found

    def _of_gradients(self) -> None:
        norms = {parameter: norm_of(self._value_of(gradient)) for parameter, gradient in self._gradients.items()}
        norms = {parameter: norm for parameter, norm in norms.items() if norm}
        beside = {parameter: norm / max(norm_of(self._value_of(parameter)), 1.0) for parameter, norm in norms.items()}
        exploding = [parameter for parameter in norms if beside[parameter] > HUGE_GRADIENT]
        if exploding:
            parameter = max(exploding, key=beside.__getitem__)
            others = [other for other in exploding if other is not parameter]
            so_too = f"; so it is with {listed(others)}" if others else ""
            self._add("exploding-gradient", parameter, f"has norm {said(norms[parameter])}{so_too}")
            return
        layers = self._layers_of(norms)
        found = self._out_of_proportion(layers) if len(layers) >= LAYERS else None
        if found is not None:
            least, most, vanishing = found
            if not vanishing and beside[most.parameter] < LARGE_GRADIENT:
                return  # it is the other that is at rest, or counts for little
            told = " to ".join(f"{said(layer.norm)} in {layer.name}" for layer in (least, most))
            self._add(
                "vanishing-gradient" if vanishing else "exploding-gradient",
                (least if vanishing else most).parameter,
                f"is out of proportion: the layers' gradients have norms from {told}",
            )

    def _add(self, code: str, parameter: Node, sizes: str) -> None:
        cause = f"the gradient of {parameter.name}{at_line(parameter)} {sizes}"
        finding = finding_of(code, self._gradients[parameter], cause)
        large = self._large_data
        if code == "exploding-gradient" and large is not None:
            finding.remedy = scaled_down(large)
        self.found.append(finding)

    @cached_property
    def _large_data(self) -> Element | None:
        """The largest number that is fed, where that is far above 1."""
        elements = [self.run.largest_in(node) for node in self.run.prepared.program.placeholders]
        large = [each for each in elements if each is not None and abs(each.value) > LARGE_DATA]
        return max(large, key=lambda each: abs(each.value), default=None)

    def _layers_of(self, norms: Mapping[Node, float]) -> list[Stage]:
        scopes: dict[str, list[Node]] = {}
        for parameter in norms:
            scopes.setdefault(parameter.scope, []).append(parameter)
        forward = [node for node in self.run.order if node.phase == "forward"]
        layers = []
        for scope, parameters in scopes.items():
            matrices = [parameter for parameter in parameters if parameter.ndim > 1]
            if scope and len(matrices) <= 1:
                nodes = {node for node in forward if node.scope == scope}
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

    def _of_no_gradients(self) -> None:
        """Look for trained parameters that no gradient comes to, unless what is found already says why."""
        if any(each.severity == "error" for each in self.found) or self._has_learnt:
            return  # which is why; or there is nothing left to learn
        told = {each.node for each in self.found}
        trained = {node for node in self.updates if node.trainable}
        lost: dict[tuple[str, str], list[Node]] = {}
        never: set[tuple[str, str]] = set()
        """Of which no training ever brings one."""
        for parameter, gradient in _slopes_in(self.run.order).items():
            if parameter not in trained:
                continue
            if gradient.op.name == "zeros" or not self._learns_of_data(parameter):
                where = f"none is made, since {self._end_of_the_way_from(parameter)}"
                lost.setdefault((where, NO_WAY), []).append(parameter)
                never.add((where, NO_WAY))
            elif parameter in self._gradients and not self._value_of(gradient).any():
                twin, zeros = self._lost_in(gradient)
                cancels = not zeros and (twin.op.name in _SUMS or twin.trainable)
                if told.isdisjoint({twin, *zeros}) and not cancels:
                    where = f"it is lost in {twin.name}{at_line(twin)}"
                    where += f", where {zeros[0].name} is 0" if zeros else ""
                    lost.setdefault((where, REMEDIES["no-gradient"]), []).append(parameter)
                    if zeros and self._moving.isdisjoint(zeros):
                        never.add((where, REMEDIES["no-gradient"]))
        # A bias alone that learns makes no network.
        weights = {parameter for parameter in trained if parameter.ndim > 1 or _is_a_factor(parameter)} or trained
        serious = bool(weights) and weights <= {parameter for parameters in lost.values() for parameter in parameters}
        for (where, remedy), parameters in lost.items():
            first, *others = parameters
            nor = f", nor to {listed(others)}" if others else ""
            cause = f"no gradient comes to {first.name}{at_line(first)}{nor}: {where}"
            severity = "warning" if serious or (where, remedy) in never else "note"
            finding = finding_of("no-gradient", first, cause, severity=severity)
            finding.remedy = remedy
            self.found.append(finding)

    def _learns_of_data(self, parameter: Node) -> bool:
        """Return whether a gradient comes to a parameter by way of what is fed, if it meets that: not by a penalty."""
        learns, meets = self._ways
        return parameter in learns or parameter not in meets

    @cached_property
    def _ways(self) -> tuple[set[Node], set[Node]]:
        """What a loss passes a gradient to, and what meets anything that is fed; neither by way of an added penalty."""
        learns = set(self._losses_of(self.updates))
        meets: set[Node] = set()
        if not learns:
            return learns, meets
        for node in reversed(self.run.order):
            if node.phase != "forward":
                continue
            for i, operand in enumerate(node.inputs):
                joins = node in self.fed and operand not in self.fed
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
        given = [*self.run.prepared.program.placeholders, *self.updates]
        return made_of(self.run.order, given)

    @cached_property
    def fed(self) -> set[Node]:
        """What depends on what is fed."""
        return made_of(self.run.order, self.run.prepared.program.placeholders)

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
                if each.phase == "backward" and each not in self.cotangents:
                    ahead += [operand for operand in each.inputs if operand not in read]
                    read.update(dict.fromkeys(each.inputs))
            zeros = [each for each in read if self._is_zero(each)]
            came = next((each for each in zeros if each in self.cotangents), None)
            if came is None:
                twin = node.twin if node.twin is not None else node
                self._lost[node] = twin, [each for each in zeros if each.phase == "forward"]
            else:
                way.append(came)
        self._lost.update(dict.fromkeys(way, self._lost[way[-1]]))
        return self._lost[gradient]

    def _is_zero(self, node: Node) -> bool:
        if node not in self._zero:
            self._zero[node] = node in self.run.places and not self._value_of(node).any()
        return self._zero[node]

    @cached_property
    def cotangents(self) -> set[Node]:
        """The nodes of the gradients that were asked for, and of those on their way."""
        return {slope for derived in self.run.graph.cotangents.values() for slope in derived.of.values()}

    def _of_units(self) -> None:
        """Look for units that are the same, and stay so."""
        alike = []
        for parameter, gradient in self._gradients.items():
            value, slope = self._value_of(parameter), self._value_of(gradient)
            if value.ndim == 2 and slope.any():
                axes = [k for k in (1, 0) if value.shape[k] > 1 and _alike(value, k, 0.0) and _alike(slope, k, 1e-6)]
                alike += [(parameter, f"all {value.shape[k]:,} {'columns' if k else 'rows'}") for k in axes[:1]]
        if alike:
            (parameter, what), *others = alike
            cause = f"{what} of {parameter.name}{at_line(parameter)} are the same, and so are their gradients"
            so_too = f"; so it is with {listed([other for other, _ in others])}" if others else ""
            self.found.append(finding_of("units-alike", parameter, cause + so_too))

    # --- parameters

    @cached_property
    def grown(self) -> Element | None:
        """The largest number of a parameter, where that is beyond reason, also beside what is fed."""
        trained = [node for node in self.run.order if node.trainable]
        elements = [each for node in trained if (each := self.run.largest_in(node)) is not None]
        largest = max(elements, key=lambda each: abs(each.value), default=None)
        if largest is None or abs(largest.value) <= HUGE_PARAMETER:
            return None
        data = [self.run.largest_in(node) for node in self.run.prepared.program.placeholders]
        size = max([abs(each.value) for each in data if each is not None], default=1.0)
        return largest if abs(largest.value) > HUGE_PARAMETER * max(size, 1.0) else None

    @cached_property
    def _falling(self) -> tuple[Node, float] | None:
        """What is made smaller by training, where it is so far below 0 that it has no end."""
        # By hand, one may go up a slope as well as down.
        descent = {parameter: node for parameter, node in self.updates.items() if node.phase == "update"}
        trained = [parameter for parameter in descent if parameter.trainable]
        for node, value in self._losses_of(descent).items():
            negated = _is_negated(node) and not made_of(self.run.order, trained).isdisjoint(node.inputs[-1:])
            falls = math.isinf(value) or self._steepness(trained) > LEARNT * abs(value)
            if value < -(NEGATED_LOSS if negated else HUGE_LOSS) and falls:
                return node, value
        return None

    def _steepness(self, parameters: Iterable[Node]) -> float:
        """Return how far a loss would move if each number moved as far as it is large: not at all at its least."""
        steepness = 0.0
        for parameter in parameters:
            if parameter in self._gradients:
                slope = self._value_of(self._gradients[parameter]).astype(np.float64)
                steepness += float(np.abs(slope * self._value_of(parameter)).sum())
        return steepness

    def _losses_of(self, updates: Mapping[Node, Node]) -> dict[Node, float]:
        """Return the scalars from whose gradients some updates are made."""
        needed = set(updates.values())
        for node in reversed(self.run.order):
            if node in needed:
                needed.update(node.inputs)
        found = {}
        for given, derived in self.run.graph.cotangents.items():
            if any(derived.of.get(parameter) in needed for parameter in updates):
                found.update({node: self._value_of(node) for node, _ in given if node in self.run.places})
        return {node: float(value) for node, value in found.items() if value is not None and not value.ndim}

    @property
    def _has_learnt(self) -> bool:
        """Whether every loss is 0, or as good as that."""
        losses = self._losses_of(self.updates).values()
        return bool(losses) and all(abs(value) <= LEARNT for value in losses)

    @property
    def against_divergence(self) -> str:
        """What to do where a parameter has grown beyond reason."""
        if self._falling is None:
            return REMEDIES["huge-parameter"]
        node, value = self._falling
        return REMEDIES["unbounded-loss"].replace("its sign", f"the sign of {node.name}, which is {said(value)}")

    def _of_updates(self) -> None:
        """Look whether a parameter is moved much further than it is large, or not at all."""
        moves: list[tuple[float, float, Node, Node]] = []
        still = []
        for parameter, following in self.updates.items():
            if not parameter.trainable or not self.run.places.keys() >= {parameter, following}:
                continue
            before, after = self._value_of(parameter), self._value_of(following)
            if before is None or after is None or before.dtype.kind != "f" or not np.isfinite(after).all():
                continue
            gradient = self._gradients.get(parameter)
            if np.array_equal(before, after) and gradient is not None and self._value_of(gradient).any():
                still.append(parameter)
            change = after.astype(np.float64) - before
            size, moved = (norm_of(each) / math.sqrt(max(before.size, 1)) for each in (before, change))
            if size and _is_large(moved, size):
                moves.append((moved, size, parameter, following))
        if self._stands_still:
            self.found.append(self._stands_still)
        elif still:
            cause = f"the step moves nothing in {listed(still)}, though gradients come there"
            self.found.append(finding_of("not-moved", self.updates[still[0]], cause, severity="note"))
        risen = self._risen
        if risen is not None:
            self.found.append(risen)
            return
        if not moves:
            return
        moved, size, parameter, following = max(moves, key=lambda move: move[0] / move[1])
        others = [other for _, _, other, _ in moves if other is not parameter]
        so_too = f"; so it is with {listed(others)}" if others else ""
        cause = (
            f"a step moves the numbers of {parameter.name}{at_line(parameter)} by {said(moved)}, and they are "
            f"{said(size)} large, as the root of their mean square{so_too}"
        )
        explained = any(each.code == "exploding-gradient" for each in self.found)
        severity = "warning" if moved > VAST_UPDATE * max(size, 1.0) and not explained else "note"
        finding = finding_of("large-update", following, cause, severity=severity)
        if self._large_data is not None:
            finding.remedy = f"{scaled_down(self._large_data)}; or a lower learning rate"
        self.found.append(finding)

    @cached_property
    def _steps(self) -> dict[Node, Array]:
        """By how much each trained parameter is moved, where all of that is finite."""
        found = {}
        for parameter, following in self.updates.items():
            if parameter.trainable and self.run.places.keys() >= {parameter, following}:
                before, after = self._value_of(parameter), self._value_of(following)
                if before is not None and after is not None and before.dtype.kind == "f" and np.isfinite(after).all():
                    found[parameter] = after.astype(np.float64) - before
        return found

    @cached_property
    def _stands_still(self) -> Finding | None:
        """What is to be said if the rate is so small that the loss would hardly ever fall."""
        if not self._steps or self._steps.keys() != {node for node in self.updates if node.trainable}:
            return None
        if not all(parameter in self._gradients for parameter in self._steps) or self._rate_changes:
            return None
        losses = self._losses_of({node: self.updates[node] for node in self._steps})
        loss = max(map(abs, losses.values()), default=0.0)
        promised = 0.0
        for parameter, step in self._steps.items():
            promised += float(np.abs(step * self._value_of(self._gradients[parameter])).sum())
        if not loss > LEARNT or self._steepness(self._steps) < STEEP * loss or promised > NO_PROGRESS * loss:
            return None
        first, *others = self._steps
        share = "nothing" if not promised else f"at most {said(promised / loss)} of the loss"
        rate = self._rate
        at_rate = "" if rate is None else f"; {rate.name} is {said(float(self._value_of(rate)))}"
        cause = f"the step moves {listed([first, *others])} by so little that it takes away {share}{at_rate}"
        return finding_of("not-moved", self.updates[first], cause)

    @cached_property
    def _behind_updates(self) -> list[Node]:
        """What the next values of the trained parameters are made of, in the phase of the update."""
        needed = {self.updates[parameter] for parameter in self._steps}
        for node in reversed(self.run.order):
            if node in needed:
                needed.update(node.inputs)
        return [node for node in self.run.order if node in needed]

    @cached_property
    def _rate(self) -> Node | None:
        """The learning rate, if an optimizer keeps it as a number."""
        named = [node for node in self._behind_updates if node.name.endswith("learning_rate") and not node.shape]
        return next((node for node in named if isinstance(node.op, Parameter) and node not in self.updates), None)

    @property
    def _rate_changes(self) -> bool:
        """Whether the rate is another one in each step, as that of a schedule is, which may begin or end with 0."""
        counts = [
            node for node in self._behind_updates if node in self.updates and not node.trainable and not node.shape
        ]
        return bool(counts) and self._rate is None

    @cached_property
    def _risen(self) -> Finding | None:
        """What is to be said if a step moves parameters so far that the loss is much larger after it."""
        far = []
        for parameter, step in self._steps.items():
            size, moved = (norm_of(each) / math.sqrt(max(step.size, 1)) for each in (self._value_of(parameter), step))
            if parameter.ndim > 1 and size and moved > size:
                far.append((moved / size, moved, size, parameter))
        losses = self._losses_of({node: self.updates[node] for node in self._steps})
        losses = {node: value for node, value in losses.items() if value > LEARNT}
        if not far or not losses or self.run.failure is not None or any(each.code in _EXPLAIN for each in self.found):
            return None
        state = {node: self._value_of(following) for node, following in self.updates.items() if node in self.run.places}
        try:
            after = self.run.after(state, list(losses))
        except GraphnnError:
            return None
        _, moved, size, parameter = max(far, key=lambda each: each[0])
        risen = RISEN_FAR if _is_large(moved, size) else RISEN
        for (node, before), value in zip(losses.items(), map(float, after), strict=True):
            if not value <= risen * before:
                rate = self._rate
                at_rate = "" if rate is None else f" at {rate.name} = {said(float(self._value_of(rate)))}"
                cause = (
                    f"a step{at_rate} moves the numbers of {parameter.name}{at_line(parameter)} by {said(moved)}, and "
                    f"they are {said(size)} large; {node.name} is {said(before)} before it and {said(value)} after it"
                )
                finding = finding_of("large-update", self.updates[parameter], cause)
                if self._large_data is not None:
                    finding.remedy = f"{scaled_down(self._large_data)}; or a lower learning rate"
                return finding
        return None

    def _of_penalties(self) -> None:
        """Look whether what is never negative and made of parameters alone is subtracted from a loss."""
        trained = {node for node in self.updates if node.trainable}
        of_parameters = made_of(self.run.order, trained)
        for loss, value in self._losses_of({node: self.updates[node] for node in trained}).items():
            for term, sign in _terms_of(loss):
                if sign < 0 and term in of_parameters and term not in self.fed and _is_never_negative(term):
                    if not _grows(term, of_parameters) or not self._value_of(term).any():
                        continue
                    what = f"{term.name}{at_line(term)}, which is {said(float(self._value_of(term)))}"
                    cause = f"{loss.name} = {said(value)} becomes smaller the larger the parameters are, by {what}"
                    self.found.append(finding_of("negative-penalty", term, cause))
                    return

    def _of_other_parameters(self) -> None:
        """Look whether a metric beside a loss is computed by parameters that nothing trains."""
        trained = {node for node in self.updates if node.trainable}
        losses = set(self._losses_of({node: self.updates[node] for node in trained}))
        if not losses or not trained:
            return
        behind = self._behind(losses)
        fetched = [self.run.order[place] for place in self.run.fetches]
        for metric in fetched:
            if metric in losses or metric.phase != "forward" or metric in self.updates.values() or metric.shape:
                continue
            read = self._behind({metric})
            own = [node for node in read if node.trainable and node not in behind and node not in self.updates]
            labels = [node for node in read if isinstance(node.op, Placeholder) and node in behind]
            if own and labels and trained.isdisjoint(read):
                cause = (
                    f"{metric.name}{at_line(metric)} is computed by {listed(own)}, and the step trains "
                    f"{listed([node for node in self.run.order if node in trained])}"
                )
                self.found.append(finding_of("other-parameters", metric, cause))
                return

    def _behind(self, nodes: Collection[Node]) -> dict[Node, None]:
        """Return what some nodes are made of, in the order of the schedule."""
        needed = set(nodes)
        for node in reversed(self.run.order):
            if node in needed:
                needed.update(node.inputs)
        return dict.fromkeys(node for node in self.run.order if node in needed)


def _is_large(moved: float, size: float) -> bool:
    """Return whether a step moves numbers much further than they are large."""
    return moved > LARGE_UPDATE * max(size, 1 / LARGE_UPDATE)


def _terms_of(loss: Node) -> Iterator[tuple[Node, float]]:
    """Yield the scalars that a loss adds up, each with the sign of its factor."""
    ahead = [(loss, 1.0)]
    for node, factor in ahead:  # which grows
        name, inputs = node.op.name, node.inputs
        if node.shape or len(ahead) > _MOST_TERMS:
            continue
        numbers = [each for each in inputs if isinstance(each.op, Constant)]
        others = [each for each in inputs if each not in numbers and not each.shape]
        if name in ("add", "subtract"):
            signs = (factor, -factor if name == "subtract" else factor)
            ahead += [(each, sign) for each, sign in zip(inputs, signs, strict=True) if each in others]
        elif name == "negative" and others:
            ahead.append((others[0], -factor))
        elif len(numbers) == len(others) == 1 and (
            name == "multiply" or (name == "divide" and numbers[0] is inputs[1])
        ):
            ahead.append((others[0], factor * math.copysign(1.0, float(numbers[0].value))))
        else:
            yield node, factor


def _grows(term: Node, of_parameters: Collection[Node]) -> bool:
    """Return whether a term is as large as the parameters, and not bounded by something on the way."""
    ahead = [term]
    for each in ahead:
        for operand in each.inputs:
            if operand in of_parameters and not operand.trainable:
                if operand.op.name not in _PENALTIES:
                    return False
                ahead.append(operand)
    return True


def _is_a_factor(parameter: Node) -> bool:
    """Return whether something is multiplied by a parameter: else it is a bias, or the like."""
    return any(user.op.name in ("matmul", "einsum") for user in parameter.users)


def _is_negated(node: Node) -> bool:
    """Return whether a loss is what takes away something that is never below 0."""
    taken = node.inputs[-1:] if node.op.name in ("negative", "subtract") else ()
    return any(map(_is_never_negative, taken))


def _is_never_negative(node: Node) -> bool:
    made = {node: None}
    for each in (ahead := [node]):
        scope = each.graph.scopes.get(each.scope)
        if (scope is not None and scope.kind in _LOSSES) or each.op.name in ("square", "absolute", "norm"):
            continue
        if each.op.name == "multiply" and len(set(each.inputs)) == 1:
            continue
        if isinstance(each.op, Constant) and each is not node:
            if not (each.value >= 0).all():
                return False
        elif each.op.name in ("mean", "sum", "divide_by", "multiply", "divide", "add"):
            fresh = dict.fromkeys(operand for operand in each.inputs if operand not in made)
            made.update(fresh)
            ahead += fresh
        else:
            return False
    return True


def _alike(value: Array, axis: int, rtol: float) -> bool:
    apart = np.abs(value - value.take([0], axis))
    return bool((apart <= rtol * np.abs(value).max()).all())


def made_of(order: Sequence[Node], nodes: Collection[Node]) -> set[Node]:
    """Return some nodes of a schedule, and those that depend on them."""
    found = set(nodes)
    for node in order:
        if not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def gradients_in(order: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
    """Yield the trained parameters of a schedule with the nodes of their gradients, in order of making."""
    return ((parameter, slope) for parameter, slope in _slopes_in(order).items() if slope.op.name != "zeros")


def _slopes_in(order: Sequence[Node]) -> dict[Node, Node]:
    """Return the same with those that are 0 because no operation passes a gradient on."""
    known: dict[Node, Node] = {}
    scheduled = set(order)
    for derived in order[0].graph.cotangents.values() if order else ():
        known.update({node: slope for node, slope in derived.of.items() if node.trainable and slope in scheduled})
    for node in order:
        # What an optimizer makes for a parameter starts from its gradient.
        parameter = node.twin
        if parameter is not None and parameter.trainable and node.phase == "update" and parameter not in known:
            for operand in node.inputs:
                if operand.phase == "backward" and operand.shape == parameter.shape:
                    known[parameter] = operand
    return {node: known[node] for node in sorted(known, key=lambda node: node.index) if node in scheduled}


def beside_guessing(loss: Node, order: Sequence[Node], value_of: Callable[[Node], Array | None]) -> str:
    """Return a loss beside that of a network which guesses, if it is a mean cross-entropy of some classes; else "".

    Parameters
    ----------
    loss : Node
    order : sequence of Node
        The schedule.
    value_of : callable
        What a node of it was; None where that is not known.
    """
    value, scope = value_of(loss), loss.graph.scopes.get(loss.scope)
    if value is None or scope is None or scope.kind not in _OF_CLASSES or loss.op.name != "mean":
        return ""
    inside = [node for node in order if node.scope == loss.scope and node.phase == "forward"]
    read = [operand for node in inside for operand in node.inputs if operand not in inside and operand.ndim > 1]
    given = next((given for node in read if node.inputs and (given := value_of(node)) is not None), None)
    if given is None or given.dtype.kind != "f" or given.shape[-1] < 2 or not given.size or not np.isfinite(value):
        return ""
    classes = given.shape[-1]
    guess = math.log(classes)
    # Chances or logits: those of a network that guesses are alike in every row.
    apart = np.ptp(given, axis=-1).max()
    alike = apart <= (0.1 if scope.kind == "softmax_crossentropy" else 0.1 / classes)
    if alike and abs(value - guess) <= 0.01 * guess:
        return f"{float(value):.5g} ≈ ln {classes}: the network is guessing"
    return f"{float(value):.4g}; that of guessing among {classes} classes is ln {classes} = {guess:.4g}"

"""The base class of the optimizers."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from functools import reduce
from typing import Any, Self

import numpy as np

from ..._util.callables import check_takes
from ..._util.garbage_collection import collector_paused
from ..._util.hints import elsewhere
from ..._util.source_location import user_origin
from ...compiler.compile import updating
from ...core import Array, Graph, Node, Provenance, fitting, fn
from ...core.attributes import whole
from ...core.fetches import ancestors
from ...core.graph_tables import owned
from ...core.symbolic_shapes import shown
from ...errors import GraphError, GraphnnWarning, NoRuleError, ShapeError, UsageError
from ..argument_validation import checked_number
from ..evaluation_mode import warn_of_evaluation
from ..input_validation import as_float
from ..layers.layer import Layer
from ..layers.layer_settings import are_equal, check_has, positional_of, settings_of, warn_if_late
from ..layers.state_dict import compact
from .accumulated_gradients import Asked, Slopes
from .loss_scale import LossScale, Scaled
from .optimizer_state import Slots
from .parameter_groups import Group, asked_for, checked_groups
from .update_accumulation import GROUP, held, place_of, precise

Rate = float | Node | Callable[[Node], Any]


@elsewhere("optimizer", "the optimizer {}")
class Optimizer:
    """Base class of the optimizers. A subclass defines `advance`, and `scalars` if it needs any.

    Parameters
    ----------
    learning_rate : float, Node or callable
        A number becomes a parameter that is not trained, ``sgd_1/learning_rate``. A node is used as it is. A
        callable is a schedule, as in `nn.schedules`: it takes the node of the number of steps so far, and returns the
        learning rate.
    clip_norm : float, optional
        If the norm of all gradients together exceeds this, all are scaled down.
    clip_value : float, optional
        Each element of a gradient is clipped to ``[-clip_value, clip_value]``, before `clip_norm` is applied.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class SignSGD(nn.Optimizer):
    ...     def advance(self, parameter, gradient, rate, slots):
    ...         return parameter - rate * gn.sign(gradient)
    >>> w = gn.Graph().parameter("w", [3.0, -3.0])
    >>> step = gn.compile(w, SignSGD(0.5).updates(gn.sum(w * w)))
    >>> step(), step()
    (array([ 3., -3.]), array([ 2.5, -2.5]))
    """

    counts = False
    """Whether `scalars` or `advance` needs the step number."""

    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._given = args, kwargs
        return made

    def __init__(self, learning_rate: Rate, *, clip_norm: float | None = None, clip_value: float | None = None) -> None:
        if isinstance(learning_rate, (list, tuple, Layer)):
            # layer.parameters is a list that can be called, and a layer can be called, but neither is a schedule.
            kind = "list" if isinstance(learning_rate, list) else type(learning_rate).__name__
            raise UsageError(
                f"{type(self).__name__}: the learning rate is a number, a node or a schedule, not a {kind}; "
                "the parameters are those of the loss: optimizer.updates(loss), or "
                "optimizer.updates(loss, parameters) for some of them"
            )
        self._rate: Any = learning_rate if isinstance(learning_rate, Node) or callable(learning_rate) else None
        if callable(self._rate):
            check_takes(f"{type(self).__name__}: the learning rate", self._rate, "the number of steps")
        self._rates: list[Node] = []
        self._first: dict[Node, Array] = {}
        self._precise: dict[Node, Node] = {}
        self._number = math.nan
        if self._rate is None:
            self._number = self._setting("learning_rate", learning_rate, 0)
        self.clip_norm = None if clip_norm is None else self._setting("clip_norm", clip_norm, 0, strictly=True)
        self.clip_value = None if clip_value is None else self._setting("clip_value", clip_value, 0, strictly=True)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Warn of a setting that is changed after `updates`: nodes that were made keep theirs.

        Raises
        ------
        AttributeError
            When the class is one of graphnn's and has no such attribute.
        """
        held = vars(self)
        if name not in held:
            check_has(self, name, "optimizer")
        elif (held.get("_rates") or held.get("_first")) and name in settings_of(type(self)):
            warn_if_late(self, name, value, "updates(…)", ". Between steps, only learning_rate can be set")
        super().__setattr__(name, value)

    @property
    def learning_rate(self) -> Any:
        """The present learning rate: a number, or the node or schedule that was given.

        A number can be set between steps, and applies to all updates of this optimizer, apart from groups with a
        learning rate of their own. It is the value of the parameter ``sgd_1/learning_rate`` of the graph, which can be
        set too; that of a group is ``sgd_1/group_1/learning_rate``.

        Raises
        ------
        UsageError
            When it is set, and was given as a node or a schedule.
        """
        if self._rate is not None:
            return self._rate
        return float(self._rates[-1].value) if self._rates else self._number

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if self._rate is not None:
            raise UsageError(
                "this learning rate is a node or a schedule; only a learning rate that was given as a number can be set"
            )
        self._number = self._setting("learning_rate", value, 0)
        for node in self._rates:
            node.value = self._number

    @property
    def for_all(self) -> Mapping[str, str]:
        """The settings that no group has for itself, each with the reason."""
        return {"clip_norm": "the norm is that of all gradients together. Set it for the optimizer"}

    def scalars(self, rate: Node, number: Node | None) -> Mapping[str, Node]:
        """Return the scalars that all parameters share in one step, by name.

        Parameters
        ----------
        rate : Node
            The learning rate, a float64 scalar.
        number : Node or None
            The step number, from 1, a float64 scalar; None unless ``counts = True``.

        Returns
        -------
        mapping of str to Node
            `advance` gets them as ``slots.scalars``, cast to the dtype of the parameter.
        """
        return {}

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        """Return the node of the parameter's next value.

        Parameters
        ----------
        parameter, gradient : Node
        rate : Node
            The learning rate, a scalar with the dtype of the parameter.
        slots : Slots
            Arrays that are kept from step to step: ``slots.kept("velocity", next_of)``.
        """
        raise NoRuleError(f"{type(self).__name__} does not say how to update a parameter: define advance")

    def updates(
        self,
        loss: Node | None = None,
        parameters: Iterable[Node | str] | Node | None = None,
        *,
        gradients: Mapping[Any, Node] | None = None,
        groups: Iterable[Mapping[str, Any]] = (),
        accumulate: int = 1,
        loss_scale: LossScale | float | None = None,
    ) -> dict[Node, Node]:
        """Return the node of the next value of every parameter that the loss depends on.

        The nodes are in a new scope, ``sgd_1``. Inside it, each parameter has a scope with its name, whose nodes have
        the parameter as their twin. Arrays that are kept from step to step, such as
        ``sgd_1/dense_1/weight/velocity``, are parameters that are not trained.

        Parameters
        ----------
        loss : Node, optional
            A scalar.
        parameters : iterable of Node or str, optional
            The parameters to update with the settings of the optimizer; by default, all trainable parameters that the
            loss depends on.
        gradients : mapping of Node or str to Node, optional
            ``{parameter: node of its gradient}``, instead of a loss.
        groups : iterable of mappings
            Parameters with settings of their own, such as ``{"parameters": layer.parameters, "learning_rate": 0.01}``.
            A group may have any setting of the optimizer, apart from `clip_norm`: the norm is that of all gradients
            together. What it does not set is as in the optimizer; if it has no learning rate, it shares the
            optimizer's. ``"trainable": False`` leaves its parameters as they are, and out of the norm. ``"name"`` is
            the name of its scope, by default ``group_1``, ``group_2``, …, so its learning rate is the parameter
            ``sgd_1/group_1/learning_rate``. Parameters in no group are updated with the settings of the optimizer.
        accumulate : int
            How many steps make one update. Their gradients are added up, in ``sgd_1/accumulate``, and the last step
            updates the parameters by the mean. So eight batches of 32 rows do what one batch of 256 rows does, if the
            loss is a mean. For a loss that is computed from sums over batches (`gn.sum_over_batches`), as one with
            class weights, these are added up, so this holds for batches of any sizes. The optimizer and its schedule
            count updates; random nodes and running statistics move on in every step.
        loss_scale : LossScale or float, optional
            For networks in float16. The gradients of the loss times this are computed, and divided by it in float32.
            `LossScale` finds the factor itself.

        Returns
        -------
        dict of Node to Node
            Includes the state of the optimizer. The updates are also entered in ``graph.updates``, where they replace
            updates of the same parameters by another optimizer.

        Raises
        ------
        ShapeError, DtypeError
            When the loss is not a scalar, or not a float; when a gradient does not fit its parameter.
        UsageError
            When there is nothing to train, or `parameters` contains something other than trainable parameters; when a
            group has an unknown setting, or a parameter is in two groups.

        Examples
        --------
        >>> import graphnn as gn
        >>> from graphnn import nn
        >>> g = Graph()
        >>> w, b = g.parameter("w", [1.0, 2.0]), g.parameter("b", 1.0)
        >>> loss = gn.sum(w * w) + b
        >>> updates = nn.SGD(0.1).updates(loss, groups=[{"parameters": b, "learning_rate": 0.5}])
        >>> {p.name: n.name for p, n in updates.items()}
        {'w': 'sgd_1/w/subtract', 'b': 'sgd_1/b/subtract'}
        >>> updates = nn.SGD(0.1).updates(gradients={w: gn.sign(gn.grad(loss, w))})
        """
        given = checked_groups(self, groups, loss, gradients)
        steps = whole("accumulate=", accumulate, 1)
        chosen, found = asked_for(loss, parameters, gradients, given)
        if loss is not None:
            warn_of_evaluation(loss, chosen)
        scaled = None
        if loss_scale is not None:
            if loss is None:
                raise UsageError("loss_scale= computes the gradients itself: give the loss, not gradients=")
            scaled = Scaled(loss, loss_scale, chosen)
        own = Group("", self, [])
        by_parameter = {node: group for group in given for node in group.parameters}
        return self._made(Asked(loss, found, steps, scaled), {node: by_parameter.get(node, own) for node in chosen})

    def reset(self) -> None:
        """Set what the optimizer keeps from step to step back to its first values, as a new optimizer has them.

        These are velocities, moments, and the count of the steps, on which schedules of the learning rate depend. A
        learning rate that was assigned stays.

        Examples
        --------
        >>> import graphnn as gn
        >>> from graphnn import nn
        >>> w = Graph().parameter("w", 3.0)
        >>> optimizer = nn.Adam(0.1)
        >>> step = gn.compile(w * w, optimizer.updates(w * w))
        >>> loss = step()
        >>> optimizer.reset()
        >>> int(w.graph["adam_1/step"].value)
        0
        """
        for graph in {kept.graph for kept in (*self._first, *self._precise)}:
            first = {kept: array for kept, array in self._first.items() if kept.graph is graph}
            with updating(graph):
                wide = {copy: node for copy, node in self._precise.items() if copy.graph is graph}
                first |= {copy: graph.state[node].astype(copy.dtype) for copy, node in wide.items()}
                graph.state.update(first)

    def _with(self, settings: Mapping[str, Any]) -> Self:
        """Return another optimizer: made as this one, but for some settings, and with what was assigned since then."""
        made, other = self._made_with({}), self._made_with(settings)
        for name, value in vars(self).items():
            if not name.startswith("_") and name not in settings and not are_equal(value, vars(made).get(name)):
                setattr(other, name, value)
        return other

    def _made_with(self, settings: Mapping[str, Any]) -> Self:
        args, named = self._given
        named = {**named, **settings}
        names = positional_of(type(self))
        first = [named.pop(name, value) for name, value in zip(names, args, strict=False)]
        return type(self)(*first, *args[len(first) :], **named)

    def _made(self, asked: Asked, groups: Mapping[Node, Group]) -> dict[Node, Node]:
        """Make the nodes of the next values of parameters, and enter them in ``graph.updates``."""
        graph, result = next(iter(groups)).graph, dict[Node, Node]()
        slopes = Slopes(asked, {parameter: parameter for parameter in groups})
        with graph.building, collector_paused(), self._scope(graph) as place:
            assert place.scope is not None
            found, kind = slopes.moved(result), place.scope.kind
            gradients = self._clipped(found.gradients, groups)
            _warn_of_no_epsilon((groups[node].optimizer, d.dtype) for node, d in gradients.items())
            counts = self._step_counts(graph, groups.values(), found.moves, result)
            shared = self._shared(graph, groups, {node: d.dtype for node, d in gradients.items()}, *counts)
            for parameter, gradient in gradients.items():
                group = groups[parameter]
                with place_of(parameter, place.scope):
                    before, copy = precise(parameter, gradient.dtype)
                    slots = Slots(before, shared[group, gradient.dtype], result, found.moves)
                    after = group.optimizer.advance(before, gradient, slots.scalars["rate"], slots)
                    after = _checked(f'what {kind}.advance returns for "{parameter.name}"', after, parameter)
                    self._set(parameter, copy, held(after, before, found.moves), result)
            self._store(graph, result, gradients)
        return result

    def _scope(self, graph: Graph) -> Provenance:
        """Return the scope of updates."""
        kind = type(self).__name__
        return graph.new_scope(kind.strip("_").lower() or "optimizer", numbered=True, kind=kind, phase="update")

    def _set(self, parameter: Node, copy: Node | None, after: Node, result: dict[Node, Node]) -> None:
        """Take a parameter's next value, and that of its copy in a longer dtype, if it has one."""
        if copy is not None:
            result[copy], self._precise[copy] = after, parameter
        result[parameter] = as_float(after, parameter.dtype)

    def _shared(
        self,
        graph: Graph,
        groups: Mapping[Node, Group],
        dtypes: Mapping[Node, Any],
        count: Node | None,
        number: Node | None,
    ) -> dict[tuple[Group, Any], dict[str, Node]]:
        """Return the scalars that the parameters of a group share, by group and dtype.

        They are made from the number of updates so far, and that of the present one, if the group needs these.
        """
        used: dict[Group, dict[Any, None]] = {}
        for node, dtype in dtypes.items():
            used.setdefault(groups[node], {})[dtype] = None
        usual = None if all(group.has_rate for group in used) else self._rate_node(graph, count)
        found = {}
        for group in used:
            with graph.new_scope(group.name, kind=GROUP) if group.name else nullcontext():
                rate = usual if usual is not None and not group.has_rate else group.optimizer._rate_node(graph, count)
                scalars = {"rate": rate}
                for name, scalar in group.optimizer.scalars(rate, number).items():
                    scalars[name] = _checked(f'what {type(self).__name__}.scalars returns as "{name}"', scalar, rate)
                for dtype in used[group]:
                    found[group, dtype] = {name: as_float(scalar, dtype) for name, scalar in scalars.items()}
        return found

    def _clipped(self, gradients: dict[Node, Node], groups: Mapping[Node, Group]) -> dict[Node, Node]:
        graph = next(iter(gradients)).graph
        bounds = {node: groups[node].optimizer.clip_value for node in gradients}
        if any(bound is not None for bound in bounds.values()):
            with graph.scope("clip_value"):
                gradients = _per_parameter(gradients, lambda node, d: _within(d, bounds[node]))
        if self.clip_norm is not None:
            with graph.scope("clip_norm"):
                squares = _per_parameter(gradients, lambda node, d: fn.sum(fn.square(d)))
                # As in PyTorch; because of the 1e-6, a gradient of zeros stays 0.
                factor = fn.minimum(self.clip_norm / (fn.sqrt(reduce(operator.add, squares.values())) + 1e-6), 1.0)
                gradients = _per_parameter(gradients, lambda node, d: d * as_float(factor, d.dtype))
        return gradients

    def _step_counts(
        self, graph: Graph, groups: Iterable[Group], moves: Node | None, result: dict[Node, Node]
    ) -> tuple[Node | None, Node | None]:
        """Return the number of updates so far, and the number of this one, each if an optimizer needs it."""
        optimizers = {group.optimizer for group in groups}
        counts = any(each.counts for each in optimizers)
        if not counts and all(each._rate is None or isinstance(each._rate, Node) for each in optimizers):
            return None, None
        count = graph.parameter("step", np.int64(0), trainable=False)
        number = count + 1
        result[count] = held(number, count, moves)
        return fn.cast(count, "float64"), fn.cast(number, "float64") if counts else None

    def _rate_node(self, graph: Graph, count: Node | None) -> Node:
        """Return the learning rate as a float64 scalar, so that it is rounded only once, when it is used."""
        made = self._rate
        if made is None:
            node = graph.parameter("learning_rate", np.float64(self._number), trainable=False)
            self._rates.append(node)
            return node
        if not isinstance(made, Node):
            with graph.scope("learning_rate"):
                made = made(count)
                if not isinstance(made, Node):
                    made = graph.constant(np.float64(self._setting("learning_rate", made, 0)))
        if made.graph is not graph:
            raise GraphError(f'the learning rate "{made.name}" is a node of "{made.graph.name}", not of "{graph.name}"')
        if made.shape != ():
            with fitting(type(self).__name__, [made]):
                raise ShapeError(f'a learning rate is a scalar, and "{made.name}" has shape {shown(made.shape)}')
        return as_float(made, "float64")

    def _store(self, graph: Graph, made: dict[Node, Node], chosen: Collection[Node]) -> None:
        """Enter updates in ``graph.updates``, and remove those of another optimizer for the same parameters."""
        updates = graph.updates
        kept = made.keys() - set(chosen) - self._precise.keys()
        self._first |= {each: compact(graph.state[each]) for each in kept}
        replaced = {p for p in chosen if p in updates}
        slots = [p for p in updates if p.phase == "update" and p.twin in replaced]
        updates.update(made)  # all at once: an interrupt leaves unused slots at worst
        for slot in slots:
            del updates[slot]
        if replaced:
            shared = {p for p in updates if p.phase == "update" and p.twin is None} - made.keys()
            kept = updates.keys() - shared
            while found := ancestors([updates[p] for p in kept]) & (shared - kept):
                kept |= found  # what the update of shared state reads is needed, too
            for parameter in shared - kept:
                del updates[parameter]

    def _setting(self, name: str, value: Any, lo: float, hi: float = math.inf, strictly: bool = False) -> float:
        """Return a setting as a float from `lo` up to, but not including, `hi`; strictly: not `lo` either."""
        return checked_number(f"{type(self).__name__}: {name}", value, lo, hi, strictly)


def _warn_of_no_epsilon(computed: Iterable[tuple[Optimizer, np.dtype[Any]]]) -> None:
    """Warn if an optimizer computes in a dtype in which its epsilon is 0."""
    for optimizer, dtype in computed:
        epsilon = getattr(optimizer, "epsilon", None)
        if isinstance(epsilon, float) and epsilon and not dtype.type(epsilon):
            message = (
                f"{type(optimizer).__name__}: epsilon={epsilon:g} is 0 in {dtype}, in which the updates are computed, "
                "and they divide by 0 where a gradient is small: updates(loss, loss_scale=nn.LossScale()) computes in "
                "float32"
            )
            warnings.warn_explicit(message, GraphnnWarning, *user_origin())
            return


def _per_parameter(gradients: dict[Node, Node], function: Callable[[Node, Node], Node]) -> dict[Node, Node]:
    """Return a function of each parameter and its gradient; the new nodes have the parameter as twin."""
    made = {}
    for parameter, gradient in gradients.items():
        with parameter.graph.in_scope(None, twin=parameter):
            made[parameter] = function(parameter, gradient)
    return made


def _checked(what: str, made: Any, like: Node) -> Node:
    """Return a node with the shape of another one; anything else is an error."""
    node = owned(like.graph, made, what)
    if node.spec.shape != like.spec.shape:
        raise ShapeError(f'{what} has shape {shown(like.shape)}; "{node.name}" has {shown(node.shape)}')
    return node


def _within(gradient: Node, bound: float | None) -> Node:
    return gradient if bound is None else fn.clip(gradient, -bound, bound)

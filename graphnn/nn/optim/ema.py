"""Averages of the parameters over the steps of a training run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.callables import check_takes
from ..._util.garbage_collection import collector_paused
from ..._util.hints import elsewhere
from ...compiler.compile import updating
from ...core import Array, Graph, Node, fn
from ...core.fetches import resolve
from ...core.graph_tables import checked_update
from ...errors import GraphError, UsageError
from ...runtime.state_updates import moves_of
from ..argument_validation import checked_flag, checked_number
from ..input_validation import as_float
from ..layers.layer_settings import check_has, settings_of, warn_if_late
from .loss_scale import widened
from .update_accumulation import held, place_of

if TYPE_CHECKING:
    from ..layers.layer import Layer


@elsewhere("ema", "an average")
class EMA:
    """An exponential moving average of the parameters, which often evaluates better than they do.

    ``ema.updates(updates)`` adds an average of each trained parameter to the updates of an optimizer,
    ``ema_1/dense_1/weight/average``, a parameter that is not trained. It changes whenever the parameter does, so not
    between the updates of an optimizer that accumulates gradients.

    Parameters
    ----------
    decay : float or callable
        The share of the average that each update keeps. A callable takes the node of the number of updates so far and
        returns the share: ``lambda n: n / (n + 1.0)`` gives the mean of all updates, as stochastic weight averaging.
    warmup : bool
        Whether early updates have more weight: of the average, update n keeps at most ``(1 + n) / (10 + n)``, n from
        0. The average begins at the parameters as they are. By default, it begins at their first update.
    bias_correction : bool
        Whether the average is that of Adam's moments: one that begins at 0, divided by ``1 - decay**n``. So the first
        update does not get more than its own weight.
    for_evaluation : bool
        Whether validation in `nn.fit`, `nn.evaluate` and ``gn.replace(fetches, graph.evaluation)`` use the averages.

    Attributes
    ----------
    averages : dict of Node to Node
        {parameter: node of its average}. ``gn.replace(fetches, ema.averages)`` is a network with the averages.

    Notes
    -----
    B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim. 30
    (1992). Running statistics, as of batch norm, are not averaged.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", 8.0)
    >>> ema = nn.EMA(0.5)
    >>> step = gn.compile(w, ema.updates(nn.SGD(0.25).updates(w * w)))
    >>> [float(step()) for _ in range(3)], float(w.value)
    ([8.0, 4.0, 2.0], 1.0)
    >>> with ema.applied():
    ...     float(w.value)  # ((4 + 2) / 2 + 1) / 2
    2.0
    """

    def __init__(
        self,
        decay: float | Callable[[Node], Any] = 0.999,
        *,
        warmup: bool = False,
        bias_correction: bool = False,
        for_evaluation: bool = False,
    ) -> None:
        if callable(decay):
            check_takes("EMA: decay", decay, "the number of updates")
        self.decay = decay if callable(decay) else checked_number("EMA: decay", decay, 0, 1)
        self.warmup = checked_flag("EMA: warmup", warmup)
        self.bias_correction = checked_flag("EMA: bias_correction", bias_correction)
        self.for_evaluation = checked_flag("EMA: for_evaluation", for_evaluation)
        if self.warmup + self.bias_correction + callable(decay) > 1:
            raise UsageError("EMA: warmup, bias_correction and a decay that changes are three ways to begin: use one")
        self.averages: dict[Node, Node] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Warn of a setting that is changed after `updates`: nodes that were made keep theirs.

        Raises
        ------
        AttributeError
            When the class is one of graphnn's and has no such attribute.
        """
        if name not in vars(self):
            check_has(self, name, "ema")
        elif vars(self).get("averages") and name in settings_of(type(self)):
            warn_if_late(self, name, value, "updates(…)")
        super().__setattr__(name, value)

    def updates(self, updates: Mapping[Any, Node]) -> dict[Node, Node]:
        """Return updates with those of the averages.

        Parameters
        ----------
        updates : dict of Node to Node
            As ``optimizer.updates(loss)`` returns them. All trainable parameters in it get an average.

        Returns
        -------
        dict of Node to Node
            The updates of the averages are also entered in ``graph.updates``.

        Raises
        ------
        UsageError
            When no trainable parameter is updated.
        GraphError
            When it averages parameters of another graph already.
        """
        if not isinstance(updates, Mapping) or not updates:
            raise UsageError("EMA: updates takes {parameter: node of its next value}, as optimizer.updates(loss)")
        graph: Graph = resolve(list(updates), others=updates.values())[0]
        if self.averages and (other := next(iter(self.averages)).graph) is not graph:
            raise GraphError(f'this EMA averages parameters of "{other.name}": make another one for "{graph.name}"')
        result = dict(checked_update(graph, parameter, node) for parameter, node in updates.items())
        trained = {parameter: node for parameter, node in result.items() if parameter.trainable}
        if not trained:
            raise UsageError("EMA: the updates are of no trainable parameter, so there is nothing to average")
        own: dict[Node, Node] = {}
        averages = {}
        scope = graph.new_scope("ema", numbered=True, kind="EMA", phase="update")
        with graph.building, collector_paused(), scope as place:
            root = place.scope
            assert root is not None
            shares: dict[Node | None, Node] = {}
            for parameter, following in trained.items():
                moves = moves_of(parameter, following)
                if moves not in shares:
                    shares[moves] = self._kept(graph, moves, own)
                with place_of(parameter, root):
                    begin = widened(parameter).dtype
                    average = graph.parameter("average", np.asarray(parameter.value, begin), trainable=False)
                    after = widened(following)
                    moved = after + (average - after) * as_float(shares[moves], begin)
                    own[average] = held(moved, average, moves)
                    averages[parameter] = as_float(average, parameter.dtype)
            graph.updates.update(own)
            if self.for_evaluation:
                graph.evaluation.update(averages)
        self.averages |= averages
        return {**result, **own}

    def _kept(self, graph: Graph, moves: Node | None, own: dict[Node, Node]) -> Node:
        """Return the share of an average that the next update keeps, a float64 scalar."""
        decay = self.decay
        with graph.new_scope("decay"):
            step = graph.parameter("step", np.int64(0), trainable=False)
            own[step] = held(step + 1, step, moves)
            count = fn.cast(step, "float64")
            if callable(decay):
                made = decay(count)
                if isinstance(made, Node):
                    return as_float(made, "float64")
                return graph.constant(np.float64(checked_number("EMA: what decay returns", made, 0, 1)))
            if self.warmup:
                return fn.minimum((count + 1.0) / (count + 10.0), decay)
            if self.bias_correction:
                return 1.0 - (1.0 - decay) / (1.0 - decay ** (count + 1.0))
            return fn.where(fn.equal(step, 0), 0.0, graph.constant(np.float64(decay)))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Return a context manager: inside its ``with`` block, the parameters have the values of their averages.

        Evaluate inside it; training there would be lost at its end, when the parameters get their values back.
        """
        if not self.averages:
            raise UsageError("EMA: there are no averages yet: ema.updates(optimizer.updates(loss)) makes them")
        graph = next(iter(self.averages)).graph
        with updating(graph):
            before = {parameter: graph.state[parameter] for parameter in self.averages}
            averages = {parameter: _value(average) for parameter, average in self.averages.items()}
            try:
                graph.state.update(averages)
                yield
            finally:
                graph.state.update(before)

    def state_dict(self, layer: Layer) -> dict[str, Array]:
        """Return the values of a layer with the averages, as ``layer.state_dict()`` returns those of its parameters.

        Parameters
        ----------
        layer : Layer

        Returns
        -------
        dict of str to array
            ``layer.load_state_dict(ema.state_dict(layer))`` makes the averages the values of the parameters.
        """
        with self.applied():
            return layer.state_dict()


def _value(average: Node) -> Array:
    """Return the value of an average, in the dtype of its parameter."""
    stored = average if average.has_value else average.inputs[0]
    return np.asarray(stored.value, average.dtype)

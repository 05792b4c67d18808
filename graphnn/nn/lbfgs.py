"""L-BFGS: directions from the last changes of the gradient, and a line search along them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from ..autograd import grad
from ..errors import UsageError
from ..graph import Graph, Node, fn
from ..graph.attributes import whole
from ..graph.collector import collector_paused
from ..graph.fetches import ancestors
from .accumulation import place_of
from .checks import check_choice
from .groups import asked_for
from .line_search import BRACKETING, START, Search, point_of, strong_wolfe
from .operands import as_float
from .optimizer import Optimizer, Rate
from .state import compact

_LEAST_CURVATURE = 1e-10


class LBFGS(Optimizer):
    """L-BFGS: a quasi-Newton method for losses without noise, of all rows at once.

    Parameters
    ----------
    learning_rate : float, Node or callable
        How far a step goes along its direction; with a line search, how far the first point of a search is.
    history_size : int
        How many changes of parameters and gradients are kept; each takes twice the memory of the parameters.
    line_search : {None, "strong_wolfe"}
        None: each step moves the parameters. "strong_wolfe": each step evaluates the loss at one more point of a
        search, and moves the parameters when one is good enough; until then they stay at the last good point.
    tolerance_gradient : float
        If no element of the gradient is larger, nothing moves any more.
    tolerance_change : float
        If the slope along a direction is not below minus this, nothing moves; a search also ends if the points
        between which it looks are closer.
    most_tries : int
        How many further points a search may evaluate.

    Notes
    -----
    D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming 45
    (1989), 503-528. The figures are those of PyTorch's LBFGS with ``max_iter=1``. There is no loop in the graph: a
    line search is a state that the steps move on, in nodes under ``lbfgs_1``. So a step costs one gradient, plus the
    loss if it is fetched, which is that of the parameters as they stand. What the two loops over the history compute
    is computed by two systems of equations of `history_size` unknowns.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", [-1.2, 1.0])
    >>> loss = 100.0 * gn.square(w[1] - gn.square(w[0])) + gn.square(1.0 - w[0])
    >>> step = gn.compile(loss, nn.LBFGS(line_search="strong_wolfe").updates(loss))
    >>> for _ in range(50):
    ...     _ = step()
    >>> w.value.round(3)
    array([1., 1.])
    """

    def __init__(
        self,
        learning_rate: Rate = 1.0,
        history_size: int = 10,
        line_search: str | None = None,
        tolerance_gradient: float = 1e-7,
        tolerance_change: float = 1e-9,
        most_tries: int = 25,
    ) -> None:
        super().__init__(learning_rate)
        self.history_size = whole("LBFGS: history_size", history_size, 1)
        check_choice("LBFGS", "line_search", line_search, (None, "strong_wolfe"))
        self.line_search = line_search
        self.tolerance_gradient = self._setting("tolerance_gradient", tolerance_gradient, 0)
        self.tolerance_change = self._setting("tolerance_change", tolerance_change, 0)
        self.most_tries = whole("LBFGS: most_tries", most_tries, 1)

    def updates(
        self,
        loss: Node | None = None,
        parameters: Iterable[Node | str] | Node | None = None,
        *,
        gradients: Mapping[Any, Node] | None = None,
        groups: Iterable[Mapping[str, Any]] = (),
        accumulate: int = 1,
        loss_scale: Any = None,
    ) -> dict[Node, Node]:
        """Return the node of the next value of every parameter, as `Optimizer.updates` does.

        Parameters
        ----------
        loss : Node
            A scalar.
        parameters : iterable of Node or str, optional
            By default, all trainable parameters that the loss depends on.
        gradients, groups, accumulate, loss_scale
            Not for this optimizer, whose direction and search are those of one loss in all parameters.

        Returns
        -------
        dict of Node to Node
            Includes the state of the optimizer.

        Raises
        ------
        ShapeError, DtypeError
            When the loss is not a scalar, or not a float.
        UsageError
            When there is nothing to train, or one of the other arguments is given.
        """
        others = {
            "gradients": gradients is not None,
            "groups": bool(groups),
            "loss_scale": loss_scale is not None,
            "accumulate": accumulate != 1,
        }
        for name, is_given in others.items():
            if is_given:
                why = "whose direction and search are those of one loss in all parameters"
                raise UsageError(f"{name}= is not for LBFGS, {why}")
        chosen, _ = asked_for(loss, parameters, None, [])
        assert loss is not None, "asked_for has refused that"
        graph, flat = loss.graph, _Flat(chosen)
        slopes = grad(loss, chosen) if self.line_search is None else []
        result: dict[Node, Node] = {}
        kind = type(self).__name__
        scope = graph.new_scope(kind.strip("_").lower(), numbered=True, kind=kind, phase="update")
        with graph.building, collector_paused(), scope as place:
            assert place.scope is not None
            rate = as_float(self._rate_node(graph, self._step_counts(graph, [self], None, result)[0]), flat.dtype)
            state = _State(graph, flat, result)
            move = self._stepped(state, flat.joined(slopes), rate) if slopes else self._searched(state, loss, rate)
            for i, parameter in enumerate(chosen):
                with place_of(parameter, place.scope):
                    result[parameter] = parameter + flat.part(move, i)
            self._store_updates(graph, result, chosen)
            self._first |= {kept: compact(graph.state[kept]) for kept in result.keys() - set(chosen)}
        return result

    def _stepped(self, state: _State, gradient: Node, rate: Node) -> Node:
        """Return by how much the parameters move without a line search."""
        moves = fn.greater(fn.max(abs(gradient)), self.tolerance_gradient)
        before, last = state.zeros("gradient"), state.zeros("move")
        direction, far, slope = self._turned(state, gradient, last, gradient - before, rate, moves)
        goes = fn.logical_and(moves, fn.less_equal(slope, -self.tolerance_change))
        move = fn.where(goes, direction * far, 0)
        state.set(before, fn.where(moves, gradient, before))
        return state.set(last, fn.where(moves, move, last))

    def _searched(self, state: _State, loss: Node, rate: Node) -> Node:
        """Return by how much the parameters move with a line search, whose state goes on."""
        flat, size = state.flat, state.flat.size
        direction = state.zeros("direction")
        start, bracket = state.zeros("start", (size + 3,)), state.zeros("bracket", (2, size + 3))
        length = state.zeros("length", ())
        phase, tries, stuck = state.whole("phase", START), state.whole("tries"), state.whole("stuck", False)
        found, slopes = _tried(loss, flat, direction * length)
        gradient = flat.joined(slopes)
        found = as_float(found, flat.dtype)
        found = fn.where(fn.isnan(found), np.inf, found)  # so that a search turns back
        new = point_of(length, found, fn.sum(gradient * direction), gradient)
        at = Search(phase, tries, stuck, start, bracket, length)
        with state.graph.scope("search"):
            size_of = fn.max(abs(direction))
            done, taken, going = strong_wolfe(at, new, size_of, self.most_tries, self.tolerance_change)
        best = taken[3:]
        move = direction * taken[0]
        turned, far, slope = self._turned(state, best, move, best - start[3:], rate, done)
        steep = fn.less_equal(slope, -self.tolerance_change)
        moves = fn.logical_and(fn.greater(fn.max(abs(best)), self.tolerance_gradient), steep)
        begin = point_of(fn.zeros_like(far), taken[1], slope, best)
        state.set(direction, fn.where(done, fn.where(moves, turned, 0), direction))
        state.set(length, fn.where(done, fn.where(moves, far, 0), going.length))
        state.set(phase, fn.where(done, fn.where(moves, BRACKETING, START), going.phase))
        state.set(tries, fn.where(done, 0, going.tries))
        state.set(stuck, fn.logical_and(going.stuck, fn.logical_not(done)))
        state.set(start, fn.where(done, begin, start))
        state.set(bracket, fn.where(done, begin, going.bracket))
        return fn.where(done, move, 0)

    def _turned(
        self, state: _State, gradient: Node, move: Node, change: Node, rate: Node, turns: Node
    ) -> tuple[Node, Node, Node]:
        """Return the next direction, how far to go first, and the slope; where it `turns`, the history is moved on."""
        with state.graph.scope("history"):
            direction = _direction(state, gradient, move, change, turns, self.history_size)
            count = state.whole("iteration")
            state.set(count, count + fn.cast(turns, "int64"))
            careful = 1.0 / fn.maximum(fn.sum(abs(gradient)), 1.0)
            far = fn.where(fn.equal(count, 0), careful, 1) * rate
            return direction, far, fn.sum(gradient * direction)


def _direction(state: _State, gradient: Node, move: Node, change: Node, turns: Node, kept: int) -> Node:
    """Return minus the gradient, times the inverse of the approximate Hessian.

    With the last moves s as rows of S and the changes of the gradient y as rows of Y, and R the upper triangle of S Yᵀ
    with the diagonal D, the loops over the history solve R a = -S d and Rᵀ c = D a - Y r, where r = h (-d - Yᵀ a).
    """
    size = state.flat.size
    moves, changes = state.zeros("moves", (kept, size)), state.zeros("changes", (kept, size))
    products = state.made("products", np.eye(kept, dtype=state.flat.dtype))
    scale = state.made("scale", np.ones((), state.flat.dtype))
    curvature = fn.sum(move * change)
    learns = fn.logical_and(turns, fn.greater(curvature, _LEAST_CURVATURE))
    all_moves = state.set(moves, fn.where(learns, _appended(moves, move), moves))
    all_changes = state.set(changes, fn.where(learns, _appended(changes, change), changes))
    column = fn.expand_dims(_appended(moves, move) @ change, -1)
    moved_up = fn.concatenate([fn.pad(products[1:, 1:], ((0, 1), (0, 0))), column], axis=1)
    upper = state.set(products, fn.where(learns, moved_up, products))
    h = state.set(scale, fn.where(learns, curvature / fn.where(learns, fn.sum(fn.square(change)), 1), scale))
    a = fn.solve(upper, -(all_moves @ gradient))
    r = h * (-gradient - a @ all_changes)
    c = fn.solve(upper.T, fn.diagonal(upper) * a - all_changes @ r)
    return r + c @ all_moves


def _appended(rows: Node, row: Node) -> Node:
    """Return rows without the first, and with another at the end."""
    return fn.concatenate([rows[1:], fn.expand_dims(row, 0)])


def _tried(loss: Node, flat: _Flat, move: Node) -> tuple[Node, list[Node]]:
    """Return the loss where the parameters are moved, and its gradients there."""
    with loss.graph.scope("trial"):
        copies = {}
        for i, parameter in enumerate(flat.parameters):
            with loss.graph.in_scope(None, twin=parameter):
                copies[parameter] = parameter + flat.part(move, i)
        moved = list(copies.values())
        for node in sorted(ancestors([loss]), key=lambda node: node.index):
            if not copies.keys().isdisjoint(node.inputs):
                with loss.graph.in_scope(None, twin=node):
                    copies[node] = node.op(*[copies.get(operand, operand) for operand in node.inputs])
    return copies[loss], grad(copies[loss], moved)


class _State:
    """What the optimizer keeps from step to step, as parameters that are not trained."""

    def __init__(self, graph: Graph, flat: _Flat, result: dict[Node, Node]) -> None:
        self.graph, self.flat, self._result = graph, flat, result

    def made(self, name: str, first: Any) -> Node:
        """Make a parameter with its first value."""
        return self.graph.parameter(name, first, trainable=False)

    def zeros(self, name: str, shape: tuple[int, ...] | None = None) -> Node:
        """Make one of zeros, by default as many as the parameters have elements."""
        return self.made(name, np.zeros((self.flat.size,) if shape is None else shape, self.flat.dtype))

    def whole(self, name: str, first: int = 0) -> Node:
        """Make an integer, or a bool."""
        return self.made(name, np.asarray(first, np.bool_ if isinstance(first, bool) else np.int64))

    def set(self, kept: Node, following: Node) -> Node:
        """Set the node of the next value, and return it."""
        self._result[kept] = following
        return following


class _Flat:
    """Some parameters as one vector."""

    def __init__(self, parameters: list[Node]) -> None:
        self.parameters = parameters
        self.dtype = np.result_type(*[node.dtype for node in parameters])
        self.ends = list(accumulate(prod(node.value.shape) for node in parameters))

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.ends[-1]

    def joined(self, nodes: Iterable[Node]) -> Node:
        """Return values of the shapes of the parameters as one vector."""
        return fn.concatenate([as_float(fn.reshape(node, (-1,)), self.dtype) for node in nodes])

    def part(self, vector: Node, i: int) -> Node:
        """Return the part of a vector that belongs to a parameter, in its shape and dtype."""
        parameter, first = self.parameters[i], [0, *self.ends][i]
        return as_float(fn.reshape(vector[first : self.ends[i]], parameter.shape), parameter.dtype)

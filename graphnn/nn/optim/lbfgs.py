"""L-BFGS: directions from the last changes of the gradient, and a line search along them."""

from __future__ import annotations

from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.garbage_collection import collector_paused
from ..._util.hints import elsewhere
from ...autodiff.grad import grad
from ...core import Node, fn, is_float
from ...core.attributes import whole
from ...core.symbolic_shapes import shown
from ...errors import DtypeError, MemoryBudgetError, ShapeError, UsageError
from ...runtime.feed import memory_budget
from ..argument_validation import check_choice
from ..input_validation import as_float
from ..metrics.metric_sums import computed_from
from .accumulated_gradients import Asked, Slopes
from .line_search import BRACKETING, START, Search, point_of, strong_wolfe
from .optimizer import Optimizer, Rate
from .update_accumulation import held, place_of, precise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...core import Graph, Provenance, Scope
    from .parameter_groups import Group

_LEAST_CURVATURE = 1e-10


@elsewhere("lbfgs", "the optimizer {}")
class LBFGS(Optimizer):
    """L-BFGS: a quasi-Newton method for losses without noise, of all rows at once.

    Parameters
    ----------
    learning_rate : float, Node or callable
        How far a step goes along its direction; with a line search, how far the first point of a search is.
    history_size : int
        How many changes of parameters and gradients are kept; each takes twice the memory of the parameters.
    line_search : {None, "strong_wolfe"}
        None: each step changes the parameters. "strong_wolfe": each step evaluates the loss at one more point of a
        search, and changes the parameters when one is good enough; until then they stay at the last good point.
    tolerance_gradient : float
        If no element of the gradient is larger, nothing changes any more.
    tolerance_change : float
        If the slope along a direction is not below minus this, nothing changes; a search also ends if the points
        between which it looks are closer.
    max_evaluations : int
        How many further points a search may evaluate.

    Notes
    -----
    Without a line search, groups may have learning rates of their own, and gradients may be given instead of a loss.
    `accumulate` adds up the loss and its gradient at one point over several steps; so small batches that come again in
    the same order do what a large one does. A decay of the parameters is part of the loss, whose points are compared:
    ``loss + nn.l2(parameters, 0.01)``.

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
        max_evaluations: int = 25,
    ) -> None:
        super().__init__(learning_rate)
        self.history_size = whole("LBFGS: history_size", history_size, 1)
        check_choice("LBFGS", "line_search", line_search, (None, "strong_wolfe"))
        self.line_search = line_search
        self.tolerance_gradient = self._setting("tolerance_gradient", tolerance_gradient, 0)
        self.tolerance_change = self._setting("tolerance_change", tolerance_change, 0)
        self.max_evaluations = whole("LBFGS: max_evaluations", max_evaluations, 1)

    @property
    def for_all(self) -> dict[str, str]:
        shared = ["history_size", "line_search", "tolerance_gradient", "tolerance_change", "max_evaluations"]
        shared += ["learning_rate"] if self.line_search is not None else []
        found = dict.fromkeys(shared, "all groups share one direction and one search. Set it for the optimizer")
        return {**found, "weight_decay": "a decay is part of the loss that is compared: nn.l2(parameters, 0.01)"}

    def _made(self, asked: Asked, groups: Mapping[Node, Group]) -> dict[Node, Node]:
        searches = self.line_search is not None
        if searches and asked.loss is None:
            raise UsageError(
                "gradients= is not enough for the line search of LBFGS, which compares the loss at several points: "
                "give the loss, or leave out line_search="
            )
        if searches and asked.loss is not None and (asked.loss.shape != () or not is_float(asked.loss.dtype)):
            grad(asked.loss, list(groups))  # raises the error of such a loss
        graph, result = next(iter(groups)).graph, dict[Node, Node]()
        flat = _Flat(list(groups), asked)
        self._check_memory(graph, flat)
        slopes = None if searches else Slopes(asked, {parameter: parameter for parameter in groups})
        with graph.building, collector_paused(), self._scope(graph) as place:
            assert place.scope is not None
            flat.begin(place.scope)
            state = _State(graph, flat, result)
            number = fn.cast(state.iteration, "float64")
            shared = self._shared(graph, groups, dict.fromkeys(groups, flat.dtype), number, None)
            rates = [shared[group, flat.dtype]["rate"] for group in groups.values()]
            if slopes is None:
                after = self._searched(state, asked, rates[0])
            else:
                found = slopes.moved(result)
                state.moves = found.moves
                after = self._stepped(state, flat.joined(found.gradients.values()), flat.spread(rates))
            for i, (parameter, following) in enumerate(zip(groups, after, strict=True)):
                with flat.place(i):
                    self._set(parameter, flat.copies[i], following, result)
            self._store(graph, result, groups)
        return result

    def _check_memory(self, graph: Graph, flat: _Flat) -> None:
        """Refuse a history that does not fit into memory."""
        needed = self.history_size * (2 * flat.size + self.history_size) * flat.dtype.itemsize
        budget = memory_budget(graph)
        if needed > budget:
            raise MemoryBudgetError(
                f"LBFGS: history_size={self.history_size} of {flat.size:,} elements would take {needed:,} bytes; the "
                f"budget is {budget:,.0f}. Nothing was made; graph.memory_budget sets another budget"
            )

    def _stepped(self, state: _State, gradient: Node, rates: Node) -> list[Node]:
        """Return where the parameters go without a line search."""
        moves = fn.greater(fn.max(abs(gradient)), self.tolerance_gradient)
        before, last = state.zeros("gradient"), state.zeros("move")
        direction, far, slope = self._turned(state, gradient, last, gradient - before, moves)
        goes = fn.logical_and(moves, fn.less_equal(slope, -self.tolerance_change))
        move = fn.where(goes, direction * (far * rates), 0)
        state.set(before, fn.where(moves, gradient, before))
        state.set(last, fn.where(moves, move, last))
        return state.flat.moved(move, state.moves)

    def _searched(self, state: _State, asked: Asked, rate: Node) -> list[Node]:
        """Return where the parameters go with a line search, whose state goes on."""
        flat, size = state.flat, state.flat.size
        direction, at = state.zeros("direction"), state.zeros("at")
        start, bracket = state.zeros("start", (size + 3,)), state.zeros("bracket", (2, size + 3))
        length = state.zeros("length", ())
        phase, tries, stuck = state.whole("phase", START), state.whole("tries"), state.whole("stuck", False)
        # A search begins anew if somebody has set a parameter since the last step.
        is_there = fn.all(fn.equal(flat.joined(flat.before), at))
        stage, tried = fn.where(is_there, phase, START), fn.where(is_there, length, 0)
        found, gradient = _tried(state, asked, direction * tried)
        slope = fn.sum(gradient * direction)
        found = fn.where(fn.isfinite(slope), fn.where(fn.isnan(found), np.inf, found), np.inf)  # then it turns back
        new = point_of(tried, found, slope, gradient)
        search = Search(stage, tries, stuck, start, bracket, tried)
        with state.graph.scope("search"):
            size_of = fn.max(abs(direction))
            done, taken, going = strong_wolfe(search, new, size_of, self.max_evaluations, self.tolerance_change)
        best, begins = taken[3:], fn.equal(stage, START)
        move = direction * taken[0]
        turned, far, slope = self._turned(state, best, move, best - start[3:], done)
        steep = fn.logical_and(fn.greater(fn.max(abs(best)), self.tolerance_gradient), slope <= -self.tolerance_change)
        # Where a search has found nothing, the loss may be another one by now: the next step evaluates it again.
        goes = fn.logical_and(steep, fn.logical_or(begins, taken[0] > 0))
        first = far * rate
        begin = point_of(fn.zeros_like(first), taken[1], slope, best)
        state.set(direction, fn.where(done, fn.where(goes, turned, 0), direction))
        state.set(length, fn.where(done, fn.where(goes, first, 0), going.length))
        state.set(phase, fn.where(done, fn.where(goes, BRACKETING, START), going.phase))
        state.set(tries, fn.where(done, 0, going.tries))
        state.set(stuck, fn.logical_and(going.stuck, fn.logical_not(done)))
        state.set(start, fn.where(done, begin, start))
        state.set(bracket, fn.where(done, begin, going.bracket))
        ends = fn.logical_and(done, fn.logical_not(begins))
        after = flat.moved(move, ends if state.moves is None else fn.logical_and(ends, state.moves))
        state.set(at, flat.joined(after))
        return after

    def _turned(self, state: _State, gradient: Node, move: Node, change: Node, turns: Node) -> tuple[Node, Node, Node]:
        """Return the next direction, how far to go first, and the slope; where it `turns`, the history is moved on."""
        count = state.iteration
        with state.graph.scope("history"):
            direction = _direction(state, gradient, move, change, turns, self.history_size)
            state.set(count, count + fn.cast(turns, "int64"))
            careful = 1.0 / fn.maximum(fn.sum(abs(gradient)), 1.0)
            return direction, fn.where(fn.equal(count, 0), careful, 1), fn.sum(gradient * direction)


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


def _tried(state: _State, asked: Asked, move: Node) -> tuple[Node, Node]:
    """Return the loss where the parameters are moved, and its gradient there."""
    flat, loss = state.flat, asked.loss
    assert loss is not None
    points = {}
    with state.graph.scope("trial"):
        for i, parameter in enumerate(flat.parameters):
            with state.graph.in_scope(None, twin=parameter):
                points[parameter] = as_float(flat.before[i] + flat.part(move, i), parameter.dtype)
        moved = computed_from(loss, points)
        slopes = Slopes(asked._replace(loss=moved), points)
    found = slopes.moved(state.result, wants_loss=True)
    state.moves = found.moves
    assert found.loss is not None
    return as_float(found.loss, flat.dtype), flat.joined(found.gradients.values())


class _State:
    """What the optimizer keeps from step to step, as parameters that are not trained.

    Attributes
    ----------
    moves : Node or None
        Whether a step moves anything; None: always.
    iteration : Node
        How many directions there were.
    """

    moves: Node | None = None

    def __init__(self, graph: Graph, flat: _Flat, result: dict[Node, Node]) -> None:
        self.graph, self.flat, self.result = graph, flat, result
        self.iteration = self.whole("iteration")

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
        """Set the node of the next value in steps that move, and return it."""
        self.result[kept] = held(following, kept, self.moves)
        return following


class _Flat:
    """Some parameters as one vector.

    Attributes
    ----------
    parameters : list of Node
    dtype : dtype
        That of the vector.
    before : list of Node
        The values of the parameters in the dtypes in which they are moved.
    copies : list of Node or None
        The parameters that keep what rounding takes away.
    """

    def __init__(self, parameters: list[Node], asked: Asked) -> None:
        self.parameters = parameters
        self._dtypes = [asked.dtype_of(node) for node in parameters]
        self.dtype = np.result_type(*self._dtypes)
        self._ends = list(accumulate((prod(node.value.shape) for node in parameters), initial=0))
        first = parameters[0]
        if self.size == 0:
            raise ShapeError(f'LBFGS: there is nothing to change: "{first.name}" has shape {shown(first.shape)}')
        if self.dtype == np.float16:
            raise DtypeError(
                f'LBFGS cannot solve its equations in float16, the dtype of "{first.name}": give '
                'loss_scale=nn.LossScale(), and it computes in float32; or train in float32, gn.Graph(dtype="float32")'
            )
        self.before: list[Node] = []
        self.copies: list[Node | None] = []
        self._paths: list[str] = []

    def begin(self, root: Scope) -> None:
        """Make the copies that are needed, in the scope of the updates."""
        for parameter, dtype in zip(self.parameters, self._dtypes, strict=True):
            with place_of(parameter, root) as place:
                before, copy = precise(parameter, dtype)
                assert place.scope is not None
                self._paths.append(place.scope.path)
            self.before.append(before)
            self.copies.append(copy)

    def place(self, i: int) -> Provenance:
        """Return the scope for what is made for a parameter."""
        parameter = self.parameters[i]
        return parameter.graph.in_scope(self._paths[i], twin=parameter)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._ends[-1]

    def joined(self, nodes: Iterable[Node]) -> Node:
        """Return values of the shapes of the parameters as one vector."""
        return fn.concatenate([as_float(fn.reshape(node, (-1,)), self.dtype) for node in nodes])

    def spread(self, numbers: Sequence[Node]) -> Node:
        """Return a number for each parameter as a vector; if it is the same for all, as a number."""
        if len(set(numbers)) == 1:
            return numbers[0]
        return self.joined(
            fn.broadcast_to(number, node.shape) for number, node in zip(numbers, self.parameters, strict=True)
        )

    def part(self, vector: Node, i: int) -> Node:
        """Return the part of a vector that belongs to a parameter, in its shape and the dtype in which it is moved."""
        part = fn.reshape(vector[self._ends[i] : self._ends[i + 1]], self.parameters[i].shape)
        return as_float(part, self._dtypes[i])

    def moved(self, move: Node, moves: Node | None) -> list[Node]:
        """Return the parameters moved by a vector, in steps that move."""
        found = []
        for i, before in enumerate(self.before):
            with self.place(i):
                found.append(held(before + self.part(move, i), before, moves))
        return found

"""Random loops: a step function drawn by numbers, given to `gn.scan`, and the same iterations written out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from everywhere import PLANS
from random_mixed import WAYS, fed, laid
from test_plan_conformance import differences

import graphnn as gn

Array = np.ndarray[Any, np.dtype[Any]]
Spec = tuple[tuple[Any, ...], str]

K = 3
FACTOR, BITS = 0x1E3779B97F4A7C15, 2**62 - 1
"""How the counter of random numbers and the iteration become one number."""

_UNARY = (gn.tanh, gn.sigmoid, gn.sin, gn.softplus, gn.absolute, gn.relu, gn.gelu, gn.erf, gn.negative, gn.cos)
_BINARY = (gn.add, gn.subtract, gn.multiply, gn.maximum, gn.minimum)
_COMPARING = (gn.less, gn.greater_equal, gn.equal, gn.not_equal)
_REDUCING = (gn.sum, gn.mean, gn.max, gn.logsumexp, gn.min, gn.var)


def mixed(counter: gn.Node, row: int) -> gn.Node:
    """Return the counter that the random numbers of an iteration have."""
    return gn.bitwise_and(counter * FACTOR + (row + 1), BITS)


class Settings(NamedTuple):
    """How a loop is made."""

    reverse: bool
    recompute: bool | int
    masked: int
    """How many axes the mask has; 0 for none."""


class Step:
    """A step function: what it writes depends on its seed, and on the specs of what it is given.

    Attributes
    ----------
    counter : Node
        Of its random numbers; who writes the iterations out sets it for each.
    writes_out : bool
        Whether loops inside are written out, too.
    """

    def __init__(self, seed: Sequence[int], outer: Sequence[gn.Node], specs: Sequence[Spec], depth: int = 0) -> None:
        self.seed, self.outer, self.specs, self.depth = seed, list(outer), specs, depth
        self.counter: gn.Node = outer[0]
        self.writes_out = False

    def __call__(self, state: Any, rows: Any = ()) -> tuple[Any, Any]:
        """Return the next state, and the results."""
        rng = np.random.default_rng(self.seed)
        states = gn.core.flatten(state)[0]
        self.states = [node for node in states if node.dtype.kind == "f"]
        self.pool = [*states, *gn.core.flatten(rows)[0]]
        self.fresh = len(self.pool)
        self.pool += [node for node in self.outer[1:] if rng.random() < 0.6]
        for _ in range(int(rng.integers(1, 9 if not self.depth else 5))):
            count = len(self.counter.graph)
            try:
                node = self._write(rng)
            except gn.GraphnnError:
                continue
            if not any(made.spec.constraints for made in list(self.counter.graph)[count:]):  # sizes that differ
                self.pool.append(node)
        following = [self._next(rng, node, spec) for node, spec in zip(states, self.specs, strict=True)]
        results = [self._one(rng) for _ in range(int(rng.integers(0, 4)))]
        if results and rng.random() < 0.15:
            results.append([following[0], states[0], self.outer[-1]][rng.integers(3)])
        if self.batched:
            results = [self._fitted(node, self.batched) for node in results]
        return gn.core.flatten(state)[1](following), _formed(rng, results)

    batched: tuple[Any, ...] = ()
    """The shape that all results have, if a mask wants a batch."""

    def _next(self, rng: np.random.Generator, state: gn.Node, spec: Spec) -> gn.Node:
        """Return the next value of a state."""
        shape, dtype = spec
        draw = rng.random()
        same = [node for node in self.pool if (node.shape, node.dtype.name) == spec]
        if draw < 0.2 and same:
            return same[rng.integers(len(same))]
        node = self._fitted(self.pool[-1 - int(rng.integers(min(4, len(self.pool))))], shape)
        if dtype == "bool":
            return node if node.dtype == bool else gn.greater(node, 0)
        if dtype.startswith("i"):
            if node.dtype.kind == "f":
                node = gn.sign(node)
            return gn.cast(gn.remainder(gn.cast(node, "int64") + 1 + gn.cast(state, "int64"), 5), dtype)
        node = gn.cast(node, dtype)
        if draw < 0.4:
            return 0.5 * state + 0.1 * gn.tanh(node)
        return gn.tanh(node) if draw < 0.9 else node * 0.5

    def _fitted(self, node: gn.Node, shape: tuple[Any, ...]) -> gn.Node:
        """Return a node of a shape, made of another."""
        if node.shape == shape:
            return node
        if node.ndim and shape and node.shape[-1] == shape[-1]:
            node = gn.sum(node, axis=tuple(range(node.ndim - 1)))
        elif node.ndim and shape and node.shape[0] == shape[0]:
            node = gn.sum(node, axis=tuple(range(1, node.ndim)), keepdims=True)
            node = gn.reshape(node, (shape[0], *[1] * (len(shape) - 1)))
        else:
            node = gn.sum(node)
        return gn.broadcast_to(node, shape)

    def _one(self, rng: np.random.Generator, kinds: str = "fib") -> gn.Node:
        """Return a node, more often than not a late one; of other kinds, one of its values."""
        there = self.pool[-4:] if rng.random() < 0.6 else self.pool
        node = there[rng.integers(len(there))]
        return node if node.dtype.kind in kinds else gn.cast(node, "float64")

    def _write(self, rng: np.random.Generator) -> gn.Node:
        """Return a node of an operation that is drawn."""
        way = int(rng.integers(0, 26))
        x = self._one(rng, "f" if way < 15 else "fib")
        if self.depth and rng.random() < 0.2:
            return self._random(rng, gn.cast(x, "float64"))
        if way < 3:
            return _UNARY[rng.integers(len(_UNARY))](x)
        if way < 7:
            return _BINARY[rng.integers(len(_BINARY))](x, self._one(rng, "f") if rng.random() < 0.8 else 0.75)
        if way == 7:
            return x / (1.0 + gn.square(self._one(rng, "f")))
        if way == 8:
            weights = [node for node in self.outer if node.shape == (K, K) and node.dtype.kind == "f"]
            return gn.matmul(x, weights[rng.integers(len(weights))])
        if way == 9:
            axis = None if not x.ndim or rng.random() < 0.3 else int(rng.integers(-x.ndim, x.ndim))
            return _REDUCING[rng.integers(len(_REDUCING))](x, axis, keepdims=bool(rng.random() < 0.5))
        if way == 10:
            return gn.softmax(x, -1) if rng.random() < 0.5 else gn.cumsum(x, -1)
        if way == 11:
            return self._inner_slope(rng, x)
        if way == 12:
            return self._random(rng, x)
        if way == 13 and self.depth == 0:
            return self._inner(rng, x)
        if way == 14:
            return x + [gn.tanh(self.outer[-1]), np.linspace(-1, 1, K), np.ones((50, K)) / 7][rng.integers(3)]
        if way == 15:
            return _COMPARING[rng.integers(len(_COMPARING))](x, self._one(rng))
        if way == 16:
            return gn.where(self._one(rng, "b") if rng.random() < 0.5 else gn.greater(x, 0), x, self._one(rng))
        if way == 17:
            return [x[..., 0], x[..., ::-1], x[None], x[..., :2], x[-1:]][rng.integers(5)]
        if way == 18:
            return gn.transpose(x) if rng.random() < 0.5 else gn.expand_dims(x, -1)
        if way == 19:
            return gn.concatenate([x, self._one(rng)], -1)[..., :K]
        if way == 20:
            labels = [node for node in self.pool if node.dtype.kind == "i"]
            tables = [node for node in self.outer if node.shape == (K, K)]
            label = gn.remainder(labels[rng.integers(len(labels))] if labels else gn.argmax(x, -1), K)
            return gn.take(tables[rng.integers(len(tables))], label, axis=0)
        if way == 21:
            return gn.cast(x, ["float64", "float64", "int64", "float32"][rng.integers(4)])
        if way == 22:
            return gn.stop_gradient(x)
        if way == 23:
            return self._branch(rng, self._one(rng, "f"))
        if way == 24:
            return self._repeated(rng, gn.cast(self._one(rng, "f"), "float64"))
        return gn.stack([x, x * 2], 0)[rng.integers(2)]

    def _inner_slope(self, rng: np.random.Generator, x: gn.Node) -> gn.Node:
        """Return a slope taken inside of the step."""
        if not self.states or rng.random() < 0.3:
            # Written out, what is given depends on the parameter, too, by the iterations before.
            weight = self.outer[1] * 1.0
            return gn.grad(gn.sum(gn.tanh(weight * gn.sum(x))), weight)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
            return gn.grad(gn.sum(gn.tanh(x)), self.states[rng.integers(len(self.states))])

    def _random(self, rng: np.random.Generator, x: gn.Node) -> gn.Node:
        stream = int(rng.integers(9))
        if rng.random() < 0.3:
            return gn.random_normal(self.counter, (K,), 1, stream)
        kept = gn.less(gn.random_uniform(self.counter, x.shape, 2, stream), 0.7)
        return gn.where(kept, x / 0.7, 0.0)

    def _branch(self, rng: np.random.Generator, x: gn.Node) -> gn.Node:
        """Return what one of two branches gives; written out, both are computed."""
        function, stream = _UNARY[rng.integers(len(_UNARY))], int(rng.integers(9))
        flag = gn.greater(gn.sum(gn.sin(self._one(rng, "f") * 3.0)), 0.0)

        def then() -> gn.Node:
            return function(x) * gn.sum(self.outer[1])

        def otherwise() -> gn.Node:
            return x * gn.random_uniform(self.counter, x.shape, 3, stream)

        return gn.where(flag, then(), otherwise()) if self.writes_out else gn.cond(flag, then, otherwise)

    def _repeated(self, rng: np.random.Generator, x: gn.Node) -> gn.Node:
        """Return the last state of a loop that data end; written out, of as many steps as there may be."""
        most, bound, weight = int(rng.integers(0, 4)), float(rng.normal()), gn.sum(self.outer[1])

        def goes_on(state: gn.Node) -> gn.Node:
            return gn.sum(state) < bound + 1.0

        def body(state: gn.Node, counter: gn.Node) -> gn.Node:
            return gn.tanh(state * weight + 0.5 * x) + gn.random_uniform(counter, x.shape, 4)

        if not self.writes_out:
            return gn.while_loop(goes_on, lambda state: body(state, self.counter), x, max_steps=most)
        state, active = x, goes_on(x)
        for row in range(most):
            state = gn.where(active, body(state, mixed(self.counter, row)), state)
            active = gn.logical_and(active, goes_on(state))
        return state

    def _inner(self, rng: np.random.Generator, x: gn.Node) -> gn.Node:
        """Return a loop inside, over the rows of an array, or of a fixed length."""
        seed = [*self.seed, int(rng.integers(1000))]
        init = self._one(rng, "f")
        step = Step(seed, [self.counter, *self.outer[1:], x], [(init.shape, init.dtype.name)], self.depth + 1)
        how = Settings(bool(rng.random() < 0.5), bool(rng.random() < 0.5), 0)
        stacks = [x] if x.ndim and isinstance(x.shape[0], int) and rng.random() < 0.6 else []
        length = x.shape[0] if stacks else int(rng.integers(0, 3))
        last, results = (written_out if self.writes_out else scanned)(step, init, stacks, length, how, None)
        every = [last, *(gn.core.flatten(results)[0] if results is not None else [])]
        return every[rng.integers(len(every))]


def _formed(rng: np.random.Generator, results: list[gn.Node]) -> Any:
    """Return results in one form or another."""
    way = int(rng.integers(3))
    if not results and way:
        return None
    if len(results) == 1 and way:
        return results[0]
    return {str(i): node for i, node in enumerate(results)} if way == 2 else tuple(results)


def scanned(
    step: Step, init: Any, stacks: Sequence[gn.Node], length: Any, how: Settings, mask: gn.Node | None
) -> tuple[Any, Any]:
    """Return what the loop gives."""
    return gn.scan(
        step,
        init,
        tuple(stacks),
        how.reverse,
        length=length if not stacks else None,
        mask=mask,
        recompute=how.recompute,
    )


def written_out(
    step: Step, init: Any, stacks: Sequence[gn.Node], length: int, how: Settings, mask: gn.Node | None
) -> tuple[Any, Any]:
    """Return what the iterations give, written out."""
    counter, state = step.counter, init
    step.writes_out = True
    graph = counter.graph
    rows = [gn.reshape(x, (length, *x.shape[1:])) for x in stacks]
    masks = None if mask is None else gn.reshape(mask, (length, *mask.shape[1:]))
    found: list[Any] = [None] * length
    rebuild: Any = tuple

    def chosen(t: int, new: gn.Node, old: Any) -> gn.Node:
        flag = masks[t]  # type: ignore[index]
        return gn.where(gn.expand_dims(flag, tuple(range(flag.ndim, new.ndim))) if flag.ndim else flag, new, old)

    for t in reversed(range(length)) if how.reverse else range(length):
        step.counter = mixed(counter, t)
        parts, as_state = gn.core.flatten(state)
        apart = [part[...] for part in parts]  # a state that is an outer node would have that node's slopes inside
        following, results = step(as_state(apart), tuple([x[t] for x in rows]))
        results, rebuild = gn.core.flatten(results) if results is not None else ([], lambda parts: None)
        if masks is not None:
            before, as_state = gn.core.flatten(state)
            after = gn.core.flatten(following)[0]
            following = as_state([chosen(t, new, old) for new, old in zip(after, before, strict=True)])
            results = [chosen(t, x, gn.zeros(x.shape, x.dtype, graph=graph)) for x in results]
        state, found[t] = following, results
    step.counter = counter
    if not length:  # what it would give, by a loop of one
        step.counter = mixed(counter, 0)
        once = tuple([gn.zeros(x.shape[1:], x.dtype, graph=graph) for x in stacks])
        results = step(state, once)[1]
        step.counter = counter
        parts, rebuild = gn.core.flatten(results) if results is not None else ([], lambda parts: None)
        return init, rebuild([gn.zeros((0, *x.shape), x.dtype, graph=graph) for x in parts])
    return state, rebuild([gn.stack([row[i] for row in found]) for i in range(len(found[0]))])


# --- whole graphs -------------------------------------------------------------------------------------------------


class Placed(NamedTuple):
    """What a loop takes: its step, the first states, stacks and masks, parameters, and an array that is read whole."""

    step: Step
    init: list[gn.Node]
    stacks: list[gn.Node]
    masks: list[gn.Node]
    trained: list[gn.Node]
    whole: gn.Node


class Built(NamedTuple):
    """A graph: the arrays of its loop, a loss of them, and what that is differentiated by."""

    values: list[gn.Node]
    loss: gn.Node
    wrt: list[gn.Node]
    trained: list[gn.Node]


class Case:
    """A loop, drawn by a number.

    Attributes
    ----------
    lengths : list of int
        For how many rows it is computed, one after the other; only a named length has two.
    """

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        rng = np.random.default_rng([seed, number, 24])
        self.seed = [seed, number, 25]
        self.named = bool(rng.random() < 0.5)
        lengths = [int(x) for x in rng.permutation([0, 1, 2, 3, 5])]
        self.lengths = lengths[: 1 + self.named]
        self.batch = int(rng.choice([1, 2, 4]))
        b: Any = "b" if self.named else self.batch
        masked = int(rng.choice([0, 0, 0, 1, 2]))
        self.how = Settings(bool(rng.random() < 0.4), [False, False, True, 1, 2, 3][rng.integers(6)], masked)
        shapes = [(b,), (b, K)] if masked == 2 else [(), (K,), (b,), (b, K), (K, K), (1, K), (0, K)]
        dtypes = ["float64"] * 6 + ["float32", "int64", "int32", "bool"]
        draw = lambda: (shapes[rng.integers(len(shapes))], str(rng.choice(dtypes)))  # noqa: E731
        self.states: list[Spec] = [(shapes[-1 if masked == 2 else rng.integers(len(shapes))], "float64")]
        self.states += [draw() for _ in range(int(rng.integers(0, 3)))]
        shapes = [(), (K,), (b, K)]
        self.rows: list[Spec] = [draw() for _ in range(int(rng.integers(0, 3)))]
        self.form = int(rng.integers(3))
        self.batched = (b,) if masked == 2 else ()

    def feed(self, length: int) -> dict[str, Array]:
        """Return a feed, by the names of placeholders."""
        rng = np.random.default_rng([*self.seed, length])

        def drawn(spec: Spec, *first: int) -> Array:
            shape = (*first, *[self.batch if dim == "b" else dim for dim in spec[0]])
            if spec[1] == "bool":
                return rng.random(shape) < 0.6
            return (rng.normal(size=shape) if spec[1][0] == "f" else rng.integers(0, 5, shape)).astype(spec[1])

        feed = {f"row{i}": drawn(spec, length) for i, spec in enumerate(self.rows)}
        feed |= {f"init{i}": drawn(spec) for i, spec in enumerate(self.states)}
        feed["clock"] = np.zeros(length)
        feed["whole"] = drawn(((K,), "float64"), length + 1)
        if self.how.masked:
            feed["mask"] = rng.random((length, self.batch)[: self.how.masked]) < 0.6
        return feed

    def placed(self, length: int, maps: tuple[Any, ...] = ()) -> Placed:
        """Return a graph with what the loop takes, which has a leading axis for `maps`."""
        g = gn.Graph()
        rng = np.random.default_rng(self.seed)
        time: Any = "time" if self.named else length
        counter = g.parameter("counter", np.int64(rng.integers(1000)), trainable=False)
        w, u = (g.parameter(name, rng.normal(size=(K, K)) / 2) for name in "wu")
        bias = g.parameter("bias", rng.normal(size=K))
        whole = g.placeholder("whole", ("more" if self.named else length + 1, K))
        once = gn.tanh(w @ u + bias)
        init = [g.placeholder(f"init{i}", (*maps, *shape), dtype) for i, (shape, dtype) in enumerate(self.states)]
        stacks = [g.placeholder(f"row{i}", (*maps, time, *shape), dtype) for i, (shape, dtype) in enumerate(self.rows)]
        g.placeholder("clock", (time,))  # gives the length where no rows do
        b: Any = "b" if self.named else self.batch
        masks = [g.placeholder("mask", (*maps, *(time, b)[: self.how.masked]), bool)] if self.how.masked else []
        step = Step(self.seed, [counter, w, u, bias, whole, once], self.states)
        step.batched = self.batched
        return Placed(step, init, stacks, masks, [w, u, bias], whole)

    def values(self, loop: Callable[..., tuple[Any, Any]], step: Step, length: int, *given: Any) -> list[gn.Node]:
        """Return what the loop gives for first states, stacks and masks; or its iterations, written out."""
        init, stacks, masks = given
        state: Any = init[0] if len(init) == 1 and self.form else tuple(init)
        state = {f"part{i}": node for i, node in enumerate(init)} if self.form == 2 else state
        time = "time" if loop is scanned and self.named else length
        last, results = loop(step, state, stacks, time, self.how, masks[0] if masks else None)
        return [*gn.core.flatten(last)[0], *(gn.core.flatten(results)[0] if results is not None else [])]

    def built(self, loop: Callable[..., tuple[Any, Any]], length: int) -> Built:
        """Return a graph with the loop, or with its iterations written out."""
        step, init, stacks, masks, trained, whole = self.placed(length)
        values = self.values(loop, step, length, init, stacks, masks)
        loss = gn.sum(gn.square(trained[0])) * 0.01
        for i, node in enumerate(values):
            x = gn.cast(node, "float64")
            loss = loss + gn.sum(gn.sin(x * (1.0 + 0.25 * i)) + 0.1 * x)
        floats = [node for node in (*init, *stacks, whole) if node.dtype.kind == "f"]
        return Built(values, loss, [*trained, *floats], trained)


def derived(built: Built, orders: int) -> list[gn.Node]:
    """Return values and derivatives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        found = [built.loss, *built.values]
        if orders >= 1:
            first = gn.grad(built.loss, built.wrt)
            tangents = {node: gn.sin(gn.cast(node, "float64") * 3.0) for node in built.trained[:2]}
            found += [*first, gn.jvp(built.loss, tangents)]
        if orders >= 2:
            mixed_in = gn.sum(gn.square(first[0])) + sum(gn.sum(gn.sin(gn.cast(x, "float64"))) for x in first[1:])
            found += [*gn.grad(mixed_in, built.wrt), gn.jvp(mixed_in, tangents)]
    return found


def far(
    names: Sequence[str],
    ours: Sequence[Array],
    theirs: Sequence[Array],
    tolerance: float,
    nearby: Sequence[Array] | None = None,
) -> list[str]:
    """Return which arrays differ by more than a tolerance, relative to the largest element.

    Those that change as much where what they are computed from changes by its last bit, as in `nearby`, do not count.
    """
    told = []
    for name, a, b, near in zip(names, ours, theirs, nearby or theirs, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            told.append(f"{name}: {a.shape} {a.dtype}, wanted {b.shape} {b.dtype}")
        elif a.dtype.kind == "f":
            finite = np.abs(b[np.isfinite(b)])
            with np.errstate(invalid="ignore"):  # infinities
                bound = tolerance * max(1.0, finite.max(initial=0.0)) + np.nanmax(np.abs(near - b), initial=0.0)
            if not np.allclose(a, b, rtol=tolerance, atol=bound, equal_nan=True):
                told.append(
                    f"{name}: off by {np.abs(a - b).max():.2g}, written out up to {finite.max(initial=0.0):.2g}"
                )
        elif not np.array_equal(a, b):
            told.append(f"{name}: {a.tolist()}, wanted {b.tolist()}")
    return told


def _updates(built: Built) -> dict[gn.Node, gn.Node]:
    """Return updates of what is trained, and of the counter of random numbers."""
    counter = built.loss.graph["counter"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        return gn.nn.SGD(0.1, momentum=0.9).updates(built.loss, built.trained) | {counter: counter + 1}


def _trained(built: Built, feed: Mapping[str, Array], factor: float = 1.0) -> list[Array]:
    """Return the loss and the parameters, which begin with so many times their values, after some steps.

    The state is put back.
    """
    graph, before = built.loss.graph, dict(built.loss.graph.state)
    graph.state.update({node: (node.value * factor).astype(node.dtype) for node in built.trained})
    step = gn.compile(built.loss, _updates(built), backend="interpreter")
    losses = [step(feed) for _ in range(3)]
    after = [node.value for node in built.trained]
    graph.state.update(before)
    return [*losses, *after]


def loop_differences(seed: int, number: int, orders: int = 2, backends: Sequence[str] = PLANS) -> list[str]:
    """Return where a loop differs from its iterations written out, and plans of it from the interpreter."""
    case = Case(seed, number)
    ours = case.built(scanned, case.lengths[0])
    fetches = derived(ours, orders)
    names = [node.name for node in fetches]
    feeds = [case.feed(length) for length in case.lengths]
    tolerance = 1e-4 if any(node.dtype == np.float32 for node in ours.loss.graph) else 1e-12
    told = []
    for length, feed in zip(case.lengths, feeds, strict=True):
        written = case.built(written_out, length)
        theirs = gn.run(derived(written, orders), feed)
        told += [f"length {length}: {line}" for line in far(names, gn.run(fetches, feed), theirs, tolerance)]
        if number % 4 == 1 and length:  # a training on no rows is refused
            steps = [f"after {n} steps" for n in range(3)] + [node.name for node in ours.trained]
            nearby = _trained(written, feed, 1 + 2**-52)
            told += far(steps, _trained(ours, feed), _trained(written, feed), tolerance, nearby)
    for backend in backends:
        updates = _updates(ours) if number % 2 else None
        told += [f"{backend}: {line}" for line in differences(fetches, [feeds[0], *feeds], updates, backend=backend)]
    return told


def map_differences(seed: int, number: int) -> list[str] | None:
    """Return where a loop for many rows at once differs from that for each; None if it cannot be made for them."""
    case, count = Case(seed, number), 3
    length = case.lengths[0]
    step, init, stacks, masks, trained, _ = case.placed(length, ("n" if number % 2 else count,))

    def results(*given: Any) -> list[gn.Node]:
        values = case.values(scanned, step, length, *given)
        loss = sum(gn.sum(gn.sin(gn.cast(x, "float64"))) for x in values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
            return [*values, loss, *gn.grad(loss, [trained[0], given[0][0]])]

    feeds = []
    for row in range(count):
        case.seed = [seed, number, 27, row]
        feeds.append(case.feed(length))
    given = init, stacks, masks
    mapped = {node.name for nodes in given for node in nodes}
    feed = {name: np.stack([x[name] for x in feeds]) if name in mapped else x for name, x in feeds[0].items()}
    try:
        at_once = gn.vmap(results)(*given)
    except gn.GraphnnError as error:
        if "made once for each row" in str(error):  # random numbers of a number of rows that is not known
            return None
        raise
    found, told = gn.run(at_once, feed), []
    tolerance = 1e-4 if any(node.dtype == np.float32 for node in init[0].graph) else 1e-11
    for row in range(count):
        alone = gn.run(results(*[[node[row] for node in nodes] for nodes in given]), feed)
        told += far([f"row {row}: {node.name}" for node in at_once], [x[row] for x in found], alone, tolerance)
    return told


def random_loop(seed: int, number: int) -> tuple[list[gn.Node], list[dict[str, Any]], dict[gn.Node, gn.Node] | None]:
    """Draw a loop with its gradients, feeds with numbers and layouts of all kinds, and updates or none."""
    case = Case(seed, number)
    rng = np.random.default_rng([seed, number, 26])
    built = case.built(scanned, case.lengths[0])
    feeds: list[dict[str, Any]] = []
    for call in range(4):
        feed = case.feed(case.lengths[call // 2 % len(case.lengths)])
        if call % 2:
            feed = {name: laid(fed(rng, x.shape, x.dtype), int(rng.integers(WAYS))) for name, x in feed.items()}
        feeds.append(feed)
    return derived(built, 1 + (number % 3 == 0)), feeds, _updates(built) if number % 2 else None

"""The check of a module that was read: the example runs in PyTorch and in graphnn, and what differs is an error.

What comes out, and the gradients of all trained weights, are compared to rounding. Where they differ, each call is
computed again by PyTorch of the operands that graphnn has there. So the error names the first call that is wrong, and
rounding that grows from call to call is none. What is random in training, such as dropout, is left out on both sides.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import quoted
from ..autodiff.grad import jvp, vjp
from ..core import Graph, Node, is_float, limits
from ..core.topological_order import last_uses
from ..errors import EvaluationError, GraphnnWarning
from ..runtime.evaluation_loop import evaluate, quiet_steps
from ..runtime.feed import prepare
from ..runtime.interpreter import run
from ..transforms.extract_replace import extract, replace
from .dtypes import array_of, dtype_of, tensor_of

if TYPE_CHECKING:
    from ..core import Array
    from .exported import Exported
    from .reader import Reader

_LARGE = 200_000_000
"""With more trained numbers than this, one directional derivative is compared in the place of all gradients."""
_ALONG = "all weights, along PyTorch's"
_VALUES, _GRADIENTS = 2e3, 2e4
"""How many units of rounding a result and a gradient may be off, relative to the largest element."""
_TINY = float(np.finfo(np.float64).tiny)
_SHORT = 1e-4
"""The rounding from which on a float is short: float16 has .001, and bfloat16 .008."""
_NEAR, _NEAR_SHORT = 0.03, 0.25
"""How much of a gradient may differ in float32, and in 16 bits, where each call has PyTorch's gradient."""
_FINE = 1e-12
"""Below this unit of rounding, no kink or jump is passed by rounding alone."""
_LOOSE, _LOOSE_SLOPES = 1e-9, 1e-7
"""And what float64 may be off at least: PyTorch has the slope of hardsigmoid, 1/6, in float32 for it, too."""
_DROPOUT = ("dropout", "feature_dropout", "native_dropout", "alpha_dropout", "dropout_")
_RANDOM = (
    *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "uniform", "uniform_", "normal"),
    *("normal_", "normal_functional", "bernoulli", "bernoulli_", "exponential_", "multinomial", "exponential"),
)


def check_read(torch: Any, module: Any, found: Exported, reader: Reader, trainable: bool) -> None:
    """Compare a graph that was read with its module.

    Raises
    ------
    EvaluationError
        When something differs beyond rounding: of a result, or of the gradient of a weight.
    """
    names = {name_of(torch, node) for node in calls(torch, found.program.graph_module)}
    if names.intersection(_RANDOM):
        warnings.warn(
            f"{type(module).__name__} draws random numbers, and graphnn draws others: from_torch has not compared its "
            "values with PyTorch's",
            GraphnnWarning,
            stacklevel=4,
        )
        return
    check = _Check(torch, module, found, reader, trainable)
    if names.intersection(_DROPOUT):
        check.by_program = True
    check()


class _Check:
    """A comparison of a graph with its module, for the example."""

    def __init__(self, torch: Any, module: Any, found: Exported, reader: Reader, trainable: bool) -> None:
        self.torch, self.module, self.found, self.reader = torch, module, found, reader
        self.graph: Graph = reader.graph
        self.by_program = False
        self._is_near = True
        given = (_array(torch, each) for each in found.tensors)
        self.feed = dict(zip(self.graph.placeholders, given, strict=True))
        self.weights = dict(found.trained()) if trainable else {}
        self.outputs = list(self.graph.outputs.values())
        floats = {
            node.dtype for each in reader.made.values() for node in each if node is not None and is_float(node.dtype)
        }
        self.eps = max((float(limits(dtype).eps) for dtype in floats), default=0.0)
        """The unit of rounding of the shortest floats on the way."""

    def __call__(self) -> None:
        wanted, slopes, directions = self._by_torch()
        self.shapes = wanted
        fetches = self.outputs
        evaluated = {node: x for node, x in self.graph.evaluation.items() if node in self.reader.dropped}
        if evaluated:
            fetches = replace(fetches, evaluated)
        most = max((_size(each) for each in slopes.values() if each is not None), default=0.0)
        misfits: dict[str, str] = {}

        def compare(name: str, value: Array) -> None:
            misfits[name] = self._slope_differs(name, value, slopes.pop(name), most)

        values = self._by_graphnn(fetches, slopes, directions, compare)
        wrong = [
            f"the result {quoted(name)} is {_difference(value, theirs)}"
            for name, value, theirs in zip(self.graph.outputs, values, wanted, strict=True)
            if not _close(value, theirs, _VALUES, eps=self.eps)
        ]
        if not wrong:  # by the order of the weights
            wrong = [misfits[name] for name in (*self.weights, _ALONG) if misfits.get(name)]
        if wrong:
            self._explain(wrong)

    def _slope_differs(self, name: str, value: Array, expected: Array | None, most: float) -> str:
        """Return in what a gradient differs from PyTorch's, or ""."""
        slope = np.zeros_like(value) if expected is None else expected
        if _close(value, slope, _GRADIENTS, most * 1e-3, self.eps, _LOOSE_SLOPES):
            return ""
        # In float32, rounding may pass a kink or a jump, and a few elements differ by more.
        apart = float(np.linalg.norm(value.astype(np.float64) - slope))
        length = float(np.linalg.norm(slope.astype(np.float64)))
        near = _NEAR if limits(value.dtype).eps < _SHORT else _NEAR_SHORT
        self._is_near &= apart <= near * max(length, most)
        return f"the gradient of {quoted(name)} is {_difference(value, slope)}"

    # --- both sides ---

    def _by_torch(self) -> tuple[list[Array], dict[str, Array | None], Any]:
        """Return results, and gradients of the sum of results times fixed numbers, of all weights or along one way."""
        torch = self.torch
        with _as_before(torch, self.module), torch.enable_grad():
            results = self._results()
            flat = [each for each in results if isinstance(each, torch.Tensor)]
            wanted = [_array(torch, each) for each in flat]
            differentiable = [each for each in flat if each.requires_grad and each.is_floating_point()]
            if not self.weights or not differentiable:
                return wanted, {}, None
            total = sum(
                (each * tensor_of(torch, _factors(tuple(each.shape), _numpy(torch, each.dtype)))).sum()
                for each in flat
                if each.is_floating_point() and each.requires_grad
            )
            given = list(self.weights.values())
            found = torch.autograd.grad(total, given, allow_unused=True)
            count = sum(each.numel() for each in given)
            if count <= _LARGE:
                slopes = {
                    name: None if slope is None else _array(torch, slope)
                    for name, slope in zip(self.weights, found, strict=True)
                }
                return wanted, slopes, None
            directions = {
                name: _array(torch, slope / slope.norm())
                for name, slope in zip(self.weights, found, strict=True)
                if slope is not None and slope.norm() > 0
            }
            along = sum(float(slope.norm()) for slope in found if slope is not None)
            return wanted, {_ALONG: np.asarray(along)}, directions

    def _results(self) -> list[Any]:
        torch, found = self.torch, self.found
        if not self.by_program:
            made = self.module(*found.args, **found.kwargs)
            return list(torch.utils._pytree.tree_leaves(made))
        return Program(torch, found, plain=True)(found.operands())

    def _by_graphnn(
        self,
        fetches: Sequence[Node],
        slopes: Mapping[str, Any],
        directions: Mapping[str, Array] | None,
        compare: Callable[[str, Array], None],
    ) -> list[Array]:
        """Return results, and hand on the derivatives, of one run; the graph itself gets no nodes for them."""
        feed = {node.name: array for node, array in self.feed.items()}
        floats = [node for node in dict.fromkeys(fetches) if is_float(node.dtype)]
        if not slopes or not floats:
            made: list[Array] = run(list(fetches), feed)
            return made
        copy = extract(list(fetches))
        given = {name: copy[node.name] for name, node in self.reader.parameters.items() if node.name in copy.dag}
        results, kept = [copy[node.name] for node in fetches], {name: x for name, x in feed.items() if name in copy.dag}
        sizes = {node: value.shape for node, value in zip(fetches, self.shapes, strict=True)}
        factors = {node: _factors(sizes[node], node.dtype) * fetches.count(node) for node in floats}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            if directions is not None:
                moved = jvp([copy[node.name] for node in floats], {given[name]: x for name, x in directions.items()})
                values: list[Array]
                *values, last = run([*results, moved], kept)
                along = sum(
                    float((x.astype(np.float64) * factors[node]).sum()) for node, x in zip(floats, last, strict=True)
                )
                compare(_ALONG, np.asarray(along))
                return values
            trained = [name for name in self.weights if name in given]
            found = vjp({copy[node.name]: factors[node] for node in floats}, [given[name] for name in trained])
        for name, each in self.weights.items():
            if name not in trained:
                compare(name, np.zeros(tuple(each.shape)))
        names: dict[Node, list[str]] = {}
        for node, name in zip(found, trained, strict=True):
            names.setdefault(node, []).append(name)
        return _handed_on(copy, results, names, kept, compare)

    # --- what differs ---

    def _explain(self, wrong: list[str]) -> None:
        """Raise the error that names the first call that differs; return if what differs is rounding."""
        torch, reader = self.torch, self.reader
        program = Program(torch, self.found, plain=self.by_program, keep=True)
        made = {
            call: nodes for call, nodes in reader.made.items() if call.graph is self.found.program.graph_module.graph
        }
        nodes = list(dict.fromkeys(node for each in made.values() for node in each if node is not None))
        fed = {node.name: array for node, array in self.feed.items()}
        values = dict(zip(nodes, run(nodes, fed), strict=True)) if nodes else {}
        by_gradient = wrong[0].startswith("the gradient")
        for call, results in made.items():
            operands = program.operands_of(call, made, values, self.feed, reader)
            if operands is None:
                continue
            why = self._differs(call, results, operands, values, by_gradient)
            if why:
                raise EvaluationError(
                    f"{reader.place_of(call)}: {call.target} is not what PyTorch computes: {why}; {wrong[0]}. "
                    "from_torch(…, check=False) reads the module all the same"
                )
        with _as_before(torch, self.module), torch.no_grad():
            results = program(self.found.operands())
        exported = [_array(torch, each) for each in results if isinstance(each, torch.Tensor)]
        outside = [_array(torch, each) for each in self._outside()]
        same = len(exported) == len(outside) and all(
            _close(a, b, _VALUES, eps=self.eps) for a, b in zip(exported, outside, strict=True)
        )
        if not same:
            raise EvaluationError(
                f"{type(self.module).__name__}: PyTorch's own export of the module computes something else than the "
                f"module: {wrong[0]}. from_torch(…, check=False) reads the export all the same"
            )
        for call, results in made.items():
            if call not in program.kept:
                continue
            expected = program.kept[call]
            for node, one in zip(results, expected, strict=False):
                if node is None or one is None or node not in values:
                    continue
                if not _close(values[node], one, 1e3 * _VALUES, eps=self.eps):
                    raise EvaluationError(
                        f"{reader.place_of(call)}: {call.target} is not what PyTorch computes: it is "
                        f"{_difference(values[node], one)}; {wrong[0]}. from_torch(…, check=False) reads the module "
                        "all the same"
                    )
        if by_gradient and (self.eps < _FINE or not self._is_near):
            raise EvaluationError(
                f"{type(self.module).__name__}: {wrong[0]}, though each call has PyTorch's gradient: a backward of the "
                "module's own is lost. from_torch(…, check=False) reads the module all the same"
            )

    def _outside(self) -> list[Any]:
        with _as_before(self.torch, self.module), self.torch.no_grad():
            return [each for each in self._results() if isinstance(each, self.torch.Tensor)]

    def _differs(
        self, call: Any, results: Sequence[Node | None], operands: Any, values: dict[Node, Array], by_gradient: bool
    ) -> str:
        """Return in what a call differs from PyTorch's own of the same operands, or ""."""
        torch = self.torch
        args, kwargs, tensors = operands
        try:
            with torch.enable_grad():
                for each in tensors.values():
                    if by_gradient and each.is_floating_point():
                        each.requires_grad_(True)
                made = call.target(*args, **kwargs)
        except Exception:  # noqa: BLE001 - what cannot be computed alone, such as a write to an operand
            return ""
        several = list(made) if isinstance(made, (list, tuple)) else [made]
        for node, one in zip(results, several, strict=False):
            if node is None or not isinstance(one, torch.Tensor):
                continue
            own, expected = values[node], _array(torch, one)
            if not _close(own, expected, _VALUES):
                return f"of the same operands, it is {_difference(own, expected)}"
        if not by_gradient:
            return ""
        try:
            return self._slopes_differ(results, several, tensors)
        except Exception:  # noqa: BLE001 - of a call that cannot be looked at alone, such as one of a form without numbers
            return ""

    def _slopes_differ(self, results: Sequence[Node | None], several: Sequence[Any], tensors: dict[Node, Any]) -> str:
        torch = self.torch
        pairs = [
            (node, one)
            for node, one in zip(results, several, strict=False)
            if node is not None and isinstance(one, torch.Tensor) and one.is_floating_point()
        ]
        wrt = [node for node, each in tensors.items() if each.requires_grad and node not in [n for n, _ in pairs]]
        if not pairs or not wrt:
            return ""
        with_slope = [(node, one) for node, one in pairs if one.requires_grad]
        total = sum(
            (
                (one * tensor_of(torch, _factors(tuple(one.shape), _numpy(torch, one.dtype)))).sum()
                for _, one in with_slope
            ),
            start=torch.zeros(()),
        )
        expected: Sequence[Any] = [None] * len(wrt)
        if total.requires_grad:
            expected = torch.autograd.grad(total, [tensors[node] for node in wrt], allow_unused=True)
        operands = list(tensors)
        copy = extract([node for node, _ in pairs], inputs=[node for node in operands if not node.op.is_constant])
        own = [copy[node.name] for node in wrt if node.name in copy]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            seeds = {
                copy[node.name]: _factors(tuple(one.shape), node.dtype)
                for node, one in pairs
                if not copy[node.name].op.is_placeholder
            }
            if not seeds:
                return ""
            slopes = vjp(seeds, own)
        feed = {
            node.name: _array(torch, each)
            for node, each in tensors.items()
            if node.name in copy and copy[node.name].op.is_placeholder
        }
        found = dict(zip((node.name for node in own), run(slopes, feed), strict=True))
        for node, slope in zip(wrt, expected, strict=True):
            value = found.get(node.name, np.zeros(tuple(tensors[node].shape)))
            wanted = np.zeros_like(value) if slope is None else _array(torch, slope)
            if not _close(value, wanted, _VALUES, loose=_LOOSE_SLOPES):
                return f"the gradient that it passes to {quoted(node.name)} is {_difference(value, wanted)}"
        return ""


def _handed_on(
    graph: Graph,
    results: Sequence[Node],
    names: Mapping[Node, Sequence[str]],
    feed: Mapping[str, Array],
    compare: Callable[[str, Array], None],
) -> list[Array]:
    """Return results, and hand on each gradient when it is computed: all together are as large as the weights."""
    prepared = prepare(graph, [*results, *names], feed)
    program = prepared.program
    dying = last_uses(program.operands, program.fetches[: len(results)])
    values: list[Any] = [None] * len(program.order)
    for step in quiet_steps(evaluate(prepared, values=values)):
        for name in names.get(step.node, ()):
            compare(name, step.value)
        for place in dying[step.index]:
            values[place] = None
        del step
    return [values[place] for place in program.fetches[: len(results)]]


# --- PyTorch's program ----------------------------------------------------------------------------------------------


class Program:
    """An exported program, run call by call by PyTorch.

    Parameters
    ----------
    torch : module
    found : Exported
    plain : bool
        Whether dropout is left out.
    keep : bool
        Whether to keep what each call gives.
    """

    def __init__(self, torch: Any, found: Exported, plain: bool = False, keep: bool = False) -> None:
        self.torch, self.found = torch, found
        self.kept: dict[Any, list[Array | None]] = {}
        kept = self.kept

        class Interpreter(torch.fx.Interpreter):  # type: ignore[misc]
            def run_node(self, node: Any) -> Any:
                made = super().run_node(node)
                if keep and node.op == "call_function":
                    each = made if isinstance(made, (list, tuple)) else [made]
                    kept[node] = [
                        _array(torch, one).copy() if isinstance(one, torch.Tensor) and _is_known(torch, one) else None
                        for one in each
                    ]
                return made

            def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
                name = getattr(getattr(target, "_schema", None), "name", "").rpartition("::")[2]
                if plain and name in _DROPOUT:
                    return (args[0], None) if name == "native_dropout" else args[0]
                if plain and name == "scaled_dot_product_attention":
                    return (
                        target(
                            *args[:4],
                            0.0,
                            *args[5:],
                            **{**kwargs, **({"dropout_p": 0.0} if "dropout_p" in kwargs else {})},
                        )
                        if len(args) > 4
                        else target(*args, **{**kwargs, "dropout_p": 0.0})
                    )
                return super().call_function(target, args, kwargs)

        self._interpreter = Interpreter

    def __call__(self, operands: Sequence[Any]) -> list[Any]:
        """Return the results of the program, without the buffers."""
        made = self._interpreter(self.found.program.graph_module).run(*operands)
        return [value for name, value in zip(self.found.results, made, strict=True) if name is not None]

    def operands_of(
        self, call: Any, made: dict[Any, Any], values: dict[Node, Array], feed: dict[Node, Array], reader: Reader
    ) -> Any:
        """Return the arguments of a call as tensors of graphnn's values, and these by their nodes; None if unknown."""
        torch = self.torch
        if not isinstance(call.target, torch._ops.OpOverload) or call.target._schema.is_mutable:
            return None
        tensors: dict[Node, Any] = {}

        def value(node: Any) -> Any:
            found = reader.operand(call, node)
            if found is None:
                raise KeyError(node)
            if not isinstance(found, Node):
                return found
            if found not in tensors:
                array = values.get(found)
                if array is None:
                    array = feed.get(found)
                if array is None:
                    array = found.value
                seen = getattr(node.meta.get("val"), "dtype", None)
                tensors[found] = tensor_of(torch, np.array(array)).to(seen)  # of what is kept in fewer bits
            return tensors[found]

        try:
            args, kwargs = torch.fx.node.map_arg((call.args, dict(call.kwargs)), value)
        except (KeyError, AttributeError):
            return None
        return args, kwargs, tensors


def calls(torch: Any, module: Any) -> Iterator[Any]:
    """Yield the calls of a program, those inside of its regions too."""
    for inner in module.modules():
        if isinstance(inner, torch.fx.GraphModule):
            yield from (node for node in inner.graph.nodes if node.op == "call_function")


def name_of(torch: Any, node: Any) -> str:
    """Return the name of the operation that is called."""
    return str(getattr(getattr(node.target, "_schema", None), "name", "")).rpartition("::")[2]


@contextmanager
def _as_before(torch: Any, module: Any) -> Iterator[None]:
    """Have buffers, gradients and random numbers as before afterwards."""
    before = [(each, each.detach().clone()) for each in module.buffers()]
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            with torch.no_grad():
                for each, value in before:
                    each.copy_(value)


def _is_known(torch: Any, tensor: Any) -> bool:
    return tensor.layout == torch.strided and not tensor.is_complex()


def _array(torch: Any, tensor: Any) -> Array:
    return array_of(torch, tensor)


def _numpy(torch: Any, dtype: Any) -> np.dtype[Any]:
    return dtype_of(torch, dtype)


def _factors(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return fixed numbers to multiply a result with, none of which are alike."""
    return np.sin(1 + np.arange(int(np.prod(shape)), dtype=np.float64)).reshape(shape).astype(dtype)


def _size(x: Array) -> float:
    """Return the largest absolute value."""
    return max(float(x.max(initial=0.0)), -float(x.min(initial=0.0)))


def _close(own: Any, expected: Any, units: float, floor: float = 0.0, eps: float = 0.0, loose: float = _LOOSE) -> bool:
    """Return whether arrays are equal but for rounding, relative to the largest element.

    A unit is that of their dtype, or `eps`, which is larger where what leads to them was rounded more.
    """
    a, b = np.asarray(own), np.asarray(expected)
    if a.shape != b.shape:
        return False
    if a.dtype == b.dtype and a.dtype.name in ("float32", "float64"):
        with np.errstate(invalid="ignore"):
            size, apart = max(_size(b), floor), _size(a - b)
        if np.isfinite(size) and np.isfinite(apart):
            return apart <= max(_relative(units, max(float(np.finfo(a.dtype).eps), eps)), loose) * max(size, _TINY)
    if not is_float(a.dtype) or not is_float(b.dtype):
        return bool(np.array_equal(a, b))
    eps = max(float(limits(a.dtype).eps), float(limits(b.dtype).eps), eps)
    x, y = a.astype(np.float64), b.astype(np.float64)
    usual = np.isfinite(y)
    if not np.array_equal(usual, np.isfinite(x)) or not np.array_equal(x[~usual], y[~usual], equal_nan=True):
        return False
    size = max(_size(y[usual]), floor, _TINY)
    return float(np.abs(x - y)[usual].max(initial=0.0)) <= max(_relative(units, eps), loose) * size


def _relative(units: float, eps: float) -> float:
    """Return how far apart numbers may be: of floats of 16 bits, each of which is rounded much, not so many units."""
    return units * eps if eps < _SHORT else min(units * eps, 1 / 16 if units <= _GRADIENTS else 1 / 2)


def _difference(own: Any, expected: Any) -> str:
    a, b = np.asarray(own), np.asarray(expected)
    if a.shape != b.shape:
        return f"its shape, {a.shape} and not {b.shape}"
    if a.size == 0:
        return "nothing"
    x, y = a.astype(np.float64), b.astype(np.float64)
    apart = np.where(
        np.isfinite(x) & np.isfinite(y), np.abs(x - y), np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0, np.inf)
    )
    place = np.unravel_index(int(np.argmax(apart)), a.shape)
    at = f" at {tuple(int(k) for k in place)}" if a.ndim else ""
    return f"{x[place]:.6g} and not {y[place]:.6g}{at}"

"""The operations for HIPS autograd, as a second opinion on values and gradients.

What autograd.numpy has is taken from there; the rest is composed of it. Where the elements only move, or are added up
where they go, the composition is a product with a matrix of zeros and ones that NumPy itself fills in.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import autograd.numpy as anp
import autograd.scipy.special as asp
import numpy as np
from autograd import make_vjp
from autograd.extend import defvjp, notrace_primitive, primitive
from autograd.tracer import getval
from random_graphs import Recipe, Use, build, compute

import graphnn as gn
from graphnn.core import operation

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_OF_MATRIX = 10**6
"""Elements up to which a matrix of zeros and ones moves elements."""
_EPS = float(np.finfo(np.float64).eps)
_held = notrace_primitive(lambda x: x)
_floor_divide = notrace_primitive(np.floor_divide)


@primitive
def _expm1(x: Any) -> Any:
    return np.expm1(x)


defvjp(_expm1, lambda ans, x: lambda g: g * anp.exp(x))


class Comparison(NamedTuple):
    """What came of comparing a recipe.

    Attributes
    ----------
    told : str
        What differs; empty if nothing does.
    decided : bool
        Whether it was held to the tolerance. Where autograd's own figures part by as much at inputs that differ in
        their last bits, as those of a gradient that is nothing but rounding, there is nothing to be compared.
    lively : bool
        Whether every gradient is finite and not zero.
    """

    told: str
    decided: bool
    lively: bool


def knows(op: str) -> bool:
    """Return whether an operation can be compared."""
    return op in _FUNCTIONS or (hasattr(anp, op) and op not in _WITHOUT_GRADIENT)


def compared(recipe: Recipe, order: int = 1, rtol: float = 1e-9, plan: bool = False) -> Comparison:
    """Compare a recipe's value, its gradients, and its slope along a direction in forward mode, with autograd's.

    Of order 2 also the gradients of that slope, in all the ways that reverse and forward mode can be put together.
    Each figure is held to `rtol` of its largest element. With `plan`, a plan's are to be the same to the bit, too.
    """
    wanted = _theirs(recipe, recipe.inputs, order)
    got = _ours(recipe, order, plan)
    gradients = [wanted[f"gradient {i}"] for i in range(len(recipe.inputs))]
    lively = all(np.isfinite(gradient).all() and gradient.any() for gradient in gradients)
    sizes = {name: float(np.max(np.abs(figure))) for name, figure in wanted.items()}
    apart = {name: _apart(figure, wanted[_whose(name)]) for name, figure in got.items()}
    planned = [name for name in got if name.endswith(_PLANNED)]
    unlike = [name for name in planned if _bits(got[name]) != _bits(got[name.removesuffix(_PLANNED)])]
    if unlike:
        return Comparison("".join(f"{name} is not the interpreter's\n" for name in unlike), True, lively)
    if all(distance <= rtol * sizes[_whose(name)] for name, distance in apart.items()):
        return Comparison("", True, lively)
    # What adds up to nothing leaves some last bits of what it adds up, which is the result's cotangent, 1, if no more.
    rounding = dict.fromkeys(wanted, _EPS * max(1.0, *sizes.values()))
    rng = np.random.default_rng(0)
    for _ in range(8):
        nearby = [x * (1 + 4 * _EPS * rng.choice([-1, 0, 1], x.shape)) for x in recipe.inputs]
        for name, figure in _theirs(recipe, nearby, order).items():
            rounding[name] = max(rounding[name], _apart(figure, wanted[name]))
    told = [
        f"{name}: {got[name]} here, {wanted[_whose(name)]} there, apart by {distance:.3g}"
        for name, distance in apart.items()
        if not distance <= max(rtol * sizes[_whose(name)], 100 * rounding[_whose(name)])
    ]
    return Comparison("\n".join(told), bool(told), lively)


def _apart(a: Array, b: Array) -> float:
    return float(np.max(np.abs(a - b))) if a.shape == b.shape else np.inf


def _whose(name: str) -> str:
    """Return the name of the figure that one of several ways leads to: "bend 0, by the jvp of vjp" is bend 0."""
    return name.partition(",")[0]


def _direction(recipe: Recipe) -> list[Array]:
    rng = np.random.default_rng(1)
    return [np.asarray(rng.uniform(0.5, 1.5, x.shape)) for x in recipe.inputs]


def _theirs(recipe: Recipe, inputs: list[Array], order: int) -> dict[str, Array]:
    direction = _direction(recipe)

    def slope(inputs: Any) -> Any:
        pull, value = make_vjp(lambda values: compute(recipe, function, values))(inputs)
        gradients = pull(np.ones(()))
        along = sum(anp.sum(gradient * d) for gradient, d in zip(gradients, direction, strict=True))
        figures.update({"value": value}, **{f"gradient {i}": gradient for i, gradient in enumerate(gradients)})
        return along

    figures: dict[str, Any] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", "Output seems independent of input")
        figures["slope"] = slope(inputs)
        if order > 1:
            bends = make_vjp(slope)(inputs)[0](np.ones(()))
            figures = {name: getval(figure) for name, figure in figures.items()}
            figures.update({f"bend {i}": bend for i, bend in enumerate(bends)})
    return {name: np.asarray(figure) for name, figure in figures.items()}


_PLANNED = ", by a plan"


def _bits(array: Array) -> tuple[Any, ...]:
    return array.shape, array.dtype, np.where(np.isnan(array), np.nan, array).tobytes()


def _ours(recipe: Recipe, order: int, plan: bool = False) -> dict[str, Array]:
    built = build(recipe, gn.Graph())
    directions = _direction(recipe)
    moves = dict(zip(built.inputs, directions, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)  # that a derivative is zeros, which the oracle confirms
        gradients = gn.grad(built.result, built.inputs)
        slope = gn.jvp(built.result, moves)
        fetches = {"value": built.result, "slope": slope} | _numbered("gradient {}", gradients)
        if order > 1:
            along = sum(gn.sum(gradient * d) for gradient, d in zip(gradients, directions, strict=True))
            fetches |= _numbered("bend {}, by the vjp of vjp", gn.grad(along, built.inputs))
            fetches |= _numbered("bend {}, by the jvp of vjp", gn.jvp(gradients, moves))
            fetches |= _numbered("bend {}, by the vjp of jvp", gn.grad(slope, built.inputs))
    figures: dict[str, Array] = gn.run(fetches, built.feed)
    planned = gn.compile(fetches)(built.feed) if plan else {}
    return figures | {name + _PLANNED: figure for name, figure in planned.items()}


def _numbered(name: str, nodes: list[gn.Node]) -> dict[str, gn.Node]:
    return {name.format(i): node for i, node in enumerate(nodes)}


def function(line: Use) -> Callable[..., Any]:
    """Return what a line does, for autograd.numpy's arrays."""
    return partial(_FUNCTIONS.get(line.op) or getattr(anp, line.op), **line.attributes)


def _moved(x: Any, places: Any) -> Any:
    """Return the elements of the flattened x at these places."""
    places = np.asarray(places)
    if max(places.size, anp.size(x)) * anp.size(x) > _MOST_OF_MATRIX:
        return anp.ravel(x)[places]
    return anp.reshape(anp.dot(np.eye(anp.size(x))[places.ravel()], anp.ravel(x)), places.shape)


def _put(x: Any, places: Any, shape: Sequence[int]) -> Any:
    """Return zeros of this shape with the elements of x added at the flat places."""
    size, places = math.prod(shape), np.asarray(places).ravel()
    if max(places.size, size) * size > _MOST_OF_MATRIX:
        # What goes to one place lies side by side once it is sorted, and adds up between two running sums.
        order = np.argsort(places, kind="stable")
        running = anp.concatenate([np.zeros(1), anp.cumsum(anp.ravel(x)[order])])
        ends = np.searchsorted(places[order], np.arange(size + 1))
        return anp.reshape(running[ends[1:]] - running[ends[:-1]], shape)
    return anp.reshape(anp.dot(anp.ravel(x), np.eye(size)[places]), shape)


def _places(shape: Sequence[int]) -> Array:
    return np.arange(math.prod(shape)).reshape(shape)


def _index_add(x: Any, indices: Array, shape: Sequence[int], axis: int | None) -> Any:
    return _put(x, np.take(_places(shape), indices, axis), shape)


def _add_along_axis(x: Any, indices: Array, shape: Sequence[int], axis: int) -> Any:
    return _put(x, np.take_along_axis(_places(shape), indices, axis), shape)


def _pick(x: Any, labels: Array) -> Any:
    return anp.sum(x * (np.arange(anp.shape(x)[-1]) == labels[..., None]), axis=-1)


def _place(x: Any, labels: Array, classes: int) -> Any:
    return anp.expand_dims(x, -1) * np.eye(classes)[labels]


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _product(factors: Sequence[Any], like: Any) -> Any:
    return reduce(lambda a, b: a * b, factors, anp.ones(anp.shape(like)))


def _prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Multiply one half by the other: autograd's own divides, and so has no gradient where a factor is 0."""
    axes = _axes(axis, anp.ndim(x))
    kept = [i for i in range(anp.ndim(x)) if i not in axes]
    shape = anp.shape(x)
    flat = anp.reshape(anp.transpose(x, (*kept, *axes)), (*[shape[i] for i in kept], -1))
    while (count := anp.shape(flat)[-1]) > 1:
        half = count // 2
        product = flat[..., :half] * flat[..., half : 2 * half]
        flat = anp.concatenate([product, flat[..., 2 * half :]], axis=-1)
    result = flat[..., 0]
    return anp.reshape(result, [1 if i in axes else n for i, n in enumerate(shape)]) if keepdims else result


def _prod_others(x: Any, axis: int) -> Any:
    parts = anp.moveaxis(x, axis, 0)
    count = anp.shape(parts)[0]
    others = [_product([parts[k] for k in range(count) if k != i], parts[0]) for i in range(count)]
    return anp.moveaxis(anp.stack(others), 0, axis)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    over = partial(anp.sum, axis=axis, keepdims=keepdims)
    if ord is None or ord == 2:
        return anp.sqrt(over(x * x))
    if math.isinf(ord):
        return (anp.max if ord > 0 else anp.min)(anp.abs(x), axis=axis, keepdims=keepdims)
    zero = anp.equal(x, 0)  # where autograd's second derivative of a power would be NaN
    return over(_where(zero, 0.0, _where(zero, 1.0, anp.abs(x)) ** ord)) ** (1 / ord)


def _einsum(*operands: Any, subscripts: str) -> Any:
    if "ii" not in subscripts:
        return anp.einsum(subscripts, *operands)
    diagonal = operands[0] * np.eye(anp.shape(operands[0])[0])
    return anp.sum(diagonal, axis=1 if subscripts == "ii->i" else None)


def _where(condition: Any, x: Any, y: Any) -> Any:
    """Choose between x and y: autograd's own gradient does not undo a broadcast."""
    zeros = np.zeros(np.broadcast_shapes(*[anp.shape(v) for v in (condition, x, y)]))
    return anp.where(condition, x + zeros, y + zeros)


def _logaddexp0(x: Any) -> Any:
    return anp.logaddexp(x, 0.0)


def _softmax(x: Any, axis: int) -> Any:
    powers = anp.exp(x - anp.max(x, axis=axis, keepdims=True))
    return powers / anp.sum(powers, axis=axis, keepdims=True)


def _log_softmax(x: Any, axis: int) -> Any:
    shifted = x - anp.max(x, axis=axis, keepdims=True)
    return shifted - anp.log(anp.sum(anp.exp(shifted), axis=axis, keepdims=True))


def _sigmoid(x: Any) -> Any:
    return 0.5 * (anp.tanh(0.5 * x) + 1.0)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return _where(x > 0, x, alpha * _expm1(anp.minimum(x, 0.0)))


def _clip(x: Any, lo: float | None, hi: float | None) -> Any:
    return anp.clip(x, -np.inf if lo is None else lo, np.inf if hi is None else hi)


def _sum_to(x: Any, shape: Sequence[int]) -> Any:
    whole = (1,) * (anp.ndim(x) - len(shape)) + tuple(shape)
    axes = tuple(i for i, n in enumerate(whole) if n == 1)
    return anp.reshape(anp.sum(x, axis=axes, keepdims=True) if axes else x, shape)


def _squeeze(x: Any, axis: Any) -> Any:
    axes = _axes(axis, anp.ndim(x))
    return anp.reshape(x, [n for i, n in enumerate(anp.shape(x)) if i not in axes])


def _expand_dims(x: Any, axis: Any) -> Any:
    return anp.reshape(x, np.expand_dims(np.empty(anp.shape(x)), axis).shape)


def _split(x: Any, indices_or_sections: Any, axis: int, part: int) -> Any:
    return _moved(x, np.split(_places(anp.shape(x)), indices_or_sections, axis)[part])


def _pad(x: Any, pad_width: Any, constant_values: float) -> Any:
    framed = np.pad(np.zeros(anp.shape(x)), pad_width, constant_values=constant_values)
    places = np.pad(_places(anp.shape(x)), pad_width, constant_values=-1)
    return framed + _put(x, np.flatnonzero(places >= 0), framed.shape)


def _from_nothing(op: str) -> Callable[..., Any]:
    return lambda *operands, **attributes: operation(op)(**attributes).forward(*operands)


def _argsort(x: Any, axis: int | None, descending: bool) -> Any:
    value = np.asarray(getval(x))
    value, axis = (value.reshape(-1), 0) if axis is None else (value, axis)
    if not descending:
        return np.argsort(value, axis, kind="stable")
    return value.shape[axis] - 1 - np.flip(np.argsort(np.flip(value, axis), axis, kind="stable"), axis)


_WITHOUT_GRADIENT = {"cumprod", "put_along_axis"}
"""What autograd computes and has no gradient of."""

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    # Under another name, or with other arguments.
    "divide_by_size": lambda x, count: x / count,
    "cast": lambda x, dtype: x * 1.0,
    "stop_gradient": _held,
    "floor_divide": _floor_divide,
    "argmax": lambda x, axis, keepdims: np.argmax(_held(x), axis=axis, keepdims=keepdims),
    "argmin": lambda x, axis, keepdims: np.argmin(_held(x), axis=axis, keepdims=keepdims),
    "concatenate": lambda *operands, axis: anp.concatenate(
        [anp.ravel(x) for x in operands] if axis is None else operands, axis or 0
    ),
    "stack": lambda *operands, axis: anp.stack(operands, axis),
    "getitem": lambda x, index: x[index],
    "einsum": _einsum,
    "clip": _clip,
    "outer": lambda x, y: anp.reshape(x, (-1, 1)) * anp.reshape(y, (1, -1)),
    "flip": lambda x, axis: _moved(x, np.flip(_places(anp.shape(x)), axis)),
    "roll": lambda x, shift, axis: _moved(x, np.roll(_places(anp.shape(x)), shift, axis)),
    "diagonal": lambda x, offset, axis1, axis2: _moved(x, np.diagonal(_places(anp.shape(x)), offset, axis1, axis2)),
    "tile": lambda x, reps: _moved(x, np.tile(_places(anp.shape(x)), reps)),
    "repeat": lambda x, repeats, axis: _moved(x, np.repeat(_places(anp.shape(x)), repeats, axis)),
    "pad": _pad,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    "split": _split,
    "argsort": _argsort,
    "fmod": lambda x, y: x - y * anp.trunc(x / y),
    "cumsum": lambda x, axis: anp.cumsum(x, axis=axis),
    "norm": _norm,
    "prod": _prod,
    "logsumexp": asp.logsumexp,
    "erf": asp.erf,
    "expm1": _expm1,
    "where": _where,
    # Composed.
    "broadcast_to": lambda x, shape: x * np.ones(shape),
    "sum_to": _sum_to,
    "slice_add": lambda x, index, shape: _put(x, _places(shape)[index], shape),
    "take": lambda x, indices, axis: _moved(x, np.take(_places(anp.shape(x)), indices, axis)),
    "index_add": _index_add,
    "take_along_axis": lambda x, indices, axis: _moved(x, np.take_along_axis(_places(anp.shape(x)), indices, axis)),
    "add_along_axis": _add_along_axis,
    "pick": _pick,
    "scatter_labels": _place,
    "one_hot": lambda labels, depth, dtype: np.eye(depth, dtype=dtype)[labels],
    "prod_others": _prod_others,
    "sigmoid": _sigmoid,
    "softplus": _logaddexp0,
    "relu": lambda x: _where(x > 0, x, 0.0),
    "leaky_relu": lambda x, negative_slope=0.01: _where(x > 0, x, negative_slope * x),
    "prelu": lambda x, slope: _where(x > 0, x, slope * x),
    "elu": _elu,
    "gelu": lambda x: 0.5 * x * (1.0 + asp.erf(x / math.sqrt(2.0))),
    "silu": lambda x: x * _sigmoid(x),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    # Without operands that have gradients.
    "arange": _from_nothing("arange"),
    "random_normal": _from_nothing("random_normal"),
    "zeros": _from_nothing("zeros"),
    "eye": _from_nothing("eye"),
    "random_uniform": _from_nothing("random_uniform"),
    "zeros_like": lambda x: np.zeros(anp.shape(x)),
    "ones_like": lambda x: np.ones(anp.shape(x)),
}

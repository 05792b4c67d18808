"""Formulas computed by NumPy, to compare with what the graph gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.rules import Rules
from ...core.symbolic_shapes import Dim, concrete, size_of
from .expressions import (
    Affine,
    Applied,
    At,
    Block,
    Call,
    Cases,
    Expression,
    Filled,
    Fraction,
    Indicator,
    InWindow,
    Joined,
    Last,
    Letter,
    Line,
    Number,
    Over,
    Plus,
    Power,
    Product,
    Recurrence,
    Relation,
    Size,
    Symbol,
    Times,
    Transposed,
)
from .functions import FUNCTIONS, OVER, RELATIONS

if TYPE_CHECKING:
    from ...core import Array

Letters = tuple[Letter, ...]


class Values:
    """What symbols and sizes are worth.

    A value has one axis for each letter that is known, in front of its own: of one place where it is the same for all.
    """

    def __init__(self, values: dict[str, Array], sizes: Mapping[str, int]) -> None:
        self.of, self.sizes = values, sizes
        self.at: dict[Letter, int] = {}

    def size(self, dim: Dim) -> int:
        """Return a dimension as a number."""
        return size_of(dim, self.sizes)

    def line(self, line: Line) -> Array:
        """Return the value of a line, and remember it."""
        value = compute(line.tree, self, line.letters)
        shape = concrete(line.shape, self.sizes)
        letters = len(line.letters)
        missing = len(shape) - value.ndim
        if missing < 0:  # places of a single axis that broadcasting put in front
            value = value.reshape(value.shape[:letters] + value.shape[letters - missing :])
        value = value.reshape(value.shape[:letters] + (1,) * max(missing, 0) + value.shape[letters:])
        self.of[line.symbol.key] = found = np.broadcast_to(value, shape)
        return found

    def recurrence(self, recurrence: Recurrence) -> None:
        """Compute iteration after iteration, and remember the values of all, one below the other."""
        letter = recurrence.letter
        times = self.size(letter.dim)
        order = range(times)[::-1] if recurrence.backwards else range(times)
        back = {state.symbol.key: state.back for state in recurrence.states}
        shapes = {line.symbol.key: concrete(line.shape[1:], self.sizes) for line in recurrence.lines}
        for state in recurrence.states:
            shape = shapes[state.line]
            values = np.zeros((times + 1, *shape))
            first = times - state.back if recurrence.backwards else times
            values[first] = np.broadcast_to(compute(state.initial, self, ()), shape)
            self.of[state.symbol.key] = values
        for at in order:
            self.at[letter] = at
            for line in recurrence.lines:
                key = line.symbol.key
                value = compute(line.tree, self, line.letters)
                if key not in self.of:
                    self.of[key] = np.zeros((times, *shapes[key]), value.dtype)
                count, shape = len(line.letters), shapes[key]
                missing = len(shape) + 1 - value.ndim
                value = value.reshape(value.shape[:count] + (1,) * missing + value.shape[count:])
                self.of[key][at - back.get(key, 0)] = np.broadcast_to(value, (1, *shape))[0]
            del self.at[letter]


compute: Rules[[Values, Letters], Array] = Rules()
"""Takes an expression, the values of symbols, and the letters that are known."""


def _aligned(values: Sequence[Array], letters: int) -> list[Array]:
    """Return arrays with the same number of own axes, which broadcast."""
    most = max((value.ndim for value in values), default=0)
    return [
        value.reshape(value.shape[:letters] + (1,) * (most - value.ndim) + value.shape[letters:]) for value in values
    ]


def _each(parts: Iterable[Expression], values: Values, letters: Letters) -> list[Array]:
    return _aligned([compute(part, values, letters) for part in parts], len(letters))


def _constant(value: Any, letters: Letters) -> Array:
    array: Array = np.asarray(value)
    return array.reshape((1,) * len(letters) + array.shape)


def _symbol(expression: Symbol, values: Values, letters: Letters) -> Array:
    return _constant(values.of[expression.key], letters)


def _number(expression: Number, values: Values, letters: Letters) -> Array:
    return _constant(expression.value, letters)


def _size(expression: Size, values: Values, letters: Letters) -> Array:
    return _constant(values.size(expression.dim), letters)


def _letter(expression: Letter, values: Values, letters: Letters) -> Array:
    shape = [1] * len(letters)
    if expression in values.at:
        return np.full(shape, values.at[expression])
    shape[letters.index(expression)] = -1
    return np.arange(values.size(expression.dim)).reshape(shape)


def _affine(expression: Affine, values: Values, letters: Letters) -> Array:
    terms = [factor * compute(letter, values, letters) for factor, letter in expression.terms]
    return reduce(np.add, terms, _constant(expression.offset, letters))


def _last(expression: Last, values: Values, letters: Letters) -> Array:
    return _constant(values.size(expression.dim) - 1 + expression.behind, letters)


def _joined(expression: Joined, values: Values, letters: Letters) -> Array:
    parts = _each(expression.parts, values, letters)
    front = np.broadcast_shapes(*[part.shape[:-1] for part in parts])
    return np.concatenate([np.broadcast_to(part, (*front, part.shape[-1])) for part in parts], axis=-1)


def _in_window(expression: InWindow, values: Values, letters: Letters) -> Array:
    places, window = (
        [compute(each, values, letters) for each in part] for part in (expression.places, expression.window)
    )
    inside: Any = True
    offsets = []
    for place, which, slide in zip(places, window, expression.slides, strict=True):
        step = place - which * slide.stride
        offsets.append(step // slide.dilation)
        inside = inside & (step >= 0) & (step < slide.size * slide.dilation) & (step % slide.dilation == 0)
    if expression.of is None:
        return np.asarray(inside)
    found = []
    for offset in np.ndindex(*[slide.size for slide in expression.slides]):
        at = [
            Given(which * slide.stride + k * slide.dilation)
            for which, slide, k in zip(window, expression.slides, offset, strict=True)
        ]
        found.append(compute(At(expression.of, tuple(at)), values, letters))
    first = np.argmax(np.stack(found), axis=0)
    flat = reduce(lambda total, pair: total * pair[1].size + pair[0], zip(offsets, expression.slides, strict=True), 0)
    return np.asarray(inside & (flat == first))


def _filled(expression: Filled, values: Values, letters: Letters) -> Array:
    value = compute(expression.value, values, letters)
    shape = concrete(expression.shape, values.sizes)
    own = (1,) * (len(shape) - (value.ndim - len(letters))) + value.shape[len(letters) :]
    return np.broadcast_to(value.reshape(value.shape[: len(letters)] + own), value.shape[: len(letters)] + shape)


def _plus(expression: Plus, values: Values, letters: Letters) -> Array:
    parts = _each([term for _, term in expression.terms], values, letters)
    signed = [part if sign > 0 else np.negative(part) for (sign, _), part in zip(expression.terms, parts, strict=True)]
    return reduce(np.add, signed)


def _times(expression: Times, values: Values, letters: Letters) -> Array:
    return reduce(np.multiply, _each(expression.factors, values, letters))


def _fraction(expression: Fraction, values: Values, letters: Letters) -> Array:
    over, under = _each([expression.over, expression.under], values, letters)
    return np.asarray(np.divide(over, under))


def _power(expression: Power, values: Values, letters: Letters) -> Array:
    base, exponent = _each([expression.base, expression.exponent], values, letters)
    if isinstance(expression.exponent, Number) and expression.exponent.value == 2:
        return np.square(base)
    return np.asarray(np.power(base, exponent))


def _product(expression: Product, values: Values, letters: Letters) -> Array:
    left, right = (compute(part, values, letters) for part in (expression.left, expression.right))
    count = len(letters)
    row, column = left.ndim - count == 1, right.ndim - count == 1
    left = left[..., None, :] if row else left
    right = right[..., :, None] if column else right
    result = np.matmul(*_aligned([left, right], count))
    if row:
        result = result[..., 0, :]
    return result[..., 0] if column else result


def _transposed(expression: Transposed, values: Values, letters: Letters) -> Array:
    return np.swapaxes(compute(expression.of, values, letters), -1, -2)


def _call(expression: Call, values: Values, letters: Letters) -> Array:
    parts = [compute(part, values, letters) for part in expression.operands]
    function = FUNCTIONS[expression.function]
    if expression.function != "onehot":
        parts = _aligned(parts, len(letters))
    return np.asarray(function.compute(*parts))


def _applied(expression: Applied, values: Values, letters: Letters) -> Array:
    op = expression.op.bound(values.sizes)
    parts = (
        _each(expression.operands, values, letters)
        if op.elementwise
        else [compute(part, values, ()) for part in expression.operands]
    )
    found = np.asarray(op.forward(*parts))
    return found if op.elementwise and parts else _constant(found, letters)


def _relation(expression: Relation, values: Values, letters: Letters) -> Array:
    return np.asarray(RELATIONS[expression.sign][1](*_each([expression.left, expression.right], values, letters)))


def _indicator(expression: Indicator, values: Values, letters: Letters) -> Array:
    return compute(expression.condition, values, letters).astype(float)


def _cases(expression: Cases, values: Values, letters: Letters) -> Array:
    return np.where(*_each([expression.condition, expression.then, expression.otherwise], values, letters))


def _at(expression: At, values: Values, letters: Letters) -> Array:
    value, count = compute(expression.of, values, letters), len(letters)
    places: list[tuple[int, Array]] = []
    for axis, place in enumerate(expression.places, count):
        if place is not None and not isinstance(place, Block):
            where = compute(place, values, letters)  # a label that is chosen by an indicator is a float
            places.append((axis, where.astype(np.int64) if where.dtype.kind == "f" else where))
    if any(isinstance(place, Block) for place in expression.places):
        return _at_block(expression, values, letters)
    own = [axis for axis in range(count, value.ndim) if axis not in [axis for axis, _ in places]]
    value = value.transpose([*range(count), *[axis for axis, _ in places], *own])
    which = [
        np.arange(n).reshape([-1 if i == axis else 1 for i in range(count)])
        for axis, n in enumerate(value.shape[:count])
    ]
    chosen = [place for _, place in places]
    if not expression.inside:
        return np.asarray(value[(*which, *chosen)])
    sizes = value.shape[count : count + len(chosen)]
    fits = reduce(np.logical_and, [(place >= 0) & (place < n) for place, n in zip(chosen, sizes, strict=True)])
    found = value[(*which, *[np.clip(place, 0, n - 1) for place, n in zip(chosen, sizes, strict=True)])]
    return np.where(fits.reshape(fits.shape + (1,) * (found.ndim - fits.ndim)), found, 0)


def _at_block(expression: At, values: Values, letters: Letters) -> Array:
    """Return a part at places, one of which is a block: the blocks become an axis, of which one is chosen."""
    value, count = compute(expression.of, values, letters), len(letters)
    axis = next(i for i, place in enumerate(expression.places) if isinstance(place, Block))
    block = expression.places[axis]
    assert isinstance(block, Block)
    size = values.size(block.size)
    shape = (*value.shape[: count + axis], -1, size, *value.shape[count + axis + 1 :])
    places = (*expression.places[:axis], block.letter, None, *expression.places[axis + 1 :])
    return compute(At(Given(value.reshape(shape)), places), values, letters)


class Given(Expression):
    """A value that is known."""

    __slots__ = ("value",)
    value: Array

    def __init__(self, value: Array) -> None:
        object.__setattr__(self, "value", value)


def _over(expression: Over, values: Values, letters: Letters) -> Array:
    count, more = len(letters), len(expression.letters)
    value = compute(expression.body, values, (*letters, *expression.letters))
    sizes = tuple(values.size(letter.dim) for letter in expression.letters)
    value = np.broadcast_to(value, (*value.shape[:count], *sizes, *value.shape[count + more :]))
    if expression.kind == "concat":  # the letter's axis goes before the last, and both become one
        value = np.moveaxis(value, count, -2)
        return value.reshape(*value.shape[:-2], math.prod(value.shape[-2:]))
    return np.asarray(OVER[expression.kind][1](value, axis=tuple(range(count, count + more))))


compute[Symbol], compute[Number], compute[Size], compute[Letter] = _symbol, _number, _size, _letter
compute[Joined], compute[InWindow] = _joined, _in_window
compute[Last], compute[Affine], compute[Filled], compute[Plus], compute[Times] = _last, _affine, _filled, _plus, _times
compute[Fraction], compute[Power], compute[Product], compute[Transposed] = _fraction, _power, _product, _transposed
compute[Call], compute[Applied], compute[Relation], compute[Indicator] = _call, _applied, _relation, _indicator
compute[Cases], compute[At], compute[Over] = _cases, _at, _over
compute[Given] = lambda given, values, letters: given.value

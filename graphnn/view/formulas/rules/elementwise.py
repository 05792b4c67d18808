"""How elementwise operations are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ....ops import activations, comparison, elementwise, trigonometric
from ..algebra import averaged, axes_of, divided, is_number, kept_where, negative, plus, squared, times
from ..expressions import (
    Affine,
    Applied,
    Block,
    Call,
    Cases,
    Expression,
    Indicator,
    Number,
    Power,
    Relation,
)
from ..naming import escaped
from ..writer import Manner, Places, Writer, manners, rules

if TYPE_CHECKING:
    from ....core import Node, Op


def places_of(node: Node, operand: Node, at: Places) -> Places:
    """Return the places of an operand that broadcasts, for places of the result."""
    found: list[Expression | None] = []
    for axis, dim in enumerate(operand.spec.shape, node.ndim - operand.ndim):
        place = at[axis] if axis < len(at) else None
        if place is not None and dim == 1 and node.spec.shape[axis] != 1:
            place = None if isinstance(place, Block) else Number(0)
        found.append(place)
    return tuple(found)


def operands_of(node: Node, write: Writer, at: Places) -> list[Expression]:
    """Return the operands at places of the result."""
    return [write(operand, places_of(node, operand, at)) for operand in node.inputs]


def as_number(expression: Expression) -> Expression:
    """Return a condition as 1 and 0."""
    return Indicator(expression) if isinstance(expression, Relation) else expression


def _add(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return plus(*zip(op.signs, map(as_number, operands_of(node, write, at)), strict=True))


def _multiply(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return times(*map(as_number, operands_of(node, write, at)))


def _divide(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return divided(*operands_of(node, write, at))


def _divide_by_size(op: elementwise.DivideBySize, node: Node, write: Writer, at: Places) -> Expression:
    (over,) = operands_of(node, write, at)
    return averaged(over, [op.count])


def _negative(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return negative(operands_of(node, write, at)[0])


def _square(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return squared(operands_of(node, write, at)[0])


def _power(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return Power(*operands_of(node, write, at))


def _reciprocal(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return divided(Number(1), operands_of(node, write, at)[0])


def _expm1(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return plus((1, Call("exp", tuple(operands_of(node, write, at)))), (-1, Number(1)))


def _log1p(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return Call("log", (plus((1, Number(1)), (1, operands_of(node, write, at)[0])),))


def _silu(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = operands_of(node, write, at)
    return times(x, Call("sigmoid", (x,)))


def _leaky_relu(op: activations.LeakyRelu, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = operands_of(node, write, at)
    if not 0 <= op.negative_slope <= 1:
        return _named(op, node, write, at)
    return Call("max", (times(Number(op.negative_slope), x), x))


def _same(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return operands_of(node, write, at)[0]


def _cast(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    (before,), (x,) = node.inputs, operands_of(node, write, at)
    if before.dtype.kind == "b" or node.dtype.kind == "f" or (before.dtype.kind in "iu" and node.dtype.kind in "iu"):
        return as_number(x)
    return truth(before, x) if node.dtype.kind == "b" else _named(op, node, write, at)


def truth(node: Node, expression: Expression) -> Expression:
    """Return whether a value is not 0."""
    return expression if node.dtype.kind == "b" else Relation("≠", expression, Number(0))


def _called(function: str) -> Callable[[Any, Node, Writer, Places], Expression]:
    def rule(op: Op, node: Node, write: Writer, at: Places) -> Expression:
        return Call(function, tuple(operands_of(node, write, at)))

    return rule


def _relu(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    return Call("max", (Number(0), operands_of(node, write, at)[0]))


def _clip(op: comparison.Clip, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = operands_of(node, write, at)
    if op.lo is None or op.hi is None:
        bounds = [Call("max", (x, Number(op.lo)))] if op.lo is not None else []
        bounds += [Call("min", (x, Number(op.hi)))] if op.hi is not None else []
        return bounds[0] if bounds else x
    return Call("clip", (x, Number(op.lo), Number(op.hi)))


def _relation(sign: str) -> Callable[[Any, Node, Writer, Places], Expression]:
    def rule(op: Op, node: Node, write: Writer, at: Places) -> Expression:
        left, right = operands_of(node, write, at)
        if isinstance(left, Affine) and isinstance(right, Affine):  # two places, from 1 on as all are
            left, right = (Affine(each.terms, each.offset) for each in (left, right))
        return Relation(sign, left, right)

    return rule


_OTHER = {">": "≤", "≤": ">", "<": "≥", "≥": "<", "=": "≠", "≠": "="}


def _where(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    condition, then, otherwise = operands_of(node, write, at)
    if is_number(otherwise, 0):
        return kept_where(then, condition)
    if is_number(then, 0) and isinstance(condition, Relation):
        return kept_where(otherwise, Relation(_OTHER[condition.sign], condition.left, condition.right))
    return Cases(condition, then, otherwise)


def _named(op: Op, node: Node, write: Writer, at: Places) -> Expression:
    """Write an operation by its name: what has no other rule."""
    names = {"gelu": "GELU", "elu": "ELU", "leaky_relu": "LeakyReLU", "prelu": "PReLU"}
    called = names.get(op.name)
    title = rf"\operatorname{{{called}}}" if called else escaped(op.name)
    operands = tuple(operands_of(node, write, at))
    return Applied(op, title, operands, max(map(axes_of, operands), default=0))


rules[elementwise.Elementwise] = _named
rules[elementwise.Add] = rules[elementwise.Subtract] = _add
rules[elementwise.Multiply], rules[elementwise.Divide] = _multiply, _divide
rules[elementwise.DivideBySize], rules[elementwise.Negative] = _divide_by_size, _negative
rules[elementwise.Square], rules[elementwise.Power] = _square, _power
rules[elementwise.Reciprocal], rules[elementwise.Expm1] = _reciprocal, _expm1
rules[elementwise.Same], rules[elementwise.Cast] = _same, _cast
for _function, _class in {
    "exp": elementwise.Exp,
    "log": elementwise.Log,
    "sin": elementwise.Sin,
    "cos": elementwise.Cos,
    "tanh": elementwise.Tanh,
    "sqrt": elementwise.Sqrt,
    "abs": elementwise.Absolute,
    "floor": elementwise.Floor,
    "ceil": elementwise.Ceil,
    "sign": elementwise.Sign,
    "sigmoid": activations.Sigmoid,
    "softplus": activations.Softplus,
    "max": comparison.Maximum,
    "min": comparison.Minimum,
    "and": comparison.LogicalAnd,
    "or": comparison.LogicalOr,
    "xor": comparison.LogicalXor,
    "not": comparison.LogicalNot,
    "log2": trigonometric.Log2,
    "log10": trigonometric.Log10,
    "tan": trigonometric.Tan,
    "sinh": trigonometric.Sinh,
    "cosh": trigonometric.Cosh,
    "arcsin": trigonometric.Arcsin,
    "arccos": trigonometric.Arccos,
    "arctan": trigonometric.Arctan,
    "arcsinh": trigonometric.Arcsinh,
    "arccosh": trigonometric.Arccosh,
    "arctanh": trigonometric.Arctanh,
}.items():
    rules[_class] = _called(_function)
rules[elementwise.Log1p], rules[activations.Silu], rules[activations.LeakyRelu] = _log1p, _silu, _leaky_relu
rules[activations.Relu], rules[comparison.Clip], rules[comparison.Where] = _relu, _clip, _where
for _sign, _class in {
    "=": comparison.Equal,
    "≠": comparison.NotEqual,
    "<": comparison.Less,
    "≤": comparison.LessEqual,
    ">": comparison.Greater,
    "≥": comparison.GreaterEqual,
}.items():
    rules[_class] = _relation(_sign)
_CHEAP: tuple[type[Op], ...] = (
    *(elementwise.Cast, elementwise.StopGradient, elementwise.Subtract, elementwise.Negative, elementwise.Exp),
    *(elementwise.Square, elementwise.Log),
)
manners.update(dict.fromkeys(_CHEAP, Manner(cheap=True)))

"""Complex tensors: each is a pair, of real and of imaginary parts. What a program gives in the end is real.

Operations that only move elements, or add them, are those of both parts. Others have rules here; every other operation
on such a pair is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core import Node, fn
from ...errors import NoRuleError
from ..aliases import Cell, Tensor
from .call import cast
from .elementwise import angle_of
from .shapes import selected_back
from .table import rule_for

if TYPE_CHECKING:
    from ..reader import Reader
    from .call import Call


@dataclass
class Pair:
    """A complex tensor.

    Attributes
    ----------
    real, imag : Tensor
    """

    real: Tensor
    imag: Tensor


class Complex(NamedTuple):
    """A complex tensor in a rule.

    Attributes
    ----------
    real, imag : Node
    """

    real: Node
    imag: Node


COMPLEX: dict[str, Callable[..., Any]] = {}
"""{operation of ATen: its rule for complex numbers}, as the rules of ``aten`` are, with `Complex` for tensors."""

_EACH_PART = frozenset(
    (
        *("alias", "contiguous", "clone", "lift_fresh_copy", "lift_fresh", "positive", "detach", "resolve_neg", "to"),
        *(
            "view",
            "reshape",
            "_unsafe_view",
            "flatten",
            "unflatten",
            "unsqueeze",
            "squeeze",
            "permute",
            "transpose",
            "t",
        ),
        *("swapaxes", "numpy_T", "mT", "movedim", "moveaxis", "expand", "expand_as", "broadcast_to", "repeat", "tile"),
        *("view_as", "reshape_as", "flip", "roll", "rot90", "narrow", "select", "slice", "split", "split_with_sizes"),
        *("chunk", "unbind", "diagonal", "index", "index_select", "gather", "take_along_dim", "unfold", "as_strided"),
        *("repeat_interleave", "tril", "triu", "constant_pad_nd", "pad", "sum", "mean", "cumsum", "_to_copy", "neg"),
        *("cat", "concat", "stack", "where", "copy", "index_put", "slice_scatter", "select_scatter", "masked_fill"),
        *("full", "full_like", "new_full", "fill", "scalar_tensor", "zeros", "zeros_like", "new_zeros", "zero"),
        *("empty", "empty_like", "new_empty", "ones", "ones_like", "new_ones", "negative", "index_add", "type_as"),
    )
)
_VALUES = frozenset(("self", "other", "tensors", "src", "values", "value", "fill_value", "source", "s"))
_ONES = {"ones": "zeros", "ones_like": "zeros_like", "new_ones": "new_zeros"}


def concerns(name: str, metas: list[Any], given: dict[str, Any]) -> bool:
    """Tell whether a call gives or takes complex numbers, or has a rule only here."""
    if name in COMPLEX and rule_for(name, "") is None:
        return True
    return any(meta is not None and meta.is_complex() for meta in metas) or any(map(_is_complex, given.values()))


def _is_complex(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_is_complex, value))
    return isinstance(value, (Pair, complex))


def called(reader: Reader, node: Any, target: Any, name: str, given: dict[str, Any], metas: list[Any]) -> Any:
    """Return what a call gives that has to do with complex numbers."""
    in_place = name.endswith("_") and name not in COMPLEX and target._schema.is_mutable
    base = name[:-1] if in_place else name
    own = COMPLEX.get(base)
    if own is not None:
        call = reader._call(node, base)
        call.tensors = {key: value for key, value in given.items() if isinstance(value, (Tensor, Pair))}  # type: ignore[misc]
        made = own(call, **{key: value if base in _OF_TENSORS else _nodes(value) for key, value in given.items()})
        if not in_place:
            return _wrapped(reader, made, metas[0])
        pair = given["self"]
        for tensor, part in ((pair.real, made.real), (pair.imag, made.imag)):
            reader._overwritten(tensor, fn.broadcast_to(part, tensor.node.spec.shape))
        return pair
    if base in _EACH_PART and (rule_for(base, target._schema.overload_name) is not None):
        return _of_parts(reader, node, target, base, given, metas, in_place)
    if rule_for(base, target._schema.overload_name) is not None or in_place:
        raise NoRuleError(
            f"graphnn has no {base} of complex numbers: compute it of x.real and x.imag, or of torch.view_as_real(x)"
        )
    return reader._taken_apart(node, target, given)


def _of_parts(
    reader: Reader, node: Any, target: Any, name: str, given: dict[str, Any], metas: list[Any], in_place: bool
) -> Any:
    found = []
    for part in ("real", "imag"):
        asked = _ONES.get(name, name) if part == "imag" else name
        each = {key: _part(reader, value, part, key in _VALUES) for key, value in given.items()}
        if in_place:
            found.append(reader._in_place(node, target, asked, each))
        else:
            rule = rule_for(asked, target._schema.overload_name)
            assert rule is not None
            found.append(reader._applied(node, rule, asked, each))
        if metas and metas[0] is not None and not metas[0].is_complex():
            return found[0]  # the imaginary part is dropped
    if in_place and isinstance(given["self"], Pair):
        return given["self"]
    if isinstance(found[0], (list, tuple)):
        return [Pair(*both) for both in zip(*found, strict=True)]
    return Pair(*found)


def _part(reader: Reader, value: Any, part: str, counts: bool) -> Any:
    """Return one part of an operand; the imaginary part of a real number is 0."""
    if isinstance(value, Pair):
        return getattr(value, part)
    if isinstance(value, complex):
        return getattr(value, part)
    if isinstance(value, (list, tuple)) and counts:
        return [_part(reader, each, part, counts) for each in value]
    if part == "real" or not counts:
        return value
    if isinstance(value, Tensor):
        return Tensor.of(fn.zeros_like(value.node))
    return 0.0 if isinstance(value, (bool, int, float)) else value


def _nodes(value: Any) -> Any:
    if isinstance(value, Pair):
        return Complex(value.real.node, value.imag.node)
    if isinstance(value, Tensor):
        return value.node
    return [_nodes(each) for each in value] if isinstance(value, (list, tuple)) else value


def _wrapped(reader: Reader, made: Any, meta: Any) -> Any:
    if isinstance(made, Complex):
        return Pair(*(Tensor.of(reader._checked(part, meta)) for part in made))
    return Tensor.of(reader._checked(made, meta)) if isinstance(made, Node) else made


# --- the rules ------------------------------------------------------------------------------------------------------

_Part = Any  # a node or a number; None is 0


def _rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        COMPLEX.update(dict.fromkeys(names, function))
        return function

    return register


def parts(call: Call, value: Any) -> tuple[_Part, _Part]:
    """Return real and imaginary part; None is an imaginary part of 0."""
    if isinstance(value, Complex):
        return cast(value.real, call.dtype), cast(value.imag, call.dtype)
    if isinstance(value, complex):
        return value.real, value.imag or None
    return (cast(value, call.dtype) if isinstance(value, Node) else value), None


def _plus(a: _Part, b: _Part) -> _Part:
    return b if a is None else a if b is None else a + b


def _minus(a: _Part, b: _Part) -> _Part:
    return a if b is None else -b if a is None else a - b


def _times(a: _Part, b: _Part) -> _Part:
    return None if a is None or b is None else a * b


def _made(call: Call, real: _Part, imag: _Part) -> Complex:
    """Return both parts in the shape that they have together."""
    nodes = [call.node(0.0 if each is None else each, call.dtype) for each in (real, imag)]
    if nodes[0].spec.shape != nodes[1].spec.shape:
        zero = [fn.zeros_like(each) for each in nodes]
        nodes = [nodes[0] + zero[1], nodes[1] + zero[0]]
    return Complex(*nodes)


def _product(a: tuple[_Part, _Part], b: tuple[_Part, _Part]) -> tuple[_Part, _Part]:
    real = _minus(_times(a[0], b[0]), _times(a[1], b[1]))
    return real, _plus(_times(a[0], b[1]), _times(a[1], b[0]))


@_rule("complex")
def complex_of(call: Call, real: Node, imag: Node) -> Complex:
    """Return numbers of real and imaginary parts."""
    return _made(call, real, imag)


@_rule("polar")
def polar(call: Call, abs: Node, angle: Node) -> Complex:
    """Return numbers of absolute values and angles."""
    return _made(call, abs * fn.cos(angle), abs * fn.sin(angle))


def _view_as_complex(call: Call, self: Tensor) -> Pair:
    def part(place: int) -> Tensor:
        def look(whole: Node) -> Node:
            return fn.getitem(whole, (..., place))

        def put(whole: Node, now: Node) -> Node:
            return selected_back(call, whole, now, -1, place)

        return self.view(look(self.node), look, put)

    return Pair(part(0), part(1))


def _view_as_real(call: Call, self: Pair) -> Tensor:
    # It shares its elements with the pair, which cannot be written through it.
    return Tensor(
        Cell(fn.stack([self.real.node, self.imag.node], axis=self.real.node.ndim)), ((lambda whole: whole, None),)
    )


_OF_TENSORS: dict[str, Callable[..., Any]] = {
    "view_as_complex": _view_as_complex,
    "view_as_real": _view_as_real,
    "real": lambda call, self: self.real,
    "imag": lambda call, self: self.imag,
}
"""What shares its elements with the operand."""
COMPLEX.update(_OF_TENSORS)


@_rule("conj", "_conj", "conj_physical", "_conj_physical")
def conj(call: Call, self: Complex) -> Complex:
    """Return numbers with the imaginary parts negated."""
    return Complex(self.real, -self.imag)


@_rule("resolve_conj")
def resolve_conj(call: Call, self: Complex) -> Complex:
    """Return the numbers."""
    return self


@_rule("abs", "absolute")
def absolute(call: Call, self: Complex) -> Node:
    """Return absolute values; the gradient at 0 is 0."""
    return fn.norm(fn.stack([self.real, self.imag]), axis=0)


@_rule("angle")
def angle(call: Call, self: Complex) -> Node:
    """Return angles."""
    return angle_of(self.imag, self.real)


@_rule("add", "sub", "subtract", "rsub")
def add(call: Call, self: Any, other: Any, alpha: Any = 1) -> Complex:
    """Return sums or differences."""
    a, b = parts(call, self), parts(call, other)
    if call.op == "rsub":
        a, b = b, a
    if alpha != 1:
        b = _product(b, parts(call, alpha))
    function = _plus if call.op == "add" else _minus
    return _made(call, function(a[0], b[0]), function(a[1], b[1]))


@_rule("mul", "multiply")
def multiply(call: Call, self: Any, other: Any) -> Complex:
    """Return products."""
    return _made(call, *_product(parts(call, self), parts(call, other)))


def _quotient(a: tuple[_Part, _Part], b: tuple[_Part, _Part]) -> tuple[_Part, _Part]:
    if b[1] is None:
        return a[0] / b[0], None if a[1] is None else a[1] / b[0]
    size = b[0] * b[0] + b[1] * b[1]
    real, imag = _product(a, (b[0], -b[1]))
    return real / size, imag / size


@_rule("div", "divide", "true_divide")
def divide(call: Call, self: Any, other: Any) -> Complex:
    """Return quotients."""
    return _made(call, *_quotient(parts(call, self), parts(call, other)))


@_rule("reciprocal")
def reciprocal(call: Call, self: Complex) -> Complex:
    """Return 1 / z."""
    return _made(call, *_quotient((1.0, None), self))


@_rule("square")
def square(call: Call, self: Complex) -> Complex:
    """Return z²."""
    return _made(call, *_product(self, self))


@_rule("exp")
def exp(call: Call, self: Complex) -> Complex:
    """Return exp(z)."""
    size = fn.exp(self.real)
    return Complex(size * fn.cos(self.imag), size * fn.sin(self.imag))


def _bilinear(call: Call, function: Callable[[Node, Node], Node], a: Any, b: Any) -> Complex:
    """Return what a function that is linear in both operands gives."""
    (p, q), (r, s) = parts(call, a), parts(call, b)

    def of(x: _Part, y: _Part) -> _Part:
        return None if x is None or y is None else function(x, y)

    return _made(call, _minus(of(p, r), of(q, s)), _plus(of(p, s), of(q, r)))


@_rule("matmul", "mm", "bmm", "mv", "dot")
def matmul(call: Call, self: Any, other: Any = None, mat2: Any = None, vec: Any = None, tensor: Any = None) -> Complex:
    """Return products of matrices."""
    second = next(each for each in (other, mat2, vec, tensor) if each is not None)
    return _bilinear(call, fn.matmul, self, second)


@_rule("linear")
def linear(call: Call, input: Any, weight: Any, bias: Any = None) -> Complex:
    """Return x Wᵀ + b."""
    found = _bilinear(call, lambda x, w: fn.matmul(x, fn.swapaxes(w, -1, -2)), input, weight)
    if bias is None:
        return found
    b = parts(call, bias)
    return _made(call, _plus(found.real, b[0]), _plus(found.imag, b[1]))


@_rule("einsum")
def einsum(call: Call, equation: str, tensors: Any, path: Any = None) -> Complex:
    """Return a sum of products, of two operands at most."""
    equation = equation.replace(" ", "")
    if len(tensors) == 1:
        return Complex(*(fn.einsum(equation, each) for each in tensors[0]))
    if len(tensors) > 2:
        call.refuse("einsum of more than two tensors, some of which are complex: write one einsum for each two")
    return _bilinear(call, lambda x, y: fn.einsum(equation, x, y), *tensors)

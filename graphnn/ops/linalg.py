"""Products of vectors and matrices, and transposition."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np

from ..core import Array, Dim, Kind, Node, Op, Shape, Spec, Trait, composition, fn
from ..core.symbolic_shapes import Constraint, broadcast, multiply, product, shown, unify
from ..errors import ShapeError, UsageError
from . import matmul_kernels
from .base import Axes, Multilinear, Rearranging, axes_of, axis_of, clash, into, promoted, shape_clash, unbroadcast
from .contraction import Directly, contraction_of


class Matmul(Multilinear):
    """The matrix product; of one axis a vector, of more than two a batch of matrices, as numpy.matmul."""

    traits, contracts = Trait.WRAPS, True
    formula = "{0} @ {1}"

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        """Multiply; long and thin matrices by blocks of rows."""
        return matmul_kernels.product(x, y, out)

    def infer(self, x: Spec, y: Spec) -> Spec:
        if not x.shape or not y.shape:
            raise _refused(x, y, "for a number there is multiply")
        last, first = len(x.shape) - 1, max(len(y.shape) - 2, 0)
        met = unify(x.shape[last], y.shape[first])
        if met is None:
            raise _refused(x, y, clash((0, last, x.shape[last]), (1, first, y.shape[first])))
        batch = broadcast((x.shape[:-2], y.shape[:-2]))
        if batch is None:
            raise _refused(x, y, shape_clash([x.shape, y.shape], axes=2))
        shape = (*batch[0], *x.shape[-2:-1], *(y.shape[-1:] if len(y.shape) > 1 else ()))
        return Spec(shape, promoted(np.matmul, self.name, (x.dtype, y.dtype)), met[1] + batch[1])

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, y = inputs
        if x.ndim == y.ndim == 1:
            return cotangent * inputs[1 - i]
        # A vector is a matrix of one row or column.
        if x.ndim == 1 and i == 0:
            return fn.squeeze(y @ fn.expand_dims(cotangent, -1), -1)
        if x.ndim == 1:
            return fn.expand_dims(x, -1) * fn.expand_dims(cotangent, -2)
        if y.ndim == 1 and i == 0:
            return fn.expand_dims(cotangent, -1) * y
        if y.ndim == 1:
            return fn.squeeze(fn.expand_dims(cotangent, -2) @ x, -2)
        if i == 0:
            return cotangent @ _turned(y)
        if y.ndim == 2:  # the same matrix for a whole stack: one product adds up over it
            x, cotangent = _unstacked(x), _unstacked(cotangent)
        return _turned(x) @ cotangent

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        x, y = operands
        stack = index[: len(index) - (x.ndim > 1) - (y.ndim > 1)]
        row = index[len(stack) :][: x.ndim > 1]
        column = index[len(stack) + len(row) :]
        mine, other = (unbroadcast(stack, each.shape[:-2]) for each in operands)
        return (*mine, *row, slice(None)), (*other, slice(None), *column)

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return multiply(2, multiply(product(output.shape), inputs[0].shape[-1]))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        sizes = {letter: (draw.integer(0, 3),) for letter in "mkn"}
        sizes["B"] = draw.shape(max_ndim=2, max_side=3)
        # A stack that broadcasts to the other.
        sizes["b"] = tuple(draw.choice([dim, 1]) for dim in sizes["B"])[draw.integer(0, len(sizes["B"])) :]
        terms = draw.choice(
            ["k,k", "k,kn", "mk,k", "mk,kn", "Bmk,bkn", "bmk,Bkn", "Bmk,kn", "mk,Bkn", "k,Bkn", "Bmk,k"]
        )
        x, y = (draw.array(sum((sizes[letter] for letter in term), ())) for term in terms.split(","))
        return cls(), (x, y)


def _refused(x: Spec, y: Spec, why: str) -> ShapeError:
    return ShapeError(f"matmul cannot multiply {shown(x.shape)} by {shown(y.shape)}: {why}")


def _turned(x: Node) -> Node:
    return fn.swapaxes(x, -1, -2)


def _unstacked(x: Node) -> Node:
    return x if x.ndim == 2 else fn.reshape(x, (product(x.shape[:-1]), x.shape[-1]))


class Transpose(Rearranging):
    """x with its axes in this order, or reversed."""

    axes: Axes = None
    formula = "{0}ᵀ"

    def order(self, ndim: int) -> tuple[int, ...]:
        if self.axes is None:
            return tuple(range(ndim))[::-1]
        axes = axes_of(self.name, self.axes, ndim)
        if len(axes) != ndim:
            raise ShapeError(f"transpose: the axes {self.axes} name {len(axes)} of {ndim} axes")
        return axes

    def infer(self, x: Spec) -> Spec:
        return Spec(tuple(x.shape[axis] for axis in self.order(len(x.shape))), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.transpose(x, self.axes))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        order = self.order(cotangent.ndim)
        back = tuple(order.index(axis) for axis in range(len(order)))
        return fn.transpose(cotangent, None if self.axes is None else back)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        turn = draw.integer(0, x.ndim)
        axes = tuple(range(x.ndim))
        backwards = tuple(axis - x.ndim for axis in axes)
        return cls(draw.choice([None, axes[turn:] + axes[:turn], backwards])), (x,)


@composition
def swapaxes(x: Any, axis1: int, axis2: int, *, name: str | None = None) -> Node:
    """Return x with two axes exchanged."""
    first, second = axis_of("swapaxes", axis1, x.ndim), axis_of("swapaxes", axis2, x.ndim)
    axes = list(range(x.ndim))
    axes[first], axes[second] = second, first
    return fn.transpose(x, tuple(axes), name=name)


@composition
def moveaxis(x: Any, source: Axes, destination: Axes, *, name: str | None = None) -> Node:
    """Return x with some axes moved to other places; the others keep their order."""
    come, go = axes_of("moveaxis", source, x.ndim), axes_of("moveaxis", destination, x.ndim)
    if len(come) != len(go):
        raise ShapeError(f"moveaxis: {len(come)} axes cannot go to {len(go)} places")
    axes = [axis for axis in range(x.ndim) if axis not in come]
    for place, axis in sorted(zip(go, come, strict=True)):
        axes.insert(place, axis)
    return fn.transpose(x, tuple(axes), name=name)


class Outer(Multilinear):
    """The product of each element of x with each of y; both are flattened."""

    traits = Trait.WRAPS
    formula = "{0} ⊗ {1}"

    def infer(self, x: Spec, y: Spec) -> Spec:
        return Spec((product(x.shape), product(y.shape)), promoted(np.multiply, self.name, (x.dtype, y.dtype)))

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        return np.outer(x, y, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        other = _flat(inputs[1 - i])
        mine = cotangent @ other if i == 0 else other @ cotangent
        return mine if inputs[i].ndim == 1 else fn.reshape(mine, inputs[i].shape)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        return [np.unravel_index(at, x.shape) for at, x in zip(index, operands, strict=True)]

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(), (draw.array(draw.shape(max_ndim=2)), draw.array(draw.shape(max_ndim=2)))


def _flat(x: Node) -> Node:
    return x if x.ndim == 1 else fn.reshape(x, (product(x.shape),))


# --- Einstein's sums ----------------------------------------------------------------------------------------


class Subscripts(Kind):
    """What `Einsum` computes: letters."""

    said = 'text of letters such as "ij,jk->ik"'

    def read(self, value: Any) -> str:
        """Return the text."""
        text: str = super().read(value)
        if type(text) is not str or not re.fullmatch("[A-Za-z,]*->[A-Za-z]*", text):
            raise UsageError
        return text


class Einsum(Multilinear):
    """The sum of products that the subscripts describe, such as "ij,jk->ik"; dimensions of size 1 broadcast."""

    traits, contracts = Trait.WRAPS, True

    subscripts: Annotated[str, Subscripts()]
    formula = "einsum({subscripts})"

    def in_words(self, operands: Sequence[Node]) -> str:
        """Return what it sums over, by the sizes of these axes: of windows, of how many channels."""
        terms, right = self._terms()
        summed: dict[str, tuple[Node, int, Dim]] = {}
        for term, operand in zip(terms, operands, strict=True):
            for axis, (letter, dim) in enumerate(zip(term, operand.shape, strict=True)):
                if letter not in right and (letter not in summed or summed[letter][2] == 1):
                    summed[letter] = (operand, axis - len(term), dim)
        inside = [dim for operand, axis, dim in summed.values() if axis >= -operand.op.window_axes]
        others = [dim for operand, axis, dim in summed.values() if axis < -operand.op.window_axes]
        parts = [f"{' × '.join(map(str, inside))} window"] if inside else []
        if others:
            sizes = " × ".join(map(str, others))
            parts.append(f"{sizes} channels" if inside and len(others) == 1 else sizes)
        return f"Σ over {' and '.join(parts)}" if parts else "product"

    def _terms(self) -> tuple[list[str], str]:
        left, _, right = self.subscripts.partition("->")
        terms = left.split(",")
        for letter in right:
            if letter not in left or right.count(letter) > 1:
                what = "is there twice" if letter in left else "is in no operand"
                raise ShapeError(f'einsum: "{letter}" of the output of "{self.subscripts}" {what}')
        return terms, right

    def infer(self, *inputs: Spec) -> Spec:
        terms, right = self._terms()
        if len(terms) != len(inputs):
            raise ShapeError(f'einsum: "{self.subscripts}" is of {len(terms)} operands, and not of {len(inputs)}')
        sizes: dict[str, tuple[int, int, Dim]] = {}
        constraints: tuple[Constraint, ...] = ()
        for operand, (term, spec) in enumerate(zip(terms, inputs, strict=True)):
            if len(term) != len(spec.shape):
                raise ShapeError(f'einsum: "{term}" does not fit operand {operand}, of shape {shown(spec.shape)}')
            own: dict[str, tuple[int, int, Dim]] = {}
            for axis, (letter, dim) in enumerate(zip(term, spec.shape, strict=True)):
                # Within one operand nothing broadcasts: "ii" takes a diagonal.
                own[letter], more = self._unified(letter, own.get(letter), (operand, axis, dim))
                constraints += more
            for letter, end in own.items():
                known = sizes.get(letter)
                if known is None or known[2] == 1:
                    sizes[letter] = end
                elif end[2] != 1:
                    sizes[letter], more = self._unified(letter, known, end)
                    constraints += more
        shape = tuple(sizes[letter][2] for letter in right)
        return Spec(shape, np.result_type(*[spec.dtype for spec in inputs]), constraints)

    def _unified(
        self, letter: str, known: tuple[int, int, Dim] | None, end: tuple[int, int, Dim]
    ) -> tuple[tuple[int, int, Dim], tuple[Constraint, ...]]:
        """Return of two axes (operand, axis, size) of one letter the one whose size holds, and what it rests on."""
        if known is None:
            return end, ()
        met = unify(known[2], end[2])
        if met is None:
            raise ShapeError(f'einsum: "{letter}" of "{self.subscripts}" has two sizes: {clash(known, end)}')
        return known if met[0] == known[2] else end, met[1]

    def _sizes(self, shapes: Iterable[Sequence[Any]]) -> dict[str, Any]:
        """Return the size of each letter, which is 1 only where all its axes are of size 1."""
        sizes: dict[str, Any] = {}
        for term, shape in zip(self._terms()[0], shapes, strict=True):
            for letter, dim in zip(term, shape, strict=True):
                if sizes.get(letter, 1) == 1:
                    sizes[letter] = dim
        return sizes

    def forward(self, *arrays: Array, out: Array | None = None) -> Any:
        how = contraction_of(self.subscripts, *arrays)
        if how:
            return into(out, how.take(Directly(), *arrays))
        several = len(arrays) > 2
        if several:  # two are multiplied first, which must not round or overflow before the others' dtype is met
            dtype = np.result_type(*arrays)
            arrays = tuple(x.astype(dtype, copy=False) for x in arrays)
        result = np.einsum(self.subscripts, *arrays, out=out, optimize=several)
        # Of an empty array NumPy multiplies by 0 what lies behind it in memory, be it NaN.
        return result if all(x.size for x in arrays) else into(out, np.zeros(np.shape(result), result.dtype))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        terms, right = self._terms()
        mine, x = terms[i], inputs[i]
        factors = list(zip(terms, inputs, strict=True))
        factors[i] = (right, cotangent)
        # A diagonal was taken where a letter repeats: its cotangent goes onto the diagonal, by an identity.
        unused = iter(sorted(set(string.ascii_letters) - set(self.subscripts)))
        places = ""
        for letter, dim in zip(mine, x.shape, strict=True):
            if letter in places:
                fresh = next(unused)
                factors.append((letter + fresh, fn.eye(dim, cotangent.dtype, graph=cotangent.graph)))
                letter = fresh
            places += letter
        reached = "".join(letter for letter in places if any(letter in term for term, _ in factors))
        subscripts = ",".join(term for term, _ in factors)
        result = Einsum(f"{subscripts}->{reached}")(*[node for _, node in factors])
        # What was summed over x alone is the same everywhere.
        lost = tuple(place for place, letter in enumerate(places) if letter not in reached)
        if lost:
            result = fn.expand_dims(result, lost)
        shape: Shape = tuple(r if own == 1 else own for r, own in zip(result.shape, x.shape, strict=True))
        return result if result.shape == shape else fn.broadcast_to(result, shape)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        terms, right = self._terms()
        sizes = self._sizes(x.shape for x in operands)
        summed = [letter for letter in sizes if letter not in right]
        if any(sizes[letter] == 0 for letter in summed):
            return (None,) * len(operands)
        # Each letter that is summed over is an axis of its own, so that the elements of the operands meet.
        places: dict[str, Any] = dict(zip(right, index, strict=True))
        places.update(zip(summed, np.ix_(*[np.arange(sizes[letter]) for letter in summed]), strict=True))
        return [
            tuple([0 if n == 1 else places[letter] for letter, n in zip(term, x.shape, strict=True)])
            for term, x in zip(terms, operands, strict=True)
        ]

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        sizes = self._sizes(spec.shape for spec in inputs)
        # A product of n factors takes n - 1 multiplications, and where something is summed over, one addition.
        summed = sizes.keys() - set(self._terms()[1])
        return multiply(len(inputs) - (not summed), product(sizes.values()))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        products = "ij,jk->ik bij,bjk->bik i,i-> i,j->ij ij,j->i ,i->i ij,ij->i ij,ik,il->jkl ab,ab,b->"
        others = "-> i->i ij->ji ij-> ij,k->k ii->i ii-> iii->i ii,i->i iij,j->ij"
        subscripts = draw.choice(f"{products} {others}".split())
        sizes = {letter: draw.integer(0, 3) for letter in string.ascii_letters}
        arrays = []
        for term in subscripts.partition("->")[0].split(","):
            small = {letter: draw.choice([sizes[letter]] * 4 + [1]) for letter in sorted(set(term))}
            arrays.append(draw.array(tuple(small[letter] for letter in term)))
        return cls(subscripts), tuple(arrays)


@composition
def einsum(subscripts: str, *operands: Any, name: str | None = None) -> Node:
    """Return the sum of products that the subscripts describe, as numpy.einsum reads them.

    Parameters
    ----------
    subscripts : str
        ``"ij,jk->ik"``; without an arrow, the letters that occur once, in alphabetical order, are kept; an
        ellipsis means the axes without a letter, which broadcast.
    *operands : Node

    Raises
    ------
    ShapeError
        When the subscripts do not fit the operands.
    """
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ShapeError(f'einsum: "{subscripts}" is of {len(terms)} operands, and not of {len(operands)}')
    unused = sorted(set(string.ascii_letters) - set(subscripts))
    counts = []
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        count = np.ndim(x) - len(term.replace("...", ""))
        if "..." in term and not 0 <= count <= len(unused):
            raise ShapeError(f'einsum: "{term}" does not fit operand {i}, which has {np.ndim(x)} axes')
        counts.append(count if "..." in term else 0)
    spare = "".join(unused[: max(counts)])
    terms = [term.replace("...", spare[len(spare) - count :], 1) for term, count in zip(terms, counts, strict=True)]
    if not arrow:
        letters = "".join(terms)
        once = sorted(letter for letter in set(letters) - set(spare) if letters.count(letter) == 1)
        right = spare + "".join(once)
    elif spare and "..." not in right:
        raise ShapeError(f'einsum: "{subscripts}" has an ellipsis before the arrow, and so needs one after it')
    else:
        right = right.replace("...", spare, 1)
    return Einsum(f"{','.join(terms)}->{right}")(*operands, name=name)

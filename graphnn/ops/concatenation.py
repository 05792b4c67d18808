"""Operations that join, cut, pad and repeat arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal

import numpy as np

from .._util.text import short_repr
from ..core import Array, Bound, Count, Dim, Either, Flag, Node, Op, Real, Several, Shape, Spec, Whole, composition, fn
from ..core.symbolic_shapes import add, floor_divide, multiply, product, shown, total, unify
from ..errors import ShapeError, UsageError
from .base import Rearranging, agreed, axis_of, into, no_flops, shape_clash

_COUNT, _NUMBER = Whole(0, 2**63 - 1), Either(Flag(), Real())
Constants = Annotated[Any, Either(_NUMBER, Several(_NUMBER), Several(Several(_NUMBER)))]
"""One number, a pair for before and after, or a pair for each axis."""


class Concatenate(Rearranging):
    """The operands one after the other along an axis that they have; None flattens them first."""

    axis: int | None = 0
    formula = "concatenate(…, {axis})"

    def infer(self, *inputs: Spec) -> Spec:
        if not inputs:
            raise ShapeError("concatenate needs at least one operand")
        dtype = np.result_type(*[spec.dtype for spec in inputs])
        if self.axis is None:
            return Spec((total(product(spec.shape) for spec in inputs),), dtype)
        shapes = [spec.shape for spec in inputs]
        if len(set(map(len, shapes))) > 1:
            raise ShapeError(f"concatenate cannot join {_listed(shapes)}: the numbers of axes differ")
        if not shapes[0]:
            raise ShapeError("concatenate cannot join arrays without axes; stack does")
        axis = axis_of(self.name, self.axis, len(shapes[0]))
        beside: list[Shape] = [(*shape[:axis], 1, *shape[axis + 1 :]) for shape in shapes]
        met = agreed(*beside)
        if met is None:
            raise ShapeError(
                f"concatenate along axis {axis} cannot join {_listed(shapes)}: {shape_clash(beside, stretches=False)}"
            )
        joined = total(shape[axis] for shape in shapes)
        return Spec((*met[0][:axis], joined, *met[0][axis + 1 :]), dtype, met[1])

    def forward(self, *arrays: Array, out: Array | None = None) -> Any:
        return np.concatenate(arrays, self.axis, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return next(self.vjps([i], cotangent, output, inputs))

    def vjps(self, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Iterator[Node]:
        axis = None if self.axis is None else axis_of(self.name, self.axis, output.ndim)
        ahead = (slice(None),) * (axis or 0)
        lengths: list[Dim] = [product(x.shape) if axis is None else x.shape[axis] for x in inputs]
        starts = list(accumulate([0, *lengths], add))
        for i in positions:
            part = fn.getitem(cotangent, (*ahead, slice(starts[i], starts[i + 1])))
            yield fn.reshape(part, inputs[i].shape) if axis is None and inputs[i].ndim != 1 else part

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        if draw.integer(0, 4) == 0:
            return cls(None), (draw.array(draw.shape()), draw.array(draw.shape()))
        shape = draw.shape(min_ndim=1)
        axis = draw.axis(len(shape))
        parts = []
        for _ in range(draw.integer(1, 3)):
            dims = list(shape)
            dims[axis] = draw.integer(0, 3)
            parts.append(draw.array(tuple(dims)))
        return cls(axis), tuple(parts)


class Stack(Rearranging):
    """The operands, which are of one shape, side by side along a new axis."""

    axis: int = 0
    formula = "stack(…, {axis})"

    def infer(self, *inputs: Spec) -> Spec:
        if not inputs:
            raise ShapeError("stack needs at least one operand")
        shapes = [spec.shape for spec in inputs]
        met = agreed(*shapes)
        if met is None:
            why = shape_clash(shapes, stretches=False)
            raise ShapeError(f"stack takes operands of one shape, got {_listed(shapes)}: {why}")
        place = axis_of(self.name, self.axis, len(met[0]) + 1)
        shape = (*met[0][:place], len(inputs), *met[0][place:])
        return Spec(shape, np.result_type(*[spec.dtype for spec in inputs]), met[1])

    def forward(self, *arrays: Array, out: Array | None = None) -> Any:
        return np.stack(arrays, self.axis, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.getitem(cotangent, (slice(None),) * axis_of(self.name, self.axis, output.ndim) + (i,))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        return cls(draw.axis(len(shape) + 1)), tuple(draw.array(shape) for _ in range(draw.integer(1, 3)))


def _listed(shapes: Sequence[Shape]) -> str:
    return " and ".join(shown(shape) for shape in shapes)


@composition
def split(x: Any, indices_or_sections: Annotated[Any, Either(Whole(), Several(Bound()))], axis: int = 0) -> list[Node]:
    """Return consecutive parts of x along an axis, as slices.

    Parameters
    ----------
    x : Node
    indices_or_sections : int or sequence of int
        The number of equal parts, or the indices to cut at.
    axis : int

    Returns
    -------
    list of Node

    Raises
    ------
    ShapeError
        When the axis does not divide into so many equal parts.
    """
    axis = axis_of("split", axis, x.ndim)
    length: Dim = x.shape[axis]
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections < 1:
            raise ShapeError(f"split: the number of parts is 1 or more, not {sections}")
        part = floor_divide(length, sections)
        met = unify(length, multiply(part, sections))
        if met is None:
            raise ShapeError(f"split: axis {axis} of {shown(x.shape)} does not divide into {sections} equal parts")
        if met[1]:
            # Of the same shape if the axis divides; its constraint is what checks that, also where x is empty.
            x = fn.broadcast_to(x, (*x.shape[:axis], multiply(part, sections), *x.shape[axis + 1 :]))
        cuts: list[Dim] = [multiply(part, i) for i in range(1, sections)]
    else:
        cuts = list(indices_or_sections)
    ahead = (slice(None),) * axis
    bounds = zip([0, *cuts], [*cuts, None], strict=True)
    return [fn.getitem(x, (*ahead, slice(start, stop))) for start, stop in bounds]


@composition
def unbind(x: Any, axis: int = 0) -> list[Node]:
    """Return the slices of x along an axis, without that axis.

    Parameters
    ----------
    x : Node
    axis : int

    Returns
    -------
    list of Node

    Raises
    ------
    ShapeError
        When the size of the axis has a name, and so the number of slices is not known.
    """
    axis = axis_of("unbind", axis, x.ndim)
    size: Dim = x.shape[axis]
    if isinstance(size, str):
        raise ShapeError(f"unbind makes a node for each slice, so it takes axes of known size; axis {axis} is {size}")
    return [fn.getitem(x, (*(slice(None),) * axis, i)) for i in range(size)]


Widths = Dim | tuple[Dim, ...] | tuple[tuple[Dim, ...], ...]
"""One width, a pair for before and after, or a pair for each axis."""


class Pad(Op):
    """x with so many elements of a constant before and after it, axis by axis, as numpy.pad takes them."""

    pad_width: Widths
    constant_values: Constants = 0
    computes = False
    formula = "pad({0}, {pad_width})"
    equation = ""

    def _pairs(self, ndim: int, attribute: str = "pad_width") -> list[tuple[Any, Any]]:
        """Return for each axis what an attribute says of its two ends: (before, after)."""
        value = getattr(self, attribute)
        rows = value if isinstance(value, tuple) else (value,)
        rows = rows if rows and isinstance(rows[0], tuple) else (rows,)
        if len({len(row) for row in rows}) > 1:
            raise UsageError(f"pad: {attribute} holds pairs that are all alike, or numbers, not {value}")
        if len(rows) not in (1, ndim) or any(len(row) not in (1, 2) for row in rows):
            raise ShapeError(
                f"pad: {attribute} is one number, a pair, or a pair for each of {ndim} axes, not {short_repr(value)}"
            )
        return [(row[0], row[-1]) for row in (rows * ndim if len(rows) == 1 else rows)]

    def infer(self, x: Spec) -> Spec:
        pairs = zip(x.shape, self._pairs(len(x.shape)), strict=True)
        self._pairs(len(x.shape), "constant_values")
        return Spec(tuple(add(dim, add(before, after)) for dim, (before, after) in pairs), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        if not x.ndim:
            return into(out, x)  # nothing to pad; np.pad fails here
        return into(out, np.pad(x, self._pairs(x.ndim), constant_values=self.constant_values))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        shape = inputs[0].shape
        pairs = zip(shape, self._pairs(len(shape)), strict=True)
        inside = fn.getitem(cotangent, tuple(slice(p[0], add(p[0], n)) if any(p) else slice(None) for n, p in pairs))
        return inside if inside.shape == shape else fn.reshape(inside, shape)  # where a width has a name

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.pad(tangents[0], self.pad_width)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        (x,) = operands
        place = tuple(i - before for i, (before, _) in zip(index, self._pairs(x.ndim), strict=True))
        return (place if all(0 <= i < n for i, n in zip(place, x.shape, strict=True)) else None,)

    flops = no_flops

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(max_side=3))
        each = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in range(x.ndim))
        return cls(draw.choice([1, (0, 2), each or 0]), draw.choice([0, -0.0, 1.5])), (x,)


@composition
def pad(
    x: Any,
    pad_width: Widths,
    mode: Literal["constant", "edge", "reflect", "symmetric", "wrap"] = "constant",
    constant_values: Constants = 0,
    *,
    name: str | None = None,
) -> Node:
    """Return x with elements before and after it, axis by axis, as numpy.pad does.

    Parameters
    ----------
    x : Node
    pad_width : int, str, or tuple
        So many on all sides; a pair for before and after; or a pair for each axis. A width may have a name.
    mode : str
        What the new elements are: ``"constant"``; ``"edge"``, the outermost element; ``"reflect"``, a mirror image
        about that; ``"symmetric"``, one that repeats it; ``"wrap"``, what stands at the other end. Other modes
        than the first take numbers as widths, and none larger than what there is to copy.
    constant_values : number or tuple
        As `pad_width`.

    Returns
    -------
    Node

    Raises
    ------
    ShapeError
        When the axis is too short for the mode.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=(3,))
    >>> gn.run([gn.pad(x, 2, "reflect"), gn.pad(x, (0, 1), constant_values=9)], {x: [1.0, 2.0, 3.0]})
    [array([3., 2., 1., 2., 3., 2., 1.]), array([1., 2., 3., 9.])]
    """
    padded = Pad(pad_width, constant_values)
    if mode == "constant":
        return padded(x, name=name)
    with x.graph.new_scope(name or "pad", numbered=name is None, kind="pad"):
        for axis, widths in enumerate(padded._pairs(x.ndim)):
            ends = [_end(x, axis, width, mode, at_end) for at_end, width in enumerate(widths)]
            parts = [*ends[0], x, *ends[1]]
            if len(parts) > 1:
                x = fn.concatenate(parts, axis=axis)
        return x  # type: ignore[no-any-return]


def _end(x: Node, axis: int, width: Any, mode: str, at_end: int) -> list[Node]:
    """Return what a mode puts before or after x along an axis; nothing if it is to have no width."""
    if not isinstance(width, int) or width >= 2**63:
        raise UsageError(f'pad: mode="{mode}" takes numbers as widths, below 2**63, not "{width}"')
    if not width:
        return []
    n, least = x.shape[axis], {"edge": 1, "reflect": width + 1}.get(mode, width)
    if isinstance(n, int) and n < least:
        raise ShapeError(
            f'pad: mode="{mode}" copies {width} elements of axis {axis}, and {shown(x.shape)} is too short'
        )
    length = 1 if mode == "edge" else width
    skipped = int(mode == "reflect")
    if bool(at_end) is (mode == "wrap"):
        part = slice(skipped, skipped + length)
    else:
        part = slice(-length - skipped, -skipped or None)
    found = fn.getitem(x, (*[slice(None)] * axis, part))
    if not isinstance(n, int):  # checks, in a run, that there are so many
        found = fn.reshape(found, (*x.shape[:axis], length, *x.shape[axis + 1 :]))
    if mode == "edge":
        return [fn.broadcast_to(found, (*x.shape[:axis], width, *x.shape[axis + 1 :]))]
    return [found if mode == "wrap" else fn.flip(found, axis)]


class Repeat(Rearranging):
    """Each element, or each slice along the axis, so many times in a row; without an axis, of the flattened x."""

    repeats: Count
    axis: int | None = None
    formula = "repeat({0}, {repeats})"

    def infer(self, x: Spec) -> Spec:
        if self.axis is None:
            return Spec((multiply(product(x.shape), self.repeats),), x.dtype)
        axis = axis_of(self.name, self.axis, len(x.shape))
        longer = multiply(x.shape[axis], self.repeats)
        return Spec((*x.shape[:axis], longer, *x.shape[axis + 1 :]), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.repeat(x, self.repeats, self.axis))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        shape = inputs[0].shape
        after = len(shape) if self.axis is None else axis_of(self.name, self.axis, len(shape)) + 1
        return fn.sum(fn.reshape(cotangent, (*shape[:after], self.repeats, *shape[after:])), after)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(max_side=3))
        return cls(draw.integer(0, 3), draw.axis(x.ndim) if x.ndim and draw.integer(0, 1) else None), (x,)


class Tile(Rearranging):
    """x laid out so many times along each axis; more numbers than axes make new axes in front."""

    reps: Annotated[int | tuple[int, ...], Either(_COUNT, Several(_COUNT))]
    formula = "tile({0}, {reps})"

    def _reps(self, ndim: int) -> tuple[int, ...]:
        reps = self.reps if isinstance(self.reps, tuple) else (self.reps,)
        return (1,) * (ndim - len(reps)) + reps

    def infer(self, x: Spec) -> Spec:
        reps = self._reps(len(x.shape))
        shape: Shape = (1,) * (len(reps) - len(x.shape)) + x.shape
        return Spec(tuple(multiply(dim, rep) for dim, rep in zip(shape, reps, strict=True)), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        # A copy that is tiled once along each axis would lie as x does, if that is turned or repeated.
        return into(out, np.tile(np.asarray(x, order="C"), self.reps))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        shape = inputs[0].shape
        reps = self._reps(len(shape))
        new = len(reps) - len(shape)
        # Reshape each axis to (times, size), and sum over the times.
        pairs: list[Dim] = list(reps[:new])
        for rep, dim in zip(reps[new:], shape, strict=True):
            pairs += [rep, dim]
        return fn.sum(fn.reshape(cotangent, tuple(pairs)), (*range(new), *range(new, len(pairs), 2)))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(max_side=3))
        reps = tuple(draw.integer(0, 2) for _ in range(draw.integer(0, 3)))
        return cls(draw.choice([2, reps])), (x,)

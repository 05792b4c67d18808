"""What several operations are together: softmax, cross-entropy, convolution.

Each rule looks at the nodes of a scope, and says what they are only if they are exactly that; else each operation is
written by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ....core import Node
from ....core.symbolic_shapes import product
from ....ops import class_labels, elementwise, linalg, reductions, shape, sliding_windows
from ..algebra import averaged, divided, over, plus, times
from ..expressions import (
    At,
    Call,
    Expression,
    Fraction,
    Indicator,
    InWindow,
    Letter,
    Number,
    Over,
    Relation,
    Sliding,
    Symbol,
)
from ..writer import Composite, NeedsPlaces, Places, Reading, Writer, composites, in_layers, rules
from .elementwise import places_of
from .shapes import affine

Closed = Callable[[Node], bool]


def _kinds(node: Node | None, *kinds: type) -> Node | None:
    """Return a node if its operation is of a kind."""
    return node if node is not None and isinstance(node.op, kinds) else None


def _shifted(node: Node) -> Node | None:
    """Return x, if a node is ``x - stop_gradient(max(x))`` along the last axis."""
    if not isinstance(node.op, elementwise.Subtract):
        return None
    x, most = node.inputs
    if isinstance(most.op, elementwise.StopGradient) and isinstance(most.inputs[0].op, reductions.Max):
        largest = most.inputs[0]
        if largest.inputs[0] is x and largest.op.over(x.ndim) == (x.ndim - 1,) and largest.op.keepdims:  # type: ignore[attr-defined]
            return x
    return None


def _softmax(nodes: Sequence[Node], closed: Closed) -> Composite | None:
    root = next((node for node in reversed(nodes) if isinstance(node.op, elementwise.Divide)), None)
    if root is None:
        return None
    powers, total = root.inputs
    if not (isinstance(powers.op, elementwise.Exp) and isinstance(total.op, reductions.Sum)):
        return None
    shifted = powers.inputs[0]
    x = _shifted(shifted)
    if x is None or total.inputs[0] is not powers or total.op.over(x.ndim) != (x.ndim - 1,):
        return None

    def write(writer: Writer, at: Places) -> Expression:
        row = at[: x.ndim - 1]
        found = Call("softmax", (writer(x, row),))
        return At(found, at[x.ndim - 1 :]) if len(at) == x.ndim else found

    def gradient(upstream: Node | None) -> Reading:
        def write_gradient(writer: Writer, at: Places) -> Expression:
            assert upstream is not None
            if len(at) < x.ndim - 1 or any(place is None for place in at[: x.ndim - 1]):
                raise NeedsPlaces(x.ndim - 1)
            row = at[: x.ndim - 1]
            letter = writer.letter(x.spec.shape[-1])
            inner = times(writer(upstream, (*row, letter)), writer(root, (*row, letter)))
            writer.close([letter])
            mean = Over("sum", (letter,), inner)
            return times(writer(root, at), plus((1, writer(upstream, at)), (-1, mean)))

        assert upstream is not None
        return Reading((root, upstream), write_gradient, cost=7, lines=(root, upstream))

    inner = {shifted: gradient} if closed(shifted) and closed(powers) and closed(total) else {}
    return Composite(root, Reading((x,), write), inner)


def _crossentropy(nodes: Sequence[Node], closed: Closed) -> Composite | None:
    """Match mean(log Σ exp(z) - z[label]), z shifted by its maximum."""
    root = nodes[-1]
    if not isinstance(root.op, reductions.Mean) or root.ndim or not isinstance(root.inputs[0].op, elementwise.Subtract):
        return None
    rows = root.inputs[0]
    log, pick = rows.inputs
    if not (isinstance(log.op, elementwise.Log) and isinstance(pick.op, class_labels.Pick)):
        return None
    total = log.inputs[0]
    if not (isinstance(total.op, reductions.Sum) and isinstance(total.inputs[0].op, elementwise.Exp)):
        return None
    shifted, labels = pick.inputs
    x = _shifted(shifted)
    if x is None or total.inputs[0].inputs[0] is not shifted or total.op.over(x.ndim) != (x.ndim - 1,):
        return None
    dims = rows.spec.shape

    def probabilities(writer: Writer) -> Symbol:
        return writer.define(
            root, "probabilities", r"\hat{y}", x.spec.shape, lambda: Call("softmax", (writer.whole(x),))
        )

    def write(writer: Writer, at: Places) -> Expression:
        found = probabilities(writer)
        letters = tuple(writer.letter(dim) for dim in dims)
        of_label = At(found, (*letters, writer(labels, letters)))
        writer.close(letters)
        return plus((-1, averaged(over("sum", letters, Call("log", (of_label,))), dims)))

    def gradient(upstream: Node | None) -> Reading:
        def write_gradient(writer: Writer, at: Places) -> Expression:
            found, last = probabilities(writer), at[len(dims) :]
            of_label: Expression
            if last:
                of_label = Indicator(Relation("=", writer(labels, at[: len(dims)]), last[0]))  # type: ignore[arg-type]
            else:
                of_label = Call("onehot", (writer(labels, at), Number(x.spec.shape[-1])))  # type: ignore[arg-type]
            difference = plus((1, At(found, at) if at else found), (-1, of_label))
            scale = [] if upstream is None else [writer(upstream)]
            return averaged(times(*scale, difference), dims)

        return Reading((x, labels, *([upstream] if upstream is not None else [])), write_gradient, cost=7)

    own = [shifted, log, pick, total, total.inputs[0], rows]
    return Composite(root, Reading((x, labels), write, cost=9), {shifted: gradient} if all(map(closed, own)) else {})


def _convolution(nodes: Sequence[Node], closed: Closed) -> Composite | None:
    """Match windows of x, times a kernel: as matrices."""
    root = nodes[-1]
    if not (isinstance(root.op, shape.Reshape) and isinstance(root.inputs[0].op, linalg.Matmul)):
        return None
    matrix, columns = root.inputs[0].inputs
    if not columns.inputs or not isinstance(matrix.op, shape.Reshape) or matrix.ndim != 2:
        return None
    (w,) = matrix.inputs
    turned = _kinds(columns.inputs[0], linalg.Transpose)
    windows = _kinds(turned.inputs[0], sliding_windows.Windows) if turned is not None else None
    if windows is not None and turned is not None:
        assert isinstance(windows.op, sliding_windows.Windows)
        (x,) = windows.inputs
        slides: tuple[Any, ...] = windows.op.slides(x.ndim)
        between = [windows, turned, columns]
    else:
        x = columns.inputs[0]
        slides = tuple(sliding_windows.Slide(axis, 1, 1, 1) for axis in range(2, x.ndim))
        between = [columns]
    axes = len(slides)
    fits = x.ndim == w.ndim == axes + 2 and tuple(slide.size for slide in slides) == w.spec.shape[2:]
    if (
        not fits
        or w.spec.shape[1] != x.spec.shape[1]
        or tuple(slide.axis for slide in slides) != tuple(range(2, x.ndim))
    ):
        return None

    def write(writer: Writer, at: Places) -> Expression:
        if len(at) < root.ndim or any(place is None for place in at):
            raise NeedsPlaces(root.ndim)
        channel: Expression = writer.letter(x.spec.shape[1], "c") if x.spec.shape[1] != 1 else Number(0)
        places = _within(writer, slides)
        moved = [
            affine((slide.stride, outer), (slide.dilation, inner))
            for slide, outer, inner in zip(slides, at[2:], places, strict=True)
        ]
        letters = tuple(each for each in (channel, *places) if isinstance(each, Letter))
        kernel = writer(w, (at[1], channel, *places))
        found = over("sum", letters, times(kernel, writer(x, (at[0], channel, *moved))))
        writer.close(letters)
        return found

    cotangents: dict[Node, Callable[[Node | None], Reading]] = {}
    if all(map(closed, [*between, matrix, root.inputs[0]])):
        if closed(w):
            cotangents[w] = lambda upstream: _of_kernel(root, x, w, slides, _given(upstream))
        if closed(x) and all(slide.stride == 1 for slide in slides):
            cotangents[x] = lambda upstream: _of_input(x, w, slides, _given(upstream))
    return Composite(root, Reading((x, w), write, cost=6), cotangents)


def _within(writer: Writer, slides: Sequence[Any]) -> list[Expression]:
    """Return letters for the places within a window; of a window of one place, that."""
    hints = zip(slides, "uvw", strict=False)
    return [writer.letter(slide.size, hint, 0) if slide.size > 1 else Number(0) for slide, hint in hints]


def _given(upstream: Node | None) -> Node:
    assert upstream is not None  # what a layer gives is no loss
    return upstream


def _of_kernel(root: Node, x: Node, w: Node, slides: Sequence[Any], upstream: Node) -> Reading:
    """Return how the gradient of a convolution's kernel is written."""
    axes = len(slides)

    def write_gradient(writer: Writer, at: Places) -> Expression:
        if len(at) < w.ndim or any(place is None for place in at):
            raise NeedsPlaces(w.ndim)
        n = writer.letter(x.spec.shape[0])
        outer = [writer.letter(dim, hint) for dim, hint in zip(root.spec.shape[2:], "ijl", strict=False)]
        moved = [
            affine((slide.stride, place), (slide.dilation, inner))
            for slide, place, inner in zip(slides, outer, at[2:], strict=True)
        ]
        letters = (n, *outer)
        factors = writer(upstream, (n, at[0], *outer)), writer(x, (n, at[1], *moved))
        writer.close(letters)
        return over("sum", letters, times(*factors))

    spatial = tuple((hint, 0) for hint in "uvw"[:axes])
    return Reading((upstream, x), write_gradient, cost=7, hints=(("k", 1), ("c", 1), *spatial))


def _of_input(x: Node, w: Node, slides: Sequence[Any], upstream: Node) -> Reading:
    """Return how the gradient of what a convolution reads is written: where windows begin at each place."""

    def write_gradient(writer: Writer, at: Places) -> Expression:
        if len(at) < x.ndim or any(place is None for place in at):
            raise NeedsPlaces(x.ndim)
        k = writer.letter(w.spec.shape[0], "k")
        inner = _within(writer, slides)
        moved = [
            affine((1, place), (-slide.dilation, letter))
            for slide, place, letter in zip(slides, at[2:], inner, strict=True)
        ]
        letters = (k, *[each for each in inner if isinstance(each, Letter)])
        found = writer(upstream, (at[0], k, *moved))
        assert isinstance(found, At)  # it is a line
        factors = writer(w, (k, at[1], *inner)), At(found.of, found.places, inside=True)
        writer.close(letters)
        return over("sum", letters, times(*factors))

    hints = tuple((hint, 1) for hint in "ncijl"[: x.ndim])
    return Reading((upstream, w), write_gradient, cost=9, note=r"\text{(0 outside)}", hints=hints)


def _pool(nodes: Sequence[Node], closed: Closed) -> Composite | None:
    """Match the maximum, or the mean, of windows."""
    root = nodes[-1]
    most = isinstance(root.op, reductions.Max)
    if not isinstance(root.op, (reductions.Max, reductions.Mean)):
        return None
    if isinstance(root.op, reductions.Max) and root.op.ties != "first":
        return None
    turned = _kinds(root.inputs[0], linalg.Transpose)
    windows = _kinds(turned.inputs[0], sliding_windows.Windows) if turned is not None else None
    if windows is None or turned is None or root.op.keepdims:
        return None
    assert isinstance(windows.op, sliding_windows.Windows)
    (x,) = windows.inputs
    slides = windows.op.slides(x.ndim)
    axes = len(slides)
    order = (*range(x.ndim, x.ndim + axes), *range(x.ndim))
    last = tuple(slide.axis for slide in slides) == tuple(range(x.ndim - axes, x.ndim))
    if not last or turned.op.order(turned.ndim) != order or root.op.over(turned.ndim) != tuple(range(axes)):  # type: ignore[attr-defined]
        return None
    sliding = tuple(Sliding(slide.size, slide.stride, slide.dilation) for slide in slides)

    def gradient(upstream: Node | None) -> Reading:
        assert upstream is not None

        def write_gradient(writer: Writer, at: Places) -> Expression:
            if len(at) < x.ndim or any(place is None for place in at):
                raise NeedsPlaces(x.ndim)
            front, places = at[: x.ndim - axes], tuple(place for place in at[x.ndim - axes :] if place is not None)
            window = tuple(writer.letter(dim, hint) for dim, hint in zip(root.spec.shape[-axes:], "klm", strict=False))
            there = InWindow(places, window, sliding, writer(x, front) if most else None)
            body = times(writer(upstream, (*front, *window)), Indicator(there))
            writer.close(window)
            count = [] if most else [slide.size for slide in slides]
            return averaged(over("sum", window, body), count)

        note = r"F\text{: the windows}"
        operands = (upstream, x) if most else (upstream,)
        return Reading(
            operands, write_gradient, cost=7, note=note, hints=tuple((hint, 1) for hint in "ncijl"[: x.ndim])
        )

    def write(writer: Writer, at: Places) -> Expression:
        return rules(root.op, root, writer, at)

    inner = all(map(closed, [windows, turned])) and closed(x)
    return Composite(root, Reading(root.inputs, write), {x: gradient} if inner else {})


def _norm(nodes: Sequence[Node], closed: Closed) -> Composite | None:
    """Match (x - mean) / sqrt(variance + ε), whose gradient has a formula of its own."""
    found = (_norm_of(node, closed) for node in nodes if isinstance(node.op, elementwise.Divide))
    return next((each for each in found if each is not None), None)


def _norm_of(root: Node, closed: Closed) -> Composite | None:
    if not isinstance(root.inputs[0].op, elementwise.Subtract):
        return None
    centered, deviation = root.inputs
    x, mean = centered.inputs
    if not (isinstance(mean.op, reductions.Mean) and mean.op.keepdims and mean.inputs[0] is x):
        return None
    if not (isinstance(deviation.op, elementwise.Sqrt) and isinstance(deviation.inputs[0].op, elementwise.Add)):
        return None
    variance = deviation.inputs[0].inputs[0]
    axes = mean.op.over(x.ndim)
    total = variance.inputs[0] if isinstance(variance.op, elementwise.DivideBySize) else variance
    if not isinstance(total.op, (reductions.Mean, reductions.Sum)) or total.op.over(x.ndim) != axes:
        return None
    squares = total.inputs[0]
    count = product(x.spec.shape[axis] for axis in axes)
    if isinstance(total.op, reductions.Sum) and (total is variance or variance.op.count != count):  # type: ignore[attr-defined]
        return None
    if not (isinstance(squares.op, elementwise.Square) and squares.inputs[0] is centered):
        return None

    def write(writer: Writer, at: Places) -> Expression:
        return divided(writer(centered, at), writer(deviation, places_of(root, deviation, at)))

    def gradient(centers: bool) -> Callable[[Node | None], Reading]:
        def reading(upstream: Node | None) -> Reading:
            assert upstream is not None

            def write_gradient(writer: Writer, at: Places) -> Expression:
                last = max(axes)
                needed = max((axis + 1 for axis in range(last) if axis not in axes), default=0)
                if len(at) < needed or any(place is None for place in at[:needed]):
                    raise NeedsPlaces(needed)

                def averaged_over(*factors: Node) -> Expression:
                    letters = {axis: writer.letter(x.spec.shape[axis]) for axis in axes}
                    rest = max(len(at), last + 1)
                    places = [letters.get(axis, at[axis] if axis < len(at) else None) for axis in range(rest)]
                    body = times(*[writer(factor, tuple(places)) for factor in factors])
                    writer.close(letters.values())
                    return averaged(over("sum", tuple(letters.values()), body), [count])

                own = writer(upstream, at)
                terms = [(1, own), *([(-1, averaged_over(upstream))] if centers else [])]
                terms.append((-1, times(writer(root, at), averaged_over(upstream, root))))
                scale = Fraction(Number(1), writer(deviation, places_of(root, deviation, at)))
                return times(scale, plus(*terms))

            return Reading((upstream, root, deviation), write_gradient, cost=7, lines=(root, upstream))

        return reading

    inner = [centered, deviation, deviation.inputs[0], variance, total, squares, mean]
    if not all(map(closed, inner)):
        return Composite(root, Reading(root.inputs, write, cost=3))
    return Composite(root, Reading(root.inputs, write, cost=3), {x if closed(x) else centered: gradient(closed(x))})


for _kind in ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm"):
    composites[_kind] = _norm
    in_layers[_kind] = {"mean": False, "variance": False, "subtract": True, "sqrt": True, "add": True, "sum": True}
in_layers["MultiHeadAttention"] = {"scores": False}
composites["max_pool"] = composites["average_pool"] = _pool
composites["softmax"] = composites["Softmax"] = _softmax
composites["softmax_crossentropy"], composites["conv"] = _crossentropy, _convolution

"""Loops: as ONNX's `Scan`, or as its `Loop` where the number of iterations depends on data. Branches: as its `If`.

A bundle is written as its items one after the other, each element as a number: a float, also of what a bundle of ours
keeps by its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...control_flow.branch_op import Branch
from ...control_flow.bundle import LoopBundle, LoopItem, Place
from ...control_flow.fixed_point_op import FixedPoint
from ...control_flow.loop_body import outside as shape_outside
from ...control_flow.loop_op import Loop
from ...core import Constant
from ...core.fetches import ordered
from ...core.symbolic_shapes import add, product, subtract
from ...transforms.extract_replace import copied
from ...transforms.substitutions import checked_changes
from .draft import INT64, Value
from .group import BOOL, Group, Unwritable, group_of, writes

if TYPE_CHECKING:
    from ...core import Dim, Node

# --- bundles --------------------------------------------------------------------------------------------------------


def numbers_of(op: Loop | Branch) -> np.dtype[Any]:
    """Return the dtype of the numbers that a bundle is written as."""
    dtypes = {place.dtype for place in op.layout.places}
    if len(dtypes) == 1 and dtypes != {BOOL}:
        return dtypes.pop()
    floats = [dtype.itemsize for dtype in dtypes if dtype.kind == "f"]
    ints = [dtype for dtype in dtypes if dtype.kind in "iu"]
    if not floats:
        if np.dtype(np.uint64) in ints:
            raise Unwritable("it gives integers that only uint64 holds, beside others")
        return INT64
    # The number of iterations is the only int64 that is known to be small.
    if any(place.dtype.itemsize > 4 for kept, place in _kept(op) if kept[0] != "count" and place.dtype.kind in "iu"):
        raise Unwritable("it gives integers of 64 bits beside floats, and its bundle is written as floats")
    return np.dtype(np.float64 if max([*floats, *(2 * dtype.itemsize for dtype in ints)]) > 4 else np.float32)


def _kept(op: Loop | Branch) -> list[tuple[tuple[Any, int], Place]]:
    return list(zip(op.kept, op.layout.places, strict=True))


def is_plain(op: Loop | Branch) -> bool:
    """Tell whether a bundle is written as the array that it is."""
    return all(place.dtype == op.layout.dtype for place in op.layout.places)


def _bundled(g: Group, op: Loop | Branch, items: Sequence[Value]) -> Value:
    dtype = numbers_of(op) if items else op.layout.dtype
    flat = [g.flat(g.cast(item, dtype)) for item in items]
    whole = g("Concat", *flat, axis=0) if len(flat) > 1 else flat[0] if flat else g.zeros([0], dtype)
    return Value(whole.name, g.node.dtype)


@writes(LoopItem)
def item(g: Group, op: LoopItem, x: Value) -> Value:
    """Write a part of a bundle."""
    start, loop = op.start, g.node.inputs[0].op
    if isinstance(loop, (Loop, Branch)) and not is_plain(loop):
        place = [place.start for place in loop.layout.places].index(op.start)
        x, start = Value(x.name, numbers_of(loop)), 0
        for before in loop.layout.places[:place]:
            start = add(start, product(before.shape))
    elif x.dtype != np.dtype(op.dtype):
        raise Unwritable(f"it reads {op.dtype} from a bundle of {x.dtype} that no loop gives")
    part = g.slice(x, [(0, start, add(start, product(op.shape)), 1)])
    return g.cast(g.reshape(part, op.shape), op.dtype)


@writes(LoopBundle)
def bundle(g: Group, op: LoopBundle, x: Value) -> Value:
    """Write a bundle of one array, with zeros around it."""
    if x.dtype != np.dtype(op.dtype):
        raise Unwritable(f"it puts {x.dtype} into a bundle of {op.dtype}")
    after = subtract(subtract(op.size, op.start), product(g.dims(0)))
    return g("Concat", g.zeros([op.start], x.dtype), g.flat(x), g.zeros([after], x.dtype), axis=0)


# --- bodies ---------------------------------------------------------------------------------------------------------


class _Body(NamedTuple):
    """What is to be written of the body of a loop: its inputs, and the wanted nodes by their places."""

    inputs: list[Node | None]
    wanted: dict[int, Node]


def _body_of(op: Loop | Branch, nodes: Sequence[Node], inputs: Sequence[Node], wanted: Sequence[int]) -> _Body:
    """Return a body with the dimensions for which its names stand outside."""
    found = {at: nodes[at] for at in wanted}
    if op.names == op.dims or not found:
        return _Body(list(inputs), found)
    source, sizes = nodes[0].graph, dict(zip(op.names, op.dims, strict=True))
    _, made, copies = copied(source, list(found.values()), changes=checked_changes(source, (), sizes, None))
    return _Body([copies.get(node) for node in inputs], dict(zip(found, made, strict=True)))


def _written(g: Group, body: _Body, given: Sequence[Value]) -> dict[int, Value]:
    """Write the nodes of a body, and return what is wanted."""
    tensors = {node: value.name for node, value in zip(body.inputs, given, strict=True) if node is not None}
    for node in ordered(list(body.wanted.values())):
        if node in tensors:
            continue
        if isinstance(node.op, Constant):
            tensors[node] = g.constant(node.graph._stored(node)).name
            continue
        tensors[node] = g.draft.name(f"{g.name}/{node.name}")
        try:
            g.written += group_of(g.draft, tensors, node)
        except Unwritable as reason:
            raise Unwritable(f"its body has {node.op.name}, and {reason}") from None
    return {at: Value(tensors[node], node.dtype) for at, node in body.wanted.items()}


def _graph(
    g: Group,
    name: str,
    nodes: list[Any],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    known: tuple[Sequence[Sequence[Dim]], Sequence[Sequence[Dim]]] = ((), ()),
) -> Any:
    """Return a subgraph. `known` are the shapes of its first inputs and outputs, as far as anybody asks for them."""
    helper = g.draft.onnx.helper
    infos = []
    for part, shapes in zip((inputs, outputs), known, strict=True):
        for x, shape in zip_longest(part, shapes):
            axes = None if shape is None else [dim if isinstance(dim, int) else None for dim in shape]
            infos.append(helper.make_tensor_value_info(x.name, g.draft.number(x.dtype), axes))
    return helper.make_graph(nodes, f"{g.name}/{name}", infos[: len(inputs)], infos[len(inputs) :])


def _named(g: Group, what: str, likes: Sequence[Value]) -> list[Value]:
    return [Value(g.draft.name(f"{g.name}/{what}"), like.dtype) for like in likes]


# --- loops ----------------------------------------------------------------------------------------------------------


@writes(Loop, FixedPoint)
def loop(g: Group, op: Loop, *operands: Value) -> Value:
    """Write a loop, and the bundle of what it keeps. ONNX has no error for a state that still changes at the end."""
    numbers_of(op)
    # ONNX Runtime takes no `Scan` over nothing, which is what may be left after segments.
    may_be_empty = op.length == 0 or not (isinstance(op.length, int) or op.length.isidentifier())
    how = _counted if op.counted or op.while_ >= 0 or may_be_empty else _scanned
    return _bundled(g, op, how(g, op, operands))


def _scanned(g: Group, op: Loop, operands: Sequence[Value]) -> list[Value]:
    """Write a loop over all rows as ONNX's `Scan`."""
    carried, rows, same = op.split(operands)
    rows = [*rows, g.range(op.length)]
    each = [at for kind, at in op.kept if kind == "each"]
    states, slices = _named(g, "state", carried), _named(g, "row", rows)
    outside, g.written = g.written, []
    found = _written(
        g, _body_of(op, op.nodes, op.inputs, op.wanted), [*slices[-1:][: int(op.indexed)], *states, *slices[:-1], *same]
    )
    results = [g("Identity", found[at]) for at in [*op.carried, *each]]
    body, g.written = g.written, outside
    # Within a loop, ONNX Runtime cannot tell by itself.
    shapes = [shape_outside(op.nodes[at].shape, op.names, op.dims) for at in [*op.carried, *each]]
    graph = _graph(g, "step", body, [*states, *slices], results, ((), shapes))
    outputs = _named(g, "Scan", results)
    settings = {"body": graph, "num_scan_inputs": len(rows)}
    if op.backwards:
        settings["scan_input_directions"] = [1] * len(rows)
        if each:
            settings["scan_output_directions"] = [1] * len(each)
    names = [x.name for x in outputs]
    g.written.append(g.draft.node("Scan", [x.name for x in (*carried, *rows)], names, names[-1], settings))
    lasts, stacks = outputs[: len(carried)], iter(outputs[len(carried) :])
    return [next(stacks) if kind == "each" else lasts[which] for kind, which in op.kept]


def _counted(g: Group, op: Loop, operands: Sequence[Value]) -> list[Value]:
    """Write a loop whose number of iterations depends on data as ONNX's `Loop`."""
    carried, rows, same = op.split(operands)
    limit, any_ = g.draft.scalar(op.length), ""
    if op.counted and operands[0].dtype == BOOL:
        any_ = operands[0].name
    elif op.counted:
        limit = g("Min", g("Max", g.cast(operands[0], INT64), g.constant(0, INT64)), limit)
    each = [at for kind, at in op.kept if kind == "each"]
    done = g.constant(0, INT64)
    number, going = Value(g.draft.name(f"{g.name}/k"), INT64), Value(g.draft.name(f"{g.name}/going"), BOOL)
    so_far, *states = _named(g, "state", [done, *carried])
    outside, g.written = g.written, []
    row = g.subtract(g.subtract(limit, 1), number) if op.backwards else number
    slices = [g("Gather", x, row, axis=0) for x in rows]
    found = _written(
        g, _body_of(op, op.nodes, op.inputs, op.wanted), [*([row] if op.indexed else []), *states, *slices, *same]
    )
    goes_on = found[op.while_] if op.while_ >= 0 else going
    made = [goes_on, g.add(so_far, 1), *[found[at] for at in [*op.carried, *each]]]
    results = [g("Identity", x) for x in made]
    body, g.written = g.written, outside
    # Where there is no iteration, ONNX Runtime asks what the results would have been.
    shapes = [shape_outside(op.nodes[at].shape, op.names, op.dims) for at in [*op.carried, *each]]
    graph = _graph(g, "step", body, [number, going, so_far, *states], results, ([(), ()], [(), (), *shapes]))
    outputs = _named(g, "Loop", results[1:])
    given, names = [limit.name, any_, done.name, *[x.name for x in carried]], [x.name for x in outputs]
    g.written.append(g.draft.node("Loop", given, names, names[-1], {"body": graph}))
    count, *lasts = outputs[: 1 + len(carried)]
    stacks = iter(zip(outputs[1 + len(carried) :], each, strict=True))
    items = []
    for (kind, which), place in _kept(op):
        if kind == "each":
            items.append(_padded(g, op, next(stacks)[0], place.shape[1:], count, limit))
        else:
            items.append(count if kind == "count" else lasts[which])
    return items


def _padded(g: Group, op: Loop, rows: Value, shape: Sequence[Dim], count: Value, limit: Value) -> Value:
    """Write the rows that were made at their places, with zeros for the others."""

    def zeros(number: Value) -> Value:
        size = g.unsqueeze(number, 0)
        dims = g("Concat", size, g.draft.shape(shape), axis=0) if shape else size
        return g("ConstantOfShape", dims, dtype=rows.dtype, value=g.draft.tensor("", np.zeros(1, rows.dtype)))

    whole = g.draft.scalar(op.length)
    if not op.backwards:
        return g("Concat", rows, zeros(g("Sub", whole, count)), axis=0)
    flipped = g.slice(rows, [(0, None, None, -1)])
    return g("Concat", zeros(g("Sub", limit, count)), flipped, zeros(g("Sub", whole, limit)), axis=0)


# --- branches -------------------------------------------------------------------------------------------------------


@writes(Branch)
def branch(g: Group, op: Branch, flag: Value, *operands: Value) -> Value:
    """Write a branch, and the bundle of what it keeps."""
    numbers_of(op)
    graphs = []
    results: list[Value] = []
    for side, (title, graph) in enumerate(op.bodies.items()):
        outside, g.written = g.written, []
        found = _written(g, _body_of(op, op.nodes[side], graph.placeholders, op.wanted[side]), operands)
        results = [
            g.zeros(place.shape, place.dtype) if pair[side] < 0 else g("Identity", found[pair[side]])
            for pair, place in _kept(op)
        ]
        body, g.written = g.written, outside
        graphs.append(_graph(g, title, body, [], results))
    items = _named(g, "If", results)
    settings = {"then_branch": graphs[0], "else_branch": graphs[1]}
    g.written.append(g.draft.node("If", [flag.name], [item.name for item in items], items[-1].name, settings))
    return _bundled(g, op, items)

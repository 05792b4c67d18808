"""Rules of loops and branches: bodies are compiled once, as functions that scan, while_loop and cond of JAX take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import is_float
from ...runtime.program import program_of
from ..library import jnp, lax
from .registry import rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..tracing import Tracing


# --- bundles ---------------------------------------------------------------------------------------------------------


def _words(x: Any, dtype: Any) -> Any:
    """Return an item of a bundle as words: floats as numbers, everything else by its bytes."""
    if is_float(x.dtype):
        return x.reshape(-1).astype(dtype)
    data = x.reshape(-1).astype(np.uint8) if x.dtype == bool else lax.bitcast_convert_type(x.reshape(-1), np.uint8)
    data = data.reshape(-1)
    width = np.dtype(dtype).itemsize
    data = jnp.pad(data, (0, -data.size % width)).reshape(-1, width)
    return data.reshape(-1) if width == 1 else lax.bitcast_convert_type(data, dtype)


def _item(words: Any, start: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an item of a bundle."""
    count = math.prod(shape)
    if is_float(dtype):
        return words[start : start + count].astype(dtype).reshape(shape)
    size = count * dtype.itemsize
    width = words.dtype.itemsize
    part = words[start : start + -(-size // width)]
    data = part if width == 1 else lax.bitcast_convert_type(part, np.uint8)
    data = data.reshape(-1)[:size]
    if dtype.itemsize == 1:
        return (data.astype(bool) if dtype.kind == "b" else lax.bitcast_convert_type(data, dtype)).reshape(shape)
    return lax.bitcast_convert_type(data.reshape(-1, dtype.itemsize), dtype).reshape(shape)


def _bundled(places: Sequence[Any], items: Sequence[Any], size: int, dtype: Any) -> Any:
    """Return a bundle of items, with zeros between them."""
    parts, end = [], 0
    for place, x in zip(places, items, strict=True):
        start = int(place.start)
        mine = _words(x.astype(place.dtype), dtype)
        parts += [jnp.zeros(start - end, dtype), mine] if start > end else [mine]
        end = start + mine.size
    parts = [part for part in parts if part.size]
    return jnp.concatenate([*parts, jnp.zeros(size - end, dtype)]) if parts else jnp.zeros(size, dtype)


@rule("loop_item")
def _loop_item(op: Any, words: Any) -> Any:
    return _item(words, int(op.start), op.shape, np.dtype(op.dtype) if op.dtype != "bfloat16" else jnp.bfloat16.dtype)


@rule("loop_bundle")
def _loop_bundle(op: Any, x: Any) -> Any:
    mine = _words(x, op.dtype)
    return jnp.concatenate([jnp.zeros(op.start, op.dtype), mine, jnp.zeros(op.size - op.start - mine.size, op.dtype)])


# --- bodies ----------------------------------------------------------------------------------------------------------


def _computed(op: Any, tracing: Tracing, graph: Any, wanted: Sequence[Any], inputs: Sequence[Any]) -> tuple[Any, Any]:
    """Return the values of nodes of a body, and whether anything was refused in it."""
    sizes = dict(zip(op.names, op.dims, strict=True))
    inside = type(tracing)(tracing.guard)
    values = inside.values(program_of(graph, wanted), sizes, dict(zip(graph.placeholders, inputs, strict=True)))
    refused = inside.any_refused()
    return values, jnp.asarray(False) if refused is None else refused


class _Loop:
    """A loop with numbers for its dimensions, and its operands."""

    def __init__(self, op: Any, tracing: Tracing, operands: Sequence[Any]) -> None:
        self.op, self.tracing = op, tracing
        carry, rows, same = op.split(operands)
        self.first, self.rows, self.same = tuple(carry), tuple(rows), tuple(same)
        self.each = list(dict.fromkeys(at for kind, at in op.kept if kind == "each"))
        (self.graph,) = op.bodies.values()

    def once(self, carry: Sequence[Any], row: Any, rows: Sequence[Any]) -> tuple[Any, Mapping[int, Any], Any]:
        """Return what is carried on from one iteration, {place: value} of what it gives, and whether it refused."""
        index = [jnp.asarray(row, np.int64)] if self.op.indexed else []
        wanted = self.op.wanted
        values, refused = _computed(
            self.op, self.tracing, self.graph, [self.op.nodes[at] for at in wanted], [*index, *carry, *rows, *self.same]
        )
        found = dict(zip(wanted, values, strict=True))
        return tuple(found[at] for at in self.op.carried), found, refused

    def scanned(self) -> tuple[Any, Mapping[int, Any], Any]:
        """Go through all iterations, of which the number is known."""
        length = int(self.op.length)

        def step(state: Any, given: Any) -> Any:
            (carry, bad), (row, rows) = state, given
            carry, found, refused = self.once(carry, row, rows)
            return (carry, bad | refused), [found[at] for at in self.each]

        given = (jnp.arange(length), self.rows)
        start = (self.first, jnp.asarray(False))
        (carry, bad), stacks = lax.scan(step, start, given, length=length, reverse=self.op.backwards)
        self.tracing.refuse(bad)
        return carry, dict(zip(self.each, stacks, strict=True)), length

    def repeated(self, most: Any) -> tuple[Any, Mapping[int, Any], Any]:
        """Go through at most so many iterations, as long as the condition holds."""
        op = self.op
        each = [op._spec_of("each", at) for at in self.each]
        stacks = tuple(jnp.zeros(shape, dtype) for shape, dtype in each)

        def goes_on(state: Any) -> Any:
            return state[0]

        def step(state: Any) -> Any:
            _, done, carry, stacks, bad = state
            row = most - 1 - done if op.backwards else done
            rows = [lax.dynamic_index_in_dim(x, row, keepdims=False) for x in self.rows]
            carry, found, refused = self.once(carry, row, rows)
            stacks = tuple(
                lax.dynamic_update_index_in_dim(stack, found[at], row, 0)
                for stack, at in zip(stacks, self.each, strict=True)
            )
            done = done + 1
            more = done < most
            return (more & found[op.while_] if op.while_ >= 0 else more), done, carry, stacks, bad | refused

        none = jnp.zeros((), np.int64)
        start = (none < most, none, self.first, stacks, jnp.asarray(False))
        _, done, carry, stacks, bad = lax.while_loop(goes_on, step, start)
        self.tracing.refuse(bad)
        return carry, dict(zip(self.each, stacks, strict=True)), done

    def most(self, operands: Sequence[Any]) -> Any:
        """Return how many iterations there are, if no condition ends them before."""
        length = jnp.asarray(int(self.op.length), np.int64)
        if not self.op.counted:
            return length
        count = operands[0]
        return jnp.where(count, length, 0) if count.dtype == bool else jnp.clip(count.astype(np.int64), 0, length)


@rule("loop", "implicit_loop", refuses=True)
def _loop(op: Any, tracing: Tracing, *operands: Any) -> Any:
    loop = _Loop(op, tracing, operands)
    if op.while_ < 0 and not op.counted:
        carry, stacks, done = loop.scanned()
    else:
        carry, stacks, done = loop.repeated(loop.most(operands))
    if op.name == "implicit_loop" and op.while_ >= 0:
        spoilt = jnp.any(jnp.stack([jnp.any(jnp.isnan(x)) for x in carry[:-1]] or [jnp.asarray(False)]))
        tracing.refuse(~((carry[-1] <= op.tolerance) | spoilt))
    items = [
        jnp.asarray(done) if kind == "count" else stacks[at] if kind == "each" else carry[at] for kind, at in op.kept
    ]
    return _bundled(op.layout.places, items, int(op.layout.size), op.layout.dtype)


@rule("branch", refuses=True)
def _branch(op: Any, tracing: Tracing, condition: Any, *operands: Any) -> Any:
    places = op.layout.places

    def body(side: int) -> Any:
        graph, nodes = list(op.bodies.values())[side], op.nodes[side]

        def taken(*inputs: Any) -> Any:
            wanted = op.wanted[side]
            values, bad = _computed(op, tracing, graph, [nodes[at] for at in wanted], inputs)
            found = dict(zip(wanted, values, strict=True))
            items = [
                jnp.zeros(place.shape, place.dtype) if pair[side] < 0 else found[pair[side]]
                for pair, place in zip(op.kept, places, strict=True)
            ]
            return items, bad

        return taken

    items, bad = lax.cond(condition, body(0), body(1), *operands)
    tracing.refuse(bad)
    return _bundled(places, items, int(op.layout.size), op.layout.dtype)

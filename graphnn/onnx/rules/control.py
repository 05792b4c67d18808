"""Branches and loops: decided while a model is read, written out iteration by iteration, or one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import counted, short_repr
from ...control_flow import cond as choice
from ...control_flow.scan import MOST_UNROLLED
from ...core import Node, fn
from ...core.symbolic_shapes import add, names_in, shown, unify
from ...errors import DtypeError, GraphnnError, NoRuleError, ShapeError
from .. import shape_arithmetic as of
from ..onnx_node import inputs_behind, sizes_behind, to_give, to_hold
from ..rule_registry import rule
from ..tensors import dtype_of
from .loops import Rounds, looped, repeated, scanned

if TYPE_CHECKING:
    from ...core import Array, Dim
    from ..onnx_node import Call
    from ..rule_registry import Value

MOST_ROUNDS = 10_000
"""The maximum number of iterations of a loop that are written out."""
_NUMBERED = (0, True)
"""The body of a Loop is given its number and whether it goes on, before the state."""


@rule("If")
def if_(call: Call, cond: Value, *, then_branch: Any, else_branch: Any) -> Any:
    """Return the results of one branch: decided where the condition is known, else computed in a run."""
    known = call.reader.stored(cond) if isinstance(cond, Node) else call.known(cond, "its condition")
    if known is not None:
        return tuple(call.body(then_branch if known.reshape(()) else else_branch, ()))
    forms: list[list[Value]] = []
    made: list[list[Node]] = []

    def branch(graph: Any) -> Callable[[], list[Node]]:
        def results() -> list[Node]:
            forms.append(call.body(graph, ()))
            if len(forms) == 2 and _form(forms[0]) != _form(forms[1]):
                call.refuse("its condition depends on data, and its branches give sequences of two lengths")
            nodes = _leaves(call, forms[-1])
            made.append(nodes)
            if len(forms) == 2:
                _check_alike(call, cond, *made)
            return nodes

        return results

    try:
        chosen = iter(choice(fn.reshape(cond, ()), branch(then_branch), branch(else_branch)))
    except GraphnnError as error:
        fixed = [node for node in inputs_behind(cond) if node.ndim == 0 or set(node.shape) == {1}]
        if not fixed:
            raise
        names = ", ".join(sorted(node.name for node in fixed))
        advice = f"  an If chooses by {names}: {to_hold(fixed)}, decides it"
        raise error.within("", advice) from None
    return tuple([next(chosen) for _ in value] if isinstance(value, list) else next(chosen) for value in forms[0])


def _form(values: Sequence[Value]) -> list[int]:
    """Return how many arrays each value is; -1 of what is no sequence."""
    return [len(value) if isinstance(value, list) else -1 for value in values]


def _leaves(call: Call, values: Sequence[Value]) -> list[Node]:
    """Return the nodes of values, of which some may be sequences."""
    found = []
    for value in values:
        if value is None:
            call.refuse("its condition depends on data, and a branch gives nothing")
        found += [call.node(each) for each in (value if isinstance(value, list) else [value])]
    return found


def _check_alike(call: Call, cond: Node, then: Sequence[Node], other: Sequence[Node]) -> None:
    """Refuse branches whose results are not alike."""
    for a, b in zip(then, other, strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            names = sizes_behind(cond)
            if names:
                call.ask_for_sizes("which branch it takes", names)
            call.refuse(
                f"its condition depends on data, and its branches give {a.spec} and {b.spec}, which must be alike"
            )


@rule("Loop")
def loop(call: Call, count: Value = None, cond: Value = None, *state: Value, body: Any) -> Any:
    """Return what a body makes of its state, iteration by iteration, and what each iteration gives, as one array."""
    _check_body(call, body, [*_NUMBERED, *state], 1 + len(state))
    most = _count(call, count)
    rounds = Rounds(call, body, state)
    gives = len(body.output) > 1 + len(state)
    length = most if isinstance(most, str) or (isinstance(most, int) and most > MOST_UNROLLED) else None
    if length is not None and _begins(call, cond, length) and rounds.goes_on(length):
        try:
            return tuple(looped(call, rounds, length))
        except (ShapeError, DtypeError) as error:
            if isinstance(length, str):
                raise error.within("", to_give(call.graph, names_in([length])).replace("; ", "  or ")) from None
    if gives or most is None or (isinstance(most, int) and most <= MOST_UNROLLED):
        try:
            return _unrolled(call, count, cond, state, body, MOST_ROUNDS if gives else MOST_UNROLLED)
        except _Unending as reason:
            if gives:
                call.refuse(str(reason))
    if most is None and rounds.goes_on("endless"):
        call.refuse("it never ends")
    try:
        return tuple(repeated(call, rounds, count, cond))
    except (ShapeError, DtypeError):
        if not isinstance(most, int):
            raise
    return _unrolled(call, count, cond, state, body, MOST_ROUNDS)


class _Unending(Exception):
    """A loop goes on after the iterations that are written out, or may do so; the message says why."""


def _check_body(call: Call, body: Any, given: Sequence[Value], least: int) -> None:
    """Refuse a body that does not take what it is given, or gives too little."""
    names = [each.name for each in body.input]
    if len(names) != len(given):
        call.refuse(f"its body takes {counted(len(names), 'array')}, and is given {len(given)}")
    if len(set(names)) < len(names):
        call.refuse("two of the arrays that its body takes have one name")
    if any(value is None for value in given):
        call.refuse("a state has no first value")
    if len(body.output) < least:
        call.refuse(f"its body gives {counted(len(body.output), 'array')}, and {least} are needed at least")


def _count(call: Call, count: Value) -> Dim | Node | None:
    """Return the maximum number of iterations of a loop: a number, a size, or a node that tells it in a run."""
    if count is None:
        return None
    if count.dtype.kind not in "iu" or np.prod([dim if isinstance(dim, int) else 2 for dim in count.shape]) != 1:
        call.refuse(f"its number of iterations must be one integer, not {count.dtype} of shape {shown(count.shape)}")
    if isinstance(count, Node):
        stored = call.reader.stored(count)
        if stored is None:
            return count
        count = stored
    return call.dims(count, "its number of iterations")[0]


def _begins(call: Call, cond: Value, length: Dim) -> bool:
    """Return whether there is a first iteration, if there are any."""
    if isinstance(cond, Node):
        stored = call.reader.stored(cond)
        more: dict[str, Dim] = (
            {str(length): add(length, 1)} if isinstance(length, str) and length.isidentifier() else {}
        )
        cond = call.reader.supposing(cond, more) if stored is None else stored
        if not isinstance(cond, np.ndarray):
            return False
    return cond is None or bool(np.all(call.known(cond)))


def _unrolled(call: Call, count: Value, cond: Value, state: Sequence[Value], body: Any, most: int) -> tuple[Value, ...]:
    """Return what a Loop gives, each iteration as nodes of its own."""
    rounds = None if count is None else int(call.known(count, "its number of iterations").reshape(()))
    values = list(state)
    collected: list[list[Value]] = [[] for _ in body.output[1 + len(state) :]]
    done = 0
    while rounds is None or done < rounds:
        if cond is not None and not _known(call, cond).reshape(()):
            break
        if done >= most:
            raise _Unending(f"it has more than {most:,} iterations")
        operands = [np.array(done, np.int64), np.array(True) if cond is None else cond, *values]
        cond, *results = call.body(body, operands, f"round_{done}")
        values = results[: len(state)]
        for parts, part in zip(collected, results[len(state) :], strict=True):
            parts.append(part)
        done += 1
    ends = body.output[1 + len(state) :]
    return *values, *(_stacked(call, parts, 0, end) for parts, end in zip(collected, ends, strict=True))


def _known(call: Call, cond: Value) -> Array:
    """Return whether a loop goes on."""
    try:
        return call.known(cond, "whether it goes on")
    except NoRuleError as error:
        raise _Unending(str(error)) from None


def _stacked(call: Call, parts: Sequence[Value], axis: int, end: Any) -> Value:
    """Return values as one array, along a new axis; without any, what the model says of one."""
    if parts and not isinstance(parts[0], list):
        ndim = len(parts[0].shape) + 1
        if not -ndim <= axis < ndim:
            call.refuse(f"it puts results along axis {axis} of {ndim}")
    if not parts:
        kind = end.type.tensor_type
        if not kind.HasField("shape") or any(not dim.HasField("dim_value") for dim in kind.shape.dim):
            call.refuse(f"it has 0 iterations, and the model does not say what shape {end.name!r} has")
        shape = [dim.dim_value for dim in kind.shape.dim]
        shape.insert(axis % (len(shape) + 1), 0)
        return np.zeros(shape, dtype_of(kind.elem_type, "its result"))
    if all(isinstance(part, (np.ndarray, of.Sizes)) for part in parts):
        if all(isinstance(part, np.ndarray) for part in parts):
            return np.stack(parts, axis)
        return of.sized(np.stack([of.boxed(part) for part in parts], axis), parts[0].dtype)
    return fn.stack([call.node(part) for part in parts], axis=axis)


@rule("Scan")
def scan(
    call: Call,
    *operands: Value,
    body: Any,
    num_scan_inputs: int,
    scan_input_axes: Any = None,
    scan_input_directions: Any = None,
    scan_output_axes: Any = None,
    scan_output_directions: Any = None,
    directions: Any = None,
) -> Any:
    """Return what a body makes of its state, slice by slice, and what it gives for each slice as one array."""
    given = operands[call.version < 9 :]
    kept = len(given) - num_scan_inputs
    if not 0 < num_scan_inputs <= len(given):
        call.refuse(f"its num_scan_inputs is {num_scan_inputs}, and it has {counted(len(given), 'operand')}")
    _check_body(call, body, given, kept)
    settings = [
        _each(call, scan_input_axes, num_scan_inputs, "scan_input_axes"),
        _each(call, scan_input_directions or directions, num_scan_inputs, "scan_input_directions", 2),
        _each(call, scan_output_axes, len(body.output) - kept, "scan_output_axes"),
        _each(call, scan_output_directions, len(body.output) - kept, "scan_output_directions", 2),
    ]
    if call.version >= 9:
        return _scanned(call, operands, body, num_scan_inputs, settings, "")
    # Opset 8 has a batch in front, and the length of each of its sequences.
    if operands[0] is not None:
        call.refuse("its sequences have lengths of their own, which graphnn does not read")
    nodes = [call.node(each) for each in operands[1:]]
    batch = nodes[0].spec.shape[0]
    if not isinstance(batch, int):
        call.ask_for_sizes("how many sequences it goes through", [batch])
    rows = [
        _scanned(call, [fn.getitem(node, (i,)) for node in nodes], body, num_scan_inputs, settings, f"row_{i}_")
        for i in range(batch)
    ]
    return tuple(_stacked(call, parts, 0, None) for parts in zip(*rows, strict=True))


def _each(call: Call, given: Any, count: int, what: str, below: int | None = None) -> list[int]:
    """Return an attribute with a number for each of so many arrays, zeros by default."""
    numbers = list(given or [0] * count)
    if len(numbers) != count or (below is not None and not all(0 <= number < below for number in numbers)):
        call.refuse(f"its {what} is {short_repr(numbers)}, for {counted(count, 'array')}")
    return numbers


def _scanned(
    call: Call, operands: Sequence[Value], body: Any, count: int, settings: Sequence[Sequence[int]], name: str
) -> tuple[Value, ...]:
    states = list(operands[: len(operands) - count])
    inputs = [call.node(each) for each in operands[len(states) :]]
    for axis, node in zip(settings[0], inputs, strict=True):
        if not -node.ndim <= axis < node.ndim:
            call.refuse(f"it goes along axis {axis} of an array of shape {shown(node.shape)}")
    axes = [axis % node.ndim for axis, node in zip(settings[0], inputs, strict=True)]
    lengths = [node.shape[axis] for axis, node in zip(axes, inputs, strict=True)]
    if any(unify(lengths[0], other) is None for other in lengths):
        call.refuse(f"it goes along axes of sizes {shown(lengths)}, which differ")
    length = next((size for size in lengths if isinstance(size, int)), lengths[0])
    kept = len(states)
    if isinstance(length, str) or length > MOST_UNROLLED:
        try:
            return tuple(scanned(call, operands, body, count, [axes, *settings[1:]], length))
        except GraphnnError:
            if isinstance(length, str) or length > MOST_ROUNDS:
                raise
    collected: list[list[Value]] = [[] for _ in body.output[kept:]]
    for step in range(length):
        slices = []
        for node, axis, backwards in zip(inputs, axes, settings[1], strict=True):
            place = length - 1 - step if backwards else step
            slices.append(fn.getitem(node, (*[slice(None)] * axis, place)))
        results = call.body(body, [*states, *slices], f"{name}round_{step}")
        states = results[:kept]
        for parts, part, backwards in zip(collected, results[kept:], settings[3], strict=True):
            parts.insert(0 if backwards else len(parts), part)
    ends = zip(collected, settings[2], body.output[kept:], strict=True)
    return *states, *(_stacked(call, parts, axis, end) for parts, axis, end in ends)

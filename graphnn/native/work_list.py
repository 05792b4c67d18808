"""What a native plan does, in order: fused groups, single loops, and what stays a call of NumPy from Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..compiler import intermediate_representation as do
from ..compiler.ir_values import Value, in_c_order, squeezed
from .fused_kernels import is_known
from .llvm_axis_loops import ADDS
from .llvm_reductions import own_reduction
from .ufunc_addresses import goes_in_order, loop_of, most_at_once, same_of_rows

if TYPE_CHECKING:
    from ..compiler.intermediate_representation import DType
    from ..core import Array

Shape = tuple[int, ...]
Strides = tuple[int, ...]
MOST_LINES, MOST_INPUTS = 48, 24
"""Of a group: a processor has so many registers."""


class Place(NamedTuple):
    """Where a value lies: in the memory of another.

    Attributes
    ----------
    root : Value
    offset : int
        Bytes from the root's first element to the value's.
    strides : tuple of int
    in_order : bool
        Whether it lies in C order without gaps.
    """

    root: Value
    offset: int
    strides: tuple[int, ...]
    in_order: bool


@dataclass(eq=False, slots=True)
class Work:
    """One thing to do.

    Attributes
    ----------
    values : list of Value
        What it makes: the members of a fused group, or one value.
    how : str
        ``"fused"``, ``"loop"``, ``"blocks"`` or ``"python"``.
    why : str
        Why it is no loop, if it is a call from Python.
    inner : set of Value
        Members of a group that nobody else reads: they are never written to memory.
    parts : list of Work
        What is done for each block of rows, one after the other, if the work is done by blocks.
    length, rows : int
        The number of rows, and of those of a block.
    scratch : set of Value
        What only parts read, block by block: only a block of it is in memory.
    threads : int
        By how many it is computed.
    """

    values: list[Value]
    how: str
    why: str = ""
    inner: set[Value] = field(default_factory=set)
    parts: list[Work] = field(default_factory=list)
    length: int = 0
    rows: int = 0
    scratch: set[Value] = field(default_factory=set)
    threads: int = 1


def place_of(value: Value) -> Place | None:
    """Return where a value lies, or None where that is known only in a run."""
    if value.place is not None:
        return value.place  # type: ignore[return-value]
    if value.strides is None or value.root.strides is None:
        return None
    shown = [value]
    while shown[-1] is not value.root and shown[-1].place is None:
        shown.append(shown[-1].operands[0])
    known = shown[-1].place
    offset = known.offset if isinstance(known, Place) else 0
    for each in reversed(shown):
        if each.place is None and each.strides is not None:
            offset += _first_shown(each)
            each.place = Place(value.root, offset, each.strides, _in_order(each.strides, each.shape, each.dtype))
    return value.place


def _first_shown(view: Value) -> int:
    """Return how many bytes from its operand's first element a view begins."""
    if not isinstance(view.how, do.Index) or not view.size:
        return 0
    before = view.operands[0]
    assert before.strides is not None
    return view.how.shown(before.shape, before.strides)[2]


def address_of(array: Array) -> int:
    """Return where the first element of an array lies."""
    address: int = array.__array_interface__["data"][0]
    return address


@lru_cache(4096)
def spread(strides: Strides, own: Shape, shape: Shape) -> Strides:
    """Return the strides of an operand along the axes of a larger shape that are longer than 1."""
    missing = len(shape) - len(own)
    found = []
    for axis, n in enumerate(shape):
        if n != 1:
            mine = axis - missing
            found.append(strides[mine] if mine >= 0 and own[mine] != 1 else 0)
    return tuple(found)


@lru_cache(4096)
def _in_order(strides: Strides, shape: Shape, dtype: DType) -> bool:
    return spread(strides, shape, shape) == in_c_order(squeezed(shape), dtype)


# --- which form ---------------------------------------------------------------------------------------------------


def form_of(value: Value) -> tuple[str, str]:
    """Return how a value is computed, ``"fused"``, ``"loop"`` or ``"python"``, and why, if from Python."""
    how = value.how
    if isinstance(how, do.Own):
        return "python", f"{how.name} makes an array itself"
    if isinstance(how, do.Patch):
        return "python", "few rows of a table change"
    if isinstance(how, do.Call) and not isinstance(how, (do.Join, do.Along)):
        return "python", f"{how.name} has no native form, or not this one"
    if None in [place_of(operand) for operand in value.operands]:
        return "python", "only a run tells how an operand lies"
    if not _CHARS.issuperset([value.dtype.char, *[operand.dtype.char for operand in value.operands]]):
        return "python", f"{value.dtype} has no native form"
    match how:
        case do.Ufunc(ufunc, loop, bits):
            if bits:
                return "python", "bits are read as another dtype"
            if _exact(ufunc, loop, tuple([operand.dtype for operand in value.operands])):
                return "fused", ""
            return _by_loop(value, ufunc, loop)
        case do.Cast():
            if is_known("cast", value.operands[0].dtype.char, value.dtype.char):
                return "fused", ""
            return "python", f"of {value.operands[0].dtype} to {value.dtype}: C leaves open what is out of range"
        case do.Clip() if is_known("clip", "".join(x.dtype.char for x in value.operands), value.dtype.char):
            return "fused", ""
        case do.Select() if is_known("select", "".join(x.dtype.char for x in value.operands), value.dtype.char):
            return "fused", ""
        case do.Fill() | do.Repeat() | do.Copy() if value.operands[0].dtype == value.dtype:
            return "fused", ""
        case do.Join(adds=adds) if adds:
            known = value.dtype.char in "fd" and all(x.dtype == value.dtype for x in value.operands)
            return ("loop", "") if known else ("python", f"{how.name} adds up {value.dtype}")
        case do.Join():
            casts = all(
                x.dtype == value.dtype or is_known("cast", x.dtype.char, value.dtype.char) for x in value.operands
            )
            return ("loop", "") if casts else ("python", "an operand is cast in a way that C leaves open")
        case do.Reduce():
            known = reduced(value) is not None or reduced_again(value) is not None
            return ("loop", "") if known else ("python", "the axes do not lie side by side, or are too long")
        case do.Added() if value.dtype.char not in ADDS:
            return "python", f"{how.name} adds up {value.dtype}"
        case do.Along():
            return ("loop", "") if sizes_along(value) else ("python", "an operand does not lie in order")
        case do.Product():
            return _product(value)
        case do.Gather() | do.Scatter():
            return _moved(value)
        case do.Check():
            place = place_of(value.operands[0])
            ready = place is not None and value.dtype == np.int64 and value.size and place.in_order
            return ("loop", "") if ready else ("python", "labels do not lie in order")
    return "python", "has no native form"


_CHARS = frozenset("?bBhHiIlLqQfdE")


@lru_cache(4096)
def _exact(ufunc: np.ufunc, loop: tuple[DType, ...], dtypes: tuple[DType, ...]) -> bool:
    takes, gives = "".join(dtype.char for dtype in loop[:-1]), loop[-1].char
    casts = all(a == b or is_known("cast", a.char, b.char) for a, b in zip(dtypes, loop, strict=False))
    return casts and getattr(np, ufunc.__name__, None) is ufunc and is_known(ufunc.__name__, takes, gives)


def _by_loop(value: Value, ufunc: np.ufunc, loop: tuple[DType, ...]) -> tuple[str, str]:
    """Return whether one of NumPy's loops takes the operands as they lie."""
    name = ufunc.__name__
    if ufunc.signature is not None or ufunc.nout != 1:
        return "python", f"{name} is not of one element"
    if any(x.dtype != dtype for x, dtype in zip((*value.operands, value), loop, strict=True)):
        return "python", f"{name} casts its operands"
    if ufunc is np.power and value.size == 1 and value.shape:
        # With an exponent that does not step, it takes the square root of -0, which is -0, for its power of 0.5, 0.
        return "python", "whether the exponent of one power steps depends on the shapes"
    if value.size and not all(along(x, value) is not None for x in value.operands):
        return "python", f"an operand of {name} does not lie in order"
    return ("loop", "") if loop_of(ufunc, loop) else ("python", f"{name} has no loop of its own for {loop[0]}")


def along(x: Value, value: Value) -> int | None:
    """Return how far an operand steps where the whole value is one row, or None where it does not lie so."""
    place = place_of(x)
    # Backwards NumPy computes some functions differently, of a single element, too.
    if place is None or min(place.strides, default=0) < 0:
        return None
    if x.size == value.size and place.in_order:
        return x.dtype.itemsize if x.size > 1 else 0
    return 0 if x.size == 1 else None


def reduced(value: Value) -> tuple[int, int, int] | None:
    """Return the sizes (outer, reduced, inner) of a reduction over axes side by side, or None."""
    groups = _groups(value)
    if groups is None or len(groups) > 3:
        return None
    outer, n, inner = [*groups, 1, 1][:3]
    return outer, n, inner


def reduced_again(value: Value) -> tuple[int, int, int, int] | None:
    """Return the sizes (again, outer, reduced, inner) of a reduction over the first axes and others apart, or None."""
    groups = _groups(value)
    if groups is None or len(groups) not in (4, 5) or groups[0] != 1 or not goes_in_order():
        return None
    assert isinstance(value.how, do.Reduce)
    _, again, outer, n, inner = [*groups, 1][:5]
    return (again, outer, n, inner) if own_reduction(value.how.ufunc, value.dtype, inner == 1) else None


def _groups(value: Value) -> list[int] | None:
    """Return the sizes of axes that stay and of axes that are reduced, in turn, if the operand lies in order."""
    how, x = value.how, value.operands[0]
    assert isinstance(how, do.Reduce)
    place = place_of(x)
    if place is None or not x.size or not place.in_order or x.dtype != value.dtype:
        return None
    if how.ufunc not in _REDUCING or loop_of(how.ufunc, (x.dtype,) * 3) is None:
        return None
    groups = [1]
    for axis, n in enumerate(x.shape):
        if n > 1:
            if (axis in how.axes) != (len(groups) % 2 == 0):
                groups.append(1)
            groups[-1] *= n
    goes_along = len(groups) % 2 == 0
    return None if goes_along and groups[-1] > most_at_once() and x.dtype.kind == "f" else groups


_REDUCING = (np.add, np.multiply, np.maximum, np.minimum, np.logical_or, np.logical_and)


def sizes_along(value: Value) -> tuple[int, int, int] | None:
    """Return the sizes (outer, along the axis, inner) of the first operand, or None if an operand is not in order.

    Of what slices are added to, they are the sizes of the value.
    """
    how = value.how
    assert isinstance(how, do.Along)
    x = value.operands[0]
    for each in value.operands:
        place = place_of(each)
        if place is None or not place.in_order:
            return None
    if not x.size or not value.size or (not isinstance(how, do.Locate) and x.dtype != value.dtype):
        return None
    if isinstance(how, (do.Taken, do.Added, do.Written)) and value.operands[-1].dtype != np.int64:
        return None
    if isinstance(how, do.Written) and value.operands[1].dtype != value.dtype:
        return None
    whole = value if isinstance(how, do.Added) else x
    if how.axis is None:
        return 1, whole.size, 1
    return math.prod(whole.shape[: how.axis]), whole.shape[how.axis], math.prod(whole.shape[how.axis + 1 :])


MOST_STACKS = 256


def stacks_of(value: Value) -> Shape:
    """Return the axes of a product along which it has one matrix after the other."""
    x, y = value.operands
    matrix = (len(x.shape) > 1) + (len(y.shape) > 1)
    return value.shape[: len(value.shape) - matrix]


def _product(value: Value) -> tuple[str, str]:
    x, y = value.operands
    if not value.size or not x.size or x.dtype != y.dtype or x.dtype != value.dtype or x.dtype.char not in "fd":
        return "python", f"a product of {x.dtype}"
    if math.prod(stacks_of(value)[1:]) > MOST_STACKS:
        return "python", "many matrices"
    return ("loop", "") if loop_of(np.matmul, (x.dtype,) * 3) else ("python", "NumPy has no loop for it")


def _moved(value: Value) -> tuple[str, str]:
    x, places = value.operands
    here, there = place_of(x), place_of(places)
    if here is None or there is None or not value.size or not places.size or places.dtype != np.int64:
        return "python", "nothing is moved"
    ready = there.in_order and (here.in_order or (isinstance(value.how, do.Scatter) and x.size == 1))
    return ("loop", "") if ready and x.dtype == value.dtype else ("python", "what is moved does not lie in order")


def brought_in_order(values: Sequence[Value]) -> list[Value]:
    """Return the values, with a copy of an operand that does not lie in order, if NumPy's loop can take the copy."""
    found: list[Value] = []
    for value in values:
        if isinstance(value.how, do.Ufunc) and len(value.operands) == 1 and form_of(value)[0] == "python":
            (x,) = value.operands
            place = place_of(x)
            if place and x.ordered and min(place.strides, default=0) > 0 and same_of_rows(value.how.ufunc, x.dtype):
                copy = Value(do.Copy(), x.node, x.shape, x.dtype, (x,))
                value.operands = (copy,)
                if form_of(value)[0] == "loop":
                    found.append(copy)
                else:
                    value.operands = (x,)
        found.append(value)
    for index, value in enumerate(found):
        value.index = index
    return found


# --- in which order -----------------------------------------------------------------------------------------------


class _Group:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.members: list[Value] = []
        self.inputs: set[tuple[Value, int, tuple[int, ...]]] = set()


def works_of(values: Sequence[Value], fetches: Sequence[Value]) -> list[Work]:
    """Return what is to be done, in an order in which it can be.

    A group stays open, and takes what has its shape, until somebody else reads one of its members; it is computed then.
    """
    done: list[Work] = []
    open_: dict[Shape, _Group] = {}
    inside: dict[Value, _Group] = {}

    def close(group: _Group) -> None:
        if open_.get(group.shape) is group:
            del open_[group.shape]
        for member in group.members:
            del inside[member]
        done.append(Work(group.members, "fused"))

    for value in values:
        if value.kind in ("constant", "view", "given"):
            continue
        how, why = form_of(value)
        shape = squeezed(value.shape)
        for operand in value.operands:
            group = inside.get(operand.root)
            if group is not None and not (how == "fused" and group.shape == shape and is_same(operand, value)):
                close(group)
        if how != "fused":
            done.append(Work([value], how, why))
            continue
        if not value.size:
            done.append(Work([value], "fused"))
            continue
        group = open_.get(shape)
        inputs = {(x.root, *_key(x, value)) for x in value.operands}
        if group is not None:
            more = len(group.inputs | inputs) > MOST_INPUTS or len(group.members) >= MOST_LINES
            if more:
                close(group)
                group = None
        if group is None:
            group = open_[shape] = _Group(shape)
        group.members.append(value)
        group.inputs |= inputs
        inside[value] = group
    for group in list(open_.values()):
        close(group)
    _find_inner(done, fetches)
    return done


def _key(x: Value, value: Value) -> tuple[int, tuple[int, ...]]:
    place = place_of(x)
    assert place is not None
    return place.offset, spread(place.strides, x.shape, value.shape)


def is_same(x: Value, value: Value) -> bool:
    """Tell whether a fused value reads of an operand just the element at its own place."""
    place = place_of(x)
    if place is None or not place.in_order or place.offset or not x.size == value.size == place.root.size:
        return False
    return x.shape == value.shape or (
        spread(place.strides, x.shape, value.shape) == in_c_order(squeezed(value.shape), x.dtype)
    )


def _find_inner(works: Sequence[Work], fetches: Sequence[Value]) -> None:
    """Find the members of groups that only their group reads."""
    outside = {fetch.root for fetch in fetches}
    for work in works:
        own = set(work.values)
        for value in work.values:
            outside.update(x.root for x in value.operands if work.how != "fused" or x.root not in own)
    for work in works:
        if work.how == "fused":
            work.inner = {value for value in work.values if value not in outside and value.size}

"""`reads` of every operation: what it leaves out does not matter to the element, and each that it names does."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from op_oracles import refused
from test_ops import OPS, bits, quietly, sampled

import graphnn as gn
from graphnn import Op, Spec
from graphnn.testing import Draw

Array = np.ndarray[Any, np.dtype[Any]]
Index = tuple[int, ...]

REORDERED = {"matmul", "einsum"}
"""What multiplies by BLAS, which may add up in another order where other numbers stand beside."""

HIDING = {"logical_and", "logical_or", "bitwise_and", "bitwise_or", "left_shift", "right_shift", "any", "all"}
"""Where one element may decide alone: another counts if it does beside elements that leave it open."""

DRAWS = 8
"""Of operands, for each operation and dtype."""


def named(entry: Any, shape: Sequence[int]) -> list[int]:
    """Return the places, in C order, of the elements that an entry names."""
    if entry is None:
        return []
    return sorted({int(place) for place in np.ravel(np.arange(math.prod(shape)).reshape(shape)[entry])})


def pointing(op: Any, operands: Sequence[Array], position: int) -> range | None:
    """Return the integers that an operand which points somewhere may hold, None of others."""
    shape = op.shape if op.name in ("index_add", "add_along_axis", "scatter_nd") else operands[0].shape
    match op.name, position:
        case (("take" | "take_along_axis" | "index_add" | "add_along_axis"), 1):
            n = math.prod(shape) if op.axis is None else shape[op.axis]
            return range(-n, n)
        case (("gather_nd" | "scatter_nd"), 1):
            n = min(shape[: operands[1].shape[-1]])
            return range(-n, n)
        case (("put_along_axis" | "maximum_along_axis" | "minimum_along_axis" | "multiply_along_axis"), 1):
            return range(-shape[op.axis], shape[op.axis])
        case "update_slice", 2:
            count = operands[1].shape[op.axis]
            return range(shape[op.axis] - count + 1 if count else 1)
        case "pick", 1:
            return range(shape[-1])
        case "scatter_labels", 1:
            return range(op.classes)
        case "one_hot", 0:
            return range(op.depth)
        case (("random_uniform" | "random_normal"), 0):
            return range(99)
    return None


def others(
    op: Op, operands: Sequence[Array], position: int, present: set[Any], rng: np.random.Generator
) -> Iterator[Array]:
    """Yield other values for a whole operand, all of them legal, those `present` among them."""
    shape, dtype = operands[position].shape, operands[position].dtype
    places = pointing(op, operands, position)
    if places is not None:
        yield np.asarray(rng.choice(places, shape), dtype)
        for place in places:
            yield np.full(shape, place, dtype)
    elif dtype.kind == "b":
        yield ~operands[position]
    elif dtype.kind in "iu":
        for _ in range(2):
            yield np.asarray(rng.integers(1, 100, shape), dtype)
        yield np.zeros(shape, dtype)
    else:
        for lo, hi in [(-3, 3), (0.1, 5), (-40, -5)]:
            yield np.asarray(rng.uniform(lo, hi, shape), dtype)
        for value in [0.0, *present, 1e3, -1e3, math.nan, math.inf, -math.inf]:
            yield np.full(shape, value, dtype)


class Element:
    """An element of what an operation makes of some operands."""

    def __init__(self, op: Op, operands: Sequence[Array], index: Index) -> None:
        self.op, self.operands, self.index = op, operands, index
        self.value = np.asarray(quietly(op.forward, *operands))[index]
        self.bits = bits(np.asarray(self.value))

    def differs(self, position: int, places: Sequence[int], values: Array) -> bool:
        """Return whether it changes where these places of an operand have these values."""
        operand = np.array(self.operands[position], order="C")
        operand.reshape(-1)[places] = values.reshape(-1)[places]
        operands = [*self.operands[:position], operand, *self.operands[position + 1 :]]
        if refused(self.op, *operands) is not None:
            return False
        other = np.asarray(self.op.forward(*operands))[self.index]
        if self.op.name in REORDERED and np.isclose(self.value, other, rtol=1e-6 if other.itemsize < 8 else 1e-12):
            return False
        return self.bits != bits(np.asarray(other))


def check_reads(op: Op, operands: Sequence[Array], index: Index, rng: np.random.Generator, each: bool = True) -> None:
    """Raise an AssertionError where `reads` leaves out what counts or, if `each`, names what does not."""
    around = [Element(op, operands, index)]
    if op.name in HIDING:
        around += [Element(op, [np.full_like(x, value) for x in operands], index) for value in (0, 1)]
    if op.name == "first_occurrence":  # an element before counts only where none before that is equal
        x = np.broadcast_to(operands[1] + 1, operands[0].shape).astype(operands[0].dtype)
        x[index] = np.broadcast_to(operands[1], x.shape)[index]
        around.append(Element(op, [x, operands[1]], index))
    if op.name in EXTREMA:  # an index counts only where its value is the largest
        x, indices, values = operands
        for place in range(values.size):
            best = np.zeros_like(values)
            best.reshape(-1)[place] = EXTREMA[op.name]
            around.append(Element(op, [np.full_like(x, -EXTREMA[op.name]), indices, best], index))
    entries = op.reads(index, operands)
    assert len(entries) == len(operands)
    reading = [named(entry, operand.shape) for entry, operand in zip(entries, operands, strict=True)]
    present = {value for x in operands for value in x.reshape(-1).tolist()}
    for position, (read, operand) in enumerate(zip(reading, operands, strict=True)):
        rest = [place for place in range(operand.size) if place not in set(read)]
        changes = list(others(op, operands, position, present, rng))
        for places in [rest, *([place] for place in rest[:3])] if rest else []:
            told = f"operand {position} counts at one of {places}, which {op}.reads({index}) leaves out"
            found = quietly(any, (one.differs(position, places, values) for one in around for values in changes))
            assert not found, told
        if each and not without_choice(op, operands, position):
            for place in read:
                told = f"operand {position} does not count at {place}, which {op}.reads({index}) names"
                found = quietly(any, (one.differs(position, [place], values) for one in around for values in changes))
                assert found, told


EXTREMA = {"maximum_along_axis": 1, "minimum_along_axis": -1}


def without_choice(op: Any, operands: Sequence[Array], position: int) -> bool:
    """Return whether an operand cannot count, since it can only say one thing: there is one place, or one element."""
    places = pointing(op, operands, position)
    few = op.name in EXTREMA and operands[2].shape[op.axis] < operands[1].shape[op.axis]
    if few and position == 1:  # of one value for several indices, one that points there is enough
        return True
    if op.name == "scatter_nd" and position == 1 and operands[1].shape[-1] > 1:  # they say it together
        return True
    if places is not None:
        return len({place % places.stop for place in places}) == 1
    if op.name not in ("argmax", "argmin", "argsort"):
        return False
    return bool((operands[0].size if op.axis is None else operands[0].shape[op.axis]) == 1)


def drawn(cls: type[Op], seed: int, dtype: str) -> tuple[Op, tuple[Array, ...], list[Index], np.random.Generator]:
    """Draw operands and some elements of what comes out of them."""
    rng = np.random.default_rng([seed, len(dtype)])
    op, operands = sampled(cls, Draw(rng, dtype))
    try:
        shape = op.infer(*[Spec(x.shape, x.dtype) for x in operands]).shape
    except gn.GraphnnError:
        return op, operands, [], rng
    if refused(op, *operands) is not None:
        return op, operands, [], rng
    if op.name == "einsum" and len(operands) > 2 and not all(x.size for x in operands):
        return op, operands, [], rng  # NumPy takes them by pairs: 0, from a pair that is empty, times inf is NaN
    size = math.prod(shape)
    flat = rng.choice(size, min(3, size), replace=False) if size else []
    return op, operands, [tuple(int(i) for i in np.unravel_index(at, shape)) for at in flat], rng


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_exactly_what_counts_is_read(cls: type[Op], dtype: str) -> None:
    seen = 0
    for seed in range(DRAWS):
        op, operands, indices, rng = drawn(cls, seed, dtype)
        for index in indices:
            # Integers tie, and are 0 often: then what is named need not count.
            check_reads(op, operands, index, rng, each=dtype.startswith("float"))
            seen += 1
    assert seen or dtype in ("int64", "bool")


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_a_reading_is_an_index_as_it_is_described(cls: type[Op]) -> None:
    op, operands, indices, _ = drawn(cls, 0, "float64")
    for entry in [entry for index in indices for entry in op.reads(index, operands) if entry not in (None, ...)]:
        assert isinstance(entry, tuple)
        assert all(isinstance(part, (int, np.integer, slice, np.ndarray)) for part in entry)


def faults(op: Op, index: Index, operands: Sequence[Array]) -> Iterator[tuple[str, list[Any]]]:
    """Yield wrong readings: one element too many, one too few."""
    right = op.reads(index, operands)
    for position, (entry, operand) in enumerate(zip(right, operands, strict=True)):
        read = named(entry, operand.shape)
        rest = [place for place in range(operand.size) if place not in read]
        wrong = [("leaves out", read[:-1])] if read else []
        wrong += [("names", [*read, rest[0]])] if rest else []
        for told, places in wrong:
            mask = np.isin(np.arange(operand.size), places).reshape(operand.shape)
            yield told, [*right[:position], (mask,), *right[position + 1 :]]


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_the_check_finds_a_wrong_reading(cls: type[Op], monkeypatch: pytest.MonkeyPatch) -> None:
    planted = 0
    for seed in range(DRAWS):
        op, operands, indices, rng = drawn(cls, seed, "float64")
        if any(without_choice(op, operands, position) for position in range(len(operands))):
            continue
        for index in indices[:1]:
            for told, wrong in faults(op, index, operands):
                with monkeypatch.context() as patch:
                    patch.setattr(cls, "reads", lambda self, index, operands, wrong=wrong: wrong)
                    with pytest.raises(AssertionError, match=told):
                        check_reads(op, operands, index, rng)
                planted += 1
    assert planted or not cls.operands

"""Patterns of native plans against plans that are made for the same sizes, word for word, and the interpreter."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.lib.array_utils import byte_bounds
from random_bodies import Case, derived, scanned
from random_mixed import random_mixed
from random_networks import random_training
from test_ops import bits

import graphnn as gn
from graphnn.compiler.buffer_allocation import Buffer
from graphnn.compiler.symbolic_sizes import Size, Unrecorded
from graphnn.core.symbolic_shapes import size_of
from graphnn.native import size_pattern as patterns
from graphnn.native import value_layout
from graphnn.native.loop_tables import Filled, Table
from graphnn.native.native_plan import Draft, Native, drafted
from graphnn.native.row_blocks import flat
from graphnn.native.size_pattern import Pattern
from graphnn.runtime.evaluation_loop import Prepared, arrays_for_caller, collect

Array = np.ndarray[Any, np.dtype[Any]]
SIZES = (1, 2, 3, 5, 8, 11, 16, 17, 31, 40, 64, 65, 127, 200, 300, 1000, 3000)
FEW = (1, 2, 3, 5, 8, 11, 16, 17, 31, 40)


def resized(
    rng: np.random.Generator, feed: Mapping[Any, Any], graph: gn.Graph, among: Sequence[int]
) -> dict[gn.Node, Array]:
    """Return a feed with other numbers of rows, which are drawn from those of a feed."""
    sizes = {
        name: int(rng.choice(among)) for node in graph.placeholders for name in node.shape if isinstance(name, str)
    }
    found: dict[gn.Node, Array] = {}
    for key, value in feed.items():
        node = graph[key] if isinstance(key, str) else key
        array = np.asarray(value).astype(node.dtype)
        for axis, dim in enumerate(node.shape):
            if isinstance(dim, str):
                array = np.take(array, rng.integers(0, array.shape[axis], size_of(dim, sizes)), axis)
        found[node] = array
    return found


class Compared(NamedTuple):
    """What came of a pattern.

    Attributes
    ----------
    differences : list of str
    gave, refused : int
        For how many sizes it gave a plan, and for how many not.
    worded : int
        How many of the plans were compared word for word. Others have other works: a constant that planning computes,
        or two that it finds equal.
    """

    differences: list[str]
    gave: int
    refused: int
    worded: int


def by_words(plan: Native, recorded: Draft, places: Sequence[int]) -> list[str] | None:
    """Return where the words of a plan differ from those that planning gives; None if it has other works."""
    filling = plan._filling
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(value_layout, "_place", lambda buffers, *_: _put(buffers, places))
        draft = plan._draft
    if list(_kinds(draft)) != list(_kinds(recorded)):
        return None
    if len(draft.writer.tables) != len(filling.segments) or (draft.writer.code is None) != (filling.code is None):
        return ["other segments"]
    arrays = [value.array for value in draft.lowering.values if value.array is not None]
    pairs = zip(draft.writer.tables, filling.segments, strict=True)
    return [told for made, filled in pairs for told in _other_words(made, filled, arrays, filling.arrays)]


def _other_words(made: Table, filled: Filled, arrays: Sequence[Array], own_arrays: Sequence[Array]) -> list[str]:
    words, own = made.filled().words, filled.words
    shapes, kept = dict(made.shapes), {id(shape): shape for shape in filled.keeps[0]}  # type: ignore[index]
    if len(words) != len(own) or (made._own, made._arena) != (list(filled.own), list(filled.arena)):
        return [f"{len(own)} words, not {len(words)}, or other places"]
    found = []
    for slot in np.flatnonzero(words != own).tolist():
        if slot in shapes:
            same = kept[int(own[slot])] == shapes[slot]
        else:
            same = not _shown(int(words[slot]), arrays).isdisjoint(_shown(int(own[slot]), own_arrays))
        if not same:
            found.append(f"word {slot} is {own[slot]}, not {words[slot]}")
    return found


def _kinds(draft: Draft) -> Iterator[object]:
    for work in flat(draft.works):
        read = {x.root for value in work.values for x in value.operands}
        yield work.how, len(read), [(type(value.how), getattr(value.how, "ufunc", None)) for value in work.values]


def _are_equal_by_chance(prepared: Prepared) -> bool:
    dims = {1, *(dim for node in prepared.program.order for dim in node.spec.shape)}
    return len({size_of(dim, prepared.sizes) for dim in dims}) < len(dims)


def _put(buffers: Sequence[Buffer], places: Sequence[int]) -> int:
    for buffer, place in zip(buffers, places, strict=False):
        buffer.offset = place
    return max((buffer.offset + buffer.size for buffer in buffers), default=0)


def _other_values(plan: Native, prepared: Prepared) -> Iterator[str]:
    given = [prepared.given[node] for node in plan.given]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.GraphnnWarning)  # float16 may overflow
            expected = arrays_for_caller(collect(prepared))
    except gn.GraphnnError:  # of these numbers no plan gives anything, either
        try:
            plan(*given)
        except Exception:  # noqa: BLE001 - the interpreter says what it was
            return
        yield "an error of the interpreter"
        return
    for name in ("first", "second"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.GraphnnWarning)
            values = plan(*given)
        for i, (one, other) in enumerate(zip(values, expected, strict=True)):
            if bits(one) != bits(other):
                yield f"value {i} of the {name} call"


def _shown(address: int, arrays: Sequence[Array]) -> set[tuple[bytes, int]]:
    """Return what an address points to: the bytes of each array that it lies in, and where in them.

    An array of one number is the same everywhere: planning may keep the number where a pattern keeps the array.
    """
    found = set()
    for array in arrays:
        start, stop = byte_bounds(array)
        if start <= address < stop:
            first = array.flat[0].tobytes()
            alike = array.tobytes() == first * array.size
            found.add((first, 0) if alike else (array.tobytes("A"), address - start))  # as they lie
    return found


def compared(
    rng: np.random.Generator,
    fetches: Sequence[gn.Node],
    feeds: Sequence[Mapping[Any, Any]],
    updates: Mapping[gn.Node, gn.Node],
    count: int = 8,
    among: Sequence[int] = (),
) -> Compared | None:
    """Record a plan, repeat it for so many sizes, and compare; None if it is not recorded."""
    graph = fetches[0].graph
    step = gn.compile(list(fetches), updates, backend="native")
    among = among or (FEW if rng.random() < 0.4 else SIZES)
    runs: list[Prepared] = []
    for _ in range(count):
        with suppress(gn.ShapeError):  # such sizes cannot be
            runs.append(step.prepared(resized(rng, feeds[0], graph, among)))
    drafts: list[Draft] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "drafted", lambda *how: drafts.append(drafted(*how)) or drafts[0])
        try:
            pattern = Pattern(runs[0], *step._planner.asked[:3])
        except Exception:  # noqa: BLE001 - it is not recorded
            return None
    cells = pattern._replay([runs[0].sizes[name] for name in pattern._names])
    assert cells is not None, "a pattern does not hold for its own sizes"
    try:
        pattern._filled(runs[0], cells)
    except Unrecorded:  # a constant lies otherwise
        return None
    return _compared(pattern, drafts[0], runs)


def _compared(pattern: Pattern, recorded: Draft, runs: Sequence[Prepared]) -> Compared:
    found, gave, worded = [], 0, 0
    for run in runs:
        plan = pattern.plan(run)
        if plan is None:
            continue
        gave += 1
        found += [f"{run.sizes}: {told}" for told in _other_values(plan, run)]
        if not _are_equal_by_chance(run):
            cells = pattern._replay([run.sizes[name] for name in pattern._names])
            offsets = [buffer.offset for buffer in recorded.layout.buffers]
            told = by_words(plan, recorded, [cells[x.cell] if isinstance(x, Size) else x for x in offsets])
            worded += told is not None
            found += [f"{run.sizes}: {each}" for each in told or ()]
    return Compared(found, gave, len(runs) - gave, worded)


def repeated(seed: int, number: int) -> Compared | None:
    """Return what comes of a graph that is drawn: of even numbers one of many dtypes and two sizes, else a network."""
    rng = np.random.default_rng([number, 11 + seed])
    if number % 2:
        return compared(rng, *random_training(rng))
    fetches, feeds, updates = random_mixed(rng)
    full = [feed for feed in feeds if all(np.asarray(array).size for array in feed.values())]
    return compared(rng, fetches, full, updates) if full else None


def repeated_loop(seed: int, number: int) -> Compared | None:
    """Return what comes of a loop that is drawn, with its gradients; None, too, if its length has no name."""
    case = Case(seed, number)
    if not case.named:
        return None
    fetches = derived(case.built(scanned, 7), 1 + (number % 4 == 0))
    rng = np.random.default_rng([number, 13 + seed])
    return compared(rng, fetches, [case.feed(7)], {}, 4, (2, 4, 5, 7, 11, 16, 19))
